#include "auth/rate_limit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "model_store.h"
#include "random_records.h"

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

TEST(RateLimiter, ADayThatWasBegunGoesOn) {
  RateLimiter limiter({.per_second = 0, .per_day = 1});
  const Time midnight{20'001 * kDay};
  EXPECT_FALSE(limiter.check(kAcme, kStart, midnight));
  EXPECT_TRUE(limiter.check(kAcme, kStart, Time{midnight.micros - 1})) << "a clock read before";
  EXPECT_TRUE(limiter.check(kAcme, kStart, midnight));
}

TEST(RateLimiter, TheDaySurvivesARestart) {
  test::ModelStore store;
  {
    RateLimiter limiter({.per_second = 0, .per_day = 3});
    ASSERT_TRUE(limiter.load(store, kStart, kNoon));
    EXPECT_FALSE(limiter.check(kAcme, kStart, kNoon));
    EXPECT_FALSE(limiter.check(kAcme, kStart, kNoon));
    store.failure = unavailable("no");
    EXPECT_FALSE(limiter.exchange(store, kStart));
    store.failure.reset();
    ASSERT_TRUE(limiter.exchange(store, kStart));  // an error did not lose them
    ASSERT_EQ(store.usage.size(), 1u);
    EXPECT_EQ(store.usage[0].requests, 2u);
    EXPECT_EQ(store.usage[0].day, 20'000u);
    store.failure = unavailable("nobody may ask now");
    ASSERT_TRUE(limiter.exchange(store, kStart)) << "nobody made a request since";
    store.failure.reset();
  }
  RateLimiter limiter({.per_second = 0, .per_day = 3});
  ASSERT_TRUE(limiter.load(store, kStart, kNoon));
  EXPECT_FALSE(limiter.check(kAcme, kStart, kNoon));
  EXPECT_TRUE(limiter.check(kAcme, kStart, kNoon));

  RateLimiter tomorrow({.per_second = 0, .per_day = 1});
  const Time next_day{kNoon.micros + kDay};
  ASSERT_TRUE(tomorrow.load(store, kStart, next_day));
  EXPECT_FALSE(tomorrow.check(kAcme, kStart, next_day));
}

TEST(RateLimiter, ADaysLimitHoldsOverServers) {
  test::ModelStore store;
  RateLimiter here({.per_second = 0, .per_day = 10}), there({.per_second = 0, .per_day = 10});
  for (RateLimiter* server : {&here, &there}) ASSERT_TRUE(server->load(store, kStart, kNoon));
  const auto admitted = [&](RateLimiter& server, int count, Time now = kNoon) {
    int sum = 0;
    for (int i = 0; i < count; ++i) sum += !server.check(kAcme, kStart, now);
    return sum;
  };
  EXPECT_EQ(admitted(here, 4), 4);
  EXPECT_EQ(admitted(there, 3), 3);
  ASSERT_TRUE(here.exchange(store, kStart));
  ASSERT_TRUE(there.exchange(store, kStart));
  EXPECT_EQ(admitted(there, 100), 3) << "it knows of the four";
  EXPECT_EQ(admitted(here, 2), 2) << "and the other one of nothing yet";
  ASSERT_TRUE(there.exchange(store, kStart));
  ASSERT_TRUE(here.exchange(store, kStart));
  EXPECT_EQ(admitted(here, 100), 0);
  EXPECT_EQ(store.usage.at(0).requests, 12u) << "beyond the limit by what one exchange was late";

  // Who is refused learns of a new day by itself, and the store keeps the days apart.
  const Time tomorrow{kNoon.micros + kDay};
  EXPECT_EQ(admitted(here, 6, tomorrow), 6);
  ASSERT_TRUE(here.exchange(store, kStart));
  EXPECT_EQ(admitted(there, 1, tomorrow), 1);
  ASSERT_TRUE(there.exchange(store, kStart));
  EXPECT_EQ(admitted(there, 100, tomorrow), 3);
}

TEST(RateLimiter, WhatWasCountedDuringAnExchangeIsNotLost) {
  test::ModelStore store;
  RateLimiter limiter({.per_second = 0, .per_day = 100});
  for (int round = 0; round < 5; ++round) {
    store.failure.reset();
    if (round % 2 == 0) store.failure = unavailable("no");
    for (int i = 0; i < 10; ++i) EXPECT_FALSE(limiter.check(kAcme, kStart, kNoon));
    EXPECT_EQ(limiter.exchange(store, kStart).has_value(), round % 2 != 0);
  }
  store.failure.reset();
  ASSERT_TRUE(limiter.exchange(store, kStart));
  EXPECT_EQ(store.usage.at(0).requests, 50u);
  for (int i = 0; i < 50; ++i) EXPECT_FALSE(limiter.check(kAcme, kStart, kNoon));
  EXPECT_TRUE(limiter.check(kAcme, kStart, kNoon));
}

// Servers of one store in a simulated time: each makes its exchange once an interval, at moments of
// its own, and is asked for one company whenever `asks` says so.
struct Simulation {
  explicit Simulation(std::size_t servers, std::uint32_t per_second) : limit(per_second) {
    for (std::size_t i = 0; i < servers; ++i) {
      limiters.push_back(
          std::make_unique<RateLimiter>(RateLimits{.per_second = per_second, .per_day = 0}));
      EXPECT_TRUE(limiters.back()->load(store, kStart, kNoon));
    }
  }

  void run(int from_ms, int to_ms, const std::function<int(std::size_t, int)>& asks) {
    for (int ms = from_ms; ms < to_ms; ++ms) {
      const Steady now = kStart + milliseconds(ms);
      for (std::size_t i = 0; i < limiters.size(); ++i) {
        for (int n = asks(i, ms); n > 0; --n) {
          if (limiters[i]->check(kAcme, now, kNoon)) continue;
          admitted.push_back(ms);
          if (i == 0) ++admitted_by_first;
        }
        const int offset = static_cast<int>(i) * 77;
        if ((ms + offset) % interval_ms == 0) (void)limiters[i]->exchange(store, now);
      }
    }
  }

  // The most by which a stretch of at least a second passes what one server would admit in it, in
  // parts of the limit.
  double worst_excess() const {
    double worst = 0;
    for (std::size_t from = 0; from < admitted.size(); ++from) {
      for (std::size_t to = from; to < admitted.size(); ++to) {
        const double seconds = (admitted[to] - admitted[from]) / 1000.0;
        const auto count = static_cast<double>(to - from + 1);
        worst = std::max(worst, count / limit - seconds - 1);
      }
    }
    return worst;
  }

  test::ModelStore store;
  std::vector<std::unique_ptr<RateLimiter>> limiters;
  double limit;
  int interval_ms = 250;
  std::vector<int> admitted;  // when, ascending
  int admitted_by_first = 0;
};

TEST(RateLimiter, ASecondsLimitHoldsOverServers) {
  const std::uint64_t seed = test::test_seed();
  SCOPED_TRACE("EARSHOT_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const std::vector<std::function<int(std::size_t, int)>> patterns = {
      [](std::size_t, int) { return 1; },                                       // all the time
      [](std::size_t, int ms) { return ms % 1000 == 0 ? 50 : 0; },              // at once
      [](std::size_t i, int ms) { return ms / 900 % 3 == int(i) ? 2 : 0; },     // one at a time
      [](std::size_t i, int ms) { return i == 0 || ms % 5000 < 700 ? 1 : 0; },  // now and then
      [&](std::size_t, int) { return random() % 40 == 0 ? int(random() % 9) : 0; },
  };
  for (const std::size_t servers : {1, 2, 3}) {
    for (const std::uint32_t limit : {1, 3, 10}) {
      for (std::size_t i = 0; i < patterns.size(); ++i) {
        Simulation simulation(servers, limit);
        simulation.run(0, 30'000, patterns[i]);
        EXPECT_LE(simulation.worst_excess(), static_cast<double>(servers) - 1 + 1e-9)
            << servers << " servers, " << limit << " a second, pattern " << i;
        if (i == 0 || i == 3) {  // somebody asks all the time
          EXPECT_GE(simulation.admitted.size(), 30 * limit * 8 / 10)
              << servers << " servers, " << limit << " a second, pattern " << i;
        }
      }
    }
  }
}

TEST(RateLimiter, WhoWasIdleIsNotHeldBackByWhatOthersDidMeanwhile) {
  Simulation simulation(2, 3);
  simulation.run(0, 60'000, [](std::size_t i, int) { return i == 1 ? 1 : 0; });
  simulation.run(60'000, 60'500, [](std::size_t i, int) { return i == 0 ? 1 : 0; });
  const int first = simulation.admitted_by_first;
  EXPECT_EQ(first, 3);
  simulation.run(60'500, 64'000, [](std::size_t i, int) { return i == 0 ? 1 : 0; });
  EXPECT_GE(simulation.admitted_by_first - first, 6) << "alone, it has the limit to itself";
}

TEST(RateLimiter, AfterALongFailureNobodyWaitsLongerThanAMinute) {
  Simulation simulation(3, 3);
  simulation.store.failure = unavailable("no server answers");
  const auto all = [](std::size_t, int ms) { return ms % 50 == 0 ? 1 : 0; };
  simulation.run(0, 600'000, all);
  EXPECT_EQ(simulation.admitted_by_first, 1800) << "each keeps the limit for itself";
  simulation.store.failure.reset();
  simulation.run(600'000, 662'000, all);
  const std::size_t before = simulation.admitted.size();
  simulation.run(662'000, 672'000, all);
  EXPECT_GE(simulation.admitted.size() - before, 20u);
  EXPECT_LE(simulation.admitted.size() - before, 39u);
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
