#include "base/text.h"

#include <array>
#include <cstring>

namespace earshot {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

constexpr std::array<std::int8_t, 256> make_base64_values() {
  std::array<std::int8_t, 256> values{};
  for (auto& value : values) value = -1;
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}
constexpr auto kBase64Values = make_base64_values();

// The bytes of the UTF-8 sequence that starts here, or 0 where there is no well-formed one (RFC
// 3629, section 4: no overlong forms, no surrogates, nothing above U+10FFFF).
std::size_t utf8_sequence_size(const unsigned char* at, std::size_t left) {
  const unsigned char lead = at[0];
  if (lead < 0x80) return 1;
  const std::size_t size = lead < 0xC2   ? 0
                           : lead < 0xE0 ? 2
                           : lead < 0xF0 ? 3
                           : lead < 0xF5 ? 4
                                         : 0;
  if (size == 0 || left < size) return 0;
  const unsigned char second_min = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned char second_max = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (at[1] < second_min || at[1] > second_max) return 0;
  for (std::size_t i = 2; i < size; ++i) {
    if (at[i] < 0x80 || at[i] > 0xBF) return 0;
  }
  return size;
}

bool needs_escape(unsigned char c) { return c < 0x20 || c == '"' || c == '\\'; }

// Whether none of eight bytes needs an escape. In each byte of the word the high bit is set by what
// is below 0x20 or equal to one of the two characters; by a byte above 0x7F too, which is then
// looked at by itself, as is what a borrow from below sets wrongly.
bool is_plain(const char* bytes) {
  constexpr std::uint64_t kOnes = 0x0101'0101'0101'0101U;
  std::uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  const std::uint64_t below = word - kOnes * 0x20;
  const std::uint64_t quote = (word ^ kOnes * '"') - kOnes;
  const std::uint64_t backslash = (word ^ kOnes * '\\') - kOnes;
  return ((word | below | quote | backslash) & kOnes * 0x80) == 0;
}

void append_escape(std::string& out, unsigned char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      out += "\\u00";
      out += kHexDigits[c >> 4];
      out += kHexDigits[c & 15];
  }
}

// The eight characters with the ASCII letters among them in lowercase.
std::uint64_t lowercase_eight(const char* text) {
  constexpr std::uint64_t ones = 0x0101010101010101;
  std::uint64_t word;
  std::memcpy(&word, text, 8);
  // The high bit of each byte says whether what is below it is at least 'A', and whether above 'Z'.
  const std::uint64_t low_bits = word & ones * 0x7F;
  const std::uint64_t from_a = low_bits + ones * (0x80 - 'A');
  const std::uint64_t above_z = low_bits + ones * (0x7F - 'Z');
  const std::uint64_t is_upper = (from_a ^ above_z) & ~word & ones * 0x80;
  return word | is_upper >> 2;
}

char lowercase(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

}  // namespace

std::string to_hex(std::span<const std::uint8_t> bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    text += kHexDigits[byte >> 4];
    text += kHexDigits[byte & 15];
  }
  return text;
}

std::optional<std::string> parse_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_value(text[i]);
    const int low = hex_value(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes += static_cast<char>(high << 4 | low);
  }
  return bytes;
}

std::optional<std::string> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  std::string bytes(text.size() / 4 * 3, '\0');
  const auto value_of = [](char c) -> int { return kBase64Values[static_cast<unsigned char>(c)]; };
  char* out = bytes.data();
  for (std::size_t at = 0; at < text.size(); at += 4) {
    // The places of the padding count as zeros and are cut off below.
    const std::size_t given = at + 4 == text.size() ? 4 - padding : 4;
    // A character that is none of the alphabet makes the sum negative.
    const int group = value_of(text[at]) << 18 | value_of(text[at + 1]) << 12 |
                      (given > 2 ? value_of(text[at + 2]) << 6 : 0) |
                      (given > 3 ? value_of(text[at + 3]) : 0);
    if (group < 0) return std::nullopt;
    *out++ = static_cast<char>(group >> 16);
    *out++ = static_cast<char>(group >> 8);
    *out++ = static_cast<char>(group);
  }
  // One text for each sequence of bytes: bits that nobody reads must be zero.
  for (; padding > 0; --padding) {
    if (bytes.back() != '\0') return std::nullopt;
    bytes.pop_back();
  }
  return bytes;
}

std::string encode_base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string result;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::string_view group = bytes.substr(at, 3);
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      bits = bits << 8 | (i < group.size() ? static_cast<unsigned char>(group[i]) : 0U);
    }
    for (std::size_t i = 0; i < 4; ++i) {
      result += i <= group.size() ? kDigits[bits >> (18 - 6 * i) & 63] : '=';
    }
  }
  return result;
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  std::size_t plain_from = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    while (text.size() - i >= 8 && is_plain(text.data() + i)) i += 8;
    if (i == text.size()) break;
    const auto c = static_cast<unsigned char>(text[i]);
    if (!needs_escape(c)) [[likely]]
      continue;
    out.append(text, plain_from, i - plain_from);
    append_escape(out, c);
    plain_from = i + 1;
  }
  out.append(text, plain_from);
  out += '"';
}

bool is_valid_utf8(std::string_view text) {
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t left = text.size();
  while (left > 0) {
    if (left >= 8) {  // eight bytes of ASCII at once, as most texts are
      std::uint64_t word;
      std::memcpy(&word, at, 8);
      if ((word & 0x8080'8080'8080'8080U) == 0) {
        at += 8;
        left -= 8;
        continue;
      }
    }
    const std::size_t size = utf8_sequence_size(at, left);
    if (size == 0) return false;
    at += size;
    left -= size;
  }
  return true;
}

bool equals_ignoring_case(const char* a, const char* b, std::size_t size) {
  if (size >= 8) {
    const auto differ = [&](std::size_t at) {
      return lowercase_eight(a + at) != lowercase_eight(b + at);
    };
    for (std::size_t at = 0; at + 8 < size; at += 8) {
      if (differ(at)) return false;
    }
    return !differ(size - 8);
  }
  for (std::size_t i = 0; i < size; ++i) {
    if (lowercase(a[i]) != lowercase(b[i])) return false;
  }
  return true;
}

}  // namespace earshot
