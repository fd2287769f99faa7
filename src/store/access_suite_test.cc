// What every store tells about access: see conformance/store_suite.h.
#include <map>
#include <utility>

#include "conformance/store_suite.h"
#include "core/explain.h"

namespace earshot::test {

namespace {

using core::Way;

constexpr core::Ways bit(Way way) { return static_cast<core::Ways>(way); }

store::AccessCommand about(CompanyId company, std::vector<core::CallUsers> calls) {
  store::AccessCommand command;
  command.company = company;
  command.calls = std::move(calls);
  return command;
}

store::UserCallsCommand calls_of(CompanyId company, UserId user, core::Ways ways,
                                 std::size_t calls_max) {
  store::UserCallsCommand command;
  command.company = company;
  command.user = user;
  command.ways = ways;
  command.calls_max = calls_max;
  return command;
}

constexpr std::uint64_t kUsers = 9, kCalls = 7;  // one more of each than there are

// Every pair of call and user, as it is now.
void expect_checks(store::Store& store, const Model& model, CompanyId company, Time now) {
  for (const bool everybody : {false, true}) {
    std::vector<core::CallUsers> calls;
    for (std::uint64_t call = kCalls; call > 0; --call) {
      calls.push_back({{call}, {}});
      for (std::uint64_t user = 1; user <= kUsers && !everybody; ++user) {
        calls.back().users.push_back({user});
      }
    }
    store::AccessCommand command = about(company, calls);
    command.everybody = everybody;
    const auto view = read_access_now(store, command);
    ASSERT_TRUE(view.has_value()) << view.error().message;
    ASSERT_EQ(view->as_of.time, now);
    ASSERT_EQ(view->entries.size(), calls.size());
    for (std::size_t i = 0; i < calls.size(); ++i) {
      core::CallExplainer explainer(*view->directory, *view->entries[i]);
      for (std::uint64_t user = 1; user <= kUsers; ++user) {
        const auto why = explainer.explain({user}, now);
        const Told told = model.tell(company, calls[i].call, {user}, now);
        ASSERT_EQ(why.ways, told.ways) << to_string(calls[i].call) << " " << user;
        ASSERT_EQ(why.ways_if_active, told.ways_if_active);
        ASSERT_EQ(why.refusal == core::Refusal::none, told.reason.empty());
        ASSERT_EQ(told.grant ? why.grant : told.grant, told.grant);
        ASSERT_EQ(told.chain.empty() ? told.chain : why.profile->chain, told.chain);
      }
    }
    if (!everybody) continue;
    std::vector<UserId> users;
    for (std::uint64_t user = 1; user <= kUsers; ++user) {
      if (view->directory->find_user({user}) != nullptr) users.push_back({user});
    }
    const auto ids = view->directory->user_ids();
    ASSERT_EQ(std::vector(ids.begin(), ids.end()), users);
  }
}

// The calls of every user by every set of ways, page by page.
void expect_calls_of_users(store::Store& store, const Model& model, CompanyId company, Time now) {
  for (std::uint64_t user = 1; user <= kUsers; ++user) {
    for (core::Ways ways = 1; ways <= core::kAllWays; ++ways) {
      auto command = calls_of(company, {user}, ways, 1 + (user + ways) % 4);
      std::map<CallId, core::Ways> found;
      for (bool is_over = false; !is_over;) {
        const auto view = read_user_calls_now(store, command);
        ASSERT_TRUE(view.has_value()) << view.error().message;
        ASSERT_LE(view->calls.size(), command.calls_max);
        ASSERT_EQ(view->entries.size(), view->calls.size());
        for (std::size_t i = 0; i < view->calls.size(); ++i) {
          ASSERT_GT(view->calls[i], command.after);
          ASSERT_LE(view->calls[i], view->last.value_or(view->calls[i]));
          const core::Ways holding =
              core::ways(*view->directory, *view->entries[i], {user}, view->as_of.time);
          if ((holding & ways) == 0) continue;
          ASSERT_TRUE(found.insert({view->calls[i], holding}).second);
        }
        is_over = !view->last;
        if (!is_over) {
          ASSERT_GT(*view->last, command.after);
          command.after = *view->last;
        }
      }
      std::map<CallId, core::Ways> wanted;
      for (std::uint64_t call = 1; call <= kCalls; ++call) {
        const core::Ways holding = model.ways(company, {call}, {user}, now);
        if ((holding & ways) != 0) wanted[{call}] = holding;
      }
      ASSERT_EQ(found, wanted) << "user " << user << " ways " << int{ways};
    }
  }
}

}  // namespace

TEST_P(StoreSuite, AccessOfRandomCompaniesIsWhatTheModelSays) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("EARSHOT_SEED=" + std::to_string(seed));
  RandomRecords random(seed);
  Model model;
  for (std::uint64_t company = 1; company <= 2; ++company) {
    const core::Record record{{company}, false, core::Company{{company}, "Company"}};
    ASSERT_TRUE(load_now(store(), {record}).has_value());
    ASSERT_TRUE(model.apply(record).has_value());
  }
  const int rounds = std::max(5, GetParam().history_steps / 30);
  for (int round = 0; round < rounds; ++round) {
    now_ += static_cast<std::int64_t>(random.below(200));
    for (int tries = 0; tries < 15; ++tries) {
      Model tried = model;
      std::vector<core::Record> records(1 + random.below(10));
      bool is_good = true;
      for (core::Record& record : records) {
        record = random.next();
        is_good = is_good && tried.apply(record).has_value();
      }
      if (!is_good) continue;
      ASSERT_TRUE(load_now(store(), records).has_value());
      model = std::move(tried);
    }
    const CompanyId company = random.id<CompanyId>(2);
    expect_checks(store(), model, company, Time{now_});
    expect_calls_of_users(store(), model, company, Time{now_});
    if (HasFatalFailure()) return;
    if (round % 7 == 6) open();
  }
  expect_sound();
}

