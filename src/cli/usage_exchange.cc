#include "cli/usage_exchange.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace earshot::cli {

using std::chrono::steady_clock;

UsageExchange::UsageExchange(std::vector<ExchangeTask> tasks) {
  const auto now = steady_clock::now();
  for (ExchangeTask& task : tasks) {
    const auto due = now + task.every;
    tasks_.push_back({std::move(task), due});
  }
  thread_ = std::thread([this] { run(); });
}

UsageExchange::~UsageExchange() {
  stop(std::chrono::milliseconds(0));
  thread_.join();
}

bool UsageExchange::stop(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  is_stopping_ = true;
  changed_.notify_all();
  return changed_.wait_for(lock, time, [this] { return is_over_; });
}

void UsageExchange::run() {
  for (bool is_last = false; !is_last;) {
    auto next = steady_clock::time_point::max();
    for (const Task& task : tasks_) next = std::min(next, task.due);
    {
      std::unique_lock lock(mutex_);
      changed_.wait_until(lock, next, [this] { return is_stopping_; });
      is_last = is_stopping_;
    }
    const auto now = steady_clock::now();
    for (Task& task : tasks_) {
      if (!is_last && task.due > now) continue;
      exchange(task);
      task.due = steady_clock::now() + task.task.every;
    }
  }
  const std::lock_guard lock(mutex_);
  is_over_ = true;
  changed_.notify_all();
}

// Logs changes alone: exchanges may be many a second.
void UsageExchange::exchange(Task& task) {
  const Status status = task.task.run();
  if (!status && !task.has_failed) {
    log(Level::warn, task.task.name + "_not_saved", {{"reason", status.error().message}});
  } else if (status && task.has_failed) {
    log(Level::info, task.task.name + "_saved_again");
  }
  task.has_failed = !status;
}

}  // namespace earshot::cli
