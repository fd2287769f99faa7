#include "base/digest.h"

// The low-level interface of SHA-256: that of EVP allocates, fetches and frees for each text, which
// costs several times what the hash of a secret does.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <cstring>

#include "base/assert.h"

namespace earshot {

struct Sha256::Context {
  SHA256_CTX state;
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  ASSERT(SHA256_Init(&context_->state) == 1);
}

Sha256::~Sha256() = default;

void Sha256::update(std::string_view piece) {
  ASSERT(SHA256_Update(&context_->state, piece.data(), piece.size()) == 1);
}

Digest Sha256::finish() {
  Digest digest;
  ASSERT(SHA256_Final(digest.data(), &context_->state) == 1);
  return digest;
}

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

Digest hmac_sha256(const Digest& key, std::string_view text) {
  Digest digest;
  unsigned int size = 0;
  ASSERT(::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()),
                reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(),
                &size) != nullptr);
  ASSERT(size == digest.size());
  return digest;
}

bool is_same_secret(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace earshot
