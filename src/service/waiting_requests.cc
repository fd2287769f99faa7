#include "service/waiting_requests.h"

#include <algorithm>

namespace earshot::service {

WaitingRequests::WaitingRequests(Limits limits)
    : places_max_{limits.directory, limits.keys}, thread_([this] { run(); }) {}

WaitingRequests::~WaitingRequests() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::optional<WaitingRequests::Place> WaitingRequests::take_place(Kind kind) {
  const auto at = static_cast<std::size_t>(kind);
  const std::lock_guard lock(mutex_);
  if (taken_[at] >= places_max_[at]) return std::nullopt;
  ++taken_[at];
  return Place(*this, kind);
}

void WaitingRequests::leave(Kind kind) {
  const std::lock_guard lock(mutex_);
  --taken_[static_cast<std::size_t>(kind)];
}

void WaitingRequests::submit(Place place, std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    const auto at = static_cast<std::size_t>(place.kind_);
    jobs_[at].push_back({std::move(place), std::move(work)});
  }
  changed_.notify_all();
}

bool WaitingRequests::is_idle() const {
  return !is_running_ && std::ranges::all_of(jobs_, [](const auto& jobs) { return jobs.empty(); });
}

bool WaitingRequests::wait_until_idle(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, time, [this] { return is_idle(); });
}

void WaitingRequests::run() {
  for (;;) {
    std::optional<Job> job;
    {
      std::unique_lock lock(mutex_);
      is_running_ = false;
      changed_.notify_all();
      changed_.wait(lock, [this] { return is_stopping_ || !is_idle(); });
      if (is_idle()) return;
      auto& jobs = jobs_[jobs_[static_cast<std::size_t>(Kind::keys)].empty() ? 0 : 1];
      job = std::move(jobs.front());
      jobs.pop_front();
      is_running_ = true;
    }
    job->work();
  }
}

}  // namespace earshot::service
