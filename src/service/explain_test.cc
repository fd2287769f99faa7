#include "service/explain.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "model_store.h"

namespace earshot::service {
namespace {

using core::Refusal;
using core::Way;

constexpr CompanyId kAcme{1};
constexpr core::Ways kIndividual = static_cast<core::Ways>(Way::individual);

// Workspace 1 and profile 100 of level report-to-them; users 1 to 9, each the manager of the one
// before, 8 inactive; calls 1 to 5, the n-th hosted by user n, call 4 private.
class Explanations : public testing::Test {
 protected:
  Explanations() {
    put(core::Company{kAcme, "Acme"});
    put(core::Workspace{{1}, "Sales"});
    put(core::Profile{{100}, {1}, "Managers", core::PermissionLevel::report_to_them, {}});
    for (std::uint64_t user = 1; user <= 9; ++user) put_user({user}, {user + 1}, user != 8);
    for (std::uint64_t call = 1; call <= 5; ++call) {
      core::Call thing;
      thing.id = {call};
      thing.workspace = {1};
      thing.primary_user = {call};
      thing.is_private = call == 4;
      put(thing);
    }
    auto key = std::make_shared<store::KeyEntry>();
    key->company = kAcme;
    key->key.access_key = "ACME";
    principal_.key = key;
  }

  template <class Thing>
  void put(const Thing& thing) {
    store_.apply({kAcme, false, thing});
  }
  void put_user(UserId id, UserId manager, bool active = true) {
    core::User user;
    user.id = id;
    user.manager = manager;
    user.active = active;
    user.profiles = {{100}};
    put(user);
  }

  // The asynchronous calls, whose answers the model gives at once.
  Result<CheckAnswer> check_now(std::vector<Pair> pairs, store::Moment moment = {},
                                core::Revision at_least = 0) {
    Result<CheckAnswer> out = internal("not answered");
    check(store_, principal_, std::move(pairs), moment, at_least,
          [&](Result<CheckAnswer> answer) { out = std::move(answer); });
    return out;
  }
  Result<CallPage> page(CallId call, UserId after, std::size_t limit, store::Moment moment = {}) {
    Result<CallPage> out = internal("not answered");
    explain_call(store_, principal_, call, after, limit, moment, 0,
                 [&](Result<CallPage> answer) { out = std::move(answer); });
    return out;
  }
  Result<UserPage> page(UserId user, core::Ways ways, CallId after, std::size_t limit,
                        store::Moment moment = {}) {
    Result<UserPage> out = internal("not answered");
    explain_user(store_, principal_, user, ways, after, limit, moment, 0,
                 [&](Result<UserPage> answer) { out = std::move(answer); });
    return out;
  }

  test::ModelStore store_;
  auth::Principal principal_;
};

TEST_F(Explanations, AnswerPairsInTheOrderAskedRepeatsAndUnknownOnesToo) {
  put(core::GrantLine{{2}, {1}, {std::nullopt, "training"}});
  const auto answer = check_now({{{2}, {1}},
                                 {{1}, {9}},
                                 {{2}, {1}},
                                 {{4}, {9}},
                                 {{77}, {1}},
                                 {{1}, {77}},
                                 {{2}, {8}},
                                 {{1}, {1}}});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->as_of.revision, store_.revision());
  EXPECT_EQ(answer->as_of.time, store_.now);
  const auto& all = answer->explanations;
  ASSERT_EQ(all.size(), 8u);
  EXPECT_EQ(all[0].ways, kIndividual);
  EXPECT_EQ(all[0].grant->note, "training");
  EXPECT_EQ(all[1].ways, static_cast<core::Ways>(Way::profile));
  EXPECT_EQ(all[1].profile->chain.size(), 9u);
  EXPECT_EQ(all[2].ways, kIndividual);
  EXPECT_EQ(all[3].refusal, Refusal::call_is_private);
  EXPECT_EQ(all[4].refusal, Refusal::unknown_call);
  EXPECT_EQ(all[5].refusal, Refusal::unknown_user);
  EXPECT_EQ(all[6].refusal, Refusal::user_inactive);
  EXPECT_EQ(all[7].ways,
            static_cast<core::Ways>(Way::participant) | static_cast<core::Ways>(Way::profile));
  // Each call was read once, with the users asked about.
  ASSERT_EQ(store_.access_reads.size(), 1u);
  EXPECT_EQ(store_.access_reads[0].calls,
            (std::vector<core::CallUsers>{
                {{1}, {{1}, {9}, {77}}}, {{2}, {{1}, {8}}}, {{4}, {{9}}}, {{77}, {{1}}}}));
}

TEST_F(Explanations, AnswerNoPairsToo) {
  const auto answer = check_now({});
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->explanations.empty());
}

