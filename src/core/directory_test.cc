#include "core/directory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

// Designated initializers leave the other members at their defaults on purpose.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

namespace earshot::core {
namespace {

// Users 1 < 2 < 3 < 4; 5 and 6 manage each other, 7 manages itself, 8 < 5; 9's manager 90 does not
// exist.
Directory company() {
  Directory directory;
  const std::pair<std::uint64_t, std::uint64_t> managers[] = {
      {1, 2}, {2, 3}, {3, 4}, {4, 0}, {5, 6}, {6, 5}, {7, 7}, {8, 5}, {9, 90}};
  for (const auto& [user, manager] : managers)
    directory.put(User{.id = {user}, .manager = {manager}});
  return directory;
}

TEST(StandsUnder, FollowsManagersZeroOrMoreTimes) {
  const Directory directory = company();
  const struct {
    std::uint64_t x, m;
    bool holds;
  } cases[] =
      {
          {1, 1, true},    {1, 2, true},   {1, 3, true},  {1, 4, true},  {2, 4, true},
          {2, 1, false},   {4, 1, false},  {4, 3, false}, {4, 4, true},  {5, 6, true},
          {6, 5, true},    {5, 5, true},   {8, 6, true},  {8, 5, true},  {5, 8, false},
          {6, 8, false},   {5, 1, false},  {7, 7, true},  {7, 1, false}, {9, 9, true},
          {9, 90, false},  // a manager who does not exist ends the chain
          {90, 90, false}, {90, 9, false}, {1, 0, false}, {0, 0, false}, {0, 1, false},
          {4, 0, false},
      };
  for (const auto& c : cases) {
    EXPECT_EQ(directory.stands_under({c.x}, {c.m}), c.holds) << c.x << " under " << c.m;
  }
}

TEST(StandsUnder, EndsInCyclesOfEverySizeBehindChainsOfEverySize) {
  for (std::uint64_t chain = 0; chain < 20; ++chain) {
    for (std::uint64_t cycle = 1; cycle < 20; ++cycle) {
      Directory directory;
      const std::uint64_t size = chain + cycle;
      for (std::uint64_t user = 1; user <= size; ++user) {
        directory.put(User{.id = {user}, .manager = {user == size ? chain + 1 : user + 1}});
      }
      directory.put(User{.id = {1000}});
      for (std::uint64_t m = 1; m <= size; ++m) {
        ASSERT_TRUE(directory.stands_under({1}, {m})) << chain << " " << cycle << " " << m;
        ASSERT_EQ(directory.stands_under({size}, {m}), m > chain) << chain << " " << cycle;
      }
      ASSERT_FALSE(directory.stands_under({1}, {1000}));
    }
  }
}

TEST(StandsUnder, ChangesWithTheUsersBetween) {
  Directory directory = company();
  directory.put(User{.id = {3}, .manager = {4}, .active = false});
  EXPECT_TRUE(directory.stands_under({1}, {4}));  // inactive managers still link
  directory.remove(UserId{3});
  EXPECT_FALSE(directory.stands_under({1}, {4}));
  EXPECT_FALSE(directory.stands_under({1}, {3}));
  EXPECT_TRUE(directory.stands_under({1}, {2}));
  directory.put(User{.id = {3}, .manager = {4}});
  EXPECT_TRUE(directory.stands_under({1}, {4}));
}

TEST(FindProfileIn, TakesTheFirstThatHasARecordAndBelongsToTheWorkspace) {
  Directory directory;
  directory.put(Workspace{.id = {1}});
  directory.put(Workspace{.id = {2}});
  directory.put(Profile{.id = {10}, .workspace = {1}, .level = PermissionLevel::own});
  directory.put(Profile{.id = {11}, .workspace = {1}, .level = PermissionLevel::all});
  directory.put(Profile{.id = {20}, .workspace = {2}});
  directory.put(Profile{.id = {30}, .workspace = {3}});  // a workspace without a record
  directory.put(User{.id = {1}, .profiles = {{20}, {99}, {30}, {11}, {10}}});
  const auto& member = *directory.find_user({1});
  EXPECT_EQ(directory.find_profile_in(member, {1}), directory.find_profile({11}));
  EXPECT_EQ(directory.find_profile_in(member, {2}), directory.find_profile({20}));
  EXPECT_EQ(directory.find_profile_in(member, {3}), nullptr);
  EXPECT_EQ(directory.find_profile_in(member, {4}), nullptr);
  EXPECT_EQ(directory.find_profile_in(member, {}), nullptr);
  directory.remove(ProfileId{11});
  EXPECT_EQ(directory.find_profile_in(member, {1}), directory.find_profile({10}));
  directory.remove(WorkspaceId{1});
  EXPECT_EQ(directory.find_profile_in(member, {1}), nullptr);
  directory.put(Workspace{.id = {3}});
  EXPECT_EQ(directory.find_profile_in(member, {3}), directory.find_profile({30}));
}

TEST(Directory, ReplacesTheWholeThing) {
  Directory directory;
  directory.put(User{.id = {1}, .manager = {2}, .active = false, .profiles = {{3}}});
  directory.put(Profile{
      .id = {3}, .workspace = {4}, .level = PermissionLevel::all, .team_leads = {{7}, {5}, {7}}});
  EXPECT_EQ(directory.find_profile({3})->team_leads, (std::vector<UserId>{{5}, {7}}));
  directory.put(User{.id = {1}});
  directory.put(Profile{.id = {3}});
  EXPECT_EQ(directory.find_user({1})->manager, UserId{});
  EXPECT_TRUE(directory.find_user({1})->active);
  EXPECT_TRUE(directory.find_user({1})->profiles.empty());
  EXPECT_EQ(directory.find_profile({3})->workspace, WorkspaceId{});
  EXPECT_EQ(directory.find_profile({3})->level, PermissionLevel::none);
  EXPECT_TRUE(directory.find_profile({3})->team_leads.empty());
}

TEST(Directory, RemovesWhatIsThereAndNothingElse) {
  Directory directory = company();
  EXPECT_EQ(directory.user_count(), 9U);
  directory.remove(UserId{77});
  directory.remove(ProfileId{77});
  directory.remove(WorkspaceId{77});
  EXPECT_EQ(directory.user_count(), 9U);
  directory.remove(UserId{1});
  EXPECT_EQ(directory.user_count(), 8U);
  EXPECT_EQ(directory.find_user({1}), nullptr);
}

TEST(Directory, CountsItsMemory) {
  Directory directory;
  const std::size_t empty = directory.memory_bytes();
  const std::vector<ProfileId> profiles(100, ProfileId{1});
  for (std::uint64_t user = 1; user <= 1000; ++user) {
    directory.put(User{.id = {user}, .profiles = profiles});
    directory.put(Profile{.id = {user}, .team_leads = {{1}, {2}}});
    directory.put(Profile{.id = {user}});
  }
  EXPECT_GE(directory.memory_bytes(), empty + 1000 * (100 * sizeof(ProfileId)));
  for (std::uint64_t user = 1; user <= 1000; ++user) {
    directory.remove(UserId{user});
    directory.remove(ProfileId{user});
  }
  // The places in the tables stay, the lists do not.
  EXPECT_LT(directory.memory_bytes(), empty + 250'000);
}

TEST(Directory, ListsItsUsersAscendingAsTheyAreNow) {
  Directory directory;
  EXPECT_TRUE(directory.user_ids().empty());
  const auto ids = [](const Directory& of) {
    return std::vector<UserId>(of.user_ids().begin(), of.user_ids().end());
  };
  for (const std::uint64_t user : {30, 10, 20}) directory.put(User{.id = {user}});
  EXPECT_EQ(ids(directory), (std::vector<UserId>{{10}, {20}, {30}}));
  Directory copy = directory;
  copy.put(User{.id = {15}});
  copy.remove(UserId{30});
  EXPECT_EQ(ids(copy), (std::vector<UserId>{{10}, {15}, {20}}));
  EXPECT_EQ(ids(directory), (std::vector<UserId>{{10}, {20}, {30}}));
  copy = directory;
  EXPECT_EQ(ids(copy), ids(directory));
}

TEST(Directory, ListsItsUsersToManyThreadsAtOnce) {
  Directory directory;
  for (std::uint64_t user = 1; user <= 10'000; ++user) directory.put(User{.id = {user}});
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const auto ids = directory.user_ids();
      if (ids.size() == 10'000 && std::ranges::is_sorted(ids)) ++right;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 4);
}

}  // namespace
}  // namespace earshot::core
