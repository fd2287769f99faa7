#include "auth/rate_limit.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace earshot::auth {
namespace {

constexpr std::int64_t kDayMicros = 86'400'000'000;
constexpr std::chrono::seconds kWindow{1};

std::uint32_t day_of(Time time) { return static_cast<std::uint32_t>(time.micros / kDayMicros); }

std::uint32_t seconds_to_midnight(Time now) {
  const std::int64_t left = kDayMicros - now.micros % kDayMicros;
  return static_cast<std::uint32_t>((left + 999'999) / 1'000'000);
}

}  // namespace

RateLimiter::Shard& RateLimiter::shard_of(CompanyId company) {
  // The map uses the low bits of the same hash.
  return shards_[(std::hash<CompanyId>()(company) >> 40) % shards_.size()];
}

// Companies that did not ask of late are forgotten with the day, so memory follows who is active.
void RateLimiter::begin_day(Shard& shard, std::uint32_t day,
                            std::chrono::steady_clock::time_point steady_now) const {
  shard.day = day;
  std::erase_if(shard.companies, [&](const auto& item) {
    const auto& admitted = item.second.admitted;
    return admitted.empty() || std::ranges::max(admitted) + kWindow <= steady_now;
  });
}

std::optional<RateLimiter::Refusal> RateLimiter::check(
    CompanyId company, std::chrono::steady_clock::time_point steady_now, Time now) {
  if (limits_.per_second == 0 && limits_.per_day == 0) return std::nullopt;
  const std::uint32_t day = day_of(now);
  Shard& shard = shard_of(company);
  const std::lock_guard lock(shard.mutex);
  if (shard.day != day) begin_day(shard, day, steady_now);
  Company& state = shard.companies[company];
  if (state.day != day) {
    state.day = day;
    state.requests_today = state.unsaved = 0;
  }
  if (limits_.per_day != 0 && state.requests_today >= limits_.per_day) {
    return Refusal{Limit::day, seconds_to_midnight(now)};
  }
  if (limits_.per_second != 0) {
    if (state.admitted.size() < limits_.per_second) {
      state.admitted.push_back(steady_now);
    } else {
      if (steady_now - state.admitted[state.oldest] < kWindow) return Refusal{Limit::second, 1};
      state.admitted[state.oldest] = steady_now;
      state.oldest = (state.oldest + 1) % state.admitted.size();
    }
  }
  if (limits_.per_day != 0) {
    ++state.requests_today;
    ++state.unsaved;
  }
  return std::nullopt;
}

Status RateLimiter::load(store::Store& store, Time now) {
  if (limits_.per_day == 0) return {};
  const std::uint32_t today = day_of(now);
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    shard.day = today;
  }
  for (const store::DayUsage& usage : TRY(store.load_usage(today))) {
    Shard& shard = shard_of(usage.company);
    const std::lock_guard lock(shard.mutex);
    Company& state = shard.companies[usage.company];
    state.day = today;
    state.requests_today = usage.requests;
  }
  return {};
}

Status RateLimiter::save(store::Store& store) {
  if (limits_.per_day == 0) return {};
  std::vector<store::DayUsage> more;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (auto& [company, state] : shard.companies) {
      if (state.unsaved == 0) continue;
      more.push_back({company, state.day, std::exchange(state.unsaved, 0)});
    }
  }
  if (more.empty()) return {};
  const auto sums = store.add_usage(more);
  if (sums) return {};
  for (const store::DayUsage& usage : more) {
    Shard& shard = shard_of(usage.company);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.companies.find(usage.company);
    if (found == shard.companies.end() || found->second.day != usage.day) continue;
    found->second.unsaved += usage.requests;
  }
  return sums.error();
}

}  // namespace earshot::auth
