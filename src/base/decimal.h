// Numbers as decimal digits, eight at a time: most of what a long answer consists of.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace earshot {

inline constexpr std::size_t kDecimalDigitsMax = 20;
// write_decimal() may write so many bytes behind the digits.
inline constexpr std::size_t kDecimalSlack = 7;

namespace decimal {

// Eight digits with leading zeros as eight bytes, the first in the lowest byte. REQUIRES: below
// 10^8. The number is split into halves side by side in one register, again and again; divisions by
// 100 and 10 are multiplications that are exact for numbers so small.
inline std::uint64_t digits_of(std::uint32_t number) {
  const std::uint64_t fours = number / 10000 | std::uint64_t{number % 10000} << 32;
  const std::uint64_t hundreds = (fours * 10486 >> 20) & 0x0000'007F'0000'007F;
  const std::uint64_t twos = hundreds | (fours - 100 * hundreds) << 16;
  const std::uint64_t tens = (twos * 103 >> 10) & 0x000F'000F'000F'000F;
  return tens | (twos - 10 * tens) << 8;
}

inline char* write_eight(char* at, std::uint32_t number) {
  const std::uint64_t text = digits_of(number) | 0x3030'3030'3030'3030;
  std::memcpy(at, &text, sizeof text);
  return at + sizeof text;
}

inline char* write_up_to_eight(char* at, std::uint32_t number) {
  const std::uint64_t digits = digits_of(number);
  const int zeros = std::countr_zero(digits | std::uint64_t{1} << 56) / 8;
  const std::uint64_t text = (digits | 0x3030'3030'3030'3030) >> (8 * zeros);
  std::memcpy(at, &text, sizeof text);
  return at + sizeof text - zeros;
}

}  // namespace decimal

// Writes the digits and answers where they end. REQUIRES: room for the digits and for
// kDecimalSlack bytes more.
inline char* write_decimal(char* at, std::uint64_t number) {
  static_assert(std::endian::native == std::endian::little);
  constexpr std::uint64_t kEight = 100'000'000;
  if (number < kEight) {
    return decimal::write_up_to_eight(at, static_cast<std::uint32_t>(number));
  }
  const std::uint64_t high = number / kEight;
  const auto low = static_cast<std::uint32_t>(number % kEight);
  if (high < kEight) {
    at = decimal::write_up_to_eight(at, static_cast<std::uint32_t>(high));
  } else {
    at = decimal::write_up_to_eight(at, static_cast<std::uint32_t>(high / kEight));
    at = decimal::write_eight(at, static_cast<std::uint32_t>(high % kEight));
  }
  return decimal::write_eight(at, low);
}

}  // namespace earshot