TEST_P(StoreSuite, AccessIsJudgedByNoClockThatStandsBeforeTheNewestChange) {
  load_small_company();
  const Time over{now_ + 1000};
  ASSERT_TRUE(load_now(store(), {{{1}, false, core::GrantLine{{1}, {2}, {over, ""}}}}));
  const auto ways = [this](store::AsOf& as_of) {
    const auto view = read_access_now(store(), about({1}, {{{1}, {{2}}}}));
    EXPECT_TRUE(view.has_value());
    as_of = view->as_of;
    return core::ways(*view->directory, *view->entries[0], {2}, as_of.time);
  };
  const auto calls = [this] {
    const auto view = read_user_calls_now(store(), calls_of({1}, {2}, bit(Way::individual), 9));
    EXPECT_TRUE(view.has_value());
    return core::ways(*view->directory, *view->entries.at(0), {2}, view->as_of.time);
  };
  store::AsOf as_of;
  EXPECT_EQ(ways(as_of), bit(Way::individual));
  EXPECT_EQ(as_of.time, Time{now_});
  now_ = over.micros;
  EXPECT_EQ(ways(as_of), 0);
  EXPECT_EQ(calls(), 0);
  give({3}, {{3}});
  now_ = over.micros - 500;  // the clock is put back
  EXPECT_EQ(ways(as_of), 0);
  EXPECT_EQ(as_of.time, over);
  EXPECT_EQ(calls(), 0);
  const auto listed_then = read_now(store(), {1}, {{1}});
  EXPECT_EQ(listed_then->time, over);
  open();
  EXPECT_EQ(ways(as_of), 0);
  EXPECT_EQ(as_of.time, over);
  EXPECT_EQ(read_now(store(), {1}, {{1}})->time, over);
}

TEST_P(StoreSuite, AccessIsOfTheRevisionAskedForOrLater) {
  load_small_company();
  const core::Revision given = give({1}, {{2}});
  auto command = about({1}, {{{1}, {{2}}}});
  auto of_user = calls_of({1}, {2}, bit(Way::individual), 9);
  command.at_least = of_user.at_least = given;
  EXPECT_EQ(read_access_now(store(), command)->as_of.revision, given);
  const auto calls = read_user_calls_now(store(), of_user);
  ASSERT_TRUE(calls.has_value()) << calls.error().message;
  EXPECT_EQ(calls->as_of.revision, given);
  EXPECT_EQ(calls->calls, std::vector<CallId>{{1}});
  command.at_least = of_user.at_least = given + 1;
  EXPECT_EQ(read_access_now(store(), command).error().code, Code::unavailable);
  EXPECT_EQ(read_user_calls_now(store(), of_user).error().code, Code::unavailable);
}

TEST_P(StoreSuite, ACompanyThatNobodyNamedHasNoAccess) {
  const auto view = read_access_now(store(), about({9}, {{{1}, {{1}}}}));
  ASSERT_TRUE(view.has_value()) << view.error().message;
  EXPECT_EQ(view->as_of.revision, 0U);
  EXPECT_FALSE(view->entries.at(0)->has_call());
  EXPECT_EQ(view->directory->user_count(), 0U);
  const auto calls = read_user_calls_now(store(), calls_of({9}, {1}, core::kAllWays, 9));
  ASSERT_TRUE(calls.has_value()) << calls.error().message;
  EXPECT_TRUE(calls->calls.empty());
  EXPECT_FALSE(calls->last);
}

