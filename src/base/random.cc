#include "base/random.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/assert.h"

namespace earshot {
namespace {

void fill_from_system(std::span<std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t got = ::getrandom(bytes.data(), bytes.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    ASSERT(got > 0);
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
}

// Saves a system call for each request id. What was handed out is wiped, so that a later look into
// memory does not find the secrets made from it. Not for processes that fork: both would go on with
// the same bytes.
class Pool {
 public:
  void take(std::span<std::uint8_t> out) {
    if (out.size() > bytes_.size()) return fill_from_system(out);
    if (out.size() > left_) {
      fill_from_system(bytes_);
      left_ = bytes_.size();
    }
    std::uint8_t* const from = bytes_.data() + (left_ - out.size());
    std::copy_n(from, out.size(), out.data());
    ::explicit_bzero(from, out.size());
    left_ -= out.size();
  }

  ~Pool() { ::explicit_bzero(bytes_.data(), bytes_.size()); }

 private:
  std::array<std::uint8_t, 4096> bytes_;
  std::size_t left_ = 0;
};

constexpr char kDigits[] = "0123456789abcdefghijklmnopqrstuvwxyz";

}  // namespace

void fill_random(std::span<std::uint8_t> bytes) {
  thread_local Pool pool;
  pool.take(bytes);
}

RequestId make_request_id() {
  RequestId id;
  fill_random(id.bytes);
  return id;
}

std::string format_request_id(const RequestId& id) {
  __extension__ using Wide = unsigned __int128;
  Wide number = 0;
  for (const std::uint8_t byte : id.bytes) number = number << 8 | byte;
  // One wide division leaves two halves that fit into 64 bits: 2^96 / 36^12 < 2^34.
  constexpr std::uint64_t k36To12 = 4'738'381'338'321'616'896U;
  std::uint64_t high = static_cast<std::uint64_t>(number / k36To12);
  std::uint64_t low = static_cast<std::uint64_t>(number % k36To12);

  char text[24];
  char* const end = text + sizeof text;
  char* at = end;
  const bool is_long = high != 0;
  for (int i = 0; is_long ? i < 12 : low != 0; ++i, low /= 36) *--at = kDigits[low % 36];
  for (; high != 0; high /= 36) *--at = kDigits[high % 36];
  if (at == end) *--at = '0';
  return {at, end};
}

std::string make_random_text(std::size_t size) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  constexpr std::uint8_t kFair = 256 / kAlphabet.size() * kAlphabet.size();  // no bias by the rest
  std::string text;
  text.reserve(size);
  std::array<std::uint8_t, 64> bytes;
  while (text.size() < size) {
    fill_random(bytes);
    for (const std::uint8_t byte : bytes) {
      if (byte < kFair && text.size() < size) text += kAlphabet[byte % kAlphabet.size()];
    }
  }
  ::explicit_bzero(bytes.data(), bytes.size());
  return text;
}

}  // namespace earshot
