// What every store must do with commands that have results, and with grants that expire. Those who
// run it are in embedded_test.cc and postgres_test.cc.
#include "conformance/grants_suite.h"

namespace earshot::test {

using enum core::PairOutcome;
using store::Operation;

constexpr std::int64_t kDay = 24 * 3600 * std::int64_t{1'000'000};

TEST_P(GrantsSuite, EachPairHasItsResultAndAllAreOneRevision) {
  load_small_company();
  ASSERT_TRUE(load_now(store(), {{{1}, false, core::ShareLine{{1}, {2}}}}).has_value());
  const core::Revision before = newest();
  const core::Grant trial{in(kDay), "trial"};
  const Asked asked{.calls = {{{1}, {{1}, {2}, {9}}}, {{5}, {{4}, {5}}}, {{7}, {{1}}}},
                    .terms = {trial, {}, {}, {}, {}, {}}};
  const auto given_now = ask(asked);
  EXPECT_EQ(outcomes_of(given_now),
            (Outcomes{given, no_effect, unknown_user, given, no_effect, unknown_call}));
  EXPECT_EQ(given_now.results[0], (core::PairResult{{1}, {1}, given, 0, trial}));
  EXPECT_EQ(given_now.results[1].ways, static_cast<core::Ways>(core::Way::shared));
  EXPECT_EQ(given_now.results[4].ways, static_cast<core::Ways>(core::Way::participant));
  EXPECT_EQ(given_now.revision, before + 1);
  EXPECT_EQ(listed({1}), std::vector<UserId>{{1}});
  EXPECT_EQ(listed({5}), std::vector<UserId>{{4}});

  const auto again = ask(asked);
  EXPECT_EQ(outcomes_of(again),
            (Outcomes{already, no_effect, unknown_user, already, no_effect, unknown_call}));
  EXPECT_EQ(again.revision, before + 1) << "nothing was changed";
  open();
  const auto changed_now = ask({.calls = {{{1}, {{1}}}, {{5}, {{4}}}}, .terms = {{}, trial}});
  EXPECT_EQ(outcomes_of(changed_now), (Outcomes{changed, changed}));
  EXPECT_EQ(changed_now.revision, before + 2);
  const auto lines = grants();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0], (core::GrantLine{{1}, {1}, {}}));
  EXPECT_EQ(lines[1], (core::GrantLine{{5}, {4}, trial}));

  const auto removed_now =
      ask({.operation = Operation::remove,
           .calls = {{{1}, {{1}, {2}, {9}}}, {{5}, {{4}, {5}}}, {{7}, {{1}}}}});
  EXPECT_EQ(outcomes_of(removed_now),
            (Outcomes{removed, not_found, unknown_user, removed, not_found, unknown_call}));
  EXPECT_EQ(removed_now.revision, before + 3);
  EXPECT_TRUE(grants().empty());
  expect_sound();
}

TEST_P(GrantsSuite, TermsThatHaveExpiredAreRefusedWhole) {
  load_small_company();
  const core::Revision before = newest();
  const auto refused =
      refusal_of<core::PastExpiries>({.calls = {{{1}, {{1}, {2}}}, {{2}, {{1}}}},
                                      .terms = {{in(0), ""}, {in(1), ""}, {in(-9), ""}}});
  EXPECT_EQ(refused.pairs, (std::vector<std::size_t>{0, 2}));
  EXPECT_EQ(newest(), before);
  EXPECT_TRUE(grants().empty());
}