TEST_P(StoreSuite, BeforeTheFirstRevisionThereIsNothing) {
  const Time before{now_ - 1}, first{now_};
  load_small_company();
  give({1}, {{2}});
  const auto expect_nothing = [this](CompanyId company, const store::Moment& moment, Time time) {
    auto command = about(company, {{{1}, {{2}}}, {{9}, {{1}}}});
    command.moment = moment;
    for (const bool everybody : {false, true}) {
      command.everybody = everybody;
      const auto view = read_access_now(store(), command);
      ASSERT_TRUE(view.has_value()) << view.error().message;
      EXPECT_EQ(view->as_of.revision, 0U);
      EXPECT_EQ(view->as_of.time, time);
      EXPECT_FALSE(view->entries.at(0)->has_call());
      EXPECT_FALSE(view->entries.at(1)->has_call());
      EXPECT_EQ(view->directory->user_count(), 0U);
    }
    for (const core::Ways ways : {bit(Way::individual), core::kAllWays}) {
      auto of_user = calls_of(company, {2}, ways, 9);
      of_user.moment = moment;
      const auto view = read_user_calls_now(store(), of_user);
      ASSERT_TRUE(view.has_value()) << view.error().message;
      EXPECT_EQ(view->as_of.revision, 0U);
      EXPECT_EQ(view->as_of.time, time);
      EXPECT_TRUE(view->calls.empty());
      EXPECT_FALSE(view->last);
      EXPECT_EQ(view->directory->user_count(), 0U);
    }
  };
  for (const CompanyId company : {CompanyId{1}, CompanyId{9}}) {
    expect_nothing(company, {0, std::nullopt}, Time{INT64_MIN});
    expect_nothing(company, {std::nullopt, before}, before);
    expect_nothing(company, {0, first}, first);  // as a further page is asked for
  }
  auto later = about({1}, {{{1}, {{2}}}});
  later.moment = {std::nullopt, first};
  const auto view = read_access_now(store(), later);
  ASSERT_TRUE(view.has_value()) << view.error().message;
  EXPECT_EQ(view->as_of.revision, 2U) << "a revision holds from its very time on";
  later.moment = {1, std::nullopt};
  EXPECT_EQ(read_access_now(store(), later)->as_of.time, first);
  later.moment = {3, std::nullopt};
  EXPECT_EQ(read_access_now(store(), later).error().code, Code::invalid_argument);
  later.moment = {std::nullopt, Time{first.micros + 1}};
  EXPECT_EQ(read_access_now(store(), later).error().code, Code::invalid_argument);
  later.company = {9};
  later.moment = {1, std::nullopt};
  EXPECT_EQ(read_access_now(store(), later).error().code, Code::invalid_argument);
}

// A user's own calls are found among those of others, and a page looks at no more than it may.
TEST_P(StoreSuite, AUsersCallsAreFoundPageByPage) {
  std::vector<core::Record> records = {{{1}, false, core::Company{{1}, "One"}}};
  constexpr std::uint64_t kUsers = 9;
  for (std::uint64_t user = 1; user <= kUsers; ++user) {
    core::User thing;
    thing.id = {user};
    records.push_back({{1}, false, thing});
  }
  for (std::uint64_t call = 1; call <= 60; ++call) {
    core::Call thing;
    thing.id = {call};
    if (call % 20 == 0) thing.primary_user = {7};
    records.push_back({{1}, false, thing});
    // Rows of others in each, on both sides of the user's.
    for (std::uint64_t user = 1; user <= kUsers; ++user) {
      if (user == 7 && call % 3 != 0) continue;
      records.push_back({{1}, false, core::GrantLine{{call}, {user}, {}}});
    }
    if (call % 5 == 0) records.push_back({{1}, false, core::ShareLine{{call}, {7}}});
  }
  ASSERT_TRUE(load_now(store(), records).has_value());
  const auto find = [this](core::Ways ways, std::size_t calls_max, std::size_t pages) {
    auto command = calls_of({1}, {7}, ways, calls_max);
    std::vector<CallId> calls;
    for (std::size_t page = 1;; ++page) {
      const auto view = read_user_calls_now(store(), command);
      EXPECT_TRUE(view.has_value());
      for (std::size_t i = 0; i < view->calls.size(); ++i) {
        const core::Ways holding =
            core::ways(*view->directory, *view->entries[i], {7}, view->as_of.time);
        if ((holding & ways) != 0) calls.push_back(view->calls[i]);
      }
      if (!view->last) {
        EXPECT_LE(page, pages);
        return calls;
      }
      command.after = *view->last;
    }
  };
  const auto every = [](std::uint64_t step) {
    std::vector<CallId> calls;
    for (std::uint64_t call = step; call <= 60; call += step) calls.push_back({call});
    return calls;
  };
  EXPECT_EQ(find(bit(Way::individual), 100, 1), every(3));
  EXPECT_EQ(find(bit(Way::individual), 7, 4), every(3));
  EXPECT_EQ(find(bit(Way::shared), 100, 1), every(5));
  EXPECT_EQ(find(bit(Way::shared), 1, 100), every(5));
  EXPECT_EQ(find(bit(Way::participant), 100, 1), every(20));
  EXPECT_EQ(find(bit(Way::participant), 7, 10), every(20));
  EXPECT_EQ(find(core::kAllWays, 1, 61).size(), 28U);
}

