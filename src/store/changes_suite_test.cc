// What every store tells of its record of changes: see conformance/store_suite.h.
#include <algorithm>
#include <atomic>
#include <map>
#include <utility>

#include "conformance/changes_suite.h"

namespace earshot::test {

namespace {

using store::ChangesPosition;
using store::ChangesView;
using store::HeadVerdict;
using store::RecordedChange;
using store::RecordedRevision;

bool is_before(const ChangesPosition& a, const ChangesPosition& b) {
  const auto number = [](const ChangesPosition& one) {
    return std::pair(one.revision, one.changes.value_or(UINT32_MAX));
  };
  return number(a) < number(b);
}

// Reads page after page from a position to the end. `take` sees each.
void read_pages(store::Store& store, store::ChangesCommand command, RandomRecords& random,
                std::uint64_t changes_at_most,
                const std::function<void(const ChangesView&)>& take) {
  for (bool is_end = false; !is_end;) {
    command.changes_max = 1 + random.below(changes_at_most);
    const auto view = read_changes_now(store, command);
    ASSERT_TRUE(view.has_value()) << view.error().message;
    std::size_t changes = 0;
    for (const RecordedRevision& one : view->revisions) changes += one.changes.size();
    ASSERT_LE(changes, command.changes_max);
    is_end = view->is_end;
    ASSERT_EQ(is_end, view->last == (ChangesPosition{view->head.revision, std::nullopt}));
    if (!is_end) {
      ASSERT_TRUE(is_before(command.after, view->last));
    }
    take(*view);
    command.after = view->last;
  }
}

// The whole of a record put together from pages, and of which each says what it should.
std::vector<RecordedRevision> read_whole(store::Store& store, store::ChangesCommand command,
                                         RandomRecords& random, std::uint64_t changes_at_most) {
  std::vector<RecordedRevision> whole;
  ChangesPosition pages_after = command.after;
  read_pages(store, command, random, changes_at_most, [&](const ChangesView& view) {
    for (const RecordedRevision& one : view.revisions) {
      const bool goes_on =
          !whole.empty() && whole.back().revision == one.revision && !whole.back().is_complete;
      if (one.changes.empty()) {
        // The end of what an earlier page began, even if a filter let nothing of it through.
        ASSERT_TRUE(one.is_complete && one.revision == pages_after.revision && pages_after.changes);
        ASSERT_TRUE(goes_on || command.call || command.user);
      }
      if (!goes_on) {
        ASSERT_TRUE(whole.empty() || whole.back().revision < one.revision);
        whole.push_back(one);
        continue;
      }
      ASSERT_TRUE(one.changes.empty() || whole.back().changes.back().n < one.changes.front().n);
      std::vector<RecordedChange> changes = std::move(whole.back().changes);
      changes.insert(changes.end(), one.changes.begin(), one.changes.end());
      whole.back() = one;
      whole.back().changes = std::move(changes);
    }
    pages_after = view.last;
  });
  std::erase_if(whole, [](const RecordedRevision& one) { return one.changes.empty(); });
  return whole;
}

bool same_change(const RecordedChange& a, const RecordedChange& b) {
  return a.n == b.n && a.dead_since == b.dead_since && same_thing(a.record, b.record) &&
         a.before.has_value() == b.before.has_value() &&
         (!a.before || same_thing(*a.before, *b.before));
}

void expect_same_changes(const std::vector<RecordedRevision>& got,
                         const std::vector<RecordedRevision>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    SCOPED_TRACE("revision " + std::to_string(want[i].revision));
    ASSERT_EQ(got[i].revision, want[i].revision);
    ASSERT_EQ(got[i].directory_revision, want[i].directory_revision);
    ASSERT_EQ(got[i].operation, want[i].operation);
    ASSERT_EQ(got[i].time, want[i].time);
    ASSERT_EQ(got[i].origin.request_id.bytes, want[i].origin.request_id.bytes);
    ASSERT_EQ(got[i].origin.access_key, want[i].origin.access_key);
    ASSERT_TRUE(got[i].is_complete);
    ASSERT_EQ(got[i].hash, want[i].hash);
    ASSERT_EQ(got[i].changes.size(), want[i].changes.size());
    for (std::size_t n = 0; n < got[i].changes.size(); ++n) {
      ASSERT_TRUE(same_change(got[i].changes[n], want[i].changes[n])) << "change " << n;
    }
  }
}

bool is_of(const core::Record& record, std::optional<CallId> call, std::optional<UserId> user) {
  const auto is_pair = [&](const auto& line) {
    return (!call || line.call == *call) && (!user || line.user == *user);
  };
  if (const auto* grant = std::get_if<core::GrantLine>(&record.thing)) return is_pair(*grant);
  if (const auto* share = std::get_if<core::ShareLine>(&record.thing)) return is_pair(*share);
  if (call && user) return false;
  if (const auto* one = std::get_if<core::Call>(&record.thing)) return call && one->id == *call;
  if (const auto* one = std::get_if<core::User>(&record.thing)) return user && one->id == *user;
  return false;
}

}  // namespace