// Of random commands, each first as a dry run, to the model.
TEST_P(GrantsSuite, RandomCommandsComeToTheModelAndADryRunToTheRun) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("EARSHOT_SEED=" + std::to_string(seed));
  RandomRecords random(seed, {.companies = 1});
  Model model;
  const auto load = [&](std::vector<core::Record> records) {
    for (const core::Record& record : records) ASSERT_TRUE(model.apply(record).has_value());
    ASSERT_TRUE(load_now(store(), std::move(records)).has_value());
  };
  load({{{1}, false, core::Company{{1}, ""}}});
  for (std::uint64_t id = 1; id <= 5; ++id) {
    core::User user;
    user.id = {id};
    core::Call call;
    call.id = {id};
    load({{{1}, false, user}, {{1}, false, call}});
  }
  std::set<core::PairOutcome> seen;
  const int steps = GetParam().history_steps / 2;
  for (int step = 0; step < steps; ++step) {
    if (random.percent(30)) {
      core::Record record = random.next();
      const bool is_company = std::holds_alternative<core::Company>(record.thing);
      if (is_company || !Model(model).apply(record)) continue;
      load({record});
    }
    // Times are few, so that grants end in between.
    now_ += static_cast<std::int64_t>(random.below(3));
    Asked asked{.operation = random.percent(65) ? Operation::give : Operation::remove};
    std::vector<PairAsked> pairs;
    for (std::uint64_t call = 1; call <= 7; ++call) {
      if (random.percent(50)) continue;
      core::CallUsers& named = asked.calls.emplace_back(core::CallUsers{{call}, {}});
      for (std::uint64_t user = 1; user <= 9; ++user) {
        if (random.percent(60)) continue;
        named.users.push_back({user});
        core::Grant& terms = asked.terms.emplace_back();
        if (random.percent(50)) {
          terms.expires_at = in(static_cast<std::int64_t>(1 + random.below(4)));
        }
        if (random.percent(20)) terms.note = random.text();
        pairs.push_back({{call}, {user}, terms});
      }
    }
    const bool is_give = asked.operation == Operation::give;
    if (!is_give) asked.terms.clear();
    const auto view = read_now(store(), {1}, {});
    asked.is_dry_run = true;
    const auto dry = ask(asked);
    if (step % 10 == 9) expect_same_records(dumped(), model.dump());
    asked.is_dry_run = false;
    const auto run = ask(asked);
    ASSERT_EQ(dry.results, run.results) << "step " << step;
    ASSERT_EQ(dry.decision, run.decision) << "step " << step;
    std::vector<std::pair<CallId, UserId>> to_remove;
    for (const PairAsked& pair : pairs) to_remove.emplace_back(pair.call, pair.user);
    const auto wanted = is_give ? model.give_pairs({1}, pairs, Time{now_})
                                : model.remove_pairs({1}, to_remove, Time{now_});
    ASSERT_EQ(run.results.size(), wanted.size());
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const core::PairResult told{wanted[i].call, wanted[i].user, outcome_named(wanted[i].result),
                                  wanted[i].ways, wanted[i].grant};
      ASSERT_EQ(run.results[i], told) << "step " << step << ", pair " << i;
      seen.insert(told.outcome);
    }
    const bool is_change = !std::get<0>(run.decision).empty();
    // A sweep of what was removed may come in between.
    ASSERT_GE(run.revision, view->revision + (is_change ? 1 : 0));
    if (step % 20 == 19) expect_same_records(dumped(), model.dump());
    if (step % 40 == 39) open();
    if (HasFailure()) return;
  }
  expect_same_records(dumped(), model.dump());
  expect_sound();
  if (steps >= 150) {
    EXPECT_EQ(seen.size(), 8U) << "every outcome came up";
  }
}

TEST_P(GrantsSuite, ARequestWithAKeyIsCarriedOutOnce) {
  load_small_company();
  const core::Grant trial{in(kDay), "trial"};
  const Asked first{.calls = {{{1}, {{1}, {9}}}, {{5}, {{5}}}, {{7}, {{1}}}},
                    .terms = {trial, {}, {}, {}},
                    .key = "once",
                    .body = "body"};
  const auto done = ask(first);
  EXPECT_EQ(done.repeated, std::nullopt);
  ask({.operation = Operation::remove, .calls = {{{1}, {{1}}}}});
  const core::Revision now = newest();
  for (int i = 0; i < 3; ++i) {
    Asked again = first;
    again.request_id = make_request_id();
    const auto told = ask(again);
    EXPECT_EQ(told.repeated, first.request_id);
    EXPECT_EQ(told.results, done.results);
    EXPECT_EQ(told.revision, done.revision);
    EXPECT_TRUE(std::get<0>(told.decision).empty());
    EXPECT_EQ(newest(), now);
    if (i == 0) now_ += kDay;  // the trial is over; the answer is the same
    if (i == 1) open();
  }
  EXPECT_TRUE(listed({1}).empty());
  Asked other = first;
  other.body = "another body";
  EXPECT_EQ(error_of(other), Code::invalid_argument);
  other.company = {2};
  other.terms[0] = {in(1), "trial"};
  EXPECT_EQ(ask(other).repeated, std::nullopt) << "another company's key is another";
  other = first;  // whose trial is over
  other.key = "twice";
  EXPECT_EQ(refusal_of<core::PastExpiries>(other).pairs, std::vector<std::size_t>{0});
  other.terms[0] = {in(1), "trial"};
  EXPECT_EQ(outcomes_of(ask(other)), (Outcomes{given, unknown_user, no_effect, unknown_call}))
      << "a refusal is not kept";
  expect_sound();
}

