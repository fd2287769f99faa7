#include "api/cursor.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace earshot::api {
namespace {

constexpr Digest kSecret = {1, 2, 3};
constexpr std::uint64_t kGreatest = 9'223'372'036'854'775'807;

PagedQuery query_of() {
  return {CompanyId{1}, "listUserAccess", 31, core::kAllWays, std::nullopt, std::nullopt};
}

TEST(Cursor, SaysWhatItWasMadeOf) {
  for (const Cursor& cursor :
       {Cursor{0, Time{0}, 0}, Cursor{7, Time{1'780'000'000'000'000}, 107},
        Cursor{kGreatest, Time{INT64_MAX}, kGreatest}, Cursor{1, Time{INT64_MIN}, 1}}) {
    const std::string text = encode_cursor(kSecret, query_of(), cursor);
    EXPECT_EQ(text.size(), 80u);
    EXPECT_EQ(text.find_first_not_of("0123456789abcdef"), std::string::npos) << text;
    EXPECT_EQ(decode_cursor(kSecret, query_of(), text), cursor);
  }
}

TEST(Cursor, IsGoodForItsOwnQueryAlone) {
  const Cursor cursor{7, Time{5}, 107};
  std::vector<PagedQuery> queries(10, query_of());
  queries[1].company = CompanyId{2};
  queries[2].operation = "listCallAccess";
  queries[3].id = 32;
  queries[4].ways = 8;
  queries[5].at = Time{5};
  queries[6].at = Time{0};
  queries[7].revision = 7;
  queries[8].revision = 0;
  queries[9].operation = "listUserAcces";
  for (const PagedQuery& made : queries) {
    const std::string text = encode_cursor(kSecret, made, cursor);
    for (const PagedQuery& asked : queries) {
      EXPECT_EQ(decode_cursor(kSecret, asked, text).has_value(), &made == &asked);
    }
  }
}

TEST(Cursor, IsGoodWithItsSecretAlone) {
  const std::string text = encode_cursor(kSecret, query_of(), {7, Time{5}, 107});
  for (std::size_t i = 0; i < kSecret.size(); ++i) {
    Digest other = kSecret;
    other[i] ^= 1;
    EXPECT_FALSE(decode_cursor(other, query_of(), text)) << i;
  }
}

TEST(Cursor, ThatWasTouchedIsNone) {
  const std::string text = encode_cursor(kSecret, query_of(), {7, Time{5}, 107});
  for (std::size_t i = 0; i < text.size(); ++i) {
    EXPECT_FALSE(decode_cursor(kSecret, query_of(), text.substr(0, i))) << i;
    for (const char c : {'0', '1', '8', 'f', 'g', '%'}) {
      std::string touched = text;
      touched[i] = c;
      if (c == text[i]) continue;
      EXPECT_FALSE(decode_cursor(kSecret, query_of(), touched)) << i << c;
    }
  }
  for (const std::string& other : {text + "00", "00" + text, text + text, std::string("cursor"),
                                   std::string(80, '0'), std::string(80, '\0')}) {
    EXPECT_FALSE(decode_cursor(kSecret, query_of(), other)) << other;
  }
}

}  // namespace
}  // namespace earshot::api
