// Gives back to the disk what retention has cut: rewrites the files that held it, on a thread of
// its own.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "store/retention.h"
#include "store/rocks.h"

namespace earshot::store {

// A company of which less than this was cut, or less than CompactorOptions::bytes, is left to the
// compactions that RocksDB does by itself: its rows are in files with those of others.
inline constexpr std::uint64_t kCompactedAloneMin = 16 << 20;

struct CompactorOptions {
  // Files are rewritten once so much was cut of companies with enough of it, and of less, so long
  // after the last time.
  std::uint64_t bytes = 64 << 20;
  std::chrono::milliseconds every{3'600'000};
  // It rests as many times as long as it was at work, so that others have the disk.
  int rests = 1;
};

class Compactor {
 public:
  // `rocks` must outlive it.
  Compactor(Rocks& rocks, CompactorOptions options);
  // Ends what is under way.
  ~Compactor();
  Compactor(const Compactor&) = delete;
  Compactor& operator=(const Compactor&) = delete;

  // Takes note of what was cut. Any thread; does not wait.
  void add(const std::vector<CutRange>& ranges);

  // How often the files of a company were rewritten.
  std::uint64_t rounds() const { return rounds_.load(std::memory_order_relaxed); }

 private:
  // What was cut of a company, since its files were rewritten.
  struct Waiting {
    core::Revision horizon = 0;
    std::uint64_t bytes = 0;          // of the record: `changes` and `directory`
    std::uint64_t bytes_of_rows = 0;  // and since `calls` and `by_user` were
  };

  void work();
  bool is_due() const;  // REQUIRES: mutex_ is held
  bool is_worth(std::uint64_t bytes) const;
  void compact(CompanyId company, Waiting& waiting);
  void compact_range(Family family, std::string_view begin, std::string_view end);
  void rest(std::chrono::steady_clock::duration worked);

  Rocks& rocks_;
  const CompactorOptions options_;
  std::atomic<bool> is_stopping_{false};
  std::atomic<std::uint64_t> rounds_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<CompanyId, Waiting> waiting_;          // guarded by mutex_
  std::uint64_t bytes_ = 0;                       // guarded by mutex_: of those that are worth it
  std::chrono::steady_clock::time_point last_{};  // guarded by mutex_
  std::thread thread_;                            // last: it uses all of the above
};

}  // namespace earshot::store
