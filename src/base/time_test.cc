#include "base/time.h"

#include <gtest/gtest.h>

namespace earshot {
namespace {

constexpr std::int64_t kSecond = 1'000'000;

TEST(ParseTime, ReadsWhatRfc3339Allows) {
  const struct {
    const char* text;
    std::int64_t micros;
  } cases[] = {
      {"1970-01-01T00:00:00Z", 0},
      {"1970-01-01t00:00:00z", 0},
      {"1970-01-01T00:00:00+00:00", 0},
      {"1970-01-01T00:00:00-00:00", 0},
      {"1969-12-31T23:59:59.999999Z", -1},
      {"2026-03-01T10:00:00Z", 1'772'359'200 * kSecond},
      {"2026-03-01T11:00:00.5+01:00", 1'772'359'200 * kSecond + 500'000},
      {"2026-03-01T04:30:00-05:30", 1'772'359'200 * kSecond},
      {"2023-10-17T21:21:39.277+02:00", 1'697'570'499 * kSecond + 277'000},
      {"2000-02-29T00:00:00Z", 951'782'400 * kSecond},
      {"2024-02-29T00:00:00Z", 1'709'164'800 * kSecond},
      {"1970-01-01T00:00:00.1234567899Z", 123'456},
      {"1970-01-01T00:00:00.000001Z", 1},
      {"1970-01-01T23:59:00+23:59", 0},
      {"0001-01-01T00:00:00Z", -62'135'596'800 * kSecond},
      {"9999-12-31T23:59:59.999999Z", 253'402'300'799 * kSecond + 999'999},
  };
  for (const auto& c : cases) {
    const auto time = parse_time(c.text);
    ASSERT_TRUE(time) << c.text;
    EXPECT_EQ(time->micros, c.micros) << c.text;
  }
}

TEST(ParseTime, RefusesEverythingElse) {
  const std::string_view cases[] = {
      "",
      "2026",
      "2026-03-01",
      "2026-03-01T10:00Z",
      "2026-03-01T10:00:00",
      "2026-03-01 10:00:00Z",
      " 2026-03-01T10:00:00Z",
      "2026-03-01T10:00:00Z ",
      "2026-03-01T10:00:00ZZ",
      "2026-03-01T10:00:00.Z",
      "2026-03-01T10:00:00,5Z",
      "2026-03-01T10:00:00+01",
      "2026-03-01T10:00:00+0100",
      "2026-03-01T10:00:00+24:00",
      "2026-03-01T10:00:00+01:60",
      "2026-03-01T10:00:60Z",  // a leap second
      "2026-03-01T10:60:00Z",
      "2026-03-01T24:00:00Z",
      "2026-13-01T10:00:00Z",
      "2026-00-01T10:00:00Z",
      "2026-01-00T10:00:00Z",
      "2026-01-32T10:00:00Z",
      "2026-04-31T10:00:00Z",
      "2026-02-29T10:00:00Z",
      "1900-02-29T10:00:00Z",
      "2100-02-29T10:00:00Z",
      "0000-01-01T00:00:00Z",
      "0001-01-01T00:00:00+00:01",  // before year 1 in UTC
      "9999-12-31T23:59:59-00:01",  // after year 9999 in UTC
      "10000-01-01T00:00:00Z",
      "-001-01-01T00:00:00Z",
      "+2026-03-01T10:00:00Z",
      "2026-3-01T10:00:00Z",
      "2026-03-01T1o:00:00Z",
      std::string_view("2026-03-01T10:00:00Z\0", 21),
      "2026/03/01T10:00:00Z",
  };
  for (const auto text : cases) EXPECT_FALSE(parse_time(text)) << text;
}

TEST(FormatTime, WritesAFractionOnlyWhereThereIsOne) {
  const struct {
    std::int64_t micros;
    const char* text;
  } cases[] = {
      {0, "1970-01-01T00:00:00Z"},
      {1, "1970-01-01T00:00:00.000001Z"},
      {1000, "1970-01-01T00:00:00.001Z"},
      {500'000, "1970-01-01T00:00:00.500Z"},
      {123'450, "1970-01-01T00:00:00.123450Z"},
      {-1, "1969-12-31T23:59:59.999999Z"},
      {1'772'359'200 * kSecond, "2026-03-01T10:00:00Z"},
      {951'868'799 * kSecond, "2000-02-29T23:59:59Z"},
      {-62'135'596'800 * kSecond, "0001-01-01T00:00:00Z"},
      {INT64_MIN, "0001-01-01T00:00:00Z"},
      {INT64_MAX, "9999-12-31T23:59:59.999999Z"},
  };
  for (const auto& c : cases) EXPECT_EQ(format_time({c.micros}), c.text);
}

TEST(FormatTime, IsReadBackAsTheSameTime) {
  // A step that is coprime to seconds, days and years walks through all of their parts.
  for (std::int64_t micros = -62'135'596'800 * kSecond; micros < 253'402'300'800 * kSecond;
       micros += 5'000'003'000'000'017) {
    const auto time = parse_time(format_time({micros}));
    ASSERT_TRUE(time) << micros;
    EXPECT_EQ(time->micros, micros);
  }
}

TEST(WallNow, IsInThisCentury) {
  EXPECT_GT(wall_now(), *parse_time("2020-01-01T00:00:00Z"));
  EXPECT_LT(wall_now(), *parse_time("2100-01-01T00:00:00Z"));
}

}  // namespace
}  // namespace earshot
