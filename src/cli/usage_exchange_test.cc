#include "cli/usage_exchange.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <span>
#include <thread>
#include <vector>

#include "auth/rate_limit.h"
#include "base/time.h"
#include "model_store.h"

namespace earshot::cli {
namespace {

using namespace std::chrono_literals;

constexpr CompanyId kAcme{1};

void make_requests(auth::RateLimiter& limiter, int count) {
  for (int i = 0; i < count; ++i) {
    EXPECT_FALSE(limiter.check(kAcme, std::chrono::steady_clock::now(), wall_now()));
  }
}

// A store whose usage other threads may look at, and that can be made to hang.
class SlowStore final : public test::ModelStore {
 public:
  std::atomic<std::uint64_t> requests{0};
  std::promise<void> goes_on;
  bool hangs = false;

  Result<std::vector<store::DayUsage>> add_usage(std::span<const store::DayUsage> more) override {
    if (hangs) goes_on.get_future().wait();
    std::vector<store::DayUsage> sums(more.begin(), more.end());
    for (auto& sum : sums) sum.requests += requests.fetch_add(sum.requests);
    return sums;
  }
};

// Of usage alone, as often as the store wants it.
std::vector<ExchangeTask> usage_of(auth::RateLimiter& limiter, store::Store& store) {
  return {{"usage", store.usage_interval(),
           [&] { return limiter.exchange(store, std::chrono::steady_clock::now()); }}};
}

TEST(UsageExchange, TellsTheStoreAgainAndAgain) {
  SlowStore store;
  store.interval = 1ms;
  auth::RateLimiter limiter({.per_second = 0, .per_day = 100});
  UsageExchange exchange(usage_of(limiter, store));
  for (std::uint64_t round = 1; round <= 3; ++round) {
    make_requests(limiter, 2);
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (store.requests < 2 * round && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(1ms);
    }
    EXPECT_EQ(store.requests, 2 * round);
  }
}

TEST(UsageExchange, TellsTheRestWhenItEnds) {
  SlowStore store;
  store.interval = 1h;
  auth::RateLimiter limiter({.per_second = 0, .per_day = 100});
  UsageExchange exchange(usage_of(limiter, store));
  make_requests(limiter, 5);
  EXPECT_TRUE(exchange.stop(10s));
  EXPECT_EQ(store.requests, 5u);
}

TEST(UsageExchange, DoesNotWaitForAStoreThatHangs) {
  SlowStore store;
  store.interval = 1h;
  store.hangs = true;
  auth::RateLimiter limiter({.per_second = 0, .per_day = 100});
  UsageExchange exchange(usage_of(limiter, store));
  make_requests(limiter, 5);
  EXPECT_FALSE(exchange.stop(20ms));
  store.goes_on.set_value();
  EXPECT_TRUE(exchange.stop(10s));
  EXPECT_EQ(store.requests, 5u);
}

TEST(UsageExchange, RunsEachTaskInItsOwnTimeAndAllOfThemAtTheEnd) {
  std::atomic<int> often{0}, seldom{0};
  UsageExchange exchange({{"often", 1ms,
                           [&]() -> Status {
                             ++often;
                             return unavailable("not now");
                           }},
                          {"seldom", 1h, [&]() -> Status {
                             ++seldom;
                             return {};
                           }}});
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (often < 3 && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(1ms);
  EXPECT_GE(often, 3);
  EXPECT_EQ(seldom, 0);
  EXPECT_TRUE(exchange.stop(10s));
  EXPECT_EQ(seldom, 1);
}

}  // namespace
}  // namespace earshot::cli
