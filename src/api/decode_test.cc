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
  std::vector<service::Pair> checks;
  GrantsBody grants;
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
  decoded.checks = decoder.take_checks();
  decoded.grants = decoder.take_grants();
  return decoded;
}

// What was read, as text: "1:2,3;4:" for an access list, "1,2" for a filter, "1/2" for a pair; or
// the error.
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
  for (const auto& [call, user] : decoded.checks) {
    text += to_string(call) + "/" + to_string(user) + ",";
  }
  const GrantsBody& grants = decoded.grants;
  for (const auto& [call, user, grant] : grants.pairs) {
    text += to_string(call) + "/" + to_string(user);
    if (grant.expires_at) text += "@" + format_time(*grant.expires_at);
    if (!grant.note.empty()) text += "\"" + grant.note + "\"";
    text += ",";
  }
  if (const auto* call = std::get_if<CallId>(&grants.all_of)) text += "call " + to_string(*call);
  if (const auto* user = std::get_if<UserId>(&grants.all_of)) text += "user " + to_string(*user);
  if (grants.is_dry_run) text += " dry";
  if (grants.if_revision) text += " if " + std::to_string(*grants.if_revision);
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

TEST(Decoder, ReadsChecks) {
  check(
      Shape::checks,
      {
          {"one", R"({"checks":[{"callId":"1","userId":"2"}]})", "1/2,"},
          {"user first", R"({"checks":[{"userId":"2","callId":"1"}]})", "1/2,"},
          {"as sent",
           R"( {"checks" : [ {"callId":"9","userId":"7"}, {"callId":"1","userId":"2"},)"
           R"({"callId":"9","userId":"7"}]} )",
           "9/7,1/2,9/7,"},
          {"unknown members",
           R"({"a":[{"checks":1}],"checks":[{"x":{"callId":1},"callId":"1","userId":"2","y":[]}],)"
           R"("grants":0,"dryRun":"x"})",
           "1/2,"},
          {"escapes", R"({"ch\u0065cks":[{"c\u0061llId":"\u0031","userId":"2"}]})", "1/2,"},
      });
}

TEST(Decoder, TellsWhatIsWrongWithChecks) {
  const std::string good = R"({"callId":"1","userId":"2"},)";
  check(
      Shape::checks,
      {
          {"none", "{}", "! checks: is required"},
          {"null", R"({"checks":null})", "! checks: must be an array"},
          {"object", R"({"checks":{}})", "! checks: must be an array"},
          {"no pair", R"({"checks":[]})", "! checks: must name at least one pair"},
          {"twice", R"({"checks":[)" + good.substr(0, good.size() - 1) + R"(],"checks":[]})",
           "! checks: is given twice"},
          {"an id", R"({"checks":["1"]})", "! checks[0]: must be an object"},
          {"a list", R"({"checks":[)" + good + "[]]}", "! checks[1]: must be an object"},
          {"no callId", R"({"checks":[)" + good + R"({"userId":"2"}]})",
           "! checks[1].callId: is required"},
          {"no userId", R"({"checks":[)" + good + R"({"callId":"2"}]})",
           "! checks[1].userId: is required"},
          {"userIds", R"({"checks":[{"callId":"2","userIds":["2"]}]})",
           "! checks[0].userId: is required"},
          {"number", R"({"checks":[)" + good + good + good + R"({"callId":"1","userId":2}]})",
           "! checks[3].userId: " + kDigits},
          {"null id", R"({"checks":[{"callId":null,"userId":"2"}]})",
           "! checks[0].callId: " + kDigits},
          {"list of ids", R"({"checks":[{"callId":["1"],"userId":"2"}]})",
           "! checks[0].callId: " + kDigits},
          {"zero", R"({"checks":[{"callId":"1","userId":"0"}]})", "! checks[0].userId: " + kRange},
          {"callId twice", R"({"checks":[{"callId":"1","userId":"2","callId":"1"}]})",
           "! checks[0].callId: is given twice"},
          {"cut short", R"({"checks":[)" + good + R"({"callId":"1")",
           "! checks[1].callId: the JSON text ends too early"},
          {"no JSON", R"({"checks":[)" + good + R"({"callId":"1","x":tru}]})",
           "! checks[1]: " + kNotJson},
          {"trailing bytes", R"({"checks":[{"callId":"1","userId":"2"}]}x)",
           "! body: bytes after the end of the JSON value"},
          {"too deep", R"({"checks":[)" + good + R"({"x":)" + nested(62) + "}]}",
           "! checks[1]: nests deeper than 64 levels"},
      });
}