TEST_P(GrantsSuite, AnAnswerIsKeptWhereNothingChanged) {
  load_small_company();
  give({1}, {{1}});
  const core::Revision before = newest();
  const Asked asked{.calls = {{{1}, {{1}}}}, .key = "k"};
  EXPECT_EQ(outcomes_of(ask(asked)), (Outcomes{already}));
  EXPECT_EQ(newest(), before);
  ask({.operation = Operation::remove, .calls = {{{1}, {{1}}}}});
  Asked again = asked;
  again.request_id = make_request_id();
  const auto told = ask(again);
  EXPECT_EQ(told.repeated, asked.request_id);
  EXPECT_EQ(outcomes_of(told), (Outcomes{already}));
  EXPECT_EQ(told.revision, before);
  EXPECT_EQ(error_of({.calls = {{{1}, {{1}}}}, .key = "k", .body = "other"}),
            Code::invalid_argument);
  open();
  EXPECT_EQ(ask(again).repeated, asked.request_id);
  expect_sound();
}

TEST_P(GrantsSuite, AKeyIsForgottenAfterItsTime) {
  load_small_company();
  place_->idempotency_keep = std::chrono::seconds(100);
  open();
  const Asked asked{.calls = {{{1}, {{1}}}}, .key = "k"};
  const Asked removal{.operation = Operation::remove, .calls = {{{1}, {{1}}}}};
  ask(asked);
  ask(removal);
  now_ += 100 * 1'000'000;
  Asked again = asked;
  again.request_id = make_request_id();
  EXPECT_EQ(ask(again).repeated, asked.request_id) << "still at its last moment";
  now_ += 1;
  EXPECT_EQ(ask(again).repeated, std::nullopt);
  EXPECT_EQ(listed({1}), std::vector<UserId>{{1}});
  // From now on it is the later one's.
  now_ += 100 * 1'000'000;
  Asked third = asked;
  third.request_id = make_request_id();
  EXPECT_EQ(ask(third).repeated, again.request_id);
  expect_sound();
  // Cleaning changes nothing of that.
  open_sweeping();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(ask(third).repeated, again.request_id);
  now_ += 1;
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(ask(third).repeated, std::nullopt);
  expect_sound();
}

TEST_P(GrantsSuite, ARequestUnderWayHasItsKeyToItself) {
  load_small_company();
  int refused = 0;
  for (int i = 0; i < 300 && refused < 5; ++i) {
    const Asked one{.calls = {{{1}, {{1}}}}, .key = "k" + std::to_string(i)};
    Asked two = one;
    two.request_id = make_request_id();
    std::promise<Result<store::Outcome>> first, second;
    store().write(command_of(one), [&](auto outcome) { first.set_value(std::move(outcome)); });
    store().write(command_of(two), [&](auto outcome) { second.set_value(std::move(outcome)); });
    const auto told = second.get_future().get();
    ASSERT_TRUE(first.get_future().get().has_value());
    if (!told) {
      EXPECT_EQ(told.error().code, Code::conflict);
      ++refused;
    } else {
      EXPECT_EQ(told->repeated, one.request_id) << "it came when the first was answered";
    }
    EXPECT_EQ(ask(two).repeated, one.request_id) << "afterwards the key is free to ask with";
  }
  EXPECT_GT(refused, 0);
}