TEST_P(ChangesSuite, AReplayIsTheDumpOfEachRevision) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("EARSHOT_SEED=" + std::to_string(seed));
  RandomRecords random(seed);
  make_history(random, std::max(25, GetParam().history_steps / 4));
  if (HasFatalFailure()) return;
  expect_sound();
  std::map<store::Operation, int> operations;
  for (std::uint64_t id = 1; id <= kCompanies; ++id) {
    const CompanyId company{id};
    Model replayed;
    ChangesPosition place;
    std::size_t borders = 0;
    for (const std::uint64_t changes_at_most : {1, 15, 400}) {
      replayed = {};
      place = {};
      read_pages(store(), changes_behind(company, {}), random, changes_at_most,
                 [&](const ChangesView& view) {
                   for (const RecordedRevision& revision : view.revisions) {
                     ++operations[revision.operation];
                     const std::uint32_t seen =
                         revision.revision == place.revision ? place.changes.value_or(0) : 0;
                     ASSERT_TRUE(seen > 0 || !revision.changes.empty());
                     ASSERT_TRUE(revision.is_complete || !revision.changes.empty());
                     for (std::size_t i = 0; i < revision.changes.size(); ++i) {
                       ASSERT_EQ(revision.changes[i].n, seen + i);
                       const Status applied = replayed.apply(revision.changes[i].record);
                       ASSERT_TRUE(applied.has_value()) << applied.error().message;
                     }
                     place = {revision.revision, std::nullopt};
                     if (!revision.is_complete) {
                       place.changes = revision.changes.back().n + 1;
                       continue;
                     }
                     const auto kept = dumps_[company].find(revision.revision);
                     if (kept == dumps_[company].end()) continue;
                     ++borders;
                     SCOPED_TRACE("revision " + std::to_string(revision.revision));
                     expect_same_records(replayed.dump(), kept->second);
                   }
                   ASSERT_EQ(view.last, place.revision == 0 ? ChangesPosition{} : place);
                 });
      if (HasFatalFailure()) return;
    }
    EXPECT_GT(borders, 10U);
    expect_same_records(replayed.dump(), only_of(company, dumped()));
  }
  // Of any company: a short history may give nothing in one of them.
  EXPECT_GT(operations[store::Operation::give], 0);
  EXPECT_GT(operations[store::Operation::records], 0);
}

TEST_P(ChangesSuite, AReplayIntoAnEmptyStoreIsTheSameStore) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("EARSHOT_SEED=" + std::to_string(seed));
  RandomRecords random(seed);
  make_history(random, std::max(20, GetParam().history_steps / 8));
  if (HasFatalFailure()) return;
  const auto place = GetParam().make_place();
  const auto copy = place->open([this] { return Time{now_.load()}; });
  read_pages(store(), changes_behind({1}, {}), random, 60, [&](const ChangesView& view) {
    std::vector<core::Record> records;
    for (const RecordedRevision& revision : view.revisions) {
      for (const RecordedChange& change : revision.changes) records.push_back(change.record);
    }
    const auto loaded = load_now(*copy, records);
    ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
  });
  std::vector<core::Record> copied;
  ASSERT_TRUE(copy->dump([&](const core::Record& record) -> Status {
    copied.push_back(record);
    return {};
  }));
  expect_same_records(copied, only_of({1}, dumped()));
}

