#include "store/rewind.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

#include "random_records.h"

namespace earshot::store {
namespace {

constexpr CallId kCall{7};
constexpr UserId kAnna{1}, kBen{2}, kCleo{3};
const core::Grant kPlain;
const core::Grant kNoted{Time{5'000'000}, "until Friday"};

core::Call call_of(std::string title, bool is_private) {
  return {kCall, WorkspaceId{1}, std::move(title), "2024-01-01T00:00:00Z",
          kAnna, {kBen},         is_private};
}

GrantChanged grant(UserId user, std::optional<core::Grant> before, std::optional<core::Grant> after,
                   core::Revision dead_since = 0) {
  return {kCall, {}, user, std::move(before), std::move(after), dead_since};
}
ShareChanged share(UserId user, bool before, bool after, core::Revision dead_since = 0) {
  return {kCall, {}, user, before, after, dead_since};
}

core::CallEntry rewound(core::CallEntry entry, core::Revision to,
                        const std::vector<Change>& newest_first) {
  Rewind rewind(to);
  for (const Change& change : newest_first) rewind.undo(change);
  rewind.apply_to(entry);
  return entry;
}

TEST(Rewind, LeavesAnEntryAloneWhereNothingChanged) {
  core::CallEntry entry;
  entry.put_grant(kAnna, kNoted, {3, 1});
  entry.put_share(kBen, {2, 0});
  const core::CallEntry same = rewound(entry, 3, {});
  EXPECT_EQ(same.newest, (core::Stamp{3, 1}));
  EXPECT_EQ(same.find_grant(kAnna)->stamp, (core::Stamp{3, 1}));
  EXPECT_NE(same.find_share(kBen), nullptr);
}

TEST(Rewind, PutsBackWhatWasTakenAndTakesWhatWasPut) {
  core::CallEntry entry;
  entry.put_grant(kAnna, kPlain, {5, 0});
  entry.put_share(kBen, {6, 0});
  const core::CallEntry then =
      rewound(entry, 4,
              {share(kBen, false, true), grant(kAnna, kNoted, kPlain), share(kCleo, true, false),
               grant(kCleo, kPlain, std::nullopt)});
  ASSERT_NE(then.find_grant(kAnna), nullptr);
  EXPECT_EQ(then.grant_of(*then.find_grant(kAnna)), kNoted);
  ASSERT_NE(then.find_grant(kCleo), nullptr);
  EXPECT_EQ(then.grant_of(*then.find_grant(kCleo)), kPlain);
  EXPECT_EQ(then.find_share(kBen), nullptr);
  EXPECT_NE(then.find_share(kCleo), nullptr);
}

TEST(Rewind, OfOneRowTheOldestChangeCounts) {
  core::CallEntry entry;
  entry.put_grant(kAnna, kPlain, {9, 0});
  const std::vector<Change> changes = {grant(kAnna, std::nullopt, kPlain),
                                       grant(kAnna, kPlain, std::nullopt),
                                       grant(kAnna, kNoted, kPlain)};
  const core::CallEntry then = rewound(entry, 6, changes);
  ASSERT_NE(then.find_grant(kAnna), nullptr);
  EXPECT_EQ(then.grant_of(*then.find_grant(kAnna)), kNoted);
  const core::CallEntry later = rewound(entry, 7, {changes[0]});
  EXPECT_EQ(later.find_grant(kAnna), nullptr);
}

TEST(Rewind, BringsBackTheCallItself) {
  core::CallEntry entry;
  entry.call = core::facts_of(call_of("new", true));
  const Change renamed = CallChanged{kCall, {}, call_of("old", false), call_of("new", true)};
  const Change made = CallChanged{kCall, {}, std::nullopt, call_of("old", false)};
  const core::CallEntry old = rewound(entry, 2, {renamed});
  ASSERT_TRUE(old.call);
  EXPECT_FALSE(old.call->is_private);
  EXPECT_FALSE(rewound(entry, 1, {renamed, made}).call);
  const Change removed = CallChanged{kCall, {}, call_of("old", false), std::nullopt};
  EXPECT_TRUE(rewound({}, 2, {removed}).call);
}

TEST(Rewind, WhatWasDeadAlreadyDoesNotComeBack) {
  const core::CallEntry swept;
  const std::vector<Change> sweep = {grant(kAnna, kPlain, std::nullopt, 5),
                                     share(kBen, true, false, 5),
                                     CallChanged{kCall, {}, call_of("x", false), std::nullopt, 5}};
  const core::CallEntry after_removal = rewound(swept, 5, sweep);
  EXPECT_EQ(after_removal.find_grant(kAnna), nullptr);
  EXPECT_EQ(after_removal.find_share(kBen), nullptr);
  EXPECT_FALSE(after_removal.call);
  const core::CallEntry before_removal = rewound(swept, 4, sweep);
  EXPECT_NE(before_removal.find_grant(kAnna), nullptr);
  EXPECT_NE(before_removal.find_share(kBen), nullptr);
  EXPECT_TRUE(before_removal.call);
}

TEST(Rewind, PassesOverDirectoryAndKeys) {
  core::CallEntry entry;
  entry.put_grant(kAnna, kPlain, {1, 0});
  const core::CallEntry same = rewound(
      entry, 1, {ThingChanged{ThingKind::user, 1, std::nullopt}, KeyChanged{"key", std::nullopt}});
  EXPECT_EQ(same.newest, (core::Stamp{1, 0}));
}

// What an entry says, stamps aside.
using Facts = std::pair<std::map<UserId, core::Grant>, std::vector<UserId>>;
Facts facts_of(const core::CallEntry& entry) {
  Facts facts;
  for (const core::GrantRow& row : entry.grants) facts.first[row.user] = entry.grant_of(row);
  for (const core::ShareRow& row : entry.shares) facts.second.push_back(row.user);
  return facts;
}

TEST(Rewind, ReachesEveryRevisionOfARandomHistory) {
  const std::uint64_t seed = test::test_seed();
  SCOPED_TRACE("EARSHOT_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  core::CallEntry entry;
  std::vector<Facts> states = {facts_of(entry)};  // by revision
  std::vector<std::pair<core::Revision, Change>> changes;
  for (core::Revision revision = 1; revision <= 200; ++revision) {
    for (std::uint32_t n = 0; n <= random() % 4; ++n) {
      const UserId user{1 + random() % 9};
      if (random() % 3 == 0) {
        const bool before = entry.find_share(user) != nullptr;
        changes.emplace_back(revision, share(user, before, !before));
        before ? entry.remove_share(user, {revision, n}) : entry.put_share(user, {revision, n});
        continue;
      }
      const core::GrantRow* row = entry.find_grant(user);
      std::optional<core::Grant> before, after;
      if (row) before = entry.grant_of(*row);
      if (random() % 2 == 0) after = random() % 2 == 0 ? kPlain : kNoted;
      changes.emplace_back(revision, grant(user, before, after));
      after ? entry.put_grant(user, *after, {revision, n})
            : entry.remove_grant(user, {revision, n});
    }
    states.push_back(facts_of(entry));
  }
  for (core::Revision to = 0; to < states.size(); ++to) {
    std::vector<Change> undone;
    for (auto change = changes.rbegin(); change != changes.rend() && change->first > to; ++change) {
      undone.push_back(change->second);
    }
    EXPECT_EQ(facts_of(rewound(entry, to, undone)), states[to]) << "revision " << to;
  }
}

}  // namespace
}  // namespace earshot::store