// The directory and the entries of an answer are of one revision: a load that moves access from a
// share to a profile leaves no moment with both, or with neither.
TEST_P(StoreSuite, AccessIsNeverOfTwoRevisions) {
  load_small_company();
  core::Call call;
  call.id = {1};
  call.workspace = {1};
  core::Profile profile{{1}, {1}, "Everything", core::PermissionLevel::none, {}};
  core::User user;
  user.id = {1};
  user.profiles = {{1}};
  ASSERT_TRUE(load_now(store(), {{{1}, false, call},
                                 {{1}, false, core::Workspace{{1}, "Here"}},
                                 {{1}, false, profile},
                                 {{1}, false, user},
                                 {{1}, false, core::ShareLine{{1}, {1}}}}));
  std::atomic<bool> over{false};
  std::atomic<int> wrong{0}, failed{0}, reads{0};
  std::vector<std::thread> threads;
  for (int reader = 0; reader < 3; ++reader) {
    threads.emplace_back([&, reader] {
      while (!over) {
        core::Ways ways = 0;
        if (reader < 2) {
          const auto view = read_access_now(store(), about({1}, {{{1}, {{1}}}}));
          if (view) ways = core::ways(*view->directory, *view->entries[0], {1}, view->as_of.time);
          failed += !view;
        } else {
          const auto view = read_user_calls_now(store(), calls_of({1}, {1}, core::kAllWays, 1));
          if (view) {
            ways = core::ways(*view->directory, *view->entries.at(0), {1}, view->as_of.time);
          }
          failed += !view;
        }
        wrong += ways != bit(Way::shared) && ways != bit(Way::profile);
        ++reads;
      }
    });
  }
  for (int round = 0; round < 100; ++round) {
    const bool is_shared = round % 2 != 0;
    profile.level = is_shared ? core::PermissionLevel::none : core::PermissionLevel::all;
    const auto loaded =
        load_now(store(), {{{1}, false, profile}, {{1}, !is_shared, core::ShareLine{{1}, {1}}}});
    EXPECT_TRUE(loaded.has_value()) << loaded.error().message;
  }
  over = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(failed, 0);
  EXPECT_GT(reads, 0);
}

TEST_P(StoreSuite, ACallOfThePastIsReadOnceForAllPagesOfAnAnswer) {
  load_small_company();
  auto page = about({1}, {{{1}, {}}});
  page.everybody = true;
  page.moment.revision = give({1}, {{1}});
  const auto first = read_access_now(store(), page);
  ASSERT_TRUE(first.has_value()) << first.error().message;
  ASSERT_EQ(first->entries.at(0)->granted().size(), 1U);
  const core::Revision later = give({1}, {{2}});
  const auto second = read_access_now(store(), page);
  ASSERT_TRUE(second.has_value()) << second.error().message;
  EXPECT_EQ(second->entries.at(0), first->entries[0]) << "this one, and not one like it";
  page.moment.revision = later;
  EXPECT_EQ(read_access_now(store(), page)->entries.at(0)->granted().size(), 2U);
}

TEST_P(StoreSuite, TheSecretOfCursorsStaysTheSame) {
  const Digest secret = store().cursor_secret();
  EXPECT_NE(secret, Digest{});
  open();
  EXPECT_EQ(store().cursor_secret(), secret);
}

}  // namespace earshot::test
