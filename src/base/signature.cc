#include "base/signature.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

#include "base/assert.h"
#include "base/digest.h"
#include "base/text.h"

namespace earshot {
namespace {

constexpr std::size_t kPemBytesMax = 64 << 10;
constexpr std::size_t kSignatureBytes = 64;
constexpr std::size_t kIdBytes = 8;

using KeyPointer = std::shared_ptr<void>;

EVP_PKEY* raw(const KeyPointer& key) { return static_cast<EVP_PKEY*>(key.get()); }

// Nothing where it is of another kind, or none.
KeyPointer own_key(EVP_PKEY* key) {
  ERR_clear_error();
  if (key != nullptr && EVP_PKEY_base_id(key) == EVP_PKEY_ED25519) {
    return {key, [](void* owned) { EVP_PKEY_free(static_cast<EVP_PKEY*>(owned)); }};
  }
  EVP_PKEY_free(key);
  return nullptr;
}

std::string id_of(const KeyPointer& key) {
  std::array<std::uint8_t, 32> bytes{};
  std::size_t size = bytes.size();
  ASSERT(EVP_PKEY_get_raw_public_key(raw(key), bytes.data(), &size) == 1 && size == bytes.size());
  const Digest digest =
      sha256(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  return to_hex(std::span(digest).first<kIdBytes>());
}

struct Bio {
  explicit Bio(std::string_view text)
      : bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))) {
    ASSERT(bio != nullptr);
  }
  Bio(const Bio&) = delete;
  Bio& operator=(const Bio&) = delete;
  ~Bio() { BIO_free(bio); }
  BIO* bio;
};

struct Context {
  Context() { ASSERT(context != nullptr); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() { EVP_MD_CTX_free(context); }
  EVP_MD_CTX* context = EVP_MD_CTX_new();
};

const std::uint8_t* bytes_of(std::string_view text) {
  return reinterpret_cast<const std::uint8_t*>(text.data());
}

// What only its owner may read.
Result<std::string> read_secret_file(const std::string& file) {
  const auto cannot = [&](const std::string& what) {
    return invalid_argument("cannot " + what + " " + file + ": " + std::strerror(errno));
  };
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return cannot("open");
  struct stat info {};
  std::string text(kPemBytesMax, '\0');
  const bool is_known = ::fstat(descriptor, &info) == 0;
  const ssize_t size = is_known ? ::read(descriptor, text.data(), text.size()) : -1;
  const int error = errno;
  ::close(descriptor);
  errno = error;
  if (size < 0) return cannot("read");
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return invalid_argument(file + ": others than its owner may use this private key; chmod 600 " +
                            file);
  }
  text.resize(static_cast<std::size_t>(size));
  return text;
}

// Instead of asking on the terminal.
int no_password(char*, int, int, void*) { return 0; }

}  // namespace

Result<SigningKey> SigningKey::load(const std::string& file) {
  std::string text = TRY(read_secret_file(file));
  const Bio bio(text);
  KeyPointer key = own_key(PEM_read_bio_PrivateKey(bio.bio, nullptr, no_password, nullptr));
  OPENSSL_cleanse(text.data(), text.size());
  if (!key) {
    return invalid_argument(file +
                            ": is no private key of Ed25519 in PEM without a password; make one "
                            "with openssl genpkey -algorithm ed25519");
  }
  std::string id = id_of(key);
  return SigningKey(std::move(key), std::move(id));
}

std::string SigningKey::sign(std::string_view text) const {
  const Context context;
  std::string signature(kSignatureBytes, '\0');
  std::size_t size = signature.size();
  ASSERT(EVP_DigestSignInit(context.context, nullptr, nullptr, nullptr, raw(key_)) == 1);
  ASSERT(EVP_DigestSign(context.context, reinterpret_cast<std::uint8_t*>(signature.data()), &size,
                        bytes_of(text), text.size()) == 1);
  ASSERT(size == signature.size());
  return signature;
}

Result<VerifyingKey> VerifyingKey::parse(std::string_view pem, const std::string& name) {
  const Bio bio(pem);
  KeyPointer key = own_key(PEM_read_bio_PUBKEY(bio.bio, nullptr, no_password, nullptr));
  if (!key) return invalid_argument(name + ": is no public key of Ed25519 in PEM");
  std::string id = id_of(key);
  return VerifyingKey(std::move(key), std::move(id));
}

bool VerifyingKey::is_signed(std::string_view text, std::string_view signature) const {
  if (signature.size() != kSignatureBytes) return false;
  const Context context;
  ASSERT(EVP_DigestVerifyInit(context.context, nullptr, nullptr, nullptr, raw(key_)) == 1);
  const bool is_true = EVP_DigestVerify(context.context, bytes_of(signature), signature.size(),
                                        bytes_of(text), text.size()) == 1;
  ERR_clear_error();
  return is_true;
}

}  // namespace earshot
