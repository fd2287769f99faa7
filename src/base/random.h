// Randomness from the operating system, buffered by thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace earshot {

// Fills the bytes with cryptographic randomness. Any thread. Aborts where the system has none to
// give.
void fill_random(std::span<std::uint8_t> bytes);

// The name of one request, the same in its answer, the log and the record of changes: a random
// 96-bit number.
struct RequestId {
  std::array<std::uint8_t, 12> bytes{};  // big-endian
  friend bool operator==(const RequestId&, const RequestId&) = default;
};

RequestId make_request_id();

// The text of a request id: lowercase base 36 without padding, mostly 19 characters. In place,
// because every answer carries one and a std::string would need memory for it.
class RequestIdText {
 public:
  RequestIdText() = default;  // empty
  std::string_view view() const { return {digits_.data() + begin_, digits_.size() - begin_}; }
  operator std::string_view() const { return view(); }

 private:
  friend RequestIdText format_request_id(const RequestId& id);
  std::array<char, 19> digits_{};  // 36^19 > 2^96
  std::size_t begin_ = digits_.size();
};

// Zero is "0".
RequestIdText format_request_id(const RequestId& id);
// Only what format_request_id() gives.
std::optional<RequestId> parse_request_id(std::string_view text);

// `size` random characters out of A-Z, a-z, 0-9 (about 5.95 bits each), for access keys and
// secrets.
std::string make_random_text(std::size_t size);

}  // namespace earshot
