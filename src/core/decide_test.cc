#include "core/decide.h"

#include <gtest/gtest.h>

#include <chrono>
#include <map>

#include "model.h"
#include "random_records.h"

// Designated initializers leave the other members at their defaults on purpose.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

namespace earshot::core {
namespace {

constexpr Time kNow{1'772'359'200'000'000};

// Users 1 to 6 without profiles; call 1 with host 1, shared with 2; 3 has a grant, 4 one that
// expired, 5 one that will.
struct Company1 {
  Directory directory;
  std::shared_ptr<CallEntry> call = std::make_shared<CallEntry>();
  EntryPtr missing = std::make_shared<CallEntry>();
  Grant expired{Time{kNow.micros}, "old"};
  Grant expiring{Time{kNow.micros + 1}, "new"};

  Company1() {
    for (std::uint64_t id = 1; id <= 6; ++id) directory.put(User{.id = {id}, .active = id != 6});
    call->call = facts_of({.id = {1}, .primary_user = {1}});
    call->put_share({2}, {});
    call->put_grant({3}, {}, {});
    call->put_grant({4}, expired, {});
    call->put_grant({5}, expiring, {});
  }
  Decision give(const std::vector<CallUsers>& calls, const std::vector<EntryPtr>& entries) const {
    return decide_give(calls, entries, directory, kNow);
  }
};

using Changes = std::vector<GrantChange>;

TEST(DecideGive, GivesToThoseWithoutAccessOnly) {
  const Company1 company;
  const Decision decision = company.give({{{1}, {{1}, {2}, {3}, {4}, {5}, {6}}}}, {company.call});
  EXPECT_EQ(std::get<Changes>(decision),
            (Changes{{0, {4}, company.expired, Grant{}}, {0, {6}, std::nullopt, Grant{}}}));
}

TEST(DecideGive, TakesEmptyListsForWhatTheySay) {
  const Company1 company;
  EXPECT_EQ(std::get<Changes>(company.give({}, {})), Changes{});
  EXPECT_EQ(std::get<Changes>(company.give({{{1}, {}}}, {company.call})), Changes{});
  EXPECT_EQ(std::get<UnknownCalls>(company.give({{{2}, {}}}, {company.missing})).ids,
            std::vector<CallId>{{2}});
}

TEST(DecideGive, NamesUnknownCallsBeforeUnknownUsers) {
  const Company1 company;
  const std::vector<CallUsers> calls = {{{9}, {{99}}}, {{1}, {{6}, {50}}}, {{8}, {}}, {{7}, {{6}}}};
  const auto none = company.missing;
  EXPECT_EQ(std::get<UnknownCalls>(company.give(calls, {none, company.call, none, none})).ids,
            (std::vector<CallId>{{9}, {8}, {7}}));
}

TEST(DecideGive, NamesUnknownUsersOnceAscending) {
  const Company1 company;
  const std::vector<CallUsers> calls = {{{2}, {{6}, {60}, {99}}}, {{1}, {{50}, {99}}}};
  EXPECT_EQ(std::get<UnknownUsers>(company.give(calls, {company.call, company.call})).ids,
            (std::vector<UserId>{{50}, {60}, {99}}));
}

TEST(DecideRemove, TakesLiveGrantsOnly) {
  const Company1 company;
  const std::vector<CallUsers> calls = {{{1}, {{1}, {2}, {3}, {4}, {5}, {6}, {99}}}};
  const std::vector<EntryPtr> entries = {company.call};
  EXPECT_EQ(std::get<Changes>(decide_remove(calls, entries, kNow)),
            (Changes{{0, {3}, Grant{}, std::nullopt}, {0, {5}, company.expiring, std::nullopt}}));
}

TEST(DecideRemove, NamesUnknownCalls) {
  const Company1 company;
  const std::vector<CallUsers> calls = {{{9}, {{3}}}, {{1}, {{3}}}, {{8}, {}}};
  const std::vector<EntryPtr> entries = {company.missing, company.call, company.missing};
  EXPECT_EQ(std::get<UnknownCalls>(decide_remove(calls, entries, kNow)).ids,
            (std::vector<CallId>{{9}, {8}}));
}

TEST(DecideGiveWithResults, TellsWhatCameOfEachPair) {
  Company1 company;
  const Grant wanted{Time{kNow.micros + 9}, "trial"};
  const auto told = [&](UserId user, Grant terms, std::optional<Grant> before = {}) {
    const std::vector<CallUsers> calls = {{{1}, {user}}};
    if (before) company.call->put_grant(user, *before, {});
    const std::vector<EntryPtr> entries = {company.call};
    auto out = decide_give_with_results(calls, {&terms, 1}, entries, company.directory, kNow);
    EXPECT_EQ(out.results.size(), 1U);
    // A change exactly where something was given or changed, and to what the result says.
    const auto& changes = std::get<Changes>(out.decision);
    const PairResult& result = out.results.at(0);
    const bool is_change =
        result.outcome == PairOutcome::given || result.outcome == PairOutcome::changed;
    EXPECT_EQ(changes.size(), is_change ? 1U : 0U);
    if (is_change) {
      EXPECT_EQ(changes.at(0).after, result.grant);
    }
    return result;
  };
  using enum PairOutcome;
  EXPECT_EQ(told({6}, wanted), (PairResult{{1}, {6}, given, 0, wanted}));
  EXPECT_EQ(told({4}, wanted), (PairResult{{1}, {4}, given, 0, wanted})) << "over an expired one";
  EXPECT_EQ(told({3}, {}), (PairResult{{1}, {3}, already, 0, Grant{}}));
  EXPECT_EQ(told({3}, wanted), (PairResult{{1}, {3}, changed, 0, wanted}));
  EXPECT_EQ(told({5}, {}), (PairResult{{1}, {5}, changed, 0, Grant{}}))
      << "the expiry is taken off";
  EXPECT_EQ(told({5}, company.expiring), (PairResult{{1}, {5}, already, 0, company.expiring}));
  EXPECT_EQ(told({5}, {company.expiring.expires_at, ""}).outcome, changed) << "another note";
  const auto way = [](Way one) { return static_cast<Ways>(one); };
  EXPECT_EQ(told({1}, wanted), (PairResult{{1}, {1}, no_effect, way(Way::participant), {}}));
  EXPECT_EQ(told({2}, {}), (PairResult{{1}, {2}, no_effect, way(Way::shared), {}}));
  EXPECT_EQ(told({2}, {}, company.expired).outcome, no_effect) << "an expired grant is none";
  EXPECT_EQ(told({2}, wanted, Grant{}).outcome, changed) << "a live grant beside another way";
  EXPECT_EQ(told({7}, {}), (PairResult{{1}, {7}, unknown_user, 0, {}}));
}

TEST(DecideGiveWithResults, OneUnknownStopsNobodyElse) {
  const Company1 company;
  const std::vector<CallUsers> calls = {{{9}, {{3}, {99}}}, {{1}, {{6}, {99}}}};
  const std::vector<Grant> terms = {{}, {}, {Time{kNow.micros + 1}, "last"}, {}};
  const std::vector<EntryPtr> entries = {company.missing, company.call};
  const auto out = decide_give_with_results(calls, terms, entries, company.directory, kNow);
  EXPECT_EQ(std::get<Changes>(out.decision), (Changes{{1, {6}, std::nullopt, terms[2]}}));
  std::vector<PairOutcome> outcomes;
  for (const PairResult& result : out.results) outcomes.push_back(result.outcome);
  using enum PairOutcome;
  EXPECT_EQ(outcomes, (std::vector{unknown_call, unknown_call, given, unknown_user}));
}

TEST(DecideGiveWithResults, RefusesTermsThatHaveExpired) {
  const Company1 company;
  const std::vector<CallUsers> calls = {{{9}, {{3}}}, {{1}, {{5}, {6}}}};
  const std::vector<Grant> terms = {{kNow, ""}, {Time{kNow.micros + 1}, ""}, {Time{}, ""}};
  const std::vector<EntryPtr> entries = {company.missing, company.call};
  const auto out = decide_give_with_results(calls, terms, entries, company.directory, kNow);
  EXPECT_EQ(std::get<PastExpiries>(out.decision).pairs, (std::vector<std::size_t>{0, 2}));
  EXPECT_TRUE(out.results.empty());
}

TEST(DecideRemoveWithResults, TellsWhatCameOfEachPair) {
  const Company1 company;
  const std::vector<CallUsers> calls = {{{1}, {{1}, {2}, {3}, {4}, {5}, {99}}}, {{9}, {{3}}}};
  const std::vector<EntryPtr> entries = {company.call, company.missing};
  const auto out = decide_remove_with_results(calls, entries, company.directory, kNow);
  EXPECT_EQ(std::get<Changes>(out.decision),
            (Changes{{0, {3}, Grant{}, std::nullopt}, {0, {5}, company.expiring, std::nullopt}}));
  std::vector<PairOutcome> outcomes;
  for (const PairResult& result : out.results) {
    outcomes.push_back(result.outcome);
    EXPECT_EQ(result.grant, std::nullopt);
  }
  using enum PairOutcome;
  EXPECT_EQ(outcomes, (std::vector{not_found, not_found, removed, not_found, removed, unknown_user,
                                   unknown_call}));
}

// A call of thousands of parties deep in a tree of managers, and a profile that asks the tree for
// every user.
TEST(DecideGive, CostsTheSameForEachPairHoweverManyThereAre) {
  constexpr std::uint64_t kUsers = 100'000;
  Directory directory;
  directory.put(Workspace{.id = {1}});
  std::vector<UserId> leads;
  for (std::uint64_t id = 1; id <= 10'000; ++id) leads.push_back({kUsers * 2 + id});
  directory.put(Profile{.id = {1}, .workspace = {1}, .level = PermissionLevel::report_to_them});
  directory.put(Profile{.id = {2}, .workspace = {1}, .level = PermissionLevel::managers_team});
  directory.put(Profile{
      .id = {3}, .workspace = {1}, .level = PermissionLevel::report_to_them, .team_leads = leads});
  CallUsers named{{1}, {}};
  Call call{.id = {1}, .workspace = {1}};
  for (std::uint64_t id = 1; id <= kUsers; ++id) {
    // One chain of all, so that a walk for each user would be 10^10 steps.
    directory.put(User{.id = {id}, .manager = {id + 1}, .profiles = {{1 + id % 3}}});
    named.users.push_back({id});
    if (id % 10 == 0) call.parties.push_back({id});
  }
  auto entry = std::make_shared<CallEntry>();
  entry->call = facts_of(call);
  const auto start = std::chrono::steady_clock::now();
  const Decision decision = decide_give({&named, 1}, std::vector<EntryPtr>{entry}, directory, kNow);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  // Covered: parties; those of profiles 1 and 2 at or above the first party, as user 10 is. Left:
  // of profile 3 all others.
  std::size_t expected = 0;
  for (std::uint64_t id = 1; id <= kUsers; ++id) {
    const bool is_party = id % 10 == 0;
    const bool is_covered =
        (id % 3 == 0 && id >= 10) || (id % 3 == 1 && id + 1 >= 10 && id < kUsers);
    expected += !is_party && !is_covered ? 1 : 0;
  }
  EXPECT_EQ(std::get<Changes>(decision).size(), expected);
}

// The entries and directory of a model's company.
struct State {
  Directory directory;
  std::map<CallId, std::shared_ptr<CallEntry>> entries;

  explicit State(const test::Model& model) {
    for (const Record& record : model.dump()) {
      if (const auto* user = std::get_if<User>(&record.thing)) directory.put(*user);
      if (const auto* profile = std::get_if<Profile>(&record.thing)) directory.put(*profile);
      if (const auto* workspace = std::get_if<Workspace>(&record.thing)) directory.put(*workspace);
      if (const auto* call = std::get_if<Call>(&record.thing))
        entry(call->id).call = facts_of(*call);
      if (const auto* share = std::get_if<ShareLine>(&record.thing)) {
        entry(share->call).put_share(share->user, {});
      }
      if (const auto* grant = std::get_if<GrantLine>(&record.thing)) {
        entry(grant->call).put_grant(grant->user, grant->grant, {});
      }
    }
  }
  CallEntry& entry(CallId call) {
    auto& found = entries[call];
    if (!found) found = std::make_shared<CallEntry>();
    return *found;
  }
};

// What the model tells of a command with results, as the decision should.
std::vector<PairResult> tell_pairs(test::Model& model, const std::vector<CallUsers>& calls,
                                   const std::vector<Grant>& terms, bool gives) {
  std::vector<test::PairAsked> asked;
  std::vector<std::pair<CallId, UserId>> pairs;
  for (const CallUsers& named : calls) {
    for (const UserId user : named.users) {
      pairs.emplace_back(named.call, user);
      asked.push_back({named.call, user, gives ? terms.at(asked.size()) : Grant{}});
    }
  }
  std::vector<PairResult> results;
  for (auto& one :
       gives ? model.give_pairs({1}, asked, kNow) : model.remove_pairs({1}, pairs, kNow)) {
    results.push_back({one.call, one.user, test::outcome_named(one.result), one.ways, one.grant});
  }
  return results;
}

// What changes come to, in the model.
test::Model changed_by(test::Model model, const std::vector<CallUsers>& calls,
                       const Changes& changes) {
  for (const GrantChange& change : changes) {
    const CallId call = calls[change.call_index].call;
    const GrantLine line{call, change.user, change.after.value_or(Grant{})};
    EXPECT_TRUE(model.apply({{1}, !change.after, line}));
  }
  return model;
}

TEST(Decide, AgreesWithTheModelOnRandomCommands) {
  const std::uint64_t seed = test::test_seed();
  std::map<std::string, std::size_t> seen;
  for (std::uint64_t i = 0; i < 1500; ++i) {
    SCOPED_TRACE("EARSHOT_SEED=" + std::to_string(seed + i));
    test::RandomRecords random(
        seed + i, {.companies = 1, .workspaces = 2, .profiles = 5, .users = 7, .calls = 4});
    test::Model model;
    ASSERT_TRUE(model.apply({{1}, false, Company{{1}, ""}}));
    for (std::uint64_t n = 50 + random.below(80); n > 0; --n) (void)model.apply(random.next());
    for (int command = 0; command < 6; ++command) {
      State state(model);
      std::vector<CallUsers> calls;
      std::vector<EntryPtr> entries;
      for (std::uint64_t c = 1; c <= 4; ++c) {
        if (random.percent(60) || !(state.entry({c}).call || random.percent(10))) continue;
        CallUsers named{{c}, {}};
        for (std::uint64_t u = 1; u <= 8; ++u) {
          if (random.percent(40) && (state.directory.find_user({u}) || random.percent(5)))
            named.users.push_back({u});
        }
        calls.push_back(std::move(named));
        entries.push_back(state.entries.at({c}));
      }
      const bool gives = random.percent(60);
      std::vector<Grant> terms;
      for (const CallUsers& named : calls) {
        for (std::size_t user = 0; user < named.users.size(); ++user) {
          Grant& wanted = terms.emplace_back();
          if (random.percent(40)) wanted.expires_at = Time{kNow.micros + 1};
          if (random.percent(30)) wanted.note = "why";
        }
      }
      const auto with_results =
          gives ? decide_give_with_results(calls, terms, entries, state.directory, kNow)
                : decide_remove_with_results(calls, entries, state.directory, kNow);
      test::Model told = model;
      ASSERT_EQ(with_results.results, tell_pairs(told, calls, terms, gives));
      const auto& changes_told = std::get<Changes>(with_results.decision);
      ASSERT_EQ(changed_by(model, calls, changes_told).dump(), told.dump());
      for (const PairResult& result : with_results.results) {
        ++seen["pair " + std::to_string(static_cast<int>(result.outcome))];
      }

      const Decision decision = gives ? decide_give(calls, entries, state.directory, kNow)
                                      : decide_remove(calls, entries, kNow);
      const Decision expected =
          gives ? model.give({1}, calls, kNow) : model.remove({1}, calls, kNow);
      ASSERT_EQ(decision, expected) << (gives ? "give" : "remove");
      const auto* const changes = std::get_if<Changes>(&decision);
      ++seen[(gives ? "give " : "remove ") + std::to_string(decision.index()) +
             (changes && !changes->empty() ? "+" : "")];
    }
  }
  for (const char* const name :
       {"give 0", "give 0+", "give 1", "give 2", "remove 0", "remove 0+", "remove 1", "pair 0",
        "pair 1", "pair 2", "pair 3", "pair 4", "pair 5", "pair 6", "pair 7"}) {
    EXPECT_GT(seen[name], 50U) << name << ", EARSHOT_SEED=" << seed;
  }
}

}  // namespace
}  // namespace earshot::core
