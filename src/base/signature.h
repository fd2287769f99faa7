// Signatures with Ed25519 (RFC 8032), of keys in PEM files as `openssl genpkey -algorithm ed25519`
// writes them.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace earshot {

// A private key. Copies share it. Any thread.
class SigningKey {
 public:
  // Reads PKCS#8 without a password. Errors: invalid_argument, naming the file: it cannot be read,
  // others than its owner may read it, or it is no such key.
  static Result<SigningKey> load(const std::string& file);

  std::string sign(std::string_view text) const;  // 64 bytes

  // Which key it is: 16 hex digits, of the first bytes of the SHA-256 of the raw public key.
  const std::string& id() const { return id_; }

 private:
  SigningKey(std::shared_ptr<void> key, std::string id)
      : key_(std::move(key)), id_(std::move(id)) {}

  std::shared_ptr<void> key_;  // OpenSSL's
  std::string id_;
};

// A public key, for whoever checks.
class VerifyingKey {
 public:
  // Reads the text of a PEM file with a public key. `name` is the file's, for messages. Errors:
  // invalid_argument.
  static Result<VerifyingKey> parse(std::string_view pem, const std::string& name);

  // Whether the signature is of this text by the private key.
  bool is_signed(std::string_view text, std::string_view signature) const;

  const std::string& id() const { return id_; }

 private:
  VerifyingKey(std::shared_ptr<void> key, std::string id)
      : key_(std::move(key)), id_(std::move(id)) {}

  std::shared_ptr<void> key_;
  std::string id_;
};

}  // namespace earshot
