#include "base/text.h"

#include <gtest/gtest.h>

#include <vector>

namespace earshot {
namespace {

using namespace std::string_literals;

TEST(Hex, IsReadBackFromItsText) {
  std::vector<std::uint8_t> bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<std::uint8_t>(i));
  const std::string text = to_hex(bytes);
  EXPECT_EQ(text.substr(0, 6), "000102");
  EXPECT_EQ(text.substr(510), "ff");
  EXPECT_EQ(parse_hex(text), std::string(bytes.begin(), bytes.end()));
  EXPECT_EQ(parse_hex("aAfF"), "\xAA\xFF");
  EXPECT_EQ(parse_hex(""), "");
  EXPECT_EQ(to_hex({}), "");
}

TEST(Hex, RefusesOtherTexts) {
  for (const auto& text :
       {"0"s, "abc"s, "0g"s, "g0"s, " 0"s, "0x"s, "\0"s, "0\0"s, "@@"s, "//"s, "::"s, "``"s}) {
    EXPECT_FALSE(parse_hex(text)) << text;
  }
}

TEST(Base64, DecodesWhatIsWellFormed) {
  const struct {
    std::string text;
    std::string bytes;
  } cases[] = {
      {"", ""},
      {"Zg==", "f"},
      {"Zm8=", "fo"},
      {"Zm9v", "foo"},
      {"Zm9vYg==", "foob"},
      {"Zm9vYmE=", "fooba"},
      {"Zm9vYmFy", "foobar"},
      {"AAAA", "\0\0\0"s},
      {"////", "\xFF\xFF\xFF"},
      {"+/+/", "\xFB\xFF\xBF"},
      {"QUNNRTphY21lLXNlY3JldA==", "ACME:acme-secret"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(decode_base64(c.text), c.bytes) << c.text;
    EXPECT_EQ(encode_base64(c.bytes), c.text);
  }
}

TEST(Base64, RefusesEverythingElse) {
  const std::string cases[] = {
      "Z",        "Zg",      "Zg=",           "Zm8",   "Zm9vY", "Zg===",
      "=",        "==",      "===",           "====",  "Z===",
      "Zh==",                                           // a stray bit
      "Zm9=",                                           // stray bits
      "Zg==Zg==", "Zg=v",    "=Zg=",                    // padding inside
      "Zm9v\n",   "Zm 9v",   " Zm9v",         "Zm9v ",  // white space
      "Zm-v",     "Zm_v",                               // the alphabet for addresses
      "Zm9\0"s,   "Zm9\xFF", "Zm9v\0\0\0\0"s,
  };
  for (const auto& text : cases) EXPECT_FALSE(decode_base64(text)) << text;
}

TEST(AppendJsonString, EscapesWhatJsonMustNotCarry) {
  const struct {
    std::string text;
    std::string json;
  } cases[] = {
      {"", R"("")"},
      {"plain", R"("plain")"},
      {R"(a"b\c/d)", R"("a\"b\\c/d")"},
      {"\b\f\n\r\t", R"("\b\f\n\r\t")"},
      {"\0\x01\x1F\x20\x7F"s, "\"\\u0000\\u0001\\u001f \x7F\""},
      {"\"", R"("\"")"},
      {"gr\xC3\xBC\xC3\x9F \xF0\x9F\x91\x82", "\"gr\xC3\xBC\xC3\x9F \xF0\x9F\x91\x82\""},
  };
  for (const auto& c : cases) {
    std::string out = "before ";
    append_json_string(out, c.text);
    EXPECT_EQ(out, "before " + c.json);
  }
}

TEST(AppendJsonString, EscapesEachByteWhereverItStands) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string one(1, static_cast<char>(byte));
    std::string escaped;
    append_json_string(escaped, one);
    escaped = escaped.substr(1, escaped.size() - 2);
    for (std::size_t size = 1; size <= 18; ++size) {
      for (std::size_t at = 0; at < size; ++at) {
        for (const char neighbour : {'x', '!', ' ', '~', '\x7F', '#', ']'}) {
          std::string text(size, neighbour);
          text[at] = one[0];
          std::string out;
          append_json_string(out, text);
          ASSERT_EQ(out, '"' + std::string(at, neighbour) + escaped +
                             std::string(size - at - 1, neighbour) + '"');
        }
      }
    }
  }
}

TEST(IsValidUtf8, TakesWellFormedTextOnly) {
  const struct {
    std::string text;
    bool valid;
  } cases[] = {
      {"", true},
      {"\0"s, true},
      {"\x7F", true},
      {"\x80", false},
      {"\xBF", false},
      {"\xC0\x80", false},  // overlong NUL
      {"\xC1\xBF", false},  // overlong
      {"\xC2\x80", true},
      {"\xC2", false},
      {"\xC2\x7F", false},
      {"\xC2\xC0", false},
      {"\xDF\xBF", true},
      {"\xE0\x9F\xBF", false},  // overlong
      {"\xE0\xA0\x80", true},
      {"\xE0\xA0", false},
      {"\xE0\xA0\x7F", false},
      {"\xED\x9F\xBF", true},
      {"\xED\xA0\x80", false},  // the first surrogate
      {"\xED\xBF\xBF", false},  // the last surrogate
      {"\xEE\x80\x80", true},
      {"\xEF\xBF\xBF", true},
      {"\xF0\x8F\xBF\xBF", false},  // overlong
      {"\xF0\x90\x80\x80", true},
      {"\xF0\x90\x80", false},
      {"\xF0\x90\x80\xC0", false},
      {"\xF4\x8F\xBF\xBF", true},   // U+10FFFF
      {"\xF4\x90\x80\x80", false},  // U+110000
      {"\xF5\x80\x80\x80", false},
      {"\xF8\x88\x80\x80\x80", false},
      {"\xFE", false},
      {"\xFF", false},
      {"\xC3\xBC\xC3", false},
  };
  for (const auto& c : cases) {
    // Before, behind and between ASCII of every length around the width of the fast path.
    for (std::size_t before = 0; before < 18; ++before) {
      for (std::size_t behind = 0; behind < 18; ++behind) {
        const std::string text = std::string(before, 'a') + c.text + std::string(behind, 'a');
        EXPECT_EQ(is_valid_utf8(text), c.valid)
            << before << " "
            << to_hex({reinterpret_cast<const std::uint8_t*>(c.text.data()), c.text.size()});
      }
    }
  }
}

TEST(EqualsIgnoringCase, FoldsLettersOfAsciiAndNothingElse) {
  // Every pair of bytes at every place of texts on both sides of the eight that are compared at
  // once.
  for (const std::size_t size : {1, 7, 8, 9, 16, 17}) {
    for (const std::size_t place : {std::size_t{0}, size / 2, size - 1}) {
      for (int a = 0; a < 256; ++a) {
        for (int b = 0; b < 256; ++b) {
          std::string first(size, 'x'), second(size, 'X');
          first[place] = static_cast<char>(a);
          second[place] = static_cast<char>(b);
          const auto fold = [](int c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; };
          ASSERT_EQ(equals_ignoring_case(first, second), fold(a) == fold(b)) << a << " " << b;
        }
      }
    }
  }
  EXPECT_TRUE(equals_ignoring_case("", ""));
  EXPECT_FALSE(equals_ignoring_case("content-lengt", "content-length"));
}

}  // namespace
}  // namespace earshot
