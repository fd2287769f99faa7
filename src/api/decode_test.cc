#include "api/decode.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace earshot::api {
namespace {

struct Decoded {
  std::optional<DecodeError> error;
  std::vector<core::CallUsers> items;
  std::vector<CallId> calls;
};

Decoded decode(Shape shape, std::string_view body, std::size_t piece_bytes,
               DecodeLimits limits = {}) {
  Decoder decoder(shape, limits);
  // Each piece in memory of its own, so that a sanitizer sees a view that outlives it.
  for (std::size_t at = 0; at < body.size(); at += piece_bytes) {
    decoder.piece(std::string(body.substr(at, piece_bytes)));
  }
  Decoded decoded;
  decoded.error = decoder.finish();
  if (decoded.error) return decoded;
  decoded.items = decoder.take_call_access_list();
  decoded.calls = decoder.take_call_ids();
  return decoded;
}

// What was read, as text: "1:2,3;4:" for an access list, "1,2" for a filter; or the error.
std::string describe(const Decoded& decoded) {
  if (decoded.error) {
    return (decoded.error->kind == DecodeError::Kind::json ? "! " : "# ") + decoded.error->detail;
  }
  std::string text;
  for (const auto& item : decoded.items) {
    text += to_string(item.call) + ":";
    for (const UserId user : item.users) text += to_string(user) + ",";
    text += ";";
  }
  for (const CallId call : decoded.calls) text += to_string(call) + ",";
  return text;
}

struct Case {
  std::string name;
  std::string body;
  std::string outcome;
};

void check(Shape shape, const std::vector<Case>& cases) {
  for (const Case& item : cases) {
    for (const std::size_t piece :
         {std::size_t{1} << 20, std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{7}}) {
      EXPECT_EQ(describe(decode(shape, item.body, piece)), item.outcome)
          << item.name << ", in pieces of " << piece;
    }
  }
}

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

const std::string kNotJson = "is not valid JSON from here on";
const std::string kDigits = "must be a string of 1–19 digits";
const std::string kRange = "must be a number from 1 to 9223372036854775807 without leading zeros";

TEST(Decoder, ReadsAFilter) {
  check(
      Shape::filter,
      {
          {"one", R"({"filter":{"callIds":["1"]}})", "1,"},
          {"order and repetitions stay", R"({"filter":{"callIds":["9","1","9"]}})", "9,1,9,"},
          {"greatest", R"({"filter":{"callIds":["9223372036854775807"]}})", "9223372036854775807,"},
          {"spaces", " {\t\"filter\" :\n{ \"callIds\" : [ \"1\" , \"2\" ] } }\r\n ", "1,2,"},
          {"escaped id", R"({"filter":{"callIds":["\u0031\u0032","1\u0033"]}})", "12,13,"},
          {"escaped names", R"({"\u0066ilter":{"c\u0061llIds":["1"]}})", "1,"},
          {"unknown members",
           R"({"a":1,"filter":{"b":[{"callIds":[]},null,1e5,"x"],)"
           R"("callIds":["1"],"c":{}},"d":{"filter":{}}})",
           "1,"},
          {"unknown members twice", R"({"a":1,"a":2,"filter":{"callIds":["1"]}})", "1,"},
          {"the other operation's member", R"({"callAccessList":1,"filter":{"callIds":["1"]}})",
           "1,"},
          {"names are case-sensitive", R"({"filter":{"callIds":["1"],"callids":7}})", "1,"},
          {"text beyond ASCII in what is ignored",
           "{\"\xC3\xA9\":\"\xF0\x9F\x98\x80\\uD83D\\uDE00\",\"filter\":{\"callIds\":[\"1\"]}}",
           "1,"},
          {"as deep as allowed", R"({"a":)" + nested(63) + R"(,"filter":{"callIds":["1"]}})", "1,"},
          {"an ignored member named long",
           "{\"" + std::string(5000, 'f') + R"(":1,"filter":{"callIds":["1"]}})", "1,"},
      });
}

