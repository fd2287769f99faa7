#include "cli/values.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <span>
#include <string>

namespace earshot::cli {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array<Unit, 10> kByteUnits = {{{"", 1},
                                              {"b", 1},
                                              {"kb", 1000},
                                              {"kib", 1ULL << 10},
                                              {"mb", 1000'000},
                                              {"mib", 1ULL << 20},
                                              {"gb", 1000'000'000},
                                              {"gib", 1ULL << 30},
                                              {"tb", 1000'000'000'000},
                                              {"tib", 1ULL << 40}}};

constexpr std::array<Unit, 6> kTimeUnits = {
    {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3600'000}, {"d", 86400'000}}};

std::string lowercase(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

// A whole number and a unit without anything between or around; nothing where it is none, or more
// than `max`.
std::optional<std::uint64_t> parse_with_unit(std::string_view text, std::span<const Unit> units,
                                             std::uint64_t max) {
  const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, number);
  if (digits == 0 || error != std::errc{}) return std::nullopt;
  const std::string name = lowercase(text.substr(digits));
  const auto unit = std::ranges::find(units, name, &Unit::name);
  if (unit == units.end() || number > max / unit->factor) return std::nullopt;
  return number * unit->factor;
}

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

}  // namespace

Result<std::uint64_t> parse_bytes(std::string_view text) {
  const auto bytes = parse_with_unit(text, kByteUnits, std::numeric_limits<std::int64_t>::max());
  if (!bytes) return invalid_argument(quoted(text) + " is no size, such as 268435456 or 256MiB");
  return *bytes;
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  constexpr std::uint64_t kMax =
      100ULL * 366 * 86400'000;  // a century, so that sums cannot overflow
  const auto millis = parse_with_unit(text, kTimeUnits, kMax);
  if (!millis) return invalid_argument(quoted(text) + " is no duration, such as 5s, 250ms or 30d");
  return std::chrono::milliseconds(*millis);
}

std::string format_bytes(std::uint64_t bytes) {
  if (bytes >= 1 << 20 && bytes % (1 << 20) == 0) return std::to_string(bytes >> 20) + "MiB";
  if (bytes >= 1 << 10 && bytes % (1 << 10) == 0) return std::to_string(bytes >> 10) + "KiB";
  return std::to_string(bytes);
}

std::string format_duration(std::chrono::milliseconds duration) {
  const auto millis = duration.count();
  return millis % 1000 == 0 ? std::to_string(millis / 1000) + "s" : std::to_string(millis) + "ms";
}

Result<std::uint64_t> parse_count(std::string_view text, std::uint64_t min, std::uint64_t max) {
  constexpr std::array<Unit, 1> kNone = {{{"", 1}}};
  const auto number = parse_with_unit(text, kNone, max);
  if (!number || *number < min) {
    return invalid_argument(quoted(text) + " is no number from " + std::to_string(min) + " to " +
                            std::to_string(max));
  }
  return *number;
}

Result<HostPort> parse_host_port(std::string_view text) {
  const auto bad = [&] {
    return invalid_argument(quoted(text) + " is no address, such as 127.0.0.1:8080 or [::1]:8080");
  };
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad();
  std::string_view host = text.substr(0, colon);
  const auto port = parse_count(text.substr(colon + 1), 0, 65535);
  if (!port) return bad();
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find_first_of(":[]") != std::string_view::npos) {
    return bad();  // an IPv6 address without brackets: where it ends is a guess
  }
  if (host.empty()) return bad();
  return HostPort{host, static_cast<std::uint16_t>(*port)};
}

bool is_loopback(std::string_view host) {
  const std::string name = lowercase(host);
  if (name == "localhost") return true;
  in_addr v4{};
  if (inet_pton(AF_INET, name.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  in6_addr v6{};
  if (inet_pton(AF_INET6, name.c_str(), &v6) != 1) return false;
  if (IN6_IS_ADDR_V4MAPPED(&v6)) return v6.s6_addr[12] == 127;
  return IN6_IS_ADDR_LOOPBACK(&v6);
}

}  // namespace earshot::cli
