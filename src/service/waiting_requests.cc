#include "service/waiting_requests.h"

#include <algorithm>

namespace earshot::service {

WaitingRequests::WaitingRequests(Limits limits)
    : places_max_{limits.directory, limits.keys, limits.strangers}, thread_([this] { run(); }) {}

WaitingRequests::~WaitingRequests() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::optional<WaitingRequests::Place> WaitingRequests::take_place(Kind kind, CompanyId company) {
  const auto at = static_cast<std::size_t>(kind);
  const std::size_t all_max = places_max_[at];
  const std::size_t company_max =
      kind == Kind::strangers ? all_max : std::max<std::size_t>(all_max / kCompanyPart, 1);
  const std::lock_guard lock(mutex_);
  Taken& taken = taken_[at];
  if (taken.all >= all_max) return std::nullopt;
  const auto own = taken.by_company.try_emplace(company).first;
  if (own->second >= company_max) return std::nullopt;
  ++own->second;
  ++taken.all;
  return Place(*this, kind, company);
}

void WaitingRequests::leave(Kind kind, CompanyId company) {
  const std::lock_guard lock(mutex_);
  Taken& taken = taken_[static_cast<std::size_t>(kind)];
  --taken.all;
  const auto own = taken.by_company.find(company);
  if (--own->second == 0) taken.by_company.erase(own);
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
      do {
        last_ = (last_ + 1) % kKinds;
      } while (jobs_[last_].empty());
      auto& jobs = jobs_[last_];
      job = std::move(jobs.front());
      jobs.pop_front();
      is_running_ = true;
    }
    job->work();
  }
}

}  // namespace earshot::service