TEST_P(GrantsSuite, ACompanyThatComesBackIsToldNothingOfBefore) {
  load_small_company();
  const Asked asked{.calls = {{{1}, {{1}}}}, .key = "k"};
  const Asked later{.calls = {{{1}, {{1}}}}, .key = "later"};
  ask(asked);
  ask(later);
  ASSERT_TRUE(load_now(store(), {{{1}, true, core::Company{{1}, ""}}}).has_value());
  load_small_company();
  EXPECT_EQ(ask(asked).repeated, std::nullopt);
  EXPECT_EQ(listed({1}), std::vector<UserId>{{1}});
  Asked again = asked;
  again.request_id = make_request_id();
  EXPECT_EQ(ask(again).repeated, asked.request_id);
  open();
  // By now what was removed is swept, where that takes a sweep.
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  Asked after = later;
  after.request_id = make_request_id();
  EXPECT_EQ(ask(after).repeated, std::nullopt);
  EXPECT_EQ(ask(again).repeated, asked.request_id);
  expect_sound();
}

TEST_P(GrantsSuite, AllGrantsOfAUserOrCallGoInOneRevision) {
  load_small_company();
  for (std::uint64_t call = 1; call <= 4; ++call) give({call}, {{1}, {2}, {3}});
  ask({.calls = {{{4}, {{4}}}}, .terms = {{in(5), "ends"}}});
  now_ += 5;
  const core::Revision before = newest();
  Asked of_user{.operation = Operation::remove, .all_of = UserId{2}, .all_of_max = 3};
  EXPECT_EQ(refusal_of<core::TooManyGrants>(of_user).count, 4U);
  of_user.all_of_max = 4;
  of_user.is_dry_run = true;
  const auto dry = ask(of_user);
  EXPECT_EQ(newest(), before);
  of_user.is_dry_run = false;
  of_user.key = "k";
  const auto gone = ask(of_user);
  EXPECT_EQ(gone.revision, before + 1);
  EXPECT_EQ(gone.results, dry.results);
  ASSERT_EQ(gone.results.size(), 4U);
  for (std::uint64_t call = 1; call <= 4; ++call) {
    EXPECT_EQ(gone.results[call - 1], (core::PairResult{{call}, {2}, removed, 0, {}}));
    EXPECT_EQ(listed({call}), (std::vector<UserId>{{1}, {3}}));
  }
  EXPECT_EQ(ask(of_user).results, gone.results) << "and they are told again";

  Asked of_call{.operation = Operation::remove, .all_of = CallId{4}, .all_of_max = 1};
  EXPECT_EQ(refusal_of<core::TooManyGrants>(of_call).count, 2U) << "one has ended";
  of_call.all_of_max = 2;
  const auto of_one = ask(of_call);
  EXPECT_EQ(of_one.results, (std::vector<core::PairResult>{{{4}, {1}, removed, 0, {}},
                                                           {{4}, {3}, removed, 0, {}}}));
  EXPECT_TRUE(listed({4}).empty());
  EXPECT_EQ(listed({3}), (std::vector<UserId>{{1}, {3}}));
  EXPECT_TRUE(ask(of_call).results.empty());
  EXPECT_EQ(newest(), before + 2);
  EXPECT_EQ(
      refusal_of<core::UnknownCalls>({.operation = Operation::remove, .all_of = CallId{9}}).ids,
      std::vector<CallId>{{9}});
  EXPECT_EQ(
      refusal_of<core::UnknownUsers>({.operation = Operation::remove, .all_of = UserId{9}}).ids,
      std::vector<UserId>{{9}});
  expect_sound();
}

// Rows that have ended, or whose user was removed and put again, are none of them.
TEST_P(GrantsSuite, HowManyGrantsThereAreIsToldOfLiveOnesAlone) {
  load_small_company();
  ask({.calls = {{{1}, {{1}}}, {{2}, {{1}}}, {{3}, {{1}}}, {{4}, {{1}}}},
       .terms = {{}, {in(5), "ends"}, {in(6), ""}, {}}});
  ask({.calls = {{{5}, {{1}}}}});
  now_ += 5;
  Asked all{.operation = Operation::remove, .all_of = UserId{1}, .all_of_max = 3};
  EXPECT_EQ(refusal_of<core::TooManyGrants>(all).count, 4U);
  all.all_of_max = 1;
  EXPECT_EQ(refusal_of<core::TooManyGrants>(all).count, 4U);
  now_ += 1;
  all.all_of_max = 3;
  all.is_dry_run = true;
  EXPECT_EQ(ask(all).results.size(), 3U) << "five rows, and three that give access";
  core::User user;
  user.id = {1};
  ASSERT_TRUE(load_now(store(), {{{1}, true, user}, {{1}, false, user}}).has_value());
  give({2}, {{1}});
  give({3}, {{1}});
  all.all_of_max = 1;
  EXPECT_EQ(refusal_of<core::TooManyGrants>(all).count, 2U);
  all.all_of_max = 2;
  all.is_dry_run = false;
  EXPECT_EQ(ask(all).results, (std::vector<core::PairResult>{{{2}, {1}, removed, 0, {}},
                                                             {{3}, {1}, removed, 0, {}}}));
  expect_sound();
}

