#include "api/cursor.h"

#include <array>
#include <cstddef>

#include "base/text.h"

namespace earshot::api {
namespace {

// A text is a cursor's numbers, then a proof, all in hexadecimal digits. The first byte of what is
// proven says how it is laid out: whoever changes that changes it too.
constexpr char kFormat = 1;
constexpr std::size_t kNumbersBytes = 24;
constexpr std::size_t kProofBytes = 16;  // of HMAC's 32, as RFC 2104 allows: 2^128 to guess from

void append_fixed(std::string& out, std::uint64_t number) {
  for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(number >> shift);
}

std::uint64_t take_fixed(std::string_view& bytes) {
  std::uint64_t number = 0;
  for (const char c : bytes.substr(0, 8)) number = number << 8 | static_cast<std::uint8_t>(c);
  bytes.remove_prefix(8);
  return number;
}

std::string prove(const Digest& secret, const PagedQuery& query, std::string_view numbers) {
  // Each part has a fixed size but the operation, which ends with NUL: no two queries give one
  // text.
  std::string text("earshot cursor");
  text += kFormat;
  text += query.operation;
  text += '\0';
  append_fixed(text, query.company.value);
  append_fixed(text, query.id);
  text += static_cast<char>(query.ways);
  text += static_cast<char>(query.at ? 1 : 0);
  append_fixed(text, static_cast<std::uint64_t>(query.at.value_or(Time{}).micros));
  text += static_cast<char>(query.revision ? 1 : 0);
  append_fixed(text, query.revision.value_or(0));
  text += numbers;
  const Digest digest = hmac_sha256(secret, text);
  return {reinterpret_cast<const char*>(digest.data()), kProofBytes};
}

}  // namespace

std::string encode_cursor(const Digest& secret, const PagedQuery& query, const Cursor& cursor) {
  std::string bytes;
  append_fixed(bytes, cursor.revision);
  append_fixed(bytes, static_cast<std::uint64_t>(cursor.time.micros));
  append_fixed(bytes, cursor.after);
  bytes += prove(secret, query, bytes);
  return to_hex({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
}

std::optional<Cursor> decode_cursor(const Digest& secret, const PagedQuery& query,
                                    std::string_view text) {
  const auto bytes = parse_hex(text);
  if (!bytes || bytes->size() != kNumbersBytes + kProofBytes) return std::nullopt;
  std::string_view numbers = std::string_view(*bytes).substr(0, kNumbersBytes);
  const std::string_view proof = std::string_view(*bytes).substr(kNumbersBytes);
  if (!is_same_secret(prove(secret, query, numbers), proof)) return std::nullopt;
  Cursor cursor;
  cursor.revision = take_fixed(numbers);
  cursor.time = Time{static_cast<std::int64_t>(take_fixed(numbers))};
  cursor.after = take_fixed(numbers);
  return cursor;
}

}  // namespace earshot::api
