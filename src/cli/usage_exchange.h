// The thread that exchanges with the store, now and then, what a server counts and notes without
// waiting for it: requests for limits, when keys were used. A thread of its own, because it waits
// for the store.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"

namespace earshot::cli {

// One of the things that are exchanged.
struct ExchangeTask {
  std::string name;  // for the log: "usage" makes usage_not_saved and usage_saved_again
  std::chrono::milliseconds every{};
  // All that there was when it is called. What an error left is for the next time.
  std::function<Status()> run;
};

class UsageExchange {
 public:
  // Begins. What the tasks use must outlive it.
  explicit UsageExchange(std::vector<ExchangeTask> tasks);
  // Ends, as stop() without a limit.
  ~UsageExchange();
  UsageExchange(const UsageExchange&) = delete;
  UsageExchange& operator=(const UsageExchange&) = delete;

  // Makes the last exchange, of all that there was before. False where the store did not answer in
  // time.
  bool stop(std::chrono::milliseconds time);

 private:
  struct Task {
    ExchangeTask task;
    std::chrono::steady_clock::time_point due;
    bool has_failed = false;
  };
  void run();
  static void exchange(Task& task);

  std::vector<Task> tasks_;  // of the thread
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_stopping_ = false;  // guarded by mutex_
  bool is_over_ = false;      // guarded by mutex_
  std::thread thread_;        // last: it uses all of the above
};

}  // namespace earshot::cli