// What was done before it is there when it is carried out, and what is done after it stays.
TEST_P(GrantsSuite, AllMeansThoseOfTheMomentOfTheCommit) {
  load_small_company();
  for (int i = 0; i < 40; ++i) {
    std::promise<Result<store::Outcome>> removed, given_again;
    std::atomic<int> answered{0};
    const auto note = [&](const Result<store::Outcome>& outcome) {
      EXPECT_TRUE(outcome.has_value());
      ++answered;
    };
    for (std::uint64_t call = 1; call <= 5; ++call) {
      store().write(test::command_of(Operation::give, {1}, {{{call}, {{1}}}}), note);
    }
    store().write(command_of({.operation = Operation::remove, .all_of = UserId{1}}),
                  [&](auto outcome) { removed.set_value(std::move(outcome)); });
    store().write(test::command_of(Operation::give, {1}, {{{2}, {{1}}}}),
                  [&](auto outcome) { given_again.set_value(std::move(outcome)); });
    const auto told = removed.get_future().get();
    const auto given = given_again.get_future().get();
    ASSERT_TRUE(told.has_value());
    ASSERT_TRUE(given.has_value());
    ASSERT_EQ(told->results.size(), 5U);
    ASSERT_TRUE(come_to([&] { return answered == 5; }));
    // Of requests under way at once, either may come first.
    const bool is_after = given->revision > told->revision;
    EXPECT_EQ(listed({2}).size(), is_after ? 1U : 0U);
    EXPECT_TRUE(listed({1}).empty());
  }
  expect_sound();
}

TEST_P(GrantsSuite, ACallThatChangedSinceIsAConflict) {
  load_small_company();
  give({1}, {{1}, {2}});
  const core::Revision read = newest();
  const auto asked = [&](std::vector<core::CallUsers> calls, bool is_dry_run = false) {
    return Asked{.calls = std::move(calls), .is_dry_run = is_dry_run, .if_revision = read};
  };
  EXPECT_EQ(outcomes_of(ask(asked({{{1}, {{1}}}}))), (Outcomes{already}));
  give({2}, {{1}});
  EXPECT_EQ(outcomes_of(ask(asked({{{1}, {{1}}}}))), (Outcomes{already})) << "another call changed";
  const auto refused = refusal_of<core::ChangedCalls>(asked({{{1}, {{3}}}, {{2}, {{2}}}}));
  EXPECT_EQ(refused.ids, std::vector<CallId>{{2}});
  EXPECT_EQ(listed({1}), (std::vector<UserId>{{1}, {2}})) << "all or nothing";
  EXPECT_EQ(refusal_of<core::ChangedCalls>(asked({{{2}, {}}}, true)).ids, std::vector<CallId>{{2}});

  // Its record, a share, a removal, the end of a user: all of it is a change of the call.
  core::Call call;
  call.id = {3};
  call.title = "Renamed";
  core::User user;
  user.id = {2};
  ASSERT_TRUE(load_now(store(), {{{1}, false, call}}).has_value());
  ASSERT_TRUE(load_now(store(), {{{1}, false, core::ShareLine{{4}, {4}}}}).has_value());
  EXPECT_EQ(refusal_of<core::ChangedCalls>(asked({{{3}, {{3}}}, {{4}, {{3}}}, {{5}, {{3}}}})).ids,
            (std::vector<CallId>{{3}, {4}}));
  ASSERT_TRUE(load_now(store(), {{{1}, true, user}}).has_value());
  EXPECT_EQ(refusal_of<core::ChangedCalls>(asked({{{1}, {{3}}}, {{5}, {{3}}}})).ids,
            std::vector<CallId>{{1}});
  open();
  EXPECT_EQ(refusal_of<core::ChangedCalls>(asked({{{1}, {{3}}}})).ids, std::vector<CallId>{{1}});

  // Of all grants of a user, the calls that lose one count.
  Asked all{.operation = Operation::remove, .all_of = UserId{1}, .if_revision = read};
  EXPECT_EQ(refusal_of<core::ChangedCalls>(all).ids, (std::vector<CallId>{{1}, {2}}));
  all.all_of = CallId{5};
  EXPECT_TRUE(ask(all).results.empty());
  all.all_of = UserId{1};
  all.if_revision = newest();
  EXPECT_EQ(ask(all).results.size(), 2U);
  all.if_revision = newest() + 1;
  EXPECT_EQ(error_of(all), Code::not_found);
}

