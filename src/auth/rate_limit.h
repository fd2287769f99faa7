// How many requests a company may make. Counts in memory; the counts of the day also live in the
// store, so that a restart does not start the day again.
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
  Status load(store::Store& store, Time now);

  // Adds to the store what was counted since the last time; after an error it is added the next
  // time. Waits for the store. One thread at a time; does nothing where no limit for the day is
  // set.
  Status save(store::Store& store);

 private:
  struct Company {
    std::uint32_t day = 0;
    std::uint64_t requests_today = 0;
    std::uint64_t unsaved = 0;  // of them, the store does not know yet
    // The newest admissions in a ring of at most per_second; `oldest` is the place to write next
    // once it is full.
    std::vector<std::chrono::steady_clock::time_point> admitted;
    std::size_t oldest = 0;
  };
  // Spreads companies so that busy ones seldom wait for each other.
  struct alignas(64) Shard {
    std::mutex mutex;
    std::unordered_map<CompanyId, Company> companies;  // guarded by mutex
    std::uint32_t day = 0;                             // guarded by mutex
  };

  Shard& shard_of(CompanyId company);
  void begin_day(Shard& shard, std::uint32_t day,
                 std::chrono::steady_clock::time_point steady_now) const;

  const RateLimits limits_;
  std::array<Shard, 16> shards_;
};

}  // namespace earshot::auth