TEST_P(ChangesSuite, FiltersAndPositionsLeaveOutWhatTheySay) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("EARSHOT_SEED=" + std::to_string(seed));
  RandomRecords random(seed);
  make_history(random, std::max(20, GetParam().history_steps / 10));
  if (HasFatalFailure()) return;
  const auto whole = read_whole(store(), changes_behind({1}, {}), random, 300);
  ASSERT_FALSE(whole.empty());
  for (int round = 0; round < 24; ++round) {
    auto command = changes_behind({1}, {});
    if (round % 3 != 0) command.call = random.call_id();
    if (round % 3 != 1) command.user = random.user_id();
    std::vector<RecordedRevision> wanted;
    for (RecordedRevision revision : whole) {
      std::erase_if(revision.changes, [&](const RecordedChange& change) {
        return !is_of(change.record, command.call, command.user);
      });
      if (!revision.changes.empty()) wanted.push_back(std::move(revision));
    }
    expect_same_changes(read_whole(store(), command, random, 1 + random.below(9)), wanted);
    if (HasFatalFailure()) return;
  }
  for (const RecordedRevision& revision : whole) {
    const auto count = static_cast<std::uint32_t>(revision.changes.size());
    for (const std::uint32_t n : {1U, 2U, 1 + count / 2, count}) {
      if (n > count) continue;
      const auto view = read_changes_now(store(), changes_behind({1}, {revision.revision, n}, 1));
      ASSERT_TRUE(view.has_value()) << view.error().message;
      if (n == count && view->is_end) continue;
      const RecordedRevision& next = view->revisions.at(n == count ? 1 : 0);
      if (n < count) {
        ASSERT_EQ(next.revision, revision.revision);
        ASSERT_TRUE(same_change(next.changes.at(0), revision.changes[n]));
      } else {
        ASSERT_EQ(next.revision, revision.revision + 1);
        ASSERT_EQ(next.changes.at(0).n, 0U);
      }
    }
    const auto beyond =
        read_changes_now(store(), changes_behind({1}, {revision.revision, count + 1}, 9));
    ASSERT_EQ(beyond.error().code, Code::invalid_argument);
  }
  EXPECT_EQ(read_changes_now(store(), changes_behind({1}, {whole.back().revision, UINT32_MAX}))
                .error()
                .code,
            Code::invalid_argument);
  EXPECT_EQ(read_changes_now(store(), changes_behind({1}, {0, 1})).error().code,
            Code::invalid_argument);
}

TEST_P(ChangesSuite, EachHeadIsFoundAgainAndAnotherIsNot) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("EARSHOT_SEED=" + std::to_string(seed));
  RandomRecords random(seed);
  make_history(random, 25);
  if (HasFatalFailure()) return;
  const auto whole = read_whole(store(), changes_behind({1}, {}), random, 500);
  ASSERT_GT(whole.size(), 2U);
  const store::RecordHead head = head_of(store(), {1});
  EXPECT_EQ(whole.back().revision, head.revision);
  EXPECT_EQ(whole.back().hash, head.hash);
  EXPECT_EQ(whole.back().time, head.time);
  std::vector<store::HeadClaim> claims = {{{1}, 0, {}}};
  for (const RecordedRevision& one : whole) claims.push_back({{1}, one.revision, one.hash});
  const auto sound = store().verify(claims);
  ASSERT_TRUE(sound.has_value()) << sound.error().message;
  EXPECT_TRUE(sound->faults.empty()) << sound->faults[0];
  EXPECT_EQ(sound->heads, std::vector(claims.size(), HeadVerdict::extended));

  Digest other = head.hash;
  other[31] ^= 1;
  claims = {{{1}, head.revision, other},
            {{1}, head.revision + 1, head.hash},
            {{1}, 1, whole[1].hash},
            {{1}, 0, other},
            {{1}, head.revision, head.hash},
            {{9}, 0, {}},
            {{9}, 1, other}};
  const auto report = store().verify(claims);
  ASSERT_TRUE(report.has_value()) << report.error().message;
  using enum HeadVerdict;
  EXPECT_EQ(report->heads, (std::vector{contradicted, ahead, contradicted, contradicted, extended,
                                        extended, ahead}));
  EXPECT_EQ(report->faults.size(), 5U);
}

TEST_P(ChangesSuite, ACompanyThatNobodyNamedHasNoRecord) {
  const auto view = read_changes_now(store(), changes_behind({9}, {}, 10));
  ASSERT_TRUE(view.has_value()) << view.error().message;
  EXPECT_TRUE(view->is_end);
  EXPECT_TRUE(view->revisions.empty());
  EXPECT_EQ(view->head.revision, 0U);
  EXPECT_EQ(view->head.hash, Digest{});
  const auto beyond = read_changes_now(store(), changes_behind({9}, {1, std::nullopt}, 10));
  EXPECT_EQ(beyond.error().code, Code::invalid_argument);
  EXPECT_EQ(beyond.error().message, "the record ends at revision 0");
}

