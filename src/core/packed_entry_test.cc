#include "core/packed_entry.h"

#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <string>
#include <vector>

namespace earshot::core {
namespace {

void expect_same(const CallEntry& a, const CallEntry& b) {
  EXPECT_EQ(a.call, b.call);
  EXPECT_EQ(a.call_stamp, b.call_stamp);
  EXPECT_EQ(a.newest, b.newest);
  EXPECT_EQ(a.notes, b.notes);
  ASSERT_EQ(a.shares.size(), b.shares.size());
  for (std::size_t i = 0; i < a.shares.size(); ++i) {
    EXPECT_EQ(a.shares[i].user, b.shares[i].user);
    EXPECT_EQ(a.shares[i].stamp, b.shares[i].stamp);
  }
  ASSERT_EQ(a.grants.size(), b.grants.size());
  for (std::size_t i = 0; i < a.grants.size(); ++i) {
    EXPECT_EQ(a.grants[i].user, b.grants[i].user);
    EXPECT_EQ(a.grants[i].stamp, b.grants[i].stamp);
    EXPECT_EQ(a.grants[i].expires_at, b.grants[i].expires_at);
    EXPECT_EQ(a.grants[i].has_note, b.grants[i].has_note);
  }
}

CallEntry random_entry(std::mt19937_64& random) {
  CallEntry entry;
  const auto below = [&random](std::uint64_t bound) { return random() % bound; };
  const auto stamp = [&] { return Stamp{random(), static_cast<std::uint32_t>(random())}; };
  if (below(4) > 0) {
    entry.call = CallFacts{{random()}, below(2) == 0, {}};
    for (std::uint64_t i = below(4); i > 0; --i) entry.call->participants.push_back({random()});
  }
  entry.call_stamp = stamp();
  const bool expire = below(2) == 0;
  const bool noted = below(2) == 0;
  for (std::uint64_t i = below(8); i > 0; --i) {
    Grant grant;
    if (expire && below(2) == 0) grant.expires_at = Time{static_cast<std::int64_t>(random())};
    if (noted && below(2) == 0) grant.note = std::string(1 + below(40), 'n');
    entry.put_grant({random()}, grant, stamp());
  }
  for (std::uint64_t i = below(4); i > 0; --i) entry.put_share({random()}, stamp());
  return entry;
}

TEST(PackedEntry, GivesBackWhatWasPacked) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 5000; ++i) {
    const CallEntry entry = random_entry(random);
    const PackedEntryPtr packed = PackedEntry::pack(entry);
    expect_same(packed->unpack(), entry);
    EXPECT_EQ(packed->has_call(), entry.call.has_value());
    EXPECT_EQ(packed->newest(), entry.newest);
  }
}

TEST(PackedEntry, SaysWhatTheRulesAskWithoutBeingUnpacked) {
  std::mt19937_64 random(11);
  for (int i = 0; i < 2000; ++i) {
    const CallEntry entry = random_entry(random);
    const PackedEntryPtr packed = PackedEntry::pack(entry);
    EXPECT_EQ(packed->is_private(), entry.call && entry.call->is_private);
    EXPECT_EQ(packed->workspace(), entry.call ? entry.call->workspace : WorkspaceId{});
    const auto people = packed->participants();
    EXPECT_EQ(std::vector(people.begin(), people.end()),
              entry.call ? entry.call->participants : std::vector<UserId>{});
    ASSERT_EQ(packed->shared().size(), entry.shares.size());
    for (std::size_t at = 0; at < entry.shares.size(); ++at) {
      EXPECT_EQ(packed->shared()[at], entry.shares[at].user);
    }
    for (std::size_t at = 0; at < entry.grants.size(); ++at) {
      const GrantRow& row = entry.grants[at];
      EXPECT_EQ(packed->find_granted(row.user), at);
      EXPECT_EQ(packed->expires_at(at), row.expires_at);
      EXPECT_EQ(packed->note_of(row.user), entry.grant_of(row).note);
    }
    const UserId stranger{random()};
    EXPECT_EQ(packed->find_granted(stranger), std::nullopt);
    EXPECT_EQ(packed->note_of(stranger), "");
  }
}

TEST(PackedEntry, SaysWhoHasAccessAtAMoment) {
  CallEntry entry;
  entry.put_grant({5}, {Time{10}, {}}, {1, 0});
  entry.put_grant({3}, {}, {1, 1});
  const PackedEntryPtr packed = PackedEntry::pack(entry);
  ASSERT_EQ(packed->granted().size(), 2U);
  EXPECT_EQ(packed->granted()[0], UserId{3});
  EXPECT_EQ(packed->granted()[1], UserId{5});
  EXPECT_TRUE(packed->is_live(0, Time{INT64_MAX - 1}));
  EXPECT_TRUE(packed->is_live(1, Time{9}));
  EXPECT_FALSE(packed->is_live(1, Time{10}));
}

TEST(PackedEntry, TakesLittleMemoryAndSaysHowMuch) {
  CallEntry entry;
  entry.call = CallFacts{{1}, false, {{1}, {2}}};
  for (std::uint64_t user = 1; user <= 5; ++user) entry.put_grant({user}, {}, {1, 0});
  EXPECT_LE(PackedEntry::pack(entry)->memory_bytes(), 192U);
  entry.put_grant({1}, {std::nullopt, std::string(1000, 'x')}, {1, 0});
  EXPECT_GE(PackedEntry::pack(entry)->memory_bytes(), 1100U);
}

}  // namespace
}  // namespace earshot::core
