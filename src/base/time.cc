#include "base/time.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>

namespace earshot {
namespace {

constexpr std::int64_t kSecondsPerDay = 86'400;
constexpr std::int64_t kMicrosPerSecond = 1'000'000;

// Days between 1970-01-01 and a date of the proleptic Gregorian calendar.
constexpr std::int64_t days_from_civil(int year, int month, int day) {
  const std::chrono::year_month_day date{std::chrono::year{year},
                                         std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  return std::chrono::sys_days{date}.time_since_epoch().count();
}

// The moments that have a text: years 0001 to 9999.
constexpr Time kFirstTime{days_from_civil(1, 1, 1) * kSecondsPerDay * kMicrosPerSecond};
constexpr Time kLastTime{days_from_civil(10'000, 1, 1) * kSecondsPerDay * kMicrosPerSecond - 1};

bool is_date(int year, int month, int day) {
  return std::chrono::year_month_day{std::chrono::year{year},
                                     std::chrono::month{static_cast<unsigned>(month)},
                                     std::chrono::day{static_cast<unsigned>(day)}}
      .ok();
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Reads a text from its beginning; once something did not fit, everything after fails too.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  int take_digits(std::size_t count) {
    if (rest_.size() < count) return fail();
    int number = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (!is_digit(rest_[i])) return fail();
      number = number * 10 + (rest_[i] - '0');
    }
    rest_.remove_prefix(count);
    return number;
  }

  // One character out of the choice, or NUL.
  char take_one_of(std::string_view choice) {
    if (rest_.empty() || choice.find(rest_[0]) == choice.npos) return static_cast<char>(fail());
    const char c = rest_[0];
    rest_.remove_prefix(1);
    return c;
  }

  bool next_is(char c) const { return !rest_.empty() && rest_[0] == c; }

  // One or more digits after a decimal point, as microseconds.
  int take_fraction() {
    int micros = 0;
    std::size_t size = 0;
    for (; size < rest_.size() && is_digit(rest_[size]); ++size) {
      if (size < 6) micros = micros * 10 + (rest_[size] - '0');
    }
    if (size == 0) return fail();
    for (std::size_t i = size; i < 6; ++i) micros *= 10;
    rest_.remove_prefix(size);
    return micros;
  }

  bool finished_well() const { return !failed_ && rest_.empty(); }

 private:
  int fail() {
    failed_ = true;
    rest_ = {};
    return 0;
  }

  std::string_view rest_;
  bool failed_ = false;
};

}  // namespace

Time wall_now() {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return {std::chrono::duration_cast<std::chrono::microseconds>(since_epoch).count()};
}

std::optional<Time> parse_time(std::string_view text) {
  Scanner scanner(text);
  const int year = scanner.take_digits(4);
  scanner.take_one_of("-");
  const int month = scanner.take_digits(2);
  scanner.take_one_of("-");
  const int day = scanner.take_digits(2);
  scanner.take_one_of("Tt");
  const int hour = scanner.take_digits(2);
  scanner.take_one_of(":");
  const int minute = scanner.take_digits(2);
  scanner.take_one_of(":");
  const int second = scanner.take_digits(2);
  int micros = 0;
  if (scanner.next_is('.')) {
    scanner.take_one_of(".");
    micros = scanner.take_fraction();
  }
  int offset_minutes = 0;
  const char zone = scanner.take_one_of("Zz+-");
  if (zone == '+' || zone == '-') {
    const int offset_hour = scanner.take_digits(2);
    scanner.take_one_of(":");
    const int offset_minute = scanner.take_digits(2);
    if (offset_hour > 23 || offset_minute > 59) return std::nullopt;
    offset_minutes = (offset_hour * 60 + offset_minute) * (zone == '+' ? 1 : -1);
  }
  if (!scanner.finished_well() || !is_date(year, month, day)) return std::nullopt;
  if (hour > 23 || minute > 59 || second > 59) return std::nullopt;

  const std::int64_t seconds = days_from_civil(year, month, day) * kSecondsPerDay + hour * 3600 +
                               (minute - offset_minutes) * 60 + second;
  const Time time{seconds * kMicrosPerSecond + micros};
  // An offset can carry the first and the last day out of the years that have a text.
  if (time < kFirstTime || time > kLastTime) return std::nullopt;
  return time;
}

std::string format_time(Time time) {
  using std::chrono::floor;
  const std::chrono::sys_time<std::chrono::microseconds> moment{
      std::chrono::microseconds{std::clamp(time, kFirstTime, kLastTime).micros}};
  const auto midnight = floor<std::chrono::days>(moment);
  const std::chrono::year_month_day date{midnight};
  const std::int64_t in_day = (moment - midnight).count();
  const std::int64_t seconds = in_day / kMicrosPerSecond;
  const std::int64_t micros = in_day % kMicrosPerSecond;

  std::string text = "0000-00-00T00:00:00.000000Z";
  const auto write = [&text](std::size_t at, int digits, std::int64_t number) {
    for (; digits > 0; --digits, number /= 10) {
      text[at + static_cast<std::size_t>(digits) - 1] = static_cast<char>('0' + number % 10);
    }
  };
  write(0, 4, static_cast<int>(date.year()));
  write(5, 2, static_cast<unsigned>(date.month()));
  write(8, 2, static_cast<unsigned>(date.day()));
  write(11, 2, seconds / 3600);
  write(14, 2, seconds / 60 % 60);
  write(17, 2, seconds % 60);
  constexpr std::size_t kPointAt = 19;
  constexpr std::size_t kMillisEnd = 23;
  constexpr std::size_t kMicrosEnd = 26;
  write(kPointAt + 1, 6, micros);
  text.resize(micros % 1000 != 0 ? kMicrosEnd : micros != 0 ? kMillisEnd : kPointAt);
  text += 'Z';
  return text;
}

}  // namespace earshot
