// The thread that tells the store how many requests companies made, and hears what other servers
// counted. A thread of its own, because it waits for the store.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "auth/rate_limit.h"
#include "store/store.h"

namespace earshot::cli {

class UsageExchange {
 public:
  // Begins. Both must outlive it.
  UsageExchange(auth::RateLimiter& limiter, store::Store& store);
  // Ends, as stop() without a limit.
  ~UsageExchange();
  UsageExchange(const UsageExchange&) = delete;
  UsageExchange& operator=(const UsageExchange&) = delete;

  // Makes the last exchange, of all that was counted before. False where the store did not answer
  // in time.
  bool stop(std::chrono::milliseconds time);

 private:
  void run();
  void exchange();

  auth::RateLimiter& limiter_;
  store::Store& store_;
  bool has_failed_ = false;  // of the thread
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_stopping_ = false;  // guarded by mutex_
  bool is_over_ = false;      // guarded by mutex_
  std::thread thread_;        // last: it uses all of the above
};

}  // namespace earshot::cli
