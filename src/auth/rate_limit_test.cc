#include "auth/rate_limit.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "model_store.h"

namespace earshot::auth {
namespace {

using std::chrono::milliseconds;
using Steady = std::chrono::steady_clock::time_point;

constexpr std::int64_t kDay = 86'400'000'000;
constexpr Time kNoon{20'000 * kDay + kDay / 2};
constexpr CompanyId kAcme{1};
constexpr CompanyId kOther{2};
const Steady kStart = Steady() + std::chrono::hours(5);

TEST(RateLimiter, WithoutLimitsRefusesNothing) {
  RateLimiter limiter({});
  for (int i = 0; i < 10'000; ++i) ASSERT_FALSE(limiter.check(kAcme, kStart, kNoon));
}

TEST(RateLimiter, AdmitsNoMoreThanTheLimitInAnySecond) {
  RateLimiter limiter({.per_second = 3, .per_day = 0});
  const auto refused_at = [&](int ms, CompanyId company = kAcme) {
    return limiter.check(company, kStart + milliseconds(ms), kNoon).has_value();
  };
  EXPECT_FALSE(refused_at(0));
  EXPECT_FALSE(refused_at(400));
  EXPECT_FALSE(refused_at(900));
  EXPECT_TRUE(refused_at(999));
  EXPECT_FALSE(refused_at(999, kOther));
  EXPECT_FALSE(refused_at(1000));  // the refused one did not count
  EXPECT_TRUE(refused_at(1399));
  EXPECT_FALSE(refused_at(1400));
  EXPECT_TRUE(refused_at(1899));
  EXPECT_FALSE(refused_at(1900));
  const auto refusal = limiter.check(kAcme, kStart + milliseconds(1900), kNoon);
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->limit, RateLimiter::Limit::second);
  EXPECT_EQ(refusal->retry_after_seconds, 1u);
}

TEST(RateLimiter, CountsDaysFromMidnightUtc) {
  RateLimiter limiter({.per_second = 0, .per_day = 2});
  EXPECT_FALSE(limiter.check(kAcme, kStart, kNoon));
  EXPECT_FALSE(limiter.check(kAcme, kStart, kNoon));
  const auto refusal = limiter.check(kAcme, kStart, kNoon);
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->limit, RateLimiter::Limit::day);
  EXPECT_EQ(refusal->retry_after_seconds, 43'200u);
  EXPECT_FALSE(limiter.check(kOther, kStart, kNoon));

  const Time midnight{20'001 * kDay};
  const auto last = limiter.check(kAcme, kStart, Time{midnight.micros - 1});
  ASSERT_TRUE(last);
  EXPECT_EQ(last->retry_after_seconds, 1u);
  EXPECT_FALSE(limiter.check(kAcme, kStart, midnight));
  EXPECT_FALSE(limiter.check(kAcme, kStart, midnight));
  EXPECT_TRUE(limiter.check(kAcme, kStart, midnight));
}

TEST(RateLimiter, KeepsTheSecondAcrossMidnight) {
  RateLimiter limiter({.per_second = 1, .per_day = 0});
  const Time midnight{20'001 * kDay};
  EXPECT_FALSE(limiter.check(kAcme, kStart, Time{midnight.micros - 1}));
  EXPECT_TRUE(limiter.check(kAcme, kStart + milliseconds(1), midnight));
}

TEST(RateLimiter, TheDaySurvivesARestart) {
  test::ModelStore store;
  {
    RateLimiter limiter({.per_second = 0, .per_day = 3});
    ASSERT_TRUE(limiter.load(store, kNoon));
    EXPECT_FALSE(limiter.check(kAcme, kStart, kNoon));
    EXPECT_FALSE(limiter.check(kAcme, kStart, kNoon));
    store.failure = unavailable("no");
    EXPECT_FALSE(limiter.save(store));
    store.failure.reset();
    ASSERT_TRUE(limiter.save(store));  // an error did not lose them
    ASSERT_EQ(store.usage.size(), 1u);
    EXPECT_EQ(store.usage[0].requests, 2u);
    EXPECT_EQ(store.usage[0].day, 20'000u);
    ASSERT_TRUE(limiter.save(store));  // nothing changed since
    EXPECT_EQ(store.usage.size(), 1u);
  }
  RateLimiter limiter({.per_second = 0, .per_day = 3});
  ASSERT_TRUE(limiter.load(store, kNoon));
  EXPECT_FALSE(limiter.check(kAcme, kStart, kNoon));
  EXPECT_TRUE(limiter.check(kAcme, kStart, kNoon));

  RateLimiter tomorrow({.per_second = 0, .per_day = 1});
  const Time next_day{kNoon.micros + kDay};
  ASSERT_TRUE(tomorrow.load(store, next_day));
  EXPECT_FALSE(tomorrow.check(kAcme, kStart, next_day));
}

TEST(RateLimiter, CountsExactlyUnderThreads) {
  RateLimiter limiter({.per_second = 0, .per_day = 1000});
  std::atomic<int> admitted{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 500; ++n) {
        if (!limiter.check(kAcme, kStart, kNoon)) ++admitted;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(admitted, 1000);
}

}  // namespace
}  // namespace earshot::auth