TEST(Decoder, ReadsGrants) {
  const std::string at = "2036-03-01T10:00:00Z";
  const std::vector<Case> both = {
      {"none", R"({"grants":[]})", ""},
      {"one", R"({"grants":[{"callId":"1","userId":"2"}]})", "1/2,"},
      {"as sent",
       R"({"grants":[{"userId":"7","callId":"9"},{"callId":"1","userId":"2"},)"
       R"({"callId":"9","userId":"7"}]})",
       "9/7,1/2,9/7,"},
      {"dry run", R"({"dryRun":true,"grants":[{"callId":"1","userId":"2"}]})", "1/2, dry"},
      {"no dry run", R"({"grants":[{"callId":"1","userId":"2"}],"dryRun":false})", "1/2,"},
      {"a revision", R"({"grants":[],"ifRevision":0,"dryRun":true})", " dry if 0"},
      {"the greatest revision", R"({"ifRevision":9223372036854775807,"grants":[]})",
       " if 9223372036854775807"},
  };
  check(Shape::grants_to_give, both);
  check(Shape::grants_to_remove, both);
  check(
      Shape::grants_to_give,
      {
          {"terms",
           R"({"grants":[{"callId":"1","userId":"2","expiresAt":")" + at +
               R"(","note":"a \"b\" \u00fc"},{"note":"","callId":"3","userId":"4"}]})",
           "1/2@" + at + "\"a \"b\" ü\",3/4,"},
          {"offset",
           R"({"grants":[{"callId":"1","userId":"2","expiresAt":"2036-03-01T11:00:00.25+01:00"}]})",
           "1/2@2036-03-01T10:00:00.250Z,"},
          {"longest note",
           R"({"grants":[{"callId":"1","userId":"2","note":")" + std::string(1024, 'n') + "\"}]}",
           "1/2\"" + std::string(1024, 'n') + "\","},
          {"no allOf here", R"({"grants":[],"allOf":7})", ""},
      });
  check(Shape::grants_to_remove,
        {
            {"no terms here", R"({"grants":[{"callId":"1","userId":"2","expiresAt":7,"note":[]}]})",
             "1/2,"},
            {"all of a user", R"({"allOf":{"userId":"2"}})", "user 2"},
            {"all of a call", R"({"allOf":{"callId":"1","x":0},"ifRevision":7})", "call 1 if 7"},
        });
}

