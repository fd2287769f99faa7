#include "auth/rate_limit.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace earshot::auth {
namespace {

using Steady = std::chrono::steady_clock::time_point;

constexpr std::int64_t kDayMicros = 86'400'000'000;
constexpr std::chrono::seconds kWindow{1};
// How long a company pays back at most. More than any number of servers comes to in an interval is
// used up ahead only after exchanges have failed for long, and that is no fault of the company.
constexpr std::chrono::seconds kAheadMax{60};

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
void RateLimiter::begin_day(Shard& shard, std::uint32_t day, Steady steady_now) {
  shard.day = day;
  shard.begun = steady_now;
  std::erase_if(shard.companies, [&](const auto& item) {
    const auto& admitted = item.second.admitted;
    return admitted.empty() || std::ranges::max(admitted) + kWindow <= steady_now;
  });
  for (auto& [company, state] : shard.companies) state.is_active = false;
  shard.active.clear();
}

// The company's counts of the shard's day.
RateLimiter::Company& RateLimiter::meet(Shard& shard, CompanyId company) {
  Company& state = shard.companies[company];
  if (state.day != shard.day) {
    state.day = shard.day;
    state.known = state.sending = state.unsent = 0;
    state.heard = shard.begun;
  }
  return state;
}

std::optional<RateLimiter::Refusal> RateLimiter::check(CompanyId company, Steady steady_now,
                                                       Time now) {
  if (limits_.per_second == 0 && limits_.per_day == 0) return std::nullopt;
  const std::uint32_t day = day_of(now);
  Shard& shard = shard_of(company);
  const std::lock_guard lock(shard.mutex);
  // Close to midnight another thread's clock may be read first; a day that was begun goes on.
  if (shard.day != day && shard.day != day + 1) begin_day(shard, day, steady_now);
  Company& state = meet(shard, company);
  // Who is refused is active, too: what others admit is why.
  if (!std::exchange(state.is_active, true)) shard.active.push_back(company);
  if (limits_.per_day != 0 && state.requests_today() >= limits_.per_day) {
    return Refusal{Limit::day, seconds_to_midnight(now)};
  }
  if (limits_.per_second != 0) {
    if (const auto refusal = check_second(state, steady_now)) return refusal;
  }
  ++state.unsent;
  return std::nullopt;
}

std::optional<RateLimiter::Refusal> RateLimiter::check_second(Company& state,
                                                              Steady steady_now) const {
  const bool is_full = state.admitted.size() == limits_.per_second;
  Steady due = Steady::min();
  if (is_full) due = state.admitted[state.oldest] + kWindow;
  // The bucket of all servers takes a second's requests at once.
  if (state.has_others) due = std::max(due, state.used_until + time_of(1) - kWindow);
  if (due > steady_now) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(due - steady_now).count();
    return Refusal{Limit::second, static_cast<std::uint32_t>(seconds)};
  }
  if (is_full) {
    state.admitted[state.oldest] = steady_now;
    state.oldest = (state.oldest + 1) % state.admitted.size();
  } else {
    state.admitted.push_back(steady_now);
  }
  state.used_until = std::max(state.used_until, steady_now) + time_of(1);
  return std::nullopt;
}

// How long the limit takes for so many requests; rounded down.
std::chrono::nanoseconds RateLimiter::time_of(std::uint64_t requests) const {
  constexpr std::uint64_t kNanos = 1'000'000'000;
  constexpr std::uint64_t kSecondsMax = 1'000'000'000;  // times may be added to
  const std::uint64_t limit = limits_.per_second;
  const std::uint64_t seconds = std::min(requests / limit, kSecondsMax);
  const std::uint64_t rest = requests % limit * kNanos / limit;
  return std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * kNanos + rest));
}

Status RateLimiter::load(store::Store& store, Steady steady_now, Time now) {
  if (limits_.per_second == 0 && limits_.per_day == 0) return {};
  const std::uint32_t today = day_of(now);
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    begin_day(shard, today, steady_now);
  }
  for (const store::DayUsage& usage : TRY(store.load_usage(today))) {
    Shard& shard = shard_of(usage.company);
    const std::lock_guard lock(shard.mutex);
    meet(shard, usage.company).known = usage.requests;
  }
  return {};
}

Status RateLimiter::exchange(store::Store& store, Steady steady_now) {
  const auto unsent = take_unsent();
  if (unsent.empty()) return {};
  const auto sums = store.add_usage(unsent);
  if (!sums) {
    take_back(unsent);
    return sums.error();
  }
  take_sums(*sums, steady_now);
  return {};
}

std::vector<store::DayUsage> RateLimiter::take_unsent() {
  std::vector<store::DayUsage> unsent;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (const CompanyId company : shard.active) {
      Company& state = shard.companies[company];
      state.is_active = false;
      state.sending = std::exchange(state.unsent, 0);
      unsent.push_back({company, state.day, state.sending});
    }
    shard.active.clear();
  }
  return unsent;
}

void RateLimiter::take_back(const std::vector<store::DayUsage>& unsent) {
  for (const store::DayUsage& usage : unsent) {
    Shard& shard = shard_of(usage.company);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.companies.find(usage.company);
    if (found == shard.companies.end() || found->second.day != usage.day) continue;
    Company& state = found->second;
    state.unsent += std::exchange(state.sending, 0);
    if (!std::exchange(state.is_active, true)) shard.active.push_back(usage.company);
  }
}

void RateLimiter::take_sums(const std::vector<store::DayUsage>& sums, Steady steady_now) {
  for (const store::DayUsage& sum : sums) {
    Shard& shard = shard_of(sum.company);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.companies.find(sum.company);
    if (found == shard.companies.end() || found->second.day != sum.day) continue;
    Company& state = found->second;
    const std::uint64_t own = std::exchange(state.sending, 0);
    const std::uint64_t expected = state.known + own;
    const std::uint64_t others = sum.requests > expected ? sum.requests - expected : 0;
    state.known = sum.requests;
    if (limits_.per_second != 0) hear_of(state, others, own, steady_now);
  }
}

// Others' requests count from when they were heard of last, and this server's own since then with
// them: so whoever has not asked for an hour does not pay for what others did in that hour.
void RateLimiter::hear_of(Company& state, std::uint64_t others, std::uint64_t own,
                          Steady steady_now) const {
  state.has_others |= others > 0;
  if (others == 0) {
    state.used_when_heard = state.used_until - time_of(state.unsent);
  } else {
    const Steady from = std::max(state.used_when_heard, state.heard);
    state.used_when_heard = std::min(from + time_of(others) + time_of(own), steady_now + kAheadMax);
    state.used_until = std::max(state.used_until, state.used_when_heard + time_of(state.unsent));
  }
  state.heard = steady_now;
}

}  // namespace earshot::auth
