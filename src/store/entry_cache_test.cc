#include "store/entry_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <thread>

namespace earshot::store {
namespace {

constexpr core::Revision kNewest = ~core::Revision{0};

core::PackedEntryPtr entry_of(core::Revision revision, std::uint64_t user = 1) {
  core::CallEntry entry;
  entry.call = core::CallFacts{};
  entry.put_grant({user}, {}, {revision, 0});
  return core::PackedEntry::pack(entry);
}

struct Found {
  bool as_of = false;  // false: all that is there is younger
  core::PackedEntryPtr entry;
  std::vector<EntryCache::Miss> misses;
};

Found find_one(EntryCache& cache, CallId call, core::Revision revision, CompanyId company = {1}) {
  Found found;
  found.as_of = cache.find(company, {&call, 1}, revision, {&found.entry, 1}, found.misses);
  return found;
}

TEST(EntryCache, KeepsTheEntryBeforeTheNewestForOlderReaders) {
  EntryCache cache(1 << 20);
  const auto before = entry_of(3);
  const auto after = entry_of(5);
  cache.update({{1}, {7}}, before, after);
  EXPECT_EQ(find_one(cache, {7}, 6).entry, after);
  EXPECT_EQ(find_one(cache, {7}, 5).entry, after);
  EXPECT_EQ(find_one(cache, {7}, 4).entry, before);
  EXPECT_EQ(find_one(cache, {7}, 3).entry, before);
  EXPECT_FALSE(find_one(cache, {7}, 2).as_of);
  EXPECT_EQ(cache.find_newest({{1}, {7}}), after);
  EXPECT_EQ(find_one(cache, {7}, 6, {2}).misses.size(), 1U);  // of another company
}

TEST(EntryCache, DropsAFillThatTheCommitterOvertook) {
  EntryCache cache(1 << 20);
  const Found missed = find_one(cache, {7}, 5);
  ASSERT_EQ(missed.misses.size(), 1U);
  cache.update({{1}, {7}}, entry_of(5), entry_of(6));
  cache.fill({{1}, {7}}, entry_of(5), missed.misses[0].mark);
  EXPECT_EQ(cache.find_newest({{1}, {7}})->newest_revision(), 6U);
}

TEST(EntryCache, FindsManyInTheirPlaces) {
  EntryCache cache(8 << 20);
  std::vector<CallId> calls;
  for (std::uint64_t i = 1; i <= 1000; ++i) calls.push_back({i});
  for (const CallId call : calls) {
    if (call.value % 3 != 0) cache.update({{1}, call}, nullptr, entry_of(1, call.value));
  }
  std::vector<core::PackedEntryPtr> entries(calls.size());
  std::vector<EntryCache::Miss> misses;
  ASSERT_TRUE(cache.find({1}, calls, 1, entries, misses));
  EXPECT_EQ(misses.size(), 333U);
  for (const auto& miss : misses) EXPECT_EQ(calls[miss.place].value % 3, 0U);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    ASSERT_EQ(entries[i] != nullptr, calls[i].value % 3 != 0);
    if (entries[i]) {
      EXPECT_EQ(entries[i]->granted()[0].value, calls[i].value);
    }
  }
}

// Whatever is found is the newest, with room for all and with room for few.
TEST(EntryCache, AgreesWithAMap) {
  for (const std::uint64_t bytes_max : {64ULL << 20, 64ULL << 13, 64ULL << 10, 64ULL * 300, 0ULL}) {
    EntryCache cache(bytes_max);
    std::map<std::uint64_t, core::PackedEntryPtr> model;
    std::mt19937_64 random(bytes_max);
    std::size_t found_count = 0;
    for (core::Revision revision = 1; revision <= 20'000; ++revision) {
      const std::uint64_t call = 1 + random() % 5000;
      if (random() % 2 == 0) {
        auto after = entry_of(revision, random());
        cache.update({{1}, {call}}, model[call], after);
        model[call] = std::move(after);
        continue;
      }
      const Found found = find_one(cache, {call}, kNewest);
      if (found.entry) {
        ++found_count;
        ASSERT_EQ(found.entry, model[call]);
      } else if (model[call]) {
        cache.fill({{1}, {call}}, model[call], found.misses.at(0).mark);
      }
      if (bytes_max >= 64 << 20) {
        ASSERT_EQ(found.entry, model[call]);
      }
      ASSERT_LE(cache.figures().bytes, bytes_max + 64 * 128);
    }
    EXPECT_EQ(found_count > 0, bytes_max > 0);
    EXPECT_EQ(found_count, cache.figures().hits);
    cache.clear();
    EXPECT_EQ(cache.figures().bytes, 0U);
    EXPECT_EQ(find_one(cache, {1}, kNewest).entry, nullptr);
  }
}

TEST(EntryCache, ServesReadersWhileItGrowsAndEvicts) {
  EntryCache cache(64 << 12);
  std::atomic<bool> over{false};
  std::atomic<std::uint64_t> wrong{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&, i] {
      std::mt19937_64 random(i);
      std::vector<CallId> calls(100);
      while (!over) {
        for (CallId& call : calls) call = {1 + random() % 3000};
        std::vector<core::PackedEntryPtr> entries(calls.size());
        std::vector<EntryCache::Miss> misses;
        cache.find({1}, calls, kNewest, entries, misses);
        for (std::size_t k = 0; k < calls.size(); ++k) {
          if (entries[k] && entries[k]->granted()[0].value != calls[k].value) ++wrong;
        }
      }
    });
  }
  std::mt19937_64 random(99);
  for (core::Revision revision = 1; revision <= 30'000; ++revision) {
    const std::uint64_t call = 1 + random() % 3000;
    cache.update({{1}, {call}}, nullptr, entry_of(revision, call));
    if (revision % 10'000 == 0) cache.clear();
  }
  over = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0U);
  EXPECT_GT(cache.figures().evictions, 0U);
}

}  // namespace
}  // namespace earshot::store
