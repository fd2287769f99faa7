#include "base/secret.h"

// The low-level interface of SHA-256: that of EVP allocates, fetches and frees for each text, which
// costs several times what the hash of a secret does.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "base/random.h"
#include "base/text.h"

namespace earshot {
namespace {

constexpr std::string_view kPrefix = "sha256:";
constexpr std::size_t kSaltDigits = 32;
constexpr std::size_t kDigestDigits = 64;

std::string_view as_text(const std::array<std::uint8_t, 16>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

Digest sha256(std::string_view first, std::string_view second) {
  SHA256_CTX context;
  Digest digest;
  ASSERT(SHA256_Init(&context) == 1);
  ASSERT(SHA256_Update(&context, first.data(), first.size()) == 1);
  ASSERT(SHA256_Update(&context, second.data(), second.size()) == 1);
  ASSERT(SHA256_Final(digest.data(), &context) == 1);
  ::explicit_bzero(&context,
                   sizeof context);  // it holds the end of the text, which may be a secret
  return digest;
}

SecretHash hash_secret(std::string_view secret) {
  SecretHash hash;
  fill_random(hash.salt);
  hash.digest = sha256(as_text(hash.salt), secret);
  return hash;
}

bool verify_secret(const SecretHash& hash, std::string_view secret) {
  const Digest digest = sha256(as_text(hash.salt), secret);
  return CRYPTO_memcmp(digest.data(), hash.digest.data(), digest.size()) == 0;
}

std::string format_secret_hash(const SecretHash& hash) {
  return std::string(kPrefix) + to_hex(hash.salt) + ':' + to_hex(hash.digest);
}

std::optional<SecretHash> parse_secret_hash(std::string_view text) {
  constexpr std::size_t kColonAt = kPrefix.size() + kSaltDigits;
  if (text.size() != kColonAt + 1 + kDigestDigits) return std::nullopt;
  if (text.substr(0, kPrefix.size()) != kPrefix || text[kColonAt] != ':') return std::nullopt;
  const auto salt = parse_hex(text.substr(kPrefix.size(), kSaltDigits));
  const auto digest = parse_hex(text.substr(kColonAt + 1));
  if (!salt || !digest) return std::nullopt;
  SecretHash hash;
  std::copy(salt->begin(), salt->end(), hash.salt.begin());
  std::copy(digest->begin(), digest->end(), hash.digest.begin());
  return hash;
}

}  // namespace earshot
