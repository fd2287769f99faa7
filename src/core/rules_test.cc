#include "core/rules.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "model.h"
#include "random_records.h"

// Designated initializers leave the other members at their defaults on purpose.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

namespace earshot::core {
namespace {

constexpr Time kNow{1'772'359'200'000'000};
constexpr Ways kParticipant = static_cast<Ways>(Way::participant);
constexpr Ways kShared = static_cast<Ways>(Way::shared);
constexpr Ways kProfile = static_cast<Ways>(Way::profile);
constexpr Ways kIndividual = static_cast<Ways>(Way::individual);

// A company of workspace 1 where user 1 reports to 2, 2 to 3 and 3 to nobody; 4 reports to 3; 5 to
// 50, who is not there; 6 reports to nobody. The call has host 1. The user asked about has profile
// 100 alone.
struct Asked {
  PermissionLevel level;
  std::vector<UserId> leads;
  std::uint64_t user;
};

Ways ask(const Asked& asked, bool is_private = false) {
  Directory directory;
  directory.put(Workspace{.id = {1}});
  directory.put(
      Profile{.id = {100}, .workspace = {1}, .level = asked.level, .team_leads = asked.leads});
  const std::pair<std::uint64_t, std::uint64_t> managers[] = {{1, 2}, {2, 3},  {3, 0},
                                                              {4, 3}, {5, 50}, {6, 0}};
  for (const auto& [user, manager] : managers) {
    directory.put(User{.id = {user}, .manager = {manager}, .profiles = {{100}}});
  }
  CallEntry entry;
  entry.call =
      facts_of({.id = {9}, .workspace = {1}, .primary_user = {1}, .is_private = is_private});
  return ways(directory, entry, {asked.user}, kNow);
}

TEST(Rules, GiveWhatEachLevelOfAProfileCovers) {
  using enum PermissionLevel;
  const struct {
    const char* name;
    Asked asked;
    Ways ways;
  } cases[] = {
      {"all covers strangers", {all, {}, 6}, kProfile},
      {"all ignores leads", {all, {{6}}, 6}, kProfile},
      {"none covers nothing", {none, {}, 3}, 0},
      {"none ignores leads", {none, {{2}}, 3}, 0},
      {"none leaves the host a participant", {none, {}, 1}, kParticipant},
      {"own covers the host", {own, {}, 1}, kParticipant | kProfile},
      {"own covers no superior", {own, {}, 2}, 0},
      {"own ignores leads", {own, {{2}}, 4}, 0},
      {"reports: the direct manager", {report_to_them, {}, 2}, kProfile},
      {"reports: the manager above", {report_to_them, {}, 3}, kProfile},
      {"reports: the host itself, in zero steps", {report_to_them, {}, 1}, kParticipant | kProfile},
      {"reports: nobody beside", {report_to_them, {}, 4}, 0},
      {"reports: leads stand instead of the user", {report_to_them, {{4}}, 2}, 0},
      {"reports: under a lead", {report_to_them, {{2}}, 6}, kProfile},
      {"reports: under one of several leads", {report_to_them, {{6}, {3}}, 6}, kProfile},
      {"reports: the host is a lead", {report_to_them, {{1}}, 6}, kProfile},
      {"reports: a lead who does not exist", {report_to_them, {{50}}, 2}, 0},
      {"team: the host under the user's manager", {managers_team, {}, 4}, kProfile},
      {"team: the manager of the host's manager", {managers_team, {}, 2}, kProfile},
      {"team: without a manager", {managers_team, {}, 3}, 0},
      {"team: with a manager who does not exist", {managers_team, {}, 5}, 0},
      {"team: leads stand instead of the manager", {managers_team, {{6}}, 4}, 0},
      {"team: under a lead without a manager", {managers_team, {{2}}, 6}, kProfile},
      {"team: a lead who does not exist", {managers_team, {{50}}, 4}, 0},
      {"a user who does not exist", {all, {}, 50}, 0},
      {"no user", {all, {}, 0}, 0},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(ask(c.asked), c.ways) << c.name;
    EXPECT_EQ(ask(c.asked, true), c.ways & kParticipant) << "private: " << c.name;
  }
}

TEST(Rules, TakeAWayFromAnInactiveUserButNotWhatOthersHaveThroughIt) {
  Directory directory;
  directory.put(Workspace{.id = {1}});
  directory.put(Profile{.id = {100}, .workspace = {1}, .level = PermissionLevel::report_to_them});
  directory.put(User{.id = {1}, .manager = {2}, .active = false, .profiles = {{100}}});
  directory.put(User{.id = {2}, .manager = {3}, .active = false, .profiles = {{100}}});
  directory.put(User{.id = {3}, .profiles = {{100}}});
  CallEntry entry;
  entry.call = facts_of({.id = {9}, .workspace = {1}, .primary_user = {1}});
  entry.put_share({1}, {});
  entry.put_grant({2}, {}, {});
  EXPECT_EQ(ways(directory, entry, {1}, kNow), 0);
  EXPECT_EQ(ways(directory, entry, {2}, kNow), 0);
  EXPECT_EQ(ways(directory, entry, {3}, kNow), kProfile);
  EXPECT_EQ(ways_as_if_active(directory, entry, {1}, kNow), kParticipant | kShared | kProfile);
  EXPECT_EQ(ways_as_if_active(directory, entry, {2}, kNow), kProfile | kIndividual);
}

TEST(Rules, SeeNothingOfAnExpiredGrantOrAMissingCall) {
  Directory directory;
  directory.put(User{.id = {1}});
  CallEntry entry;
  entry.put_grant({1}, {.expires_at = kNow, .note = {}}, {});
  entry.put_share({1}, {});
  EXPECT_EQ(ways(directory, entry, {1}, Time{0}), 0);  // no call
  entry.call = facts_of({.id = {9}});
  EXPECT_EQ(ways(directory, entry, {1}, Time{kNow.micros - 1}), kShared | kIndividual);
  EXPECT_EQ(ways(directory, entry, {1}, kNow), kShared);
}

TEST(CallRules, AnswerForManyAsForOne) {
  // Deep chains and many participants, so that the tree is asked in both ways.
  Directory directory;
  directory.put(Workspace{.id = {1}});
  constexpr std::uint64_t kUsers = 300;
  for (std::uint64_t p = 0; p < 3; ++p) {
    directory.put(
        Profile{.id = {100 + p},
                .workspace = {1},
                .level = p == 1 ? PermissionLevel::managers_team : PermissionLevel::report_to_them,
                .team_leads = p == 2 ? std::vector<UserId>{{150}, {151}} : std::vector<UserId>{}});
  }
  for (std::uint64_t user = 1; user <= kUsers; ++user) {
    directory.put(User{.id = {user},
                       .manager = {user * 7 % 11 == 0 ? 0 : user / 2 + 1},
                       .profiles = {{100 + user % 3}}});
  }
  for (const std::size_t participants : {1, 2, 16, 17, 60}) {
    CallEntry entry;
    Call call{.id = {9}, .workspace = {1}};
    for (std::size_t i = 0; i < participants; ++i) call.parties.push_back({kUsers - 4 * i});
    entry.call = facts_of(call);
    CallRules rules(directory, entry);
    std::size_t covered = 0;
    for (std::uint64_t user = 1; user <= kUsers; ++user) {
      const Ways expected = ways(directory, entry, {user}, kNow);
      covered += has(expected, Way::profile) ? 1 : 0;
      const Finding of_many = rules.find({user}, kNow);
      ASSERT_EQ(of_many.ways(), expected) << participants << " " << user;
      ASSERT_EQ(of_many.standing, CallRules(directory, entry).find({user}, kNow).standing)
          << participants << " " << user;
    }
    EXPECT_GT(covered, 0U);
    EXPECT_LT(covered, kUsers);
  }
}

// What came up in the random organisations: each must, or the test shows nothing.
class Seen {
 public:
  void look(const std::vector<Record>& records, const test::Model::Loaded& loaded) {
    for (const Record& record : records) {
      if (const auto* user = std::get_if<User>(&record.thing)) look(*user, loaded.directory);
      if (const auto* call = std::get_if<Call>(&record.thing)) look(*call, loaded.directory);
      if (const auto* profile = std::get_if<Profile>(&record.thing))
        look(*profile, loaded.directory);
      const auto* const grant = std::get_if<GrantLine>(&record.thing);
      if (grant && grant->grant.expires_at) {
        ++counts_[*grant->grant.expires_at <= kNow ? "an expired grant"
                                                   : "a grant that will expire"];
      }
    }
  }
  void look(Ways found) { ++counts_["ways " + std::to_string(found)]; }
  std::size_t count(const std::string& name) const {
    const auto found = counts_.find(name);
    return found == counts_.end() ? 0 : found->second;
  }

 private:
  void look(const User& user, const Directory& directory) {
    const UserId m = user.manager;
    if (m == user.id) ++counts_["an own manager"];
    if (m != user.id && directory.stands_under(m, user.id)) ++counts_["a cycle of managers"];
    if (m != UserId{} && !directory.find_user(m)) ++counts_["a missing manager"];
    if (!user.active) ++counts_["an inactive user"];
    std::map<WorkspaceId, int> of;
    for (const ProfileId id : user.profiles) {
      const auto* const rule = directory.find_profile(id);
      if (rule == nullptr) ++counts_["a missing profile"];
      if (rule != nullptr && ++of[rule->workspace] == 2) ++counts_["two profiles in a workspace"];
    }
  }
  void look(const Call& call, const Directory& directory) {
    if (call.is_private) ++counts_["a private call"];
    if (!directory.has_workspace(call.workspace)) ++counts_["a missing workspace"];
    for (const UserId party : call.parties) {
      if (!directory.find_user(party)) ++counts_["a missing party"];
    }
  }
  void look(const Profile& profile, const Directory& directory) {
    for (const UserId lead : profile.team_leads) {
      const bool is_there = directory.find_user(lead) != nullptr;
      ++counts_[(is_there ? "leads with level " : "a missing lead with level ") +
                std::to_string(static_cast<int>(profile.level))];
    }
  }

  std::map<std::string, std::size_t> counts_;
};

void compare_one(std::uint64_t seed, Seen& seen) {
  test::RandomRecords random(seed, {.companies = 1,
                                    .workspaces = 2,
                                    .profiles = 5,
                                    .users = 7,
                                    .calls = 4,
                                    .keys = 1,
                                    .remove_percent = 8});
  test::Model model;
  ASSERT_TRUE(model.apply({{1}, false, Company{{1}, ""}}));
  for (std::uint64_t n = 20 + random.below(100); n > 0; --n) (void)model.apply(random.next());
  const auto records = model.dump();
  const auto loaded = model.load({1});
  seen.look(records, loaded);
  for (std::uint64_t x = 0; x <= 8; ++x) {
    for (std::uint64_t m = 0; m <= 8; ++m) {
      ASSERT_EQ(loaded.directory.stands_under({x}, {m}), model.stands_under({1}, {x}, {m}))
          << x << " under " << m;
    }
  }
  for (std::uint64_t c = 1; c <= 5; ++c) {
    const auto found = loaded.entries.find({c});
    const CallEntry entry = found == loaded.entries.end() ? CallEntry{} : found->second;
    const PackedEntryPtr packed = PackedEntry::pack(entry);
    CallRules rules(loaded.directory, *packed);
    for (std::uint64_t u = 0; u <= 8; ++u) {
      const Ways expected = model.ways_as_if_active({1}, {c}, {u}, kNow);
      seen.look(expected);
      ASSERT_EQ(ways_as_if_active(loaded.directory, entry, {u}, kNow), expected)
          << "call " << c << " user " << u;
      ASSERT_EQ(rules.find({u}, kNow).ways_if_active, expected) << "call " << c << " user " << u;
      ASSERT_EQ(ways(loaded.directory, entry, {u}, kNow), model.ways({1}, {c}, {u}, kNow))
          << "call " << c << " user " << u;
    }
  }
}

TEST(Rules, AgreeWithTheModelOnRandomCompanies) {
  const std::uint64_t seed = test::test_seed();
  Seen seen;
  for (std::uint64_t i = 0; i < 3000; ++i) {
    SCOPED_TRACE("EARSHOT_SEED=" + std::to_string(seed + i));
    compare_one(seed + i, seen);
    if (testing::Test::HasFatalFailure()) return;
  }
  for (const char* const name :
       {"an own manager", "a cycle of managers", "a missing manager", "an inactive user",
        "a missing profile", "two profiles in a workspace", "a private call", "a missing workspace",
        "a missing party", "an expired grant", "a grant that will expire", "leads with level 0",
        "leads with level 1", "leads with level 2", "leads with level 3", "leads with level 4",
        "a missing lead with level 2", "a missing lead with level 3"}) {
    EXPECT_GT(seen.count(name), 100U) << name << ", EARSHOT_SEED=" << seed;
  }
  for (int found = 0; found < 16; ++found) {
    EXPECT_GT(seen.count("ways " + std::to_string(found)), 20U)
        << found << ", EARSHOT_SEED=" << seed;
  }
}

}  // namespace
}  // namespace earshot::core
