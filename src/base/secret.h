// Secrets of access keys: kept only as a salted fast hash, compared in constant time.
// Fast on purpose: secrets are long random strings, not passwords, and every request pays for it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/digest.h"

namespace earshot {

// SHA-256 over salt and secret.
struct SecretHash {
  std::array<std::uint8_t, 16> salt{};
  Digest digest{};
  friend bool operator==(const SecretHash&, const SecretHash&) = default;
};

// Hashes a secret with a fresh random salt.
SecretHash hash_secret(std::string_view secret);

// Whether the secret is the one hashed. The comparison takes the same time wherever the digests
// differ.
bool verify_secret(const SecretHash& hash, std::string_view secret);

// "sha256:<32 hex digits of salt>:<64 hex digits of digest>": what `dump` writes as secretHash.
std::string format_secret_hash(const SecretHash& hash);
std::optional<SecretHash> parse_secret_hash(std::string_view text);

}  // namespace earshot
