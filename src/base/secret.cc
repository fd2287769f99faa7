#include "base/secret.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <memory>

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
  // Fetched once and used again: looking the algorithm up costs more than hashing a short text.
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  thread_local const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(
      EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  Digest digest;
  unsigned int size = 0;
  ASSERT(algorithm && context);
  ASSERT(EVP_DigestInit_ex2(context.get(), algorithm, nullptr) == 1);
  ASSERT(EVP_DigestUpdate(context.get(), first.data(), first.size()) == 1);
  if (!second.empty()) {
    ASSERT(EVP_DigestUpdate(context.get(), second.data(), second.size()) == 1);
  }
  ASSERT(EVP_DigestFinal_ex(context.get(), digest.data(), &size) == 1 && size == digest.size());
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
