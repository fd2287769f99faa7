#include "base/decimal.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace earshot {
namespace {

void expect_written(std::uint64_t number) {
  char bytes[kDecimalDigitsMax + kDecimalSlack + 1];
  std::memset(bytes, 'x', sizeof bytes);
  const char* const end = write_decimal(bytes, number);
  const std::string expected = std::to_string(number);
  ASSERT_EQ(std::string(bytes, static_cast<std::size_t>(end - bytes)), expected);
  // Nothing behind the slack is touched.
  for (std::size_t i = expected.size() + kDecimalSlack; i < sizeof bytes; ++i) {
    ASSERT_EQ(bytes[i], 'x') << number;
  }
}

TEST(WriteDecimal, WritesEveryNumberOfUpToSixDigits) {
  for (std::uint64_t number = 0; number < 1'000'000; ++number) expect_written(number);
}

TEST(WriteDecimal, WritesNumbersAroundEveryPowerOfTen) {
  for (std::uint64_t power = 1;; power *= 10) {
    for (std::uint64_t by = 0; by < 1000; ++by) {
      expect_written(power + by);
      expect_written(power - by);  // of small powers around the end of 64 bits
      expect_written(power * 9 + by);
    }
    if (power == 10'000'000'000'000'000'000U) break;
  }
  expect_written(UINT64_MAX);
}

TEST(WriteDecimal, WritesNumbersOfAllLengths) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 1'000'000; ++i) expect_written(random() >> (random() % 64));
}

}  // namespace
}  // namespace earshot
