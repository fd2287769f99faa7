// The texts that options are given as: sizes, durations, counts, addresses. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace earshot::cli {

// "67108864", "64MiB", "64MB"; units B, KB, MB, GB, TB (powers of 1000) and KiB, MiB, GiB, TiB (of
// 1024), in any case.
Result<std::uint64_t> parse_bytes(std::string_view text);

// "5s", "250ms", "2m", "1h", "30d"; a number alone means seconds.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);

// The same texts of what they mean, in the largest unit that needs no fraction.
std::string format_bytes(std::uint64_t bytes);
std::string format_duration(std::chrono::milliseconds duration);

// Decimal digits in min .. max.
Result<std::uint64_t> parse_count(std::string_view text, std::uint64_t min, std::uint64_t max);

// "HOST:PORT" or "[V6]:PORT" apart; the host without its brackets. The host is not looked up.
struct HostPort {
  std::string_view host;
  std::uint16_t port = 0;
};
Result<HostPort> parse_host_port(std::string_view text);

// Whether nobody outside this machine can reach the host: "localhost", 127.0.0.0/8, ::1. A name
// other than localhost may be anything, so it is not.
bool is_loopback(std::string_view host);

}  // namespace earshot::cli
