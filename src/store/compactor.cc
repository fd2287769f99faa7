#include "store/compactor.h"

#include <algorithm>
#include <array>

#include "base/log.h"

namespace earshot::store {
namespace {

// Markers went where the record was cut. All rows of the company are rewritten for them, so that is
// done once what was cut is worth so much of them.
constexpr std::uint64_t kRowsToCut = 4;

}  // namespace

Compactor::Compactor(Rocks& rocks, CompactorOptions options)
    : rocks_(rocks),
      options_(options),
      last_(std::chrono::steady_clock::now()),
      thread_([this] { work(); }) {}

Compactor::~Compactor() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_.store(true);
  }
  changed_.notify_all();
  thread_.join();
}

void Compactor::add(const std::vector<CutRange>& ranges) {
  if (ranges.empty()) return;
  const std::lock_guard lock(mutex_);
  for (const CutRange& range : ranges) {
    Waiting& waiting = waiting_[range.company];
    waiting.horizon = std::max(waiting.horizon, range.horizon);
    if (is_worth(waiting.bytes)) bytes_ -= waiting.bytes;
    waiting.bytes += range.bytes;
    if (is_worth(waiting.bytes)) bytes_ += waiting.bytes;
    waiting.bytes_of_rows += range.bytes;
  }
  changed_.notify_all();
}

bool Compactor::is_worth(std::uint64_t bytes) const {
  return bytes > 0 && bytes >= std::min(options_.bytes, kCompactedAloneMin);
}

bool Compactor::is_due() const {
  return bytes_ >= options_.bytes ||
         (bytes_ > 0 && std::chrono::steady_clock::now() - last_ >= options_.every);
}

void Compactor::work() {
  std::unique_lock lock(mutex_);
  while (!is_stopping_) {
    if (!is_due()) {
      changed_.wait_for(
          lock, std::min<std::chrono::milliseconds>(options_.every, std::chrono::minutes(1)));
      continue;
    }
    // Copied: meanwhile more is cut.
    std::map<CompanyId, Waiting> due;
    for (auto& [company, waiting] : waiting_) {
      if (!is_worth(waiting.bytes)) continue;
      due.emplace(company, waiting);
      waiting.bytes = 0;
    }
    bytes_ = 0;
    lock.unlock();
    for (auto& [company, waiting] : due) {
      if (is_stopping_) return;
      const auto begun = std::chrono::steady_clock::now();
      compact(company, waiting);
      rounds_.fetch_add(1, std::memory_order_relaxed);
      rest(std::chrono::steady_clock::now() - begun);
    }
    lock.lock();
    for (const auto& [company, waiting] : due) {
      const auto known = waiting_.find(company);
      known->second.bytes_of_rows -= waiting.bytes_of_rows;
      if (known->second.bytes == 0 && known->second.bytes_of_rows == 0) waiting_.erase(known);
    }
    last_ = std::chrono::steady_clock::now();
  }
}

// Leaves in bytes_of_rows what the rows were rewritten for.
void Compactor::compact(CompanyId company, Waiting& waiting) {
  const std::string begin = encode_company_prefix(company);
  std::string behind = begin;
  behind.append(kThingPrefixBytes + sizeof(std::uint64_t), '\xFF');
  compact_range(Family::changes, begin, encode_key(ChangeKey{company, waiting.horizon + 1, 0}));
  compact_range(Family::directory, begin, behind);
  std::array<rocksdb::Range, 1> range{rocksdb::Range(slice(begin), slice(behind))};
  std::uint64_t rows_bytes = 0;
  for (const Family family : {Family::calls, Family::by_user}) {
    std::uint64_t bytes = 0;
    rocksdb::SizeApproximationOptions sizes;
    sizes.include_memtables = true;
    rocks_.db().GetApproximateSizes(sizes, rocks_.family(family), range.data(), 1, &bytes);
    rows_bytes += bytes;
  }
  if (waiting.bytes_of_rows < rows_bytes / kRowsToCut) {
    waiting.bytes_of_rows = 0;
    return;
  }
  for (const Family family : {Family::calls, Family::by_user}) compact_range(family, begin, behind);
}

void Compactor::compact_range(Family family, std::string_view begin, std::string_view end) {
  rocksdb::CompactRangeOptions options;
  // Others go on, and so do the compactions that RocksDB does by itself.
  options.exclusive_manual_compaction = false;
  // What is cut has mostly come to the last level, which is left alone else.
  options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
  options.canceled = &is_stopping_;
  const rocksdb::Slice from = slice(begin), to = slice(end);
  const rocksdb::Status done = rocks_.db().CompactRange(options, rocks_.family(family), &from, &to);
  if (done.ok() || is_stopping_) return;
  // The files stay as they are until RocksDB rewrites them.
  log(Level::error, "compaction_failed", {{"error", done.ToString()}});
}

void Compactor::rest(std::chrono::steady_clock::duration worked) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, worked * options_.rests, [this] { return is_stopping_.load(); });
}

}  // namespace earshot::store
