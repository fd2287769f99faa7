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

RequestIdText format_request_id(const RequestId& id) {
  __extension__ using Wide = unsigned __int128;
  Wide number = 0;
  for (const std::uint8_t byte : id.bytes) number = number << 8 | byte;
  // Groups of six digits fit into 32 bits, where dividing is cheap, and do not wait for each other.
  constexpr std::uint64_t k36To6 = 2'176'782'336;
  constexpr std::uint64_t k36To12 = k36To6 * k36To6;
  const auto high = static_cast<std::uint64_t>(number / k36To12);  // below 2^34
  const auto low = static_cast<std::uint64_t>(number % k36To12);

  RequestIdText text;
  const auto write_group = [&text](std::size_t at, std::uint64_t group) {
    auto rest = static_cast<std::uint32_t>(group);
    for (std::size_t i = at + 6; i > at; --i, rest /= 36) text.digits_[i - 1] = kDigits[rest % 36];
  };
  text.digits_[0] = kDigits[high / k36To6];
  write_group(1, high % k36To6);
  write_group(7, low / k36To6);
  write_group(13, low % k36To6);
  text.begin_ = 0;
  while (text.digits_[text.begin_] == '0' && text.begin_ + 1 < text.digits_.size()) ++text.begin_;
  return text;
}

std::optional<RequestId> parse_request_id(std::string_view text) {
  if (text.empty() || text.size() > 19 || (text[0] == '0' && text.size() > 1)) return std::nullopt;
  __extension__ using Wide = unsigned __int128;
  Wide number = 0;
  for (const char c : text) {
    const std::size_t digit = std::string_view(kDigits).find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    number = number * 36 + digit;
  }
  if (number >> 96 != 0) return std::nullopt;
  RequestId id;
  for (auto byte = id.bytes.rbegin(); byte != id.bytes.rend(); ++byte, number >>= 8) {
    *byte = static_cast<std::uint8_t>(number);
  }
  return id;
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
