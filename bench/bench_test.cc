// The arithmetic of the benches: histogram, schedule, and who is in the data.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>
#include <vector>

#include "histogram.h"
#include "population.h"
#include "schedule.h"

namespace {

using namespace earshot::bench;

TEST(Histogram, OfNothingSaysZero) {
  const Histogram histogram;
  EXPECT_EQ(histogram.percentile(50), 0U);
  EXPECT_EQ(histogram.max(), 0U);
  EXPECT_EQ(histogram.mean(), 0);
}

TEST(Histogram, IsExactForSmallValues) {
  Histogram histogram;
  for (std::uint64_t value = 1; value <= 200; ++value) histogram.add(value);
  EXPECT_EQ(histogram.percentile(50), 100U);
  EXPECT_EQ(histogram.percentile(99), 198U);
  EXPECT_EQ(histogram.percentile(99.9), 200U);
  EXPECT_EQ(histogram.percentile(100), 200U);
  EXPECT_EQ(histogram.percentile(0), 1U);
}

TEST(Histogram, PercentilesAreWithinTheirBucketOfSortedValues) {
  Draws draws(7);
  Histogram histogram;
  std::vector<std::uint64_t> values;
  for (int i = 0; i < 100'000; ++i) {
    const auto value = static_cast<std::uint64_t>(std::exp(draws.share() * 40));
    values.push_back(value);
    histogram.add(value);
  }
  std::sort(values.begin(), values.end());
  for (const double percent : {1.0, 10.0, 50.0, 90.0, 99.0, 99.9, 99.99}) {
    const auto exact = static_cast<double>(
        values[static_cast<std::size_t>(std::ceil(percent / 100 * 100'000)) - 1]);
    const auto found = static_cast<double>(histogram.percentile(percent));
    EXPECT_GE(found, exact) << percent;
    EXPECT_LE(found, exact * (1 + 1.0 / 128) + 1) << percent;
  }
  EXPECT_EQ(histogram.percentile(100), values.back());
  EXPECT_EQ(histogram.count(), values.size());
}

TEST(Histogram, TakesTheGreatestNumbers) {
  Histogram histogram;
  histogram.add(~std::uint64_t{0});
  histogram.add(std::uint64_t{1} << 63);
  EXPECT_EQ(histogram.percentile(100), ~std::uint64_t{0});
  EXPECT_GE(histogram.percentile(50), std::uint64_t{1} << 63);
}

TEST(Schedule, ConstantArrivalsKeepTheirDistance) {
  Schedule schedule(1000, Arrivals::constant, 1);
  for (std::uint64_t i = 1; i <= 10'000; ++i) ASSERT_EQ(schedule.next(), i * 1'000'000);
}

TEST(Schedule, PoissonArrivalsHaveTheRateAndItsSpread) {
  Schedule schedule(50'000, Arrivals::poisson, 1);
  constexpr int kCount = 200'000;
  std::vector<double> gaps;
  std::uint64_t last = 0;
  for (int i = 0; i < kCount; ++i) {
    const std::uint64_t at = schedule.next();
    ASSERT_GE(at, last);
    gaps.push_back(static_cast<double>(at - last));
    last = at;
  }
  double mean = 0, square = 0;
  for (const double gap : gaps) mean += gap / kCount;
  for (const double gap : gaps) square += (gap - mean) * (gap - mean) / kCount;
  EXPECT_NEAR(mean, 20'000, 200);
  EXPECT_NEAR(std::sqrt(square) / mean, 1, 0.02) << "the spread of an exponential is its mean";
}

TEST(Draws, AreEvenAndBelowTheirBound) {
  Draws draws(3);
  std::vector<int> found(10);
  for (int i = 0; i < 100'000; ++i) ++found.at(draws.below(10));
  for (const int count : found) EXPECT_NEAR(count, 10'000, 500);
}

TEST(Population, IdsAreDistinctAndEquallyLong) {
  std::set<std::uint64_t> ids;
  for (std::uint64_t company = 1; company <= 3; ++company) {
    for (std::uint64_t i = 0; i < 5000; ++i) ids.insert(user_id(company, i));
    for (std::uint64_t i = 0; i < 20'000; ++i) ids.insert(call_id(company, i));
  }
  EXPECT_EQ(ids.size(), 75'000U);
  for (const auto id : ids) ASSERT_EQ(std::to_string(id).size(), kIdDigits);
}

TEST(Population, GrantsOfACallAreDistinctAndNewPairsAreNoneOfThem) {
  constexpr std::uint64_t kCalls = 50;
  std::set<std::pair<std::uint64_t, std::uint64_t>> pairs;
  for (std::uint64_t call = 0; call < kCalls; ++call) {
    for (std::uint64_t n = 0; n < 5; ++n) pairs.emplace(call, listener_of_grant(1, call, n));
  }
  EXPECT_EQ(pairs.size(), kCalls * 5);
  const NewPairs fresh(kCalls);
  for (std::uint64_t n = 0; n < kCalls * kListeners / 2; ++n) {
    ASSERT_TRUE(pairs.insert(fresh.at(n)).second) << n;
  }
}

}  // namespace
