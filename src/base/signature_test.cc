#include "base/signature.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/text.h"

namespace earshot {
namespace {

// The second test vector of RFC 8032, 7.1, in PKCS#8 and SubjectPublicKeyInfo (RFC 8410).
const std::string kPrivate = R"(-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7
-----END PRIVATE KEY-----
)";
const std::string kPublic = R"(-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=
-----END PUBLIC KEY-----
)";
// Of another algorithm: P-256.
const std::string kOtherKind = R"(-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEcXbB4idZL955yPXdjJ+/GoWlUdHH
nHnaijFpUED23z+FpuOVZd1eQU4nnMh5VoZcrngpVg6k8m8bfUtW9hw8FA==
-----END PUBLIC KEY-----
)";

class SignatureTest : public testing::Test {
 protected:
  SignatureTest() {
    std::string name = (std::filesystem::temp_directory_path() / "earshot-key-XXXXXX").string();
    close(mkstemp(name.data()));
    path_ = name;
  }
  ~SignatureTest() override { std::filesystem::remove(path_); }

  Result<SigningKey> load(const std::string& text, mode_t mode = 0600) {
    std::ofstream(path_) << text;
    chmod(path_.c_str(), mode);
    return SigningKey::load(path_);
  }

  std::string path_;
};

TEST_F(SignatureTest, IsThatOfTheStandard) {
  const auto key = load(kPrivate);
  ASSERT_TRUE(key) << key.error().message;
  const std::string signature = key->sign("\x72");
  EXPECT_EQ(to_hex({reinterpret_cast<const std::uint8_t*>(signature.data()), signature.size()}),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
  const auto checked = VerifyingKey::parse(kPublic, "pub.pem");
  ASSERT_TRUE(checked) << checked.error().message;
  EXPECT_TRUE(checked->is_signed("\x72", signature));
  EXPECT_EQ(checked->id(), key->id());
  EXPECT_EQ(key->id().size(), 16U);
}

TEST_F(SignatureTest, IsFalseForEveryOtherTextAndBit) {
  const auto key = load(kPrivate);
  const auto checked = VerifyingKey::parse(kPublic, "pub.pem");
  ASSERT_TRUE(key && checked);
  const std::string signature = key->sign("text");
  EXPECT_FALSE(checked->is_signed("texT", signature));
  EXPECT_FALSE(checked->is_signed("", signature));
  EXPECT_FALSE(checked->is_signed("text", ""));
  EXPECT_FALSE(checked->is_signed("text", signature + '\0'));
  for (std::size_t i = 0; i < signature.size(); ++i) {
    std::string other = signature;
    other[i] = static_cast<char>(other[i] ^ 1);
    EXPECT_FALSE(checked->is_signed("text", other)) << i;
  }
}

TEST_F(SignatureTest, RefusesWhatIsNoKeyOrOthersMayRead) {
  for (const mode_t mode : {0640, 0604, 0660, 0602}) {
    const auto key = load(kPrivate, mode);
    ASSERT_FALSE(key) << mode;
    EXPECT_NE(key.error().message.find("chmod 600 " + path_), std::string::npos);
  }
  for (const std::string& text : {std::string(), kPublic, kPrivate.substr(0, 60)}) {
    const auto key = load(text);
    ASSERT_FALSE(key);
    EXPECT_NE(key.error().message.find("is no private key of Ed25519"), std::string::npos);
  }
  std::filesystem::remove(path_);
  EXPECT_NE(SigningKey::load(path_).error().message.find("cannot open " + path_),
            std::string::npos);
  for (const std::string& text : {std::string(), kPrivate, kOtherKind, std::string("x")}) {
    const auto key = VerifyingKey::parse(text, "pub.pem");
    ASSERT_FALSE(key);
    EXPECT_EQ(key.error().message, "pub.pem: is no public key of Ed25519 in PEM");
  }
}

}  // namespace
}  // namespace earshot
