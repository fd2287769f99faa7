// Randomness from the operating system, buffered by thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

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

// Lowercase base 36 without padding: mostly 19 characters. Zero is "0".
std::string format_request_id(const RequestId& id);

// `size` random characters out of A-Z, a-z, 0-9 (about 5.95 bits each), for access keys and
// secrets.
std::string make_random_text(std::size_t size);

}  // namespace earshot