TEST_P(ChangesSuite, RetentionIsToldAndLeavesNoGap) {
  const std::int64_t hour = 3'600'000'000;
  load_small_company();
  for (std::uint64_t user = 1; user <= 4; ++user) {
    now_ += hour;
    give({user}, {{user}});
  }
  const auto first = read_changes_now(store(), changes_behind({1}, {}, 3));
  ASSERT_TRUE(first.has_value()) << first.error().message;
  RandomRecords random(1);
  const auto whole = read_whole(store(), changes_behind({1}, {}), random, 3);
  place_->retention = std::chrono::hours(2);
  open();
  store::RecordHead head = head_of(store(), {1});
  for (int tries = 0; tries < 1000 && head.horizon == 0; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    head = head_of(store(), {1});
  }
  ASSERT_EQ(head.horizon, 2U);
  ASSERT_EQ(head.revision, 5U);
  for (const ChangesPosition& after :
       {first->last, ChangesPosition{}, ChangesPosition{1, {}}, ChangesPosition{2, 1}}) {
    const auto cut = read_changes_now(store(), changes_behind({1}, after, 3));
    ASSERT_EQ(cut.error().code, Code::gone);
    EXPECT_NE(cut.error().message.find("position 2"), std::string::npos) << cut.error().message;
  }
  const auto rest = read_whole(store(), changes_behind({1}, {2, std::nullopt}), random, 1);
  expect_same_changes(rest, {whole.begin() + 2, whole.end()});
  const std::vector<store::HeadClaim> claims = {{{1}, 1, whole[0].hash},
                                                {{1}, 2, whole[1].hash},
                                                {{1}, 2, whole[0].hash},
                                                {{1}, 3, whole[2].hash}};
  using enum HeadVerdict;
  auto report = store().verify(claims);
  // The horizon is there before what is behind it has gone.
  for (int tries = 0; tries < 1000 && report && report->heads[0] != cut_off; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    report = store().verify(claims);
  }
  ASSERT_TRUE(report.has_value()) << report.error().message;
  EXPECT_EQ(report->heads, (std::vector{cut_off, extended, contradicted, extended}));
  EXPECT_EQ(report->faults.size(), 1U);
}

TEST_P(ChangesSuite, AWatchIsToldOfEachRevision) {
  load_small_company();
  struct Bell {
    std::mutex mutex;
    std::condition_variable rung;
    bool is_rung = false;
  } bell;
  auto watch = store().watch_changes({1}, [&] {
    const std::lock_guard lock(bell.mutex);
    bell.is_rung = true;
    bell.rung.notify_all();
  });
  std::atomic<int> of_others{0};
  const auto other = store().watch_changes({2}, [&] { ++of_others; });
  core::Revision seen = head_of(store(), {1}).revision;
  const core::Revision last = seen + 60;
  std::thread writer([&] {
    for (int i = 0; i < 30; ++i) {
      give({1}, {{2}});
      (void)write_now(store(), command_of(store::Operation::remove, {1}, {{{1}, {{2}}}}));
    }
  });
  while (seen < last) {
    {
      std::unique_lock lock(bell.mutex);
      const bool is_told =
          bell.rung.wait_for(lock, std::chrono::seconds(20), [&] { return bell.is_rung; });
      EXPECT_TRUE(is_told) << "after revision " << seen;
      if (!is_told) break;
      bell.is_rung = false;
    }
    const auto view = read_changes_now(store(), changes_behind({1}, {seen, std::nullopt}));
    ASSERT_TRUE(view.has_value()) << view.error().message;
    for (const RecordedRevision& one : view->revisions) {
      ASSERT_EQ(one.revision, seen + 1);
      seen = one.revision;
    }
  }
  writer.join();
  EXPECT_EQ(seen, last);
  watch.reset();
  bell.is_rung = false;
  ASSERT_TRUE(load_now(store(), {{{2}, false, core::Company{{2}, "Two"}}}).has_value());
  give({3}, {{2}});
  for (int tries = 0; tries < 1000 && of_others == 0; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_GT(of_others, 0);
  EXPECT_FALSE(bell.is_rung);
}

}  // namespace earshot::test
