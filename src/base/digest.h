// SHA-256 of texts, whole or in pieces, and with a key.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

namespace earshot {

using Digest = std::array<std::uint8_t, 32>;

// SHA-256 of the two texts one after the other. Any thread.
Digest sha256(std::string_view first, std::string_view second = {});

// HMAC-SHA256 (RFC 2104): proves that whoever made it had the key. Any thread.
Digest hmac_sha256(const Digest& key, std::string_view text);

// Compares in the same time wherever the texts differ.
bool is_same_secret(std::string_view a, std::string_view b);

// SHA-256 of a text that comes in pieces. One thread at a time.
class Sha256 {
 public:
  Sha256();
  ~Sha256();

  void update(std::string_view piece);
  // Once only, at the end.
  Digest finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace earshot
