// Strong types for the ids of the wire: a CallId never goes where a UserId belongs.
// An id is a number in 1 .. 2^63-1, written as 1 to 19 decimal digits without leading zero.
#pragma once

#include <bit>
#include <charconv>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace earshot {

template <class Tag>
struct Id {
  std::uint64_t value = 0;  // 0 is no id
  friend constexpr auto operator<=>(const Id&, const Id&) = default;
};

using CompanyId = Id<struct CompanyTag>;
using CallId = Id<struct CallTag>;
using UserId = Id<struct UserTag>;
using WorkspaceId = Id<struct WorkspaceTag>;
using ProfileId = Id<struct ProfileTag>;

inline constexpr std::size_t kIdDigitsMax = 19;
inline constexpr std::uint64_t kIdMax = (std::uint64_t{1} << 63) - 1;

// The number that eight ASCII digits mean, or nothing where some character is none. All eight at
// once: a third of the time that one after the other take.
inline std::optional<std::uint64_t> parse_eight_digits(const char* digits) {
  static_assert(std::endian::native == std::endian::little);
  std::uint64_t word;
  std::memcpy(&word, digits, 8);
  constexpr std::uint64_t high_halves = 0xF0F0F0F0F0F0F0F0, threes = 0x3030303030303030;
  // '0' to '9' are those with the high half 3 that keep it when 6 is added.
  if ((word & high_halves) != threes || ((word + 0x0606060606060606) & high_halves) != threes) {
    return std::nullopt;
  }
  word = (word - threes) * 10 + ((word - threes) >> 8);  // pairs, in every second byte
  constexpr std::uint64_t pairs = 0x000000FF000000FF;
  return ((word & pairs) * (100 + (1'000'000ULL << 32)) +
          (word >> 16 & pairs) * (1 + (10'000ULL << 32))) >>
         32;
}

// The number an id's text means, or nothing where it is not 1-19 ASCII digits without sign, space
// or leading zero in 1 .. 2^63-1.
inline std::optional<std::uint64_t> parse_id_number(std::string_view text) {
  if (text.empty() || text.size() > kIdDigitsMax || text[0] == '0') return std::nullopt;
  std::uint64_t number = 0;
  for (; text.size() >= 8; text.remove_prefix(8)) {
    const auto eight = parse_eight_digits(text.data());
    if (!eight) return std::nullopt;
    number = number * 100'000'000 + *eight;
  }
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + static_cast<std::uint64_t>(c - '0');  // 19 digits fit in 64 bits
  }
  if (number > kIdMax) return std::nullopt;
  return number;
}

template <class IdType>
std::optional<IdType> parse_id(std::string_view text) {
  const auto number = parse_id_number(text);
  if (!number) return std::nullopt;
  return IdType{*number};
}

inline void append_number(std::string& out, std::uint64_t number) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  out.append(digits, end);
}

template <class Tag>
void append_id(std::string& out, Id<Tag> id) {
  append_number(out, id.value);
}

template <class Tag>
std::string to_string(Id<Tag> id) {
  return std::to_string(id.value);
}

}  // namespace earshot

template <class Tag>
struct std::hash<earshot::Id<Tag>> {
  std::size_t operator()(earshot::Id<Tag> id) const noexcept {
    // Fibonacci hashing: ids may be dense or random, tables use the low bits.
    const std::uint64_t mixed = id.value * 0x9E3779B97F4A7C15ULL;
    return mixed ^ (mixed >> 32);
  }
};
