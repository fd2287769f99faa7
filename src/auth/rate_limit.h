// How many requests a company may make. Counts in memory; what was counted is added up in the
// store, so that a restart does not start the day again and all servers of a store count together.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "store/store.h"

namespace earshot::auth {

struct RateLimits {
  std::uint32_t per_second = 0;  // in any stretch of one second; 0: no limit
  std::uint64_t per_day = 0;     // from midnight to midnight UTC; 0: no limit
};

// A sliding window for the second: of any two requests that are N apart, the later comes at least a
// second after the earlier. That is the strictest reading of "N per second", so whoever passes here
// passes a limit that counts otherwise. Requests that are refused do not count. Without limits,
// check() touches no memory that threads share.
//
// One server keeps both limits exactly. Many servers learn of each other's requests at exchange(),
// every store.usage_interval(), and until then each admits by what it knows:
// - A day's limit is passed by at most what the further servers admit from one exchange to the
// next.
// - What others admitted takes its place in the window, later where there is none left. So in any
//   stretch of T seconds all S servers together admit at most N * (T + S), as long as exchanges
//   come through and an interval is no longer than half a second.
// - While exchanges fail each server keeps the limits for itself; at midnight, one interval's
//   requests may not be heard of.
class RateLimiter {
 public:
  enum class Limit : std::uint8_t { second, day };
  struct Refusal {
    Limit limit = Limit::second;
    std::uint32_t retry_after_seconds = 1;
  };

  explicit RateLimiter(RateLimits limits) : limits_(limits) {}
  RateLimiter(const RateLimiter&) = delete;
  RateLimiter& operator=(const RateLimiter&) = delete;

  const RateLimits& limits() const { return limits_; }

  // Counts a request, or says why it must not be answered. Any thread.
  std::optional<Refusal> check(CompanyId company, std::chrono::steady_clock::time_point steady_now,
                               Time now);

  // Takes over what the store knows of today. REQUIRES: before the first check.
  Status load(store::Store& store, std::chrono::steady_clock::time_point steady_now, Time now);

  // Adds to the store what was counted since the last time, and takes over what other servers
  // counted, of each company that made requests; after an error it is all added the next time.
  // Where an error hides that it was added, it counts twice. Waits for the store. One thread at a
  // time; does nothing without limits.
  Status exchange(store::Store& store, std::chrono::steady_clock::time_point steady_now);

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;

  struct Company {
    std::uint32_t day = 0;
    bool is_active = false;     // has asked since the last exchange
    bool has_others = false;    // other servers admitted requests
    std::uint64_t known = 0;    // requests of the day that the store knows of, as last heard
    std::uint64_t sending = 0;  // is being added to them
    std::uint64_t unsent = 0;   // is to be added
    // The newest admissions in a ring of at most per_second; `oldest` is the place to write next
    // once it is full.
    std::vector<SteadyTime> admitted;
    std::size_t oldest = 0;
    // Until when all that was admitted anywhere has used up the limit, if it came evenly: by what
    // is known now, and by what was when others were heard of last.
    SteadyTime used_until;
    SteadyTime used_when_heard;
    SteadyTime heard;

    std::uint64_t requests_today() const { return known + sending + unsent; }
  };
  // Spreads companies so that busy ones seldom wait for each other.
  struct alignas(64) Shard {
    std::mutex mutex;
    std::unordered_map<CompanyId, Company> companies;  // guarded by mutex
    std::vector<CompanyId> active;                     // guarded by mutex; those that are
    std::uint32_t day = 0;                             // guarded by mutex
    SteadyTime begun;                                  // guarded by mutex; the day
  };

  Shard& shard_of(CompanyId company);
  static void begin_day(Shard& shard, std::uint32_t day, SteadyTime steady_now);
  static Company& meet(Shard& shard, CompanyId company);
  std::optional<Refusal> check_second(Company& state, SteadyTime steady_now) const;
  std::chrono::nanoseconds time_of(std::uint64_t requests) const;
  std::vector<store::DayUsage> take_unsent();
  void take_sums(const std::vector<store::DayUsage>& sums, SteadyTime steady_now);
  void take_back(const std::vector<store::DayUsage>& unsent);
  void hear_of(Company& state, std::uint64_t others, std::uint64_t own,
               SteadyTime steady_now) const;

  const RateLimits limits_;
  std::array<Shard, 16> shards_;
};

}  // namespace earshot::auth
