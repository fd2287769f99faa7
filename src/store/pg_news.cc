#include "store/pg_news.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cstdint>
#include <span>
#include <vector>

#include "base/assert.h"

namespace earshot::store {

PgNews::PgNews(Loop& loop, PgReader& reader, ChangeWatchers& watchers)
    : loop_(loop), reader_(reader), watchers_(watchers) {
  timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  ASSERT(timer_ >= 0 && loop_.watch(timer_, *this, EPOLLIN));
}

PgNews::~PgNews() {
  loop_.unwatch(timer_);
  ::close(timer_);
}

void PgNews::set_timer(std::chrono::milliseconds every) {
  itimerspec period{};
  period.it_interval.tv_nsec = period.it_value.tv_nsec = std::chrono::nanoseconds(every).count();
  ::timerfd_settime(timer_, 0, &period, nullptr);
}

void PgNews::begin() {
  if (!is_running_) set_timer(kNewsEvery);
  is_running_ = true;
}

void PgNews::on_events(std::uint32_t) {
  std::uint64_t ticks = 0;
  [[maybe_unused]] const auto size = ::read(timer_, &ticks, sizeof ticks);
  const std::vector<CompanyId> companies = watchers_.companies();
  if (companies.empty()) {
    is_running_ = false;
    return set_timer(std::chrono::milliseconds(0));
  }
  if (is_asked_) return;
  is_asked_ = true;
  reader_.find_revisions(companies, [this](std::span<const PgReader::Newest> found) {
    is_asked_ = false;
    for (const auto& [company, revision] : found) watchers_.tell(company, revision);
  });
}

}  // namespace earshot::store