TEST(Decoder, TellsWhatIsWrongWithGrants) {
  const std::string number = "must be a number from 0 to 9223372036854775807";
  const std::string time = "must be a time like \"2026-03-01T10:00:00Z\" (RFC 3339)";
  const std::string good = R"({"callId":"1","userId":"2"},)";
  const std::vector<Case> both = {
      {"null", R"({"grants":null})", "! grants: must be an array"},
      {"a checks body", R"({"grants":[)" + good + R"({"callId":"1"}]})",
       "! grants[1].userId: is required"},
      {"no call", R"({"grants":[{"userId":"1"}]})", "! grants[0].callId: is required"},
      {"number", R"({"grants":[)" + good + good + R"({"callId":1,"userId":"2"}]})",
       "! grants[2].callId: " + kDigits},
      {"dry run null", R"({"grants":[],"dryRun":null})", "! dryRun: must be true or false"},
      {"dry run text", R"({"grants":[],"dryRun":"true"})", "! dryRun: must be true or false"},
      {"dry run twice", R"({"dryRun":true,"grants":[],"dryRun":true})", "! dryRun: is given twice"},
      {"revision null", R"({"grants":[],"ifRevision":null})", "! ifRevision: " + number},
      {"revision text", R"({"grants":[],"ifRevision":"7"})", "! ifRevision: " + number},
      {"revision negative", R"({"grants":[],"ifRevision":-1})", "! ifRevision: " + number},
      {"revision a fraction", R"({"grants":[],"ifRevision":7.0})", "! ifRevision: " + number},
      {"revision 2^63", R"({"grants":[],"ifRevision":9223372036854775808})",
       "! ifRevision: " + number},
      {"revision 2^64", R"({"grants":[],"ifRevision":18446744073709551616})",
       "! ifRevision: " + number},
      {"revision true", R"({"grants":[],"ifRevision":true})", "! ifRevision: " + number},
  };
  check(Shape::grants_to_give, both);
  check(Shape::grants_to_remove, both);
  const auto with = [](std::string member) {
    return R"({"grants":[{"callId":"1","userId":"2",)" + member + "}]}";
  };
  check(
      Shape::grants_to_give,
      {
          {"none", "{}", "! grants: is required"},
          {"all of a user", R"({"allOf":{"userId":"2"}})", "! grants: is required"},
          {"expiry null", with(R"("expiresAt":null)"), "! grants[0].expiresAt: " + time},
          {"expiry number", with(R"("expiresAt":1780000000)"), "! grants[0].expiresAt: " + time},
          {"expiry without offset", with(R"("expiresAt":"2036-03-01T10:00:00")"),
           "! grants[0].expiresAt: " + time},
          {"expiry that goes on",
           with(R"("expiresAt":"2036-03-01T10:00:00.)" + std::string(2000, '0') + "Z\""),
           "! grants[0].expiresAt: " + time},
          {"expiry twice",
           with(R"("expiresAt":"2036-03-01T10:00:00Z","expiresAt":"2036-03-01T10:00:00Z")"),
           "! grants[0].expiresAt: is given twice"},
          {"note null", with(R"("note":null)"), "! grants[0].note: must be a string"},
          {"note list", with(R"("note":["a"])"), "! grants[0].note: must be a string"},
          {"note too long", with(R"("note":")" + std::string(1025, 'n') + "\""),
           "! grants[0].note: must be at most 1024 bytes long"},
          {"note much too long", with(R"("note":")" + std::string(100'000, 'n') + "\""),
           "! grants[0].note: must be at most 1024 bytes long"},
          {"note with NUL", with(R"("note":"a\u0000b")"), "! grants[0].note: must not contain NUL"},
      });
  check(Shape::grants_to_remove,
        {
            {"none", "{}", "! body: must have either grants or allOf"},
            {"both", R"({"grants":[],"allOf":{"userId":"2"}})",
             "! body: must have either grants or allOf"},
            {"allOf null", R"({"allOf":null})", "! allOf: must be an object"},
            {"allOf nothing", R"({"allOf":{}})", "! allOf: must have either a callId or a userId"},
            {"allOf both", R"({"allOf":{"userId":"2","callId":"1"}})",
             "! allOf: must have either a callId or a userId"},
            {"allOf bad id", R"({"allOf":{"userId":2}})", "! allOf.userId: " + kDigits},
            {"allOf twice", R"({"allOf":{"userId":"2"},"allOf":{"userId":"2"}})",
             "! allOf: is given twice"},
        });
}

TEST(Decoder, CountsChecksAndPairs) {
  const std::string pair = R"({"callId":"1","userId":"2"})";
  const auto list_of = [&](std::string name, std::size_t count) {
    std::string body = "{\"" + name + "\":[";
    for (std::size_t i = 0; i < count; ++i) body += (i > 0 ? "," : "") + pair;
    return body + "]}";
  };
  const DecodeLimits limits{.nesting_max = 64, .ids_max = 6, .checks_max = 2};
  const DecodeLimits few_ids{.nesting_max = 64, .ids_max = 3, .checks_max = 2};
  for (const std::size_t piece : {std::size_t{1} << 20, std::size_t{5}}) {
    const auto outcome = [&](Shape shape, const std::string& body, DecodeLimits its_limits) {
      return describe(decode(shape, body, piece, its_limits));
    };
    EXPECT_EQ(outcome(Shape::checks, list_of("checks", 2), limits), "1/2,1/2,");
    EXPECT_EQ(outcome(Shape::checks, list_of("checks", 3), limits),
              "# at most 2 checks in one request");
    EXPECT_EQ(outcome(Shape::checks, list_of("checks", 2), few_ids),
              "# at most 3 ids in one request");
    EXPECT_EQ(outcome(Shape::checks, list_of("checks", 3) + "x", limits),
              "! body: bytes after the end of the JSON value");
    for (const Shape shape : {Shape::grants_to_give, Shape::grants_to_remove}) {
      EXPECT_EQ(outcome(shape, list_of("grants", 3), limits), "1/2,1/2,1/2,");
      EXPECT_EQ(outcome(shape, list_of("grants", 4), limits), "# at most 6 ids in one request");
    }
  }
  EXPECT_EQ(describe(decode(Shape::checks, list_of("checks", 10'001), 4096)),
            "# at most 10000 checks in one request");
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
