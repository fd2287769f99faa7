// Refused requests on their way to the store: gathered in bounded memory, alike ones as one, and
// brought there by a thread, which also reads them back. No request waits for any of it.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "api/problem.h"
#include "store/store.h"

namespace earshot::api {

// Whether requests that are refused for this reason are kept: where somebody asked for what is not
// theirs, or for too much. Not what is merely malformed, nor what the server could not do.
bool is_kept(Reason reason);

// Of each interval between two times that they are brought to the store.
inline constexpr std::size_t kRefusalsOfCompanyMax = 32;  // unlike ones of one company, or of none
// Of them those that a stranger may cause, so that there is room for the company's own. What stays
// of either in the long run is bounded by the store: store/refusal_bounds.h.
inline constexpr std::size_t kRefusalsOfCredentialsMax = kRefusalsOfCompanyMax / 2;
inline constexpr std::size_t kRefusalsMax = 1024;         // of all in a part; but of
inline constexpr std::size_t kRefusalsSure = 2;           // each company so many come behind that
inline constexpr std::size_t kRefusalCompaniesMax = 512;  // in a part
inline constexpr std::size_t kRefusalDetailBytesMax = 256;
inline constexpr std::size_t kRefusalTextBytesMax = 64;  // of an address

// What is told of those of a company that were one too many.
inline constexpr std::string_view kNotKept = "not_kept";

// Takes in what was refused. Any thread.
class RefusalCollector {
 public:
  // One more; or, of as many unlike ones as may be, only counted. The time of the refusal is of
  // the first of those that are alike. Takes a lock that is nearly always free.
  void add(store::Refusal refusal);

  // All that was added since, by company; at the end of each company's one with the reason
  // kNotKept, where some were only counted.
  std::vector<store::Refusal> take();

  // How many requests were refused and are told nowhere but here, or in a count.
  std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }
  void count_dropped(std::uint64_t requests) {
    dropped_.fetch_add(requests, std::memory_order_relaxed);
  }

 private:
  struct OfCompany {
    std::unordered_map<std::string, store::Refusal> refusals;  // by what makes them alike
    std::size_t credentials = 0;                               // of them, where there is a company
    std::uint64_t dropped = 0;
    Time dropped_since;
  };
  using Companies = std::map<CompanyId, OfCompany>;
  // Each thread adds to one of a few of these.
  struct alignas(64) Part {
    std::mutex mutex;
    Companies companies;    // guarded by mutex
    std::size_t count = 0;  // guarded by mutex
  };
  static constexpr std::size_t kParts = 8;

  Part& own_part();
  static bool merge(OfCompany& company, std::string key, store::Refusal refusal, bool has_room);

  std::array<Part, kParts> parts_;
  std::atomic<std::uint64_t> dropped_{0};
};

class RefusalLog {
 public:
  // Begins. `store` must outlive it, or stop() have been called.
  RefusalLog(store::Store& store, std::chrono::milliseconds interval);
  // Ends, as stop() without a limit.
  ~RefusalLog();
  RefusalLog(const RefusalLog&) = delete;
  RefusalLog& operator=(const RefusalLog&) = delete;

  RefusalCollector& collector() { return collector_; }

  // Has a task done on the thread that waits for the store. Whether it was taken: only so many may
  // wait.
  bool submit(std::function<void()> task);
  static constexpr std::size_t kTasksMax = 64;

  // Brings what was added to the store for the last time, and ends. False where the store did not
  // answer in time.
  bool stop(std::chrono::milliseconds time);
  // The same without a limit; afterwards the store may end.
  void end();

 private:
  void run();
  void bring();

  store::Store& store_;
  const std::chrono::milliseconds interval_;
  RefusalCollector collector_;
  bool has_failed_ = false;  // of the thread
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;  // guarded by mutex_
  bool is_stopping_ = false;                 // guarded by mutex_
  bool is_over_ = false;                     // guarded by mutex_
  std::thread thread_;                       // last: it uses all of the above
};

}  // namespace earshot::api
