#include "base/secret.h"

#include <algorithm>
#include <span>

#include "base/random.h"
#include "base/text.h"

namespace earshot {
namespace {

constexpr std::string_view kPrefix = "sha256:";
constexpr std::size_t kSaltDigits = 32;
constexpr std::size_t kDigestDigits = 64;

std::string_view as_text(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

SecretHash hash_secret(std::string_view secret) {
  SecretHash hash;
  fill_random(hash.salt);
  hash.digest = sha256(as_text(hash.salt), secret);
  return hash;
}

bool verify_secret(const SecretHash& hash, std::string_view secret) {
  const Digest digest = sha256(as_text(hash.salt), secret);
  return is_same_secret(as_text(digest), as_text(hash.digest));
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
