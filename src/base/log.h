// The log: one JSON object a line, on standard error, written by a thread of its own. Not for
// secrets, and not for the record of changes.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

namespace earshot {

enum class Level : std::uint8_t { info, warn, error };

// A name and what it is; refers to the texts, so it lives no longer than the call it is an argument
// of.
struct LogField {
  template <std::convertible_to<std::string_view> Text>
  LogField(std::string_view field_name, const Text& text)
      : name(field_name), value(std::string_view(text)) {}
  LogField(std::string_view field_name, bool yes) : name(field_name), value(yes) {}
  LogField(std::string_view field_name, double number) : name(field_name), value(number) {}
  template <std::signed_integral Number>
  LogField(std::string_view field_name, Number number)
      : name(field_name), value(static_cast<std::int64_t>(number)) {}
  template <std::unsigned_integral Number>
  LogField(std::string_view field_name, Number number)
      : name(field_name), value(static_cast<std::uint64_t>(number)) {}

  std::string_view name;
  std::variant<std::string_view, std::int64_t, std::uint64_t, bool, double> value;
};

struct LogOptions {
  int fd = 2;
  Level level_min = Level::info;
  std::size_t queue_lines_max = 8192;  // beyond it the oldest waiting line is lost, and counted
};

// Writes {"time":…,"level":…,"event":…, fields…}. Any thread; after start_log it never waits for
// the reader of the log. Before start_log and after stop_log it writes the line itself. Bytes that
// are not UTF-8 are replaced.
//   log(Level::warn, "slow_commit", {{"commands", 12}, {"seconds", 0.8}});
void log(Level level, std::string_view event, std::initializer_list<LogField> fields = {});

// Starts the thread that writes. REQUIRES: not started, or stopped since.
void start_log(const LogOptions& options = {});

// Waits, at most some seconds, until every line logged before was written.
void flush_log();

// Flushes and ends the thread. Lines that other threads log while it runs may be lost. Does nothing
// where the log was not started.
void stop_log();

// Lines lost since the process started because the reader of the log was too slow.
std::uint64_t log_lines_lost();

}  // namespace earshot
