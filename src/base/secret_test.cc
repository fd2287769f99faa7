#include "base/secret.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/text.h"

namespace earshot {
namespace {

TEST(HashSecret, VerifiesItsOwnSecretOnly) {
  const SecretHash hash = hash_secret("correct horse");
  EXPECT_TRUE(verify_secret(hash, "correct horse"));
  for (const auto* wrong : {"", "correct hors", "correct horse ", "Correct horse"}) {
    EXPECT_FALSE(verify_secret(hash, wrong)) << wrong;
  }
  for (std::size_t i = 0; i < hash.digest.size(); ++i) {
    SecretHash other = hash;
    other.digest[i] ^= 1;
    EXPECT_FALSE(verify_secret(other, "correct horse")) << i;
  }
}

TEST(HashSecret, SaltsEachTime) { EXPECT_NE(hash_secret("same"), hash_secret("same")); }

TEST(HashSecret, WorksOnManyThreadsAtOnce) {
  const SecretHash hash = hash_secret("secret");
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) wrong += verify_secret(hash, "secret") ? 0 : 1;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(SecretHash, IsReadBackFromItsText) {
  SecretHash hash;
  for (std::size_t i = 0; i < hash.salt.size(); ++i) hash.salt[i] = static_cast<std::uint8_t>(i);
  hash.digest = sha256("abc");
  const std::string text =
      "sha256:000102030405060708090a0b0c0d0e0f:"
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  EXPECT_EQ(format_secret_hash(hash), text);
  EXPECT_EQ(parse_secret_hash(text), hash);
}

TEST(SecretHash, RefusesOtherTexts) {
  const std::string good = format_secret_hash(hash_secret("x"));
  ASSERT_TRUE(parse_secret_hash(good));
  EXPECT_FALSE(parse_secret_hash(""));
  EXPECT_FALSE(parse_secret_hash(good + "0"));
  EXPECT_FALSE(parse_secret_hash(good.substr(1)));
  EXPECT_FALSE(parse_secret_hash(good.substr(0, good.size() - 1)));
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = 'x';
    EXPECT_FALSE(parse_secret_hash(bad)) << bad;
  }
}

}  // namespace
}  // namespace earshot
