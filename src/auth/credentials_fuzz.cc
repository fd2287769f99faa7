// Whatever is taken as credentials must be what a plain encoder makes of them, and nothing may
// crash.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "auth/credentials.h"
#include "base/assert.h"

namespace {

std::string encode_base64(std::string_view bytes) {
  static constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      group = group << 8 | (at + i < bytes.size() ? static_cast<std::uint8_t>(bytes[at + i]) : 0);
    }
    const std::size_t left = bytes.size() - at;
    text += digits[group >> 18];
    text += digits[group >> 12 & 63];
    text += left > 1 ? digits[group >> 6 & 63] : '=';
    text += left > 2 ? digits[group & 63] : '=';
  }
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string value(reinterpret_cast<const char*>(data), size);
  if (const auto credentials = earshot::auth::parse_basic(value)) {
    ASSERT(credentials->access_key().find(':') == std::string::npos);
    const std::string token = encode_base64(std::string(credentials->access_key()) + ':' +
                                            std::string(credentials->secret()));
    ASSERT(value.ends_with(token));
    const std::string before = value.substr(0, value.size() - token.size());
    ASSERT(before.size() > 5 && before.find_first_not_of(' ', 5) == std::string::npos);
  }
  // And the other way round: all bytes make credentials.
  const auto made = earshot::auth::parse_basic("Basic " + encode_base64("key:" + value));
  ASSERT(made && made->access_key() == "key" && made->secret() == value);
  return 0;
}
