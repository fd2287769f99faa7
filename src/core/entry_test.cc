#include "core/entry.h"

#include <gtest/gtest.h>

// Designated initializers leave the other members at their defaults on purpose.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

namespace earshot::core {
namespace {

std::vector<std::uint64_t> users_of(const auto& rows) {
  std::vector<std::uint64_t> users;
  for (const auto& row : rows) users.push_back(row.user.value);
  return users;
}

using Users = std::vector<std::uint64_t>;

TEST(FactsOf, CountsHostAndPartiesOnceEachAscending) {
  const struct {
    Call call;
    std::vector<UserId> participants;
  } cases[] = {
      {{}, {}},
      {{.primary_user = {3}}, {{3}}},
      {{.parties = {{2}, {1}}}, {{1}, {2}}},
      {{.primary_user = {2}, .parties = {{9}, {2}, {9}, {1}}}, {{1}, {2}, {9}}},
  };
  for (const auto& c : cases) EXPECT_EQ(facts_of(c.call).participants, c.participants);
  const CallFacts facts = facts_of({.workspace = {7}, .is_private = true});
  EXPECT_EQ(facts.workspace, WorkspaceId{7});
  EXPECT_TRUE(facts.is_private);
}

TEST(CallEntry, KeepsRowsAscendingAndOneForEachUser) {
  CallEntry entry;
  std::uint32_t n = 0;
  for (const std::uint64_t user : {5, 1, 9, 5, 3}) {
    entry.put_share({user}, {1, ++n});
    entry.put_grant({user}, {}, {1, ++n});
  }
  EXPECT_EQ(users_of(entry.shares), (Users{1, 3, 5, 9}));
  EXPECT_EQ(users_of(entry.grants), (Users{1, 3, 5, 9}));
  EXPECT_EQ(entry.find_share({5})->stamp, (Stamp{1, 7}));
  EXPECT_EQ(entry.find_grant({5})->stamp, (Stamp{1, 8}));
  entry.remove_share({5}, {2, 0});
  entry.remove_grant({9}, {2, 1});
  EXPECT_EQ(users_of(entry.shares), (Users{1, 3, 9}));
  EXPECT_EQ(users_of(entry.grants), (Users{1, 3, 5}));
  for (const std::uint64_t user : {0, 2, 5, 10}) EXPECT_EQ(entry.find_share({user}), nullptr);
  for (const std::uint64_t user : {0, 2, 9, 10}) EXPECT_EQ(entry.find_grant({user}), nullptr);
}

TEST(CallEntry, GivesAGrantBackAsItWasPut) {
  CallEntry entry;
  const Grant plain;
  const Grant noted{std::nullopt, "why"};
  const Grant expiring{Time{17}, "until then"};
  entry.put_grant({3}, plain, {});
  entry.put_grant({2}, noted, {});
  entry.put_grant({1}, expiring, {});
  EXPECT_EQ(entry.grant_of(*entry.find_grant({1})), expiring);
  EXPECT_EQ(entry.grant_of(*entry.find_grant({2})), noted);
  EXPECT_EQ(entry.grant_of(*entry.find_grant({3})), plain);
  entry.put_grant({1}, noted, {});
  entry.put_grant({2}, plain, {});
  entry.put_grant({3}, expiring, {});
  EXPECT_EQ(entry.grant_of(*entry.find_grant({1})), noted);
  EXPECT_EQ(entry.grant_of(*entry.find_grant({2})), plain);
  EXPECT_EQ(entry.grant_of(*entry.find_grant({3})), expiring);
  EXPECT_EQ(entry.notes.size(), 2U);
  entry.remove_grant({1}, {});
  entry.remove_grant({3}, {});
  EXPECT_TRUE(entry.notes.empty());
}

TEST(CallEntry, KnowsItsNewestChangeRemovalsIncluded) {
  CallEntry entry;
  entry.put_grant({1}, {}, {5, 3});
  EXPECT_EQ(entry.newest, (Stamp{5, 3}));
  entry.put_share({1}, {5, 2});  // rows come in any order when an entry is read
  EXPECT_EQ(entry.newest, (Stamp{5, 3}));
  entry.remove_grant({1}, {6, 0});
  EXPECT_EQ(entry.newest, (Stamp{6, 0}));
  entry.remove_share({2}, {7, 0});  // a marker of what went before
  EXPECT_EQ(entry.newest, (Stamp{7, 0}));
}

TEST(CallEntry, CountsItsMemory) {
  CallEntry entry;
  const std::size_t empty = entry.memory_bytes();
  for (std::uint64_t user = 1; user <= 1000; ++user) {
    entry.put_grant({user}, {std::nullopt, std::string(100, 'x')}, {});
  }
  EXPECT_GE(entry.memory_bytes(), empty + 1000 * (sizeof(GrantRow) + 100));
}

TEST(IsLive, EndsAtTheMomentOfExpiry) {
  const GrantRow row{.user = {1}, .expires_at = Time{10}};
  EXPECT_TRUE(is_live(row, Time{9}));
  EXPECT_FALSE(is_live(row, Time{10}));
  EXPECT_FALSE(is_live(row, Time{11}));
  EXPECT_TRUE(is_live(GrantRow{.user = {1}}, Time{INT64_MAX - 1}));
}

}  // namespace
}  // namespace earshot::core