// Page by page of each size, all users and all calls: the same as asking for each pair.
TEST_F(Explanations, OfACallAndOfAUserAreWhatChecksSay) {
  put(core::ShareLine{{4}, {9}});
  put(core::GrantLine{{4}, {3}, {}});
  put(core::GrantLine{{5}, {2}, {}});
  put(core::GrantLine{{5}, {8}, {}});
  std::map<std::pair<CallId, UserId>, core::Ways> checked;
  std::vector<Pair> pairs;
  for (std::uint64_t call = 1; call <= 5; ++call) {
    for (std::uint64_t user = 1; user <= 9; ++user) pairs.push_back({{call}, {user}});
  }
  const auto answer = check_now(pairs);
  ASSERT_TRUE(answer);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    if (answer->explanations[i].ways == 0) continue;
    checked[{pairs[i].call, pairs[i].user}] = answer->explanations[i].ways;
  }
  EXPECT_GT(checked.size(), 20u);
  for (const std::size_t limit : {1, 2, 3, 9, 100}) {
    std::map<std::pair<CallId, UserId>, core::Ways> of_calls, of_users;
    for (std::uint64_t call = 1; call <= 5; ++call) {
      std::optional<UserId> after = UserId{};
      while (after) {
        const auto got = page(CallId{call}, *after, limit);
        ASSERT_TRUE(got && got->call_exists);
        ASSERT_LE(got->users.size(), limit);
        for (const auto& [user, why] : got->users) {
          ASSERT_GT(user, *after);
          ASSERT_TRUE(of_calls.insert({{{call}, user}, why.ways}).second);
        }
        after = got->last;
      }
    }
    for (std::uint64_t user = 1; user <= 9; ++user) {
      std::optional<CallId> after = CallId{};
      while (after) {
        const auto got = page(UserId{user}, core::kAllWays, *after, limit);
        ASSERT_TRUE(got && got->user_exists);
        ASSERT_EQ(got->is_active, user != 8);
        ASSERT_LE(got->calls.size(), limit);
        for (const auto& [call, why] : got->calls) {
          ASSERT_GT(call, *after);
          ASSERT_TRUE(of_users.insert({{call, {user}}, why.ways}).second);
        }
        after = got->last;
      }
    }
    EXPECT_EQ(of_calls, checked) << limit;
    EXPECT_EQ(of_users, checked) << limit;
  }
}

TEST_F(Explanations, OfAUserAreNarrowedByWayAndTellAllOfThem) {
  put(core::GrantLine{{1}, {9}, {}});
  put(core::GrantLine{{4}, {9}, {Time{store_.now.micros - 1}, ""}});
  const auto individual = page(UserId{9}, kIndividual, {}, 100);
  ASSERT_TRUE(individual);
  ASSERT_EQ(individual->calls.size(), 1u);
  EXPECT_EQ(individual->calls[0].first, CallId{1});
  EXPECT_EQ(individual->calls[0].second.ways, kIndividual | static_cast<core::Ways>(Way::profile));
  EXPECT_EQ(page(UserId{9}, static_cast<core::Ways>(Way::profile), {}, 100)->calls.size(), 4u);
  // What only the user's own rows can say is not looked for among all calls.
  ASSERT_EQ(store_.user_reads.size(), 2u);
  EXPECT_EQ(store_.user_reads[0].calls_max, 100u);
  EXPECT_EQ(store_.user_reads[1].calls_max, kCallsLookedAtMax);
}

