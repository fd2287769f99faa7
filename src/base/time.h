// Moments on the wall clock and their text (RFC 3339). Durations are measured elsewhere, with
// std::chrono::steady_clock.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace earshot {

// Microseconds since 1970-01-01T00:00:00Z.
struct Time {
  std::int64_t micros = 0;
  friend constexpr auto operator<=>(const Time&, const Time&) = default;
};

// The machine's wall clock. Any thread. It may jump, in both directions.
Time wall_now();

// Where a component reads the time; tests give their own.
using Clock = std::function<Time()>;

// Reads an RFC 3339 date-time with an offset ("2026-03-01T10:00:00Z",
// "2026-03-01T11:00:00.5+01:00"); digits of a fraction beyond the sixth are dropped. Years 0001 to
// 9999; leap seconds (":60") are refused.
std::optional<Time> parse_time(std::string_view text);

// "2026-03-01T10:00:00Z", with a fraction of 3 or 6 digits only where there is one. Moments outside
// the years 0001 to 9999 are written as the first or last of them.
std::string format_time(Time time);

}  // namespace earshot
