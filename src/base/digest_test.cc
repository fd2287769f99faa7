#include "base/digest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "base/text.h"

namespace earshot {
namespace {

TEST(Sha256, AgreesWithThePublishedVectors) {
  const struct {
    std::string first;
    std::string second;
    const char* hex;
  } cases[] = {
      {"", "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"", "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"a", "bc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {std::string(500'000, 'a'), std::string(500'000, 'a'),
       "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(to_hex(sha256(c.first, c.second)), c.hex);
    Sha256 in_pieces;
    in_pieces.update(c.first);
    in_pieces.update(c.second);
    EXPECT_EQ(to_hex(in_pieces.finish()), c.hex);
  }
}

// RFC 4231, section 4.2 and 4.3; HMAC itself pads shorter keys with zeros.
TEST(HmacSha256, AgreesWithThePublishedVectors) {
  const struct {
    std::string key;
    std::string text;
    const char* hex;
  } cases[] = {
      {std::string(20, '\x0b'), "Hi There",
       "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
      {"Jefe", "what do ya want for nothing?",
       "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
  };
  for (const auto& c : cases) {
    Digest key{};
    std::copy(c.key.begin(), c.key.end(), key.begin());
    EXPECT_EQ(to_hex(hmac_sha256(key, c.text)), c.hex);
  }
}

TEST(IsSameSecret, ComparesAllOfIt) {
  EXPECT_TRUE(is_same_secret("", ""));
  EXPECT_TRUE(is_same_secret("abc", "abc"));
  for (const auto* other : {"", "ab", "abd", "Abc", "abcd"}) {
    EXPECT_FALSE(is_same_secret("abc", other)) << other;
  }
}

}  // namespace
}  // namespace earshot