TEST_P(GrantsSuite, OfManyCallsThoseThatChangedSinceAreNamed) {
  constexpr std::uint64_t kCalls = 1'000;
  std::vector<core::Record> records = {{{1}, false, core::Company{{1}, "One"}}};
  for (std::uint64_t id = 1; id <= 2; ++id) {
    core::User user;
    user.id = {id};
    records.push_back({{1}, false, user});
  }
  Asked asked;
  for (std::uint64_t id = 1; id <= kCalls; ++id) {
    core::Call call;
    call.id = {id};
    records.push_back({{1}, false, call});
    asked.calls.push_back({{id}, {{1}}});
  }
  load_in_parts(records);
  asked.if_revision = newest();
  EXPECT_EQ(ask(asked).results.size(), kCalls) << "the load itself is not later";
  EXPECT_EQ(refusal_of<core::ChangedCalls>(asked).ids.size(), kCalls);
  asked.if_revision = newest();
  for (const std::uint64_t id : {1, 500, 1'000}) give({id}, {{2}});
  ASSERT_TRUE(load_now(store(), {{{1}, false, core::ShareLine{{77}, {2}}}}).has_value());
  EXPECT_EQ(refusal_of<core::ChangedCalls>(asked).ids,
            (std::vector<CallId>{{1}, {77}, {500}, {1'000}}));
  const Asked all{
      .operation = Operation::remove, .all_of = UserId{1}, .if_revision = asked.if_revision};
  EXPECT_EQ(refusal_of<core::ChangedCalls>(all).ids,
            (std::vector<CallId>{{1}, {77}, {500}, {1'000}}));
  std::erase_if(asked.calls, [](const core::CallUsers& named) {
    return named.call.value == 77 || named.call.value % 500 <= 1;
  });
  EXPECT_EQ(outcomes_of(ask(asked)), Outcomes(asked.calls.size(), already));
}

// A change counts when it closed access, not when its rows are swept.
TEST_P(GrantsSuite, SweepingWhatWasRemovedIsNoChangeOfACall) {
  load_small_company();
  for (std::uint64_t call = 1; call <= 3; ++call) give({call}, {{1}, {2}});
  ASSERT_TRUE(load_now(store(), {{{1}, false, core::ShareLine{{2}, {1}}}}).has_value());
  const core::Revision before = newest();
  core::User user;
  user.id = {1};
  core::Call call;
  call.id = {3};
  const auto loaded = load_now(
      store(), {{{1}, true, user}, {{1}, false, user}, {{1}, true, call}, {{1}, false, call}});
  ASSERT_TRUE(loaded.has_value());
  const core::Revision removed = before + 1;
  const auto refusals = [&](core::Revision since) {
    auto outcome =
        write_now(store(), command_of({.calls = {{{1}, {{3}}}, {{2}, {{3}}}, {{3}, {{3}}}},
                                       .is_dry_run = true,
                                       .if_revision = since}));
    EXPECT_TRUE(outcome.has_value());
    const auto* const changed = std::get_if<core::ChangedCalls>(&outcome->decision);
    return changed ? changed->ids : std::vector<CallId>();
  };
  for (int i = 0; i < 20; ++i) {  // before, while and after it is swept, where there is a sweep
    EXPECT_EQ(refusals(removed), std::vector<CallId>());
    EXPECT_EQ(refusals(before), (std::vector<CallId>{{1}, {2}, {3}}));
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  open();
  EXPECT_EQ(refusals(removed), std::vector<CallId>());
  EXPECT_EQ(refusals(before), (std::vector<CallId>{{1}, {2}, {3}}));
}

// Nobody has seen its records before they all are there.
TEST_P(GrantsSuite, ALoadIsOfTheTimeWhenItsRecordsEnd) {
  load_small_company();
  class Slow final : public store::RecordSource {
   public:
    explicit Slow(std::atomic<std::int64_t>& now) : now_(now) {}
    Result<const core::Record*> next() override {
      now_ += 10;
      return std::exchange(is_over_, true) ? nullptr : &record_;
    }
    std::string position() const override { return "slow"; }

   private:
    std::atomic<std::int64_t>& now_;
    bool is_over_ = false;
    core::Record record_{{1}, false, core::ShareLine{{1}, {1}}};
  };
  const Time begin = in(0);
  Slow slow(now_);
  ASSERT_TRUE(store().load(slow, {make_request_id(), ""}).has_value());
  const auto is_shared_at = [&](Time at) {
    store::AccessCommand command;
    command.company = {1};
    command.calls = {{{1}, {{1}}}};
    command.moment = {.revision = {}, .at = at};
    const auto view = read_access_now(store(), command);
    EXPECT_TRUE(view.has_value()) << (view ? "" : view.error().message);
    return view && !view->entries[0]->shared().empty();
  };
  EXPECT_FALSE(is_shared_at(Time{begin.micros + 19}));
  EXPECT_TRUE(is_shared_at(Time{begin.micros + 20}));
}

TEST_P(GrantsSuite, AGrantEndsAtItsVeryInstant) {
  load_small_company();
  ask({.calls = {{{1}, {{1}, {2}, {3}, {4}}}},
       .terms = {{in(10), "a"}, {in(10), ""}, {in(10), ""}, {}}});
  now_ += 9;
  EXPECT_EQ(listed({1}), (std::vector<UserId>{{1}, {2}, {3}, {4}}));
  give({1}, {{1}, {2}});
  EXPECT_EQ(outcomes_of(ask({.calls = {{{1}, {{1}}}}, .is_dry_run = true})), (Outcomes{changed}));
  EXPECT_EQ(grants()[0].grant.note, "a") << "a live grant that expires is left alone by a give";
  now_ += 1;
  EXPECT_EQ(listed({1}), std::vector<UserId>{{4}});
  EXPECT_EQ(outcomes_of(ask({.calls = {{{1}, {{1}}}}, .is_dry_run = true})), (Outcomes{given}));
  EXPECT_EQ(outcomes_of(ask({.operation = Operation::remove, .calls = {{{1}, {{3}}}}})),
            (Outcomes{not_found}));
  give({1}, {{1}});
  EXPECT_EQ(listed({1}), (std::vector<UserId>{{1}, {4}}));
  EXPECT_EQ(grants()[0].grant, core::Grant{}) << "over an expired one it is a new grant";
  expect_sound();
}

TEST_P(GrantsSuite, AClockThatJumpsBackRevivesNothing) {
  load_small_company();
  ask({.calls = {{{1}, {{1}, {2}, {3}}}}, .terms = {{in(10), ""}, {in(10), ""}, {in(kDay), ""}}});
  now_ += 10;
  give({2}, {{1}});  // a revision of a time at which they have ended
  now_ -= 5;
  EXPECT_EQ(outcomes_of(ask({.operation = Operation::remove, .calls = {{{1}, {{1}, {3}}}}})),
            (Outcomes{not_found, removed}));
  EXPECT_EQ(refusal_of<core::PastExpiries>({.calls = {{{3}, {{1}}}}, .terms = {{in(5), ""}}}).pairs,
            std::vector<std::size_t>{0})
      << "nor is anything given that has ended by then";
  EXPECT_EQ(outcomes_of(ask({.calls = {{{1}, {{1}}}}})), (Outcomes{given}));
  give({1}, {{2}});
  const auto lines = grants();
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[1], (core::GrantLine{{1}, {2}, {}})) << "a new grant, without the old end";
  expect_sound();
}

TEST_P(GrantsSuite, WhatHasExpiredIsSweptAsAChange) {
  load_small_company();
  ask({.calls = {{{1}, {{1}, {2}, {3}}}}, .terms = {{in(10), "x"}, {in(20), ""}, {}}});
  // Loaded, ended long ago; moved to later; taken off its end; given anew.
  ASSERT_TRUE(load_now(store(), {{{1}, false, core::GrantLine{{2}, {1}, {in(-kDay), ""}}},
                                 {{1}, false, core::GrantLine{{2}, {2}, {in(10), ""}}},
                                 {{1}, false, core::GrantLine{{2}, {3}, {in(10), ""}}},
                                 {{1}, false, core::GrantLine{{2}, {4}, {in(10), ""}}},
                                 {{1}, false, core::GrantLine{{3}, {1}, {in(10), ""}}}})
                  .has_value());
  ASSERT_TRUE(
      load_now(store(), {{{1}, false, core::GrantLine{{3}, {1}, {in(20), ""}}}}).has_value());
  ask({.calls = {{{2}, {{2}, {3}}}}, .terms = {{in(20), ""}, {}}});
  ask({.operation = Operation::remove, .calls = {{{2}, {{4}}}}});
  ask({.calls = {{{2}, {{4}}}}, .terms = {{in(20), ""}}});
  const core::Revision before = newest();
  EXPECT_EQ(grants().size(), 8U) << "before the sweep a dump holds what has ended";
  open_sweeping();
  ASSERT_TRUE(come_to([&] { return grants().size() == 7; }));
  EXPECT_EQ(newest(), before + 1);
  now_ += 10;
  ASSERT_TRUE(come_to([&] { return grants().size() == 6; }));
  EXPECT_EQ(newest(), before + 2);
  now_ += 10;
  ASSERT_TRUE(come_to([&] { return grants().size() == 2; }));
  EXPECT_EQ(newest(), before + 3) << "as one revision";
  EXPECT_EQ(grants()[0], (core::GrantLine{{1}, {3}, {}}));
  EXPECT_EQ(grants()[1], (core::GrantLine{{2}, {3}, {}}));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(newest(), before + 3) << "where nothing has ended, nothing changes";
  const Asked unless_changed{
      .calls = {{{1}, {{4}}}, {{4}, {{4}}}}, .is_dry_run = true, .if_revision = before + 2};
  EXPECT_EQ(refusal_of<core::ChangedCalls>(unless_changed).ids, std::vector<CallId>{{1}});
  EXPECT_EQ(listed({1}), std::vector<UserId>{{3}});
  expect_sound();
}

TEST_P(GrantsSuite, MoreThanOneSweepTakesIsSweptInSteps) {
  constexpr std::uint64_t kUsers = 50, kCalls = 50;
  std::vector<core::Record> records = {{{1}, false, core::Company{{1}, ""}},
                                       {{2}, false, core::Company{{2}, ""}}};
  for (const CompanyId company : {CompanyId{1}, CompanyId{2}}) {
    for (std::uint64_t id = 1; id <= kUsers; ++id) {
      core::User user;
      user.id = {id};
      core::Call call;
      call.id = {id};
      records.push_back({company, false, user});
      records.push_back({company, false, call});
    }
  }
  ASSERT_TRUE(load_now(store(), records).has_value());
  std::int64_t last = 0;
  for (const CompanyId company : {CompanyId{1}, CompanyId{2}}) {
    Asked asked{.company = company};
    for (std::uint64_t call = 1; call <= (company.value == 1 ? kCalls : 1); ++call) {
      core::CallUsers& named = asked.calls.emplace_back(core::CallUsers{{call}, {}});
      for (std::uint64_t user = 1; user <= kUsers; ++user) {
        named.users.push_back({user});
        asked.terms.push_back({in(++last), ""});
      }
    }
    ask(asked);
  }
  const core::Revision before = newest();
  now_ += last;
  open_sweeping();
  ASSERT_TRUE(come_to([&] { return grants().empty(); }));
  EXPECT_GE(newest(), before + 3);
  EXPECT_LE(newest(), before + 10) << "many together";
  expect_sound();
}

}  // namespace earshot::test
