#include "cli/usage_exchange.h"

#include "base/log.h"

namespace earshot::cli {

UsageExchange::UsageExchange(auth::RateLimiter& limiter, store::Store& store)
    : limiter_(limiter), store_(store), thread_([this] { run(); }) {}

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
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, store_.usage_interval(), [this] { return is_stopping_; });
      is_last = is_stopping_;
    }
    exchange();
  }
  const std::lock_guard lock(mutex_);
  is_over_ = true;
  changed_.notify_all();
}

// Logs changes alone: exchanges may be many a second.
void UsageExchange::exchange() {
  const auto status = limiter_.exchange(store_, std::chrono::steady_clock::now());
  if (!status && !has_failed_) {
    log(Level::warn, "usage_not_saved", {{"reason", status.error().message}});
  } else if (status && has_failed_) {
    log(Level::info, "usage_saved_again");
  }
  has_failed_ = !status;
}

}  // namespace earshot::cli
