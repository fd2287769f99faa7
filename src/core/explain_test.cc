#include "core/explain.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "model.h"
#include "random_records.h"

// Designated initializers leave the other members at their defaults on purpose.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

namespace earshot::core {
namespace {

constexpr Time kNow{1'772'359'200'000'000};
using enum PermissionLevel;

// A company of workspace 1 where user 1 reports to 2, 2 to 3 and 3 to nobody; 4 reports to 3; 5 to
// 50, who is not there; 6 reports to nobody. Everybody has profile 100 alone. The call 9 has
// host 1.
struct World {
  Directory directory;
  CallEntry entry;

  explicit World(PermissionLevel level, std::vector<UserId> leads = {}) {
    directory.put(Workspace{.id = {1}});
    directory.put(Profile{.id = {100}, .workspace = {1}, .level = level, .team_leads = leads});
    const std::pair<std::uint64_t, std::uint64_t> managers[] = {{1, 2}, {2, 3},  {3, 0},
                                                                {4, 3}, {5, 50}, {6, 0}};
    for (const auto& [user, manager] : managers) {
      directory.put(User{.id = {user}, .manager = {manager}, .profiles = {{100}}});
    }
    put_call({});
  }

  void put_call(Call call) {
    call.id = {9};
    if (call.workspace == WorkspaceId{}) call.workspace = {1};
    if (call.primary_user == UserId{}) call.primary_user = {1};
    entry.call = facts_of(call);
  }

  Explanation explain(std::uint64_t user) const {
    return core::explain(directory, entry, {user}, kNow);
  }
};

std::vector<UserId> users(std::initializer_list<std::uint64_t> ids) {
  std::vector<UserId> out;
  for (const std::uint64_t id : ids) out.push_back({id});
  return out;
}

TEST(Explain, TellsTheChainThatAProfileGoesBy) {
  const struct {
    const char* name;
    PermissionLevel level;
    std::vector<UserId> leads;
    std::uint64_t user;
    std::vector<UserId> chain;
    std::optional<UserId> lead;
  } cases[] = {
      {"all", all, {}, 6, {}, {}},
      {"own", own, {}, 1, users({1}), {}},
      {"the direct manager", report_to_them, {}, 2, users({1, 2}), {}},
      {"the manager above", report_to_them, {}, 3, users({1, 2, 3}), {}},
      {"the host itself", report_to_them, {}, 1, users({1}), {}},
      {"under the user's manager", managers_team, {}, 4, users({1, 2, 3}), {}},
      {"under a lead", report_to_them, users({2}), 6, users({1, 2}), UserId{2}},
      {"the nearest of several leads", managers_team, users({2, 3}), 6, users({1, 2}), UserId{2}},
      {"the host is a lead", report_to_them, users({1}), 6, users({1}), UserId{1}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const Explanation why = World(c.level, c.leads).explain(c.user);
    EXPECT_TRUE(has(why.ways, Way::profile));
    EXPECT_EQ(why.refusal, Refusal::none);
    ASSERT_TRUE(why.profile);
    EXPECT_TRUE(why.profile->covers);
    EXPECT_EQ(why.profile->id, ProfileId{100});
    EXPECT_EQ(why.profile->level, c.level);
    EXPECT_EQ(why.profile->chain, c.chain);
    EXPECT_EQ(why.profile->chain_left_out, 0U);
    EXPECT_EQ(why.profile->lead, c.lead);
    EXPECT_TRUE(why.profile->wanted_leads.empty());
  }
}

TEST(Explain, TellsTheParticipantWithTheLowestId) {
  World world(report_to_them);
  world.put_call({.primary_user = {4}, .parties = users({2, 1})});
  EXPECT_EQ(world.explain(3).profile->chain, users({1, 2, 3}));
  EXPECT_EQ(world.explain(2).profile->chain, users({1, 2}));
  EXPECT_EQ(world.explain(4).profile->chain, users({4}));
}

TEST(Explain, TellsWhatStandsNearestInTheWay) {
  const auto refusal = [](const World& world, std::uint64_t user) {
    const Explanation why = world.explain(user);
    EXPECT_EQ(why.ways, 0);
    EXPECT_FALSE(why.grant);
    EXPECT_EQ(why.profile && why.profile->covers, has(why.ways_if_active, Way::profile));
    return why.refusal;
  };
  EXPECT_EQ(refusal(World(none), 1 + 1), Refusal::profile_gives_no_calls);
  EXPECT_EQ(refusal(World(own), 2), Refusal::not_a_participant);
  EXPECT_EQ(refusal(World(report_to_them), 6), Refusal::no_report_of_user);
  EXPECT_EQ(refusal(World(managers_team), 3), Refusal::user_has_no_manager);
  EXPECT_EQ(refusal(World(managers_team), 5), Refusal::user_has_no_manager);
  World other_team(managers_team);
  other_team.directory.put(User{.id = {7}, .manager = {6}, .profiles = {{100}}});
  EXPECT_EQ(refusal(other_team, 7), Refusal::no_report_of_manager);
  const World led(report_to_them, users({4, 6}));
  EXPECT_EQ(refusal(led, 2), Refusal::no_report_of_a_team_lead);
  const auto wanted = led.explain(2).profile->wanted_leads;
  EXPECT_EQ(std::vector(wanted.begin(), wanted.end()), users({4, 6}));

  // Each of these hides those that were before it.
  World world(none);
  world.directory.put(User{.id = {2}, .profiles = {{999}}});
  EXPECT_EQ(refusal(world, 2), Refusal::no_profile_in_workspace);
  EXPECT_FALSE(world.explain(2).profile);
  world.directory.remove(WorkspaceId{1});
  EXPECT_EQ(refusal(world, 2), Refusal::unknown_workspace);
  world.put_call({.is_private = true});
  EXPECT_EQ(refusal(world, 2), Refusal::call_is_private);
  world.entry.put_grant({2}, {kNow, "over"}, {});
  EXPECT_EQ(refusal(world, 2), Refusal::grant_expired);
  EXPECT_EQ(world.explain(2).expired_at, kNow);
  world.directory.put(User{.id = {2}, .active = false});
  EXPECT_EQ(refusal(world, 2), Refusal::user_inactive);
  world.directory.remove(UserId{2});
  EXPECT_EQ(refusal(world, 2), Refusal::unknown_user);
  world.entry.call.reset();
  EXPECT_EQ(refusal(world, 2), Refusal::unknown_call);
}

TEST(Explain, TellsTheGrantAndWhatAnInactiveUserWouldHave) {
  World world(all);
  world.entry.put_grant({2}, {Time{kNow.micros + 1}, "for the review"}, {});
  world.entry.put_share({2}, {});
  const Ways every = static_cast<Ways>(Way::shared) | static_cast<Ways>(Way::individual) |
                     static_cast<Ways>(Way::profile);
  const Explanation active = world.explain(2);
  EXPECT_EQ(active.ways, every);
  EXPECT_EQ(active.grant, (Grant{Time{kNow.micros + 1}, "for the review"}));
  EXPECT_FALSE(active.expired_at);
  world.directory.put(User{.id = {2}, .active = false, .profiles = {{100}}});
  const Explanation inactive = world.explain(2);
  EXPECT_EQ(inactive.ways, 0);
  EXPECT_EQ(inactive.ways_if_active, every);
  EXPECT_EQ(inactive.refusal, Refusal::user_inactive);
}

TEST(Explain, LeavesOutTheMiddleOfAChainThatIsTooLong) {
  for (const std::uint64_t length : {kChainUsersMax, kChainUsersMax + 1, kChainUsersMax * 50}) {
    Directory directory;
    directory.put(Workspace{.id = {1}});
    directory.put(Profile{.id = {100}, .workspace = {1}, .level = report_to_them});
    for (std::uint64_t user = 1; user <= length; ++user) {
      directory.put(User{.id = {user}, .manager = {user + 1}, .profiles = {{100}}});
    }
    CallEntry entry;
    entry.call = facts_of({.workspace = {1}, .primary_user = {1}});
    const auto seen = explain(directory, entry, {length}, kNow).profile;
    ASSERT_TRUE(seen && seen->covers);
    ASSERT_EQ(seen->chain.size(), kChainUsersMax);
    EXPECT_EQ(seen->chain_left_out, length - kChainUsersMax);
    for (std::uint64_t i = 0; i + 1 < kChainUsersMax; ++i) {
      ASSERT_EQ(seen->chain[i], UserId{i + 1});
    }
    EXPECT_EQ(seen->chain.back(), UserId{length});
  }
}

// What the chain of a match must be, whoever looked for it.
void expect_proof(const Directory& directory, const CallFacts& call, const ProfileSeen& seen,
                  UserId user) {
  if (seen.level == all || !seen.covers) {
    EXPECT_TRUE(seen.chain.empty());
    return;
  }
  ASSERT_FALSE(seen.chain.empty());
  EXPECT_TRUE(std::ranges::binary_search(call.participants, seen.chain.front()));
  for (std::size_t i = 0; i + 1 < seen.chain.size(); ++i) {
    EXPECT_EQ(directory.find_user(seen.chain[i])->manager, seen.chain[i + 1]);
  }
  const auto& leads = directory.find_profile(seen.id)->team_leads;
  const UserId top = seen.chain.back();
  EXPECT_EQ(seen.lead.has_value(), seen.level != own && !leads.empty());
  if (seen.lead) {
    EXPECT_EQ(seen.lead, top);
    EXPECT_TRUE(std::ranges::binary_search(leads, top));
  } else {
    EXPECT_EQ(top, seen.level == managers_team ? directory.find_user(user)->manager : user);
  }
}

bool is_same(const Explanation& a, const Explanation& b) {
  const auto profile = [](const Explanation& of) {
    return of.profile ? std::tuple(of.profile->id, of.profile->chain, of.profile->lead)
                      : std::tuple<ProfileId, std::vector<UserId>, std::optional<UserId>>();
  };
  return a.ways == b.ways && a.ways_if_active == b.ways_if_active && a.refusal == b.refusal &&
         a.grant == b.grant && a.expired_at == b.expired_at && profile(a) == profile(b);
}

TEST(Explain, ProvesWhatTheRulesSayOnRandomCompanies) {
  const std::uint64_t seed = test::test_seed();
  std::map<int, std::size_t> refusals;
  std::size_t chains = 0;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    SCOPED_TRACE("EARSHOT_SEED=" + std::to_string(seed + i));
    test::RandomRecords random(seed + i, {.companies = 1,
                                          .workspaces = 2,
                                          .profiles = 5,
                                          .users = 7,
                                          .calls = 4,
                                          .keys = 1,
                                          .remove_percent = 8});
    test::Model model;
    ASSERT_TRUE(model.apply({{1}, false, Company{{1}, ""}}));
    for (std::uint64_t n = 20 + random.below(100); n > 0; --n) (void)model.apply(random.next());
    auto loaded = model.load({1});
    const Directory& directory = loaded.directory;
    for (std::uint64_t c = 1; c <= 5; ++c) {
      const CallEntry& entry = loaded.entries[{c}];
      const PackedEntryPtr packed = PackedEntry::pack(entry);
      CallExplainer explainer(directory, *packed);
      for (std::uint64_t u = 0; u <= 8; ++u) {
        const Explanation why = explainer.explain({u}, kNow);
        ASSERT_EQ(why.ways, model.ways({1}, {c}, {u}, kNow));
        ASSERT_EQ(why.ways_if_active, model.ways_as_if_active({1}, {c}, {u}, kNow));
        ASSERT_EQ(why.ways != 0, why.refusal == Refusal::none);
        ASSERT_EQ(why.grant.has_value(), has(why.ways_if_active, Way::individual));
        ASSERT_TRUE(is_same(why, explain(directory, entry, {u}, kNow)));
        ++refusals[static_cast<int>(why.refusal)];
        if (!why.profile) continue;
        ASSERT_EQ(why.profile->covers, has(why.ways_if_active, Way::profile));
        expect_proof(directory, *entry.call, *why.profile, {u});
        chains += why.profile->chain.size() > 1 ? 1 : 0;
        if (testing::Test::HasFailure()) return;
      }
    }
  }
  EXPECT_GT(chains, 100U);
  for (int refusal = 0; refusal <= static_cast<int>(Refusal::no_report_of_a_team_lead); ++refusal) {
    EXPECT_GT(refusals[refusal], 50U) << refusal << ", EARSHOT_SEED=" << seed;
  }
}

}  // namespace
}  // namespace earshot::core
