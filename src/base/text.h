// Small texts: hex, base64, JSON strings, UTF-8, names of HTTP.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace earshot {

std::string to_hex(std::span<const std::uint8_t> bytes);

// Lowercase or uppercase digits, an even number of them.
std::optional<std::string> parse_hex(std::string_view text);

// Base64 with the standard alphabet and required padding; no white space, no stray bits in the last
// digit.
std::optional<std::string> decode_base64(std::string_view text);

// Base64 with the standard alphabet and padding.
std::string encode_base64(std::string_view bytes);

// Appends text as a JSON string, quotes included. The text must be valid UTF-8; control characters,
// quotes and backslashes are escaped.
void append_json_string(std::string& out, std::string_view text);

bool is_valid_utf8(std::string_view text);

// Compares texts, ASCII letters without case, whatever the locale. Nearly all that are compared
// differ in size already: that is seen without a call.
bool equals_ignoring_case(const char* a, const char* b, std::size_t size);
inline bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && equals_ignoring_case(a.data(), b.data(), a.size());
}

}  // namespace earshot