TEST(Decoder, TellsWhatIsWrongWithAFilter) {
  check(
      Shape::filter,
      {
          {"empty", "", "! body: is empty"},
          {"blank", "  \n", "! body: the JSON text ends too early"},
          {"byte-order mark", "\xEF\xBB\xBF{\"filter\":{\"callIds\":[\"1\"]}}",
           "! body: " + kNotJson},
          {"array", "[]", "! body: must be an object"},
          {"string", "\"x\"", "! body: must be an object"},
          {"number", "1", "! body: must be an object"},
          {"null", "null", "! body: must be an object"},
          {"no filter", "{}", "! filter: is required"},
          {"filter null", R"({"filter":null})", "! filter: must be an object"},
          {"filter array", R"({"filter":[]})", "! filter: must be an object"},
          {"filter string", R"({"filter":"x"})", "! filter: must be an object"},
          {"no callIds", R"({"filter":{}})", "! filter.callIds: is required"},
          {"other case", R"({"filter":{"callids":["1"]}})", "! filter.callIds: is required"},
          {"callIds null", R"({"filter":{"callIds":null}})", "! filter.callIds: must be an array"},
          {"callIds string", R"({"filter":{"callIds":"1"}})", "! filter.callIds: must be an array"},
          {"callIds object", R"({"filter":{"callIds":{}}})", "! filter.callIds: must be an array"},
          {"callIds empty", R"({"filter":{"callIds":[]}})",
           "! filter.callIds: must name at least one call"},
          {"id number", R"({"filter":{"callIds":["1",2]}})", "! filter.callIds[1]: " + kDigits},
          {"id null", R"({"filter":{"callIds":[null]}})", "! filter.callIds[0]: " + kDigits},
          {"id bool", R"({"filter":{"callIds":[true]}})", "! filter.callIds[0]: " + kDigits},
          {"id array", R"({"filter":{"callIds":[["1"]]}})", "! filter.callIds[0]: " + kDigits},
          {"id object", R"({"filter":{"callIds":[{}]}})", "! filter.callIds[0]: " + kDigits},
          {"id empty", R"({"filter":{"callIds":[""]}})", "! filter.callIds[0]: " + kDigits},
          {"id letters", R"({"filter":{"callIds":["1a"]}})", "! filter.callIds[0]: " + kDigits},
          {"id sign", R"({"filter":{"callIds":["+1"]}})", "! filter.callIds[0]: " + kDigits},
          {"id minus", R"({"filter":{"callIds":["-1"]}})", "! filter.callIds[0]: " + kDigits},
          {"id space", R"({"filter":{"callIds":["1 "]}})", "! filter.callIds[0]: " + kDigits},
          {"id NUL", R"({"filter":{"callIds":["1\u0000"]}})", "! filter.callIds[0]: " + kDigits},
          {"id of other digits", "{\"filter\":{\"callIds\":[\"\xD9\xA1\"]}}",
           "! filter.callIds[0]: " + kDigits},
          {"id of 20 digits", R"({"filter":{"callIds":["10000000000000000000"]}})",
           "! filter.callIds[0]: " + kDigits},
          {"id long", R"({"filter":{"callIds":[")" + std::string(100'000, '1') + R"("]}})",
           "! filter.callIds[0]: " + kDigits},
          {"id zero", R"({"filter":{"callIds":["0"]}})", "! filter.callIds[0]: " + kRange},
          {"id with leading zero", R"({"filter":{"callIds":["01"]}})",
           "! filter.callIds[0]: " + kRange},
          {"id 2^63", R"({"filter":{"callIds":["9223372036854775808"]}})",
           "! filter.callIds[0]: " + kRange},
          {"filter twice", R"({"filter":{"callIds":["1"]},"filter":{"callIds":["1"]}})",
           "! filter: is given twice"},
          {"callIds twice", R"({"filter":{"callIds":["1"],"callIds":["1"]}})",
           "! filter.callIds: is given twice"},
          {"twice with an escape", R"({"filter":{"callIds":["1"],"call\u0049ds":["1"]}})",
           "! filter.callIds: is given twice"},
          {"first fault counts", R"({"filter":{"callIds":["x"],"callIds":["1"]} garbage)",
           "! filter.callIds[0]: " + kDigits},
          {"trailing comma", R"({"filter":{"callIds":["1",]}})",
           "! filter.callIds[1]: " + kNotJson},
          {"trailing bytes", R"({"filter":{"callIds":["1"]}}x)",
           "! body: bytes after the end of the JSON value"},
          {"second document", R"({"filter":{"callIds":["1"]}} {})",
           "! body: bytes after the end of the JSON value"},
          {"NUL after the end", std::string(R"({"filter":{"callIds":["1"]}})") + '\0',
           "! body: bytes after the end of the JSON value"},
          {"cut short", R"({"filter":{"callIds":["1"])", "! filter: the JSON text ends too early"},
          {"comment", R"({"filter":{"callIds":["1"]/**/}})", "! filter: " + kNotJson},
          {"single quotes", R"({'filter':{}})", "! body: " + kNotJson},
          {"bare word", R"({"filter":{"callIds":[NaN]}})", "! filter.callIds[0]: " + kNotJson},
          {"number with leading zero", R"({"a":01,"filter":{"callIds":["1"]}})",
           "! body: " + kNotJson},
          {"control character", "{\"filter\":{\"callIds\":[\"1\n\"]}}",
           "! filter.callIds[0]: " + kNotJson},
          {"unknown escape", R"({"a":"\x","filter":{"callIds":["1"]}})", "! body: " + kNotJson},
          {"lone leading surrogate", R"({"a":"\uD83D","filter":{"callIds":["1"]}})",
           "! body: " + kNotJson},
          {"lone trailing surrogate", R"({"a":"\uDE00 and on","filter":{"callIds":["1"]}})",
           "! body: " + kNotJson},
          {"two leading surrogates", R"({"a":"\uD83D\uD83D","filter":{"callIds":["1"]}})",
           "! body: " + kNotJson},
          {"lone surrogate in a name", R"({"\uD83D":1,"filter":{"callIds":["1"]}})",
           "! body: " + kNotJson},
          {"invalid UTF-8", "{\"a\":\"\xFF\",\"filter\":{\"callIds\":[\"1\"]}}",
           "! body: " + kNotJson},
          {"overlong UTF-8", "{\"a\":\"\xC0\x80\",\"filter\":{\"callIds\":[\"1\"]}}",
           "! body: " + kNotJson},
          {"surrogate in UTF-8", "{\"a\":\"\xED\xA0\x80\",\"filter\":{\"callIds\":[\"1\"]}}",
           "! body: " + kNotJson},
          {"beyond Unicode", "{\"a\":\"\xF4\x90\x80\x80\",\"filter\":{\"callIds\":[\"1\"]}}",
           "! body: " + kNotJson},
          {"UTF-8 cut by a quote", "{\"a\":\"\xC3\",\"filter\":{\"callIds\":[\"1\"]}}",
           "! body: " + kNotJson},
          {"invalid UTF-8 in a name", "{\"\xFF\":1,\"filter\":{\"callIds\":[\"1\"]}}",
           "! body: " + kNotJson},
          {"too deep", R"({"a":)" + nested(64) + R"(,"filter":{"callIds":["1"]}})",
           "! body: nests deeper than 64 levels"},
          {"much too deep", std::string(100'000, '['), "! body: must be an object"},
          {"much too deep inside", R"({"a":)" + std::string(100'000, '['),
           "! body: nests deeper than 64 levels"},
      });
}

TEST(Decoder, ReadsAnAccessList) {
  check(Shape::call_access_list,
        {
            {"one", R"({"callAccessList":[{"callId":"1","userIds":["2","3"]}]})", "1:2,3,;"},
            {"empty list", R"({"callAccessList":[]})", ""},
            {"no users", R"({"callAccessList":[{"callId":"1","userIds":[]}]})", "1:;"},
            {"users first", R"({"callAccessList":[{"userIds":["2"],"callId":"1"}]})", "1:2,;"},
            {"as sent",
             R"({"callAccessList":[{"callId":"9","userIds":["7","2","7"]},)"
             R"({"callId":"1","userIds":[]},{"callId":"9","userIds":["4"]}]})",
             "9:7,2,7,;1:;9:4,;"},
            {"unknown members",
             R"({"filter":[],"callAccessList":[{"x":{"callId":1},"callId":"1",)"
             R"("y":[["userIds"]],"userIds":["2"],"z":"z"}],"w":0})",
             "1:2,;"},
            {"text that looks like a name",
             R"({"callAccessList":[{"a":"callId","b":"userIds","callId":"1","userIds":["2"]}]})",
             "1:2,;"},
        });
}

TEST(Decoder, TellsWhatIsWrongWithAnAccessList) {
  const std::string good = R"({"callId":"1","userIds":["2"]},)";
  check(
      Shape::call_access_list,
      {
          {"no list", "{}", "! callAccessList: is required"},
          {"a filter", R"({"filter":{"callIds":["1"]}})", "! callAccessList: is required"},
          {"null", R"({"callAccessList":null})", "! callAccessList: must be an array"},
          {"object", R"({"callAccessList":{}})", "! callAccessList: must be an array"},
          {"twice", R"({"callAccessList":[],"callAccessList":[]})",
           "! callAccessList: is given twice"},
          {"item null", R"({"callAccessList":[null]})", "! callAccessList[0]: must be an object"},
          {"item string", R"({"callAccessList":["1"]})", "! callAccessList[0]: must be an object"},
          {"item array", R"({"callAccessList":[)" + good + "[]]}",
           "! callAccessList[1]: must be an object"},
          {"no callId", R"({"callAccessList":[)" + good + R"({"userIds":["2"]}]})",
           "! callAccessList[1].callId: is required"},
          {"no userIds", R"({"callAccessList":[)" + good + R"({"callId":"2"}]})",
           "! callAccessList[1].userIds: is required"},
          {"callId null", R"({"callAccessList":[{"callId":null,"userIds":[]}]})",
           "! callAccessList[0].callId: " + kDigits},
          {"callId number", R"({"callAccessList":[{"callId":1,"userIds":[]}]})",
           "! callAccessList[0].callId: " + kDigits},
          {"callId list", R"({"callAccessList":[{"callId":["1"],"userIds":[]}]})",
           "! callAccessList[0].callId: " + kDigits},
          {"userIds null", R"({"callAccessList":[{"callId":"1","userIds":null}]})",
           "! callAccessList[0].userIds: must be an array"},
          {"userIds string", R"({"callAccessList":[{"callId":"1","userIds":"2"}]})",
           "! callAccessList[0].userIds: must be an array"},
          {"user number",
           R"({"callAccessList":[)" + good + good + good + R"({"callId":"1","userIds":[5]}]})",
           "! callAccessList[3].userIds[0]: " + kDigits},
          {"user too great",
           R"({"callAccessList":[{"callId":"1","userIds":["1","9223372036854775808"]}]})",
           "! callAccessList[0].userIds[1]: " + kRange},
          {"callId twice", R"({"callAccessList":[{"callId":"1","callId":"1","userIds":[]}]})",
           "! callAccessList[0].callId: is given twice"},
          {"userIds twice", R"({"callAccessList":[{"callId":"1","userIds":[],"userIds":[]}]})",
           "! callAccessList[0].userIds: is given twice"},
          {"no JSON in an item", R"({"callAccessList":[{"callId":"1","x":tru}]})",
           "! callAccessList[0]: " + kNotJson},
      });
}

TEST(Decoder, CountsIdsAsSent) {
  const DecodeLimits limits{.nesting_max = 64, .ids_max = 3};
  const std::string three = R"({"callAccessList":[{"callId":"1","userIds":["2","2"]}]})";
  EXPECT_EQ(describe(decode(Shape::call_access_list, three, 99, limits)), "1:2,2,;");
  const std::string four =
      R"({"callAccessList":[{"callId":"1","userIds":["2"]},{"callId":"1","userIds":["2"]}]})";
  EXPECT_EQ(describe(decode(Shape::call_access_list, four, 99, limits)),
            "# at most 3 ids in one request");
  const std::string filter = R"({"filter":{"callIds":["1","1","1","1"]}})";
  EXPECT_EQ(describe(decode(Shape::filter, filter, 99, limits)), "# at most 3 ids in one request");
}

TEST(Decoder, PutsBadJsonBeforeTooManyIds) {
  const DecodeLimits limits{.nesting_max = 64, .ids_max = 1};
  for (const auto& [body, error] : std::vector<std::pair<std::string, std::string>>{
           {R"({"filter":{"callIds":["1","1"]}} x)",
            "! body: bytes after the end of the JSON value"},
           {R"({"filter":{"callIds":["1","1",1]}})", "! filter.callIds[2]: " + kDigits},
           {R"({"filter":{"callIds":["1","1","0"]}})", "! filter.callIds[2]: " + kRange},
           {R"({"filter":{"callIds":["1","1")",
            "! filter.callIds[2]: the JSON text ends too early"},
           {R"({"filter":{"callIds":["1","1"]},"filter":{}})", "! filter: is given twice"},
       }) {
    EXPECT_EQ(describe(decode(Shape::filter, body, 99, limits)), error) << body;
  }
}

TEST(Decoder, LeavesNothingForTheNextRequest) {
  const std::string good = R"({"filter":{"callIds":["1"]}})";
  for (const std::string_view before :
       {R"({"filter":{"callIds":["5","6"]}})", R"({"filter":{"callIds":["5",)", R"({"fil)",
        R"({"a":[[[)", R"({"filter":{"callIds":["1"],"\u0063all)", "[[[[", ""}) {
    {
      Decoder decoder(Shape::filter, {});
      decoder.piece(before);  // and then the connection ends
    }
    EXPECT_EQ(describe(decode(Shape::filter, good, 99)), "1,") << before;
    EXPECT_EQ(describe(decode(Shape::call_access_list, R"({"callAccessList":[]})", 99)), "");
  }
}

TEST(Decoder, KeepsLimitsApart) {
  const std::string body = R"({"a":)" + nested(4) + R"(,"filter":{"callIds":["1"]}})";
  EXPECT_EQ(describe(decode(Shape::filter, body, 99, {.nesting_max = 5, .ids_max = 9})), "1,");
  EXPECT_EQ(describe(decode(Shape::filter, body, 99, {.nesting_max = 4, .ids_max = 9})),
            "! body: nests deeper than 4 levels");
}

TEST(Decoder, ReadsManyIds) {
  std::string body = R"({"filter":{"callIds":[)";
  for (int i = 1; i <= 100'000; ++i) body += (i > 1 ? ",\"" : "\"") + std::to_string(i) + '"';
  body += "]}}";
  const Decoded decoded = decode(Shape::filter, body, 4096);
  ASSERT_FALSE(decoded.error);
  ASSERT_EQ(decoded.calls.size(), 100'000u);
  EXPECT_EQ(decoded.calls.back(), CallId{100'000});
}

}  // namespace
}  // namespace earshot::api