TEST_F(Explanations, SayWhatIsNotThere) {
  const auto call = page(CallId{77}, UserId{}, 10);
  ASSERT_TRUE(call);
  EXPECT_FALSE(call->call_exists);
  EXPECT_FALSE(call->last);
  const auto user = page(UserId{77}, core::kAllWays, CallId{}, 10);
  ASSERT_TRUE(user);
  EXPECT_FALSE(user->user_exists);
  EXPECT_FALSE(user->last);
  const auto inactive = page(UserId{8}, core::kAllWays, CallId{}, 1);
  ASSERT_TRUE(inactive);
  EXPECT_TRUE(inactive->user_exists);
  EXPECT_FALSE(inactive->is_active);
  EXPECT_TRUE(inactive->calls.empty());
  EXPECT_FALSE(inactive->last);
}

TEST_F(Explanations, AreOfTheMomentAskedFor) {
  const core::Revision before = store_.revision();
  store_.now.micros += 1000;
  put(core::GrantLine{{4}, {9}, {}});
  const auto asked = [&](store::Moment moment) { return check_now({{{4}, {9}}}, moment); };
  EXPECT_EQ(asked({})->explanations[0].ways, kIndividual);
  const auto then = asked({before, {}});
  EXPECT_EQ(then->as_of.revision, before);
  EXPECT_EQ(then->explanations[0].ways, 0);
  EXPECT_EQ(asked({{}, Time{store_.now.micros - 1}})->explanations[0].ways, 0);
  EXPECT_TRUE(page(CallId{4}, UserId{}, 10, {before, {}})->users.size() == 1);
  EXPECT_TRUE(page(UserId{9}, kIndividual, CallId{}, 10, {before, {}})->calls.empty());
  EXPECT_EQ(asked({before + 2, {}}).error().code, Code::invalid_argument);
  store_.oldest_kept = before + 1;
  EXPECT_EQ(asked({before, {}}).error().code, Code::gone);
  EXPECT_EQ(check_now({{{4}, {9}}}, {}, before + 2).error().code, Code::unavailable);
}

TEST_F(Explanations, PassFailuresOn) {
  store_.failure = unavailable("full");
  EXPECT_EQ(check_now({{{1}, {1}}}).error().code, Code::unavailable);
  EXPECT_EQ(page(CallId{1}, UserId{}, 1).error().code, Code::unavailable);
  EXPECT_EQ(page(UserId{1}, core::kAllWays, CallId{}, 1).error().code, Code::unavailable);
}

TEST(ExplainCall, LooksAtSoManyUsersAndNoMoreForAPage) {
  // Straight from a directory: a model of so many users would take its time.
  class OneCall : public test::ModelStore {
   public:
    void read_access(store::AccessCommand, AccessDone done) override {
      done(store::AccessView{{7, now}, directory, {entry}});
    }
    std::shared_ptr<core::Directory> directory = std::make_shared<core::Directory>();
    core::PackedEntryPtr entry;
  } store;
  const std::uint64_t users = 2 * kUsersLookedAtMax + 1;
  for (std::uint64_t id = 1; id <= users; ++id) {
    core::User user;
    user.id = {id};
    store.directory->put(user);
  }
  core::CallEntry entry;
  entry.call = core::CallFacts{{1}, false, {{users}}};
  store.entry = core::PackedEntry::pack(entry);
  auth::Principal principal;
  principal.key = std::make_shared<store::KeyEntry>();
  std::vector<std::optional<UserId>> lasts;
  std::size_t found = 0;
  for (std::optional<UserId> after = UserId{}; after;) {
    explain_call(store, principal, {1}, *after, 10, {}, 0, [&](Result<CallPage> page) {
      ASSERT_TRUE(page);
      found += page->users.size();
      lasts.push_back(after = page->last);
    });
  }
  EXPECT_EQ(lasts, (std::vector<std::optional<UserId>>{
                       UserId{kUsersLookedAtMax}, UserId{2 * kUsersLookedAtMax}, std::nullopt}));
  EXPECT_EQ(found, 1u);
}

}  // namespace
}  // namespace earshot::service
