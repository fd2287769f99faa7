#include "records/reader.h"

#include <gtest/gtest.h>

#include <sstream>

namespace earshot::records {
namespace {

using namespace std::string_literals;
using core::Record;

// Every record of the text, or the message of its first bad line.
struct Outcome {
  std::vector<Record> records;
  std::string reason = "none";
  Warnings warnings;
};

Outcome read(std::string_view text, Reader::Options options = {}) {
  Reader reader("f", read_from(text), options);
  Outcome outcome;
  for (;;) {
    auto record = reader.next();
    if (!record) {
      EXPECT_EQ(record.error().code, Code::invalid_argument);
      outcome.reason = record.error().message;
      break;
    }
    if (!*record) break;
    outcome.records.push_back(std::move(**record));
  }
  outcome.warnings = reader.warnings();
  return outcome;
}

// The one thing that the line means in company 1.
template <class Thing>
Thing read_one(const std::string& line) {
  const Outcome outcome = read(line, {.company = CompanyId{1}});
  EXPECT_EQ(outcome.reason, "none") << line;
  if (outcome.records.size() != 1) {
    ADD_FAILURE() << line;
    return {};
  }
  EXPECT_EQ(outcome.records[0].company, CompanyId{1});
  EXPECT_FALSE(outcome.records[0].remove);
  return std::get<Thing>(outcome.records[0].thing);
}

constexpr const char* kExamples =
    R"({"kind":"company","companyId":"1","name":"Acme"})"
    "\n"
    R"({"kind":"key","accessKey":"ACME","secret":"acme-secret",)"
    R"("scopes":["api:call-user-access:read","api:call-user-access:write"]})"
    "\n"
    R"({"kind":"workspace","workspaceId":"10","name":"Sales"})"
    "\n"
    R"({"kind":"profile","profileId":"20","workspaceId":"10","name":"Managers",)"
    R"("callsAccess":{"permissionLevel":"report-to-them","teamLeadIds":[]}})"
    "\n"
    R"({"kind":"user","userId":"234599484848423","emailAddress":"a@acme.test",)"
    R"("firstName":"A","lastName":"B","managerId":"31","active":true,"profileIds":["20"]})"
    "\n"
    R"({"kind":"user","userId":"33"})"
    "\n"
    R"({"kind":"call","callId":"7782342274025937895","workspaceId":"10","title":"Intro",)"
    R"("started":"2026-03-01T10:00:00Z","primaryUserId":"31","partyUserIds":["32"],)"
    R"("isPrivate":false})"
    "\n"
    R"({"kind":"share","callId":"7782342274025937895","userId":"33"})"
    "\n"
    R"({"kind":"grant","callId":"7782342274025937895","userId":"234599484848423"})"
    "\n";

TEST(Reader, ReadsEveryKind) {
  Outcome outcome = read(kExamples);
  ASSERT_EQ(outcome.reason, "none");
  ASSERT_EQ(outcome.records.size(), 9U);
  const auto key = std::get<core::KeyLine>(outcome.records[1].thing);
  EXPECT_EQ(key.key.access_key, "ACME");
  EXPECT_EQ(key.secret_text, "acme-secret");
  EXPECT_TRUE(verify_secret(key.key.secret, "acme-secret"));
  EXPECT_EQ(key.key.scopes,
            (std::vector<std::string>{"api:call-user-access:read", "api:call-user-access:write"}));
  EXPECT_FALSE(key.key.expires_at);
  outcome.records.erase(outcome.records.begin() + 1);

  const CompanyId one{1};
  const CallId call{7782342274025937895};
  core::Profile profile;
  profile.id = {20};
  profile.workspace = {10};
  profile.name = "Managers";
  profile.level = core::PermissionLevel::report_to_them;
  core::User user;
  user.id = {234599484848423};
  user.email_address = "a@acme.test";
  user.first_name = "A";
  user.last_name = "B";
  user.manager = {31};
  user.profiles = {{20}};
  core::User plain;
  plain.id = {33};
  core::Call intro;
  intro.id = call;
  intro.workspace = {10};
  intro.title = "Intro";
  intro.started = "2026-03-01T10:00:00Z";
  intro.primary_user = {31};
  intro.parties = {{32}};
  const std::vector<Record> expected = {
      {one, false, core::Company{one, "Acme"}},
      {one, false, core::Workspace{{10}, "Sales"}},
      {one, false, profile},
      {one, false, user},
      {one, false, plain},
      {one, false, intro},
      {one, false, core::ShareLine{call, {33}}},
      {one, false, core::GrantLine{call, {234599484848423}, {}}},
  };
  EXPECT_EQ(outcome.records, expected);
}

TEST(Reader, TakesDefaultsForAbsentAndForNullMembers) {
  core::User user;
  user.id = {3};
  EXPECT_EQ(read_one<core::User>(R"({"kind":"user","userId":"3"})"), user);
  EXPECT_EQ(
      read_one<core::User>(
          R"({"kind":"user","userId":"3","companyId":null,"remove":null,"emailAddress":null,)"
          R"("firstName":null,"lastName":null,"managerId":null,"active":null,"profileIds":null})"),
      user);
  core::Call call;
  call.id = {3};
  EXPECT_EQ(read_one<core::Call>(R"({"kind":"call","callId":"3"})"), call);
  EXPECT_EQ(read_one<core::Call>(
                R"({"kind":"call","callId":"3","workspaceId":null,"title":null,"started":null,)"
                R"("primaryUserId":null,"partyUserIds":null,"isPrivate":null})"),
            call);
  core::Profile profile;
  profile.id = {3};
  for (const char* rest :
       {"", R"(,"callsAccess":null)", R"(,"callsAccess":{})",
        R"(,"workspaceId":null,"name":null,"callsAccess":{"permissionLevel":null,)"
        R"("teamLeadIds":null})",
        R"(,"callsAccess":{"permissionLevel":"none"})"}) {
    EXPECT_EQ(
        read_one<core::Profile>(R"({"kind":"profile","profileId":"3")" + std::string(rest) + "}"),
        profile);
  }
  const core::GrantLine grant{{1}, {2}, {}};
  EXPECT_EQ(read_one<core::GrantLine>(
                R"({"kind":"grant","callId":"1","userId":"2","note":null,"expiresAt":null})"),
            grant);
}

TEST(Reader, ReadsEveryMember) {
  core::Profile profile;
  profile.id = {3};
  const struct {
    const char* text;
    core::PermissionLevel level;
  } levels[] = {{"none", core::PermissionLevel::none},
                {"own", core::PermissionLevel::own},
                {"report-to-them", core::PermissionLevel::report_to_them},
                {"managers-team", core::PermissionLevel::managers_team},
                {"all", core::PermissionLevel::all}};
  for (const auto& c : levels) {
    profile.level = c.level;
    profile.team_leads = {{9}, {8}, {9}};
    EXPECT_EQ(read_one<core::Profile>(
                  R"({"callsAccess":{"teamLeadIds":["9","8","9"],"permissionLevel":")"s + c.text +
                  R"("},"profileId":"3","kind":"profile"})"),
              profile);
  }
  core::GrantLine grant{{1}, {9223372036854775807}, {}};
  grant.grant.note = "\xC3\xBC \"why\"\n";
  grant.grant.expires_at = parse_time("2026-03-01T10:00:00.123456Z");
  EXPECT_EQ(read_one<core::GrantLine>(
                R"({"note":"\u00fc \"why\"\n","userId":"9223372036854775807","callId":"1",)"
                R"("expiresAt":"2026-03-01T11:00:00.1234567+01:00","kind":"grant"})"),
            grant);
  const auto call = read_one<core::Call>(
      R"({"kind":"call","callId":"1","started":"2026-03-01T11:00:00.50+01:00",)"
      R"("isPrivate":true,"partyUserIds":["2","1","2"]})");
  EXPECT_EQ(call.started, "2026-03-01T11:00:00.50+01:00");  // as given
  EXPECT_TRUE(call.is_private);
  EXPECT_EQ(call.parties, (std::vector<UserId>{{2}, {1}, {2}}));
  EXPECT_FALSE(read_one<core::User>(R"({"kind":"user","userId":"1","active":false})").active);
  const auto key = read_one<core::KeyLine>(
      R"({"kind":"key","accessKey":"!~","scopes":[],"expiresAt":"2030-01-01T00:00:00Z",)"
      R"("secretHash":"sha256:)" +
      std::string(32, 'A') + ":" + std::string(64, '0') + "\"}");
  EXPECT_EQ(key.key.access_key, "!~");
  EXPECT_EQ(key.key.secret.salt[15], 0xAA);
  EXPECT_EQ(key.key.expires_at, parse_time("2030-01-01T00:00:00Z"));
  EXPECT_FALSE(key.secret_text);
}

TEST(Reader, IgnoresWhatItDoesNotKnowButWantsItToBeJson) {
  const std::string deep = std::string(60, '[') + std::string(60, ']');
  for (const std::string& member :
       {R"("x":1)"s, R"("x":{"userId":"9","x":[{"kind":"call"},[[]]]})"s, R"("x":-1.5e300)"s,
        "\"x\":" + deep, R"("x":"\u0000\ud83d\ude00")"s, R"("x":1,"x":2)"s, R"("UserId":"9")"s,
        R"("":null)"s, R"("permissionLevel":7)"s,
        R"("teamLeadIds":{})"s,  // known only inside callsAccess
        R"("callId":[],"callId":1)"s, R"("isPrivate":"x")"s, R"("scopes":[1])"s}) {
    for (const auto& line : {"{" + member + R"(,"kind":"user","userId":"3","active":false})",
                             R"({"kind":"user","userId":"3",)" + member + R"(,"active":false})",
                             R"({"kind":"user","userId":"3","active":false,)" + member + "}"}) {
      const auto user = read_one<core::User>(line);
      EXPECT_EQ(user.id, UserId{3}) << line;
      EXPECT_FALSE(user.active) << line;
    }
  }
  const auto profile = read_one<core::Profile>(
      R"({"kind":"profile","profileId":"3","callsAccess":{"x":{"permissionLevel":"all"},)"
      R"("name":7,"permissionLevel":"own","callsAccess":[]}})");
  EXPECT_EQ(profile.level, core::PermissionLevel::own);
}

TEST(Reader, WantsOnlyTheIdsOfWhatIsRemoved) {
  const Outcome outcome = read(R"({"kind":"company","companyId":"5","remove":true,"name":7}
{"kind":"key","accessKey":"A","remove":true,"secret":[]}
{"kind":"workspace","workspaceId":"1","remove":true}
{"kind":"profile","profileId":"2","remove":true,"callsAccess":7}
{"kind":"user","userId":"3","remove":true,"active":"x"}
{"kind":"call","callId":"4","remove":true,"title":"x"}
{"kind":"share","callId":"4","userId":"3","remove":true}
{"kind":"grant","callId":"4","userId":"3","remove":true,"note":"x"}
{"kind":"user","userId":"3","remove":false}
)");
  ASSERT_EQ(outcome.reason, "none");
  const CompanyId five{5};
  core::KeyLine key;
  key.key.access_key = "A";
  core::Profile profile;
  profile.id = {2};
  core::User user;
  user.id = {3};
  core::Call call;
  call.id = {4};
  const std::vector<Record> expected = {
      {five, true, core::Company{five, ""}},
      {five, true, key},
      {five, true, core::Workspace{{1}, ""}},
      {five, true, profile},
      {five, true, user},
      {five, true, call},
      {five, true, core::ShareLine{{4}, {3}}},
      {five, true, core::GrantLine{{4}, {3}, {}}},
      {five, false, user},
  };
  EXPECT_EQ(outcome.records, expected);
}

TEST(Reader, MeansTheCompanyOfTheLastCompanyLine) {
  const Outcome outcome = read(R"({"kind":"user","userId":"1","companyId":"8"}
{"kind":"company","companyId":"5"}
{"kind":"user","userId":"1"}
{"kind":"user","userId":"1","companyId":"6"}
{"kind":"user","userId":"1"}
{"kind":"company","companyId":"7","remove":true}
{"kind":"user","userId":"1"}
)");
  ASSERT_EQ(outcome.reason, "none");
  std::vector<std::uint64_t> companies;
  for (const Record& record : outcome.records) companies.push_back(record.company.value);
  EXPECT_EQ(companies, (std::vector<std::uint64_t>{8, 5, 5, 6, 5, 7, 7}));
  EXPECT_EQ(read(R"({"kind":"user","userId":"1","companyId":"8"})"
                 "\n"
                 R"({"kind":"user","userId":"1"})")
                .reason,
            "f:2: companyId: required, as no company line came before");
}

TEST(Reader, RefusesBadLinesAndSaysWhy) {
  const std::string id = "must be a string of 1-19 digits, from 1 to 9223372036854775807";
  const std::string time = "must be a time with an offset, as in 2026-03-01T10:00:00Z";
  const std::string scope = "must be a string of 1-64 characters out of a-z, 0-9, : and -";
  const std::string key = R"({"kind":"key","accessKey":"A","secret":"s",)";
  const struct {
    std::string line;
    std::string reason;
  } cases[] = {
      {R"({"userId":"1"})", "kind: required"},
      {R"({"kind":null})", "kind: required"},
      {R"({"kind":7})", "kind: must be a string"},
      {R"({"kind":"Company"})",
       "kind: must be company, key, workspace, profile, user, call, share or grant"},
      {R"({"kind":"user","kind":"user","userId":"1"})", "kind: given twice"},
      {R"({"kind":"user"})", "userId: required"},
      {R"({"kind":"user","userId":null})", "userId: required"},
      {R"({"kind":"user","userId":1})", "userId: " + id},
      {R"({"kind":"user","userId":["1"]})", "userId: " + id},
      {R"({"kind":"user","userId":{"a":1}})", "userId: " + id},
      {R"({"kind":"user","userId":""})", "userId: " + id},
      {R"({"kind":"user","userId":"0"})", "userId: " + id},
      {R"({"kind":"user","userId":"01"})", "userId: " + id},
      {R"({"kind":"user","userId":"-1"})", "userId: " + id},
      {R"({"kind":"user","userId":" 1"})", "userId: " + id},
      {R"({"kind":"user","userId":"1\u0000"})", "userId: " + id},
      {R"({"kind":"user","userId":"9223372036854775808"})", "userId: " + id},
      {R"({"kind":"user","userId":"1","userId":null})", "userId: given twice"},
      {R"({"kind":"user","userId":"1","userId":"1"})", "userId: given twice"},
      {R"({"kind":"user","userId":"1","\u0075serId":"2"})", "userId: given twice"},
      {R"({"kind":"user","userId":"1","companyId":7})", "companyId: " + id},
      {R"({"kind":"company"})", "companyId: required"},
      {R"({"kind":"company","companyId":"x"})", "companyId: " + id},
      {R"({"kind":"user","userId":"1","remove":"true"})", "remove: must be true or false"},
      {R"({"kind":"user","userId":"1","remove":1})", "remove: must be true or false"},
      {R"({"kind":"user","userId":"1","active":"yes"})", "active: must be true or false"},
      {R"({"kind":"user","userId":"1","firstName":7})", "firstName: must be a string"},
      {R"({"kind":"user","userId":"1","firstName":true})", "firstName: must be a string"},
      {R"({"kind":"user","userId":"1","firstName":{"a":null}})", "firstName: must be a string"},
      {R"({"kind":"user","userId":"1","firstName":[["a"],null]})", "firstName: must be a string"},
      {R"({"kind":"user","userId":"1","firstName":"a\u0000b"})", "firstName: must not contain NUL"},
      {R"({"kind":"user","userId":"1","managerId":"x"})", "managerId: " + id},
      {R"({"kind":"user","userId":"1","managerId":""})", "managerId: " + id},
      {R"({"kind":"user","userId":"1","profileIds":"2"})", "profileIds: must be an array"},
      {R"({"kind":"user","userId":"1","profileIds":{}})", "profileIds: must be an array"},
      {R"({"kind":"user","userId":"1","profileIds":["2",3]})", "profileIds[1]: " + id},
      {R"({"kind":"user","userId":"1","profileIds":["2",null]})", "profileIds[1]: " + id},
      {R"({"kind":"user","userId":"1","profileIds":[["2"]]})", "profileIds[0]: " + id},
      {R"({"kind":"user","userId":"1","profileIds":["2","3",{"a":["4"]},5]})",
       "profileIds[2]: " + id},
      {R"({"kind":"user","userId":"1","profileIds":["2","x"]})", "profileIds[1]: " + id},
      {R"({"kind":"user","userId":"1","profileIds":[],"profileIds":[]})",
       "profileIds: given twice"},
      {R"({"kind":"profile","profileId":"1","callsAccess":7})", "callsAccess: must be an object"},
      {R"({"kind":"profile","profileId":"1","callsAccess":[]})", "callsAccess: must be an object"},
      {R"({"kind":"profile","profileId":"1","callsAccess":[{"permissionLevel":"all"}]})",
       "callsAccess: must be an object"},
      {R"({"kind":"profile","profileId":"1","callsAccess":{},)"
       R"("callsAccess":{"permissionLevel":"all"}})",
       "callsAccess: given twice"},
      {R"({"kind":"profile","profileId":"1","callsAccess":{"permissionLevel":"ALL"}})",
       "callsAccess.permissionLevel: must be none, own, report-to-them, managers-team or all"},
      {R"({"kind":"profile","profileId":"1","callsAccess":{"permissionLevel":""}})",
       "callsAccess.permissionLevel: must be none, own, report-to-them, managers-team or all"},
      {R"({"kind":"profile","profileId":"1","callsAccess":{"permissionLevel":["all"]}})",
       "callsAccess.permissionLevel: must be a string"},
      {R"({"kind":"profile","profileId":"1","callsAccess":{"permissionLevel":"all",)"
       R"("permissionLevel":"all"}})",
       "callsAccess.permissionLevel: given twice"},
      {R"({"kind":"profile","profileId":"1","callsAccess":{"teamLeadIds":[1]}})",
       "callsAccess.teamLeadIds[0]: " + id},
      {R"({"kind":"profile","profileId":"1","workspaceId":"x"})", "workspaceId: " + id},
      {R"({"kind":"workspace"})", "workspaceId: required"},
      {R"({"kind":"call"})", "callId: required"},
      {R"({"kind":"call","callId":"1","started":"yesterday"})", "started: " + time},
      {R"({"kind":"call","callId":"1","started":""})", "started: " + time},
      {R"({"kind":"call","callId":"1","started":"2026-03-01T10:00:00"})", "started: " + time},
      {R"({"kind":"call","callId":"1","started":1772359200})", "started: must be a string"},
      {R"({"kind":"call","callId":"1","isPrivate":0})", "isPrivate: must be true or false"},
      {R"({"kind":"call","callId":"1","partyUserIds":["x"]})", "partyUserIds[0]: " + id},
      {R"({"kind":"call","callId":"1","primaryUserId":7})", "primaryUserId: " + id},
      {R"({"kind":"share","callId":"1"})", "userId: required"},
      {R"({"kind":"share","userId":"1"})", "callId: required"},
      {R"({"kind":"grant","userId":"1","remove":true})", "callId: required"},
      {R"({"kind":"grant","callId":"1","userId":"1","expiresAt":"2026-02-30T00:00:00Z"})",
       "expiresAt: " + time},
      {R"({"kind":"grant","callId":"1","userId":"1","note":[]})", "note: must be a string"},
      {R"({"kind":"key","secret":"s","scopes":[]})", "accessKey: required"},
      {R"({"kind":"key","accessKey":"","secret":"s","scopes":[]})",
       "accessKey: must be 1-128 visible ASCII characters without a colon"},
      {R"({"kind":"key","accessKey":"a:b","secret":"s","scopes":[]})",
       "accessKey: must be 1-128 visible ASCII characters without a colon"},
      {R"({"kind":"key","accessKey":"a b","secret":"s","scopes":[]})",
       "accessKey: must be 1-128 visible ASCII characters without a colon"},
      {R"({"kind":"key","accessKey":"a\u007f","secret":"s","scopes":[]})",
       "accessKey: must be 1-128 visible ASCII characters without a colon"},
      {R"({"kind":"key","accessKey":"\u00fc","secret":"s","scopes":[]})",
       "accessKey: must be 1-128 visible ASCII characters without a colon"},
      {R"({"kind":"key","accessKey":"A","scopes":[]})", "secret: required, or secretHash"},
      {R"({"kind":"key","accessKey":"A","secret":"","scopes":[]})",
       "secret: must be 1-512 bytes without control characters"},
      {R"({"kind":"key","accessKey":"A","secret":"a\nb","scopes":[]})",
       "secret: must be 1-512 bytes without control characters"},
      {R"({"kind":"key","accessKey":"A","secret":7,"scopes":[]})", "secret: must be a string"},
      {R"({"kind":"key","accessKey":"A","secretHash":"sha256:00:00","scopes":[]})",
       "secretHash: must be as written by dump"},
      {R"({"kind":"key","accessKey":"A","secretHash":"x","secret":"s","scopes":[]})",
       "secretHash: not together with secret"},
      {R"({"kind":"key","accessKey":"A","secret":"s"})", "scopes: required"},
      {R"({"kind":"key","accessKey":"A","secret":"s","scopes":null})", "scopes: required"},
      {key + R"("scopes":"x"})", "scopes: must be an array"},
      {key + R"("scopes":[""]})", "scopes[0]: " + scope},
      {key + R"("scopes":["a","A"]})", "scopes[1]: " + scope},
      {key + R"("scopes":[true]})", "scopes[0]: " + scope},
      {key + R"("scopes":[],"expiresAt":"never"})", "expiresAt: " + time},
      {"7", "not a JSON object"},
      {"null", "not a JSON object"},
      {R"("kind")", "not a JSON object"},
      {"[]", "not a JSON object"},
      {R"([{"kind":"user","userId":"1"}])", "not a JSON object"},
      {"{", "not JSON: incomplete JSON at byte 2"},
      {"{]", "not JSON: syntax error at byte 2"},
      {R"({"kind":"user","userId":"1"} x)", "not JSON: more after the object at byte 30"},
      {R"({"kind":"user","userId":"1"}{})", "not JSON: more after the object at byte 29"},
      {"{\"kind\":\"user\",\"userId\":\"1\"}\0"s, "not JSON: more after the object at byte 29"},
      {R"({"kind":"user","userId":"1",})", "not JSON: syntax error at byte 29"},
      {R"({'kind':"user"})", "not JSON: syntax error at byte 2"},
      {"{\"kind\":\"user\",\"userId\":\"1\",\"x\":\"\xFF\"}", "not UTF-8"},
      {"{\"kind\":\"user\",\"userId\":\"1\",\"\xC0\x80\":1}", "not UTF-8"},
      {"{\"kind\":\"user\",\"userId\":\"1\",\"x\":\"\xED\xA0\x80\"}", "not UTF-8"},
      {"{\"kind\":\"user\",\"userId\":\"1\",\"x\":\"\0\"}"s, "not JSON: *"},
      {"{\"kind\":\"user\",\"userId\":\"1\",\"x\":\"\t\"}", "not JSON: *"},
      {R"({"kind":"user","userId":"1","x":"\ud800"})", "not JSON: *"},
      {R"({"kind":"user","userId":"1","x":"\udc00"})", "not JSON: *"},
      {R"({"kind":"user","userId":"1","x":nul})", "not JSON: *"},
      {R"({"kind":"user","userId":"1","x":NaN})", "not JSON: *"},
      {R"({"kind":"user","userId":"1","x":01})", "not JSON: *"},
      {R"({"kind":"user","userId":"1"} // x)", "not JSON: *"},
      {R"({"kind":"user","userId":"1","x":)" + std::string(64, '[') + std::string(64, ']') + "}",
       "not JSON: *"},
      {"\xEF\xBB\xBF{}", "a byte-order mark: save the file as UTF-8 without one"},
  };
  for (const auto& c : cases) {
    const Outcome outcome = read(c.line, {.company = CompanyId{1}});
    EXPECT_TRUE(outcome.records.empty()) << c.line;
    const std::string expected = "f:1: " + c.reason;
    if (expected.back() == '*') {
      EXPECT_EQ(outcome.reason.substr(0, expected.size() - 1),
                expected.substr(0, expected.size() - 1))
          << c.line;
    } else {
      EXPECT_EQ(outcome.reason, expected) << c.line;
    }
  }
}

TEST(Reader, HoldsItsLimitsToTheByte) {
  const auto many = [](std::size_t count, const std::string& element) {
    std::string list = "[";
    for (std::size_t i = 0; i < count; ++i) list += (i ? "," : "") + element;
    return list + "]";
  };
  const auto text = [](std::size_t size) { return '"' + std::string(size, 'x') + '"'; };
  const struct {
    std::string begin;
    std::string good;
    std::string bad;
    std::string reason;
  } cases[] = {
      {R"({"kind":"user","userId":"1","firstName":)", text(4096), text(4097),
       "firstName: longer than 4096 bytes"},
      {R"({"kind":"call","callId":"1","title":)", text(4096), text(4097),
       "title: longer than 4096 bytes"},
      {R"({"kind":"grant","callId":"1","userId":"1","note":)", text(1024), text(1025),
       "note: longer than 1024 bytes"},
      {R"({"kind":"user","userId":"1","profileIds":)", many(10'000, "\"1\""), many(10'001, "\"1\""),
       "profileIds: more than 10000 elements"},
      {R"({"kind":"call","callId":"1","partyUserIds":)", many(10'000, "\"1\""),
       many(10'001, "\"1\""), "partyUserIds: more than 10000 elements"},
      {R"({"kind":"key","secret":"s","scopes":[],"accessKey":)", text(128), text(129),
       "accessKey: must be 1-128 visible ASCII characters without a colon"},
      {R"({"kind":"key","accessKey":"A","scopes":[],"secret":)", text(512), text(513),
       "secret: must be 1-512 bytes without control characters"},
      {R"({"kind":"key","accessKey":"A","secret":"s","scopes":)", many(64, "\"a\""),
       many(65, "\"a\""), "scopes: more than 64 elements"},
      {R"({"kind":"key","accessKey":"A","secret":"s","scopes":)", '[' + text(64) + ']',
       '[' + text(65) + ']',
       "scopes[0]: must be a string of 1-64 characters out of a-z, 0-9, : and -"},
      {R"({"kind":"user","userId":"1","x":)", std::string(63, '[') + std::string(63, ']'),
       std::string(64, '[') + std::string(64, ']'), "*"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(read(c.begin + c.good + "}", {.company = CompanyId{1}}).reason, "none") << c.begin;
    const std::string reason = read(c.begin + c.bad + "}", {.company = CompanyId{1}}).reason;
    if (c.reason == "*") {
      EXPECT_NE(reason, "none") << c.begin;
    } else {
      EXPECT_EQ(reason, "f:1: " + c.reason) << c.begin;
    }
  }
}

TEST(Reader, TakesLinesAsTheyAreCommonlyEnded) {
  const std::string line = R"({"kind":"company","companyId":"1"})";
  const struct {
    std::string text;
    std::size_t records;
    std::string reason;
  } cases[] = {
      {"", 0, "none"},
      {"\n", 0, "none"},
      {"\r\n \t\r\n\n", 0, "none"},
      {line, 1, "none"},
      {line + "\n", 1, "none"},
      {line + "\r\n" + line + "\r\n", 2, "none"},
      {line + "\n\n\r\n" + line, 2, "none"},
      {"  " + line + " \t \n", 1, "none"},
      {line + "\n\n{", 1, "f:3: not JSON: incomplete JSON at byte 2"},
      {line + "\r\n" + line + "\r\n\r\n7\n" + line, 2, "f:4: not a JSON object"},
      {line + "\n{\"kind\":\n\"user\"}", 1, "f:2: not JSON: incomplete JSON at byte 9"},
  };
  for (const auto& c : cases) {
    const Outcome outcome = read(c.text);
    EXPECT_EQ(outcome.records.size(), c.records) << c.text;
    EXPECT_EQ(outcome.reason, c.reason) << c.text;
  }
}

TEST(Reader, ReadsTheSameHoweverTheBytesCome) {
  std::string text = kExamples;
  text += R"({"kind":"user","userId":"5","firstName":")" + std::string(4096, 'y') + "\"}\n";
  const Outcome whole = read(text);
  ASSERT_EQ(whole.records.size(), 10U);
  for (const std::size_t piece : {1U, 2U, 7U, 100U, 4096U}) {
    std::string_view rest = text;
    Reader reader("f", [&](std::span<char> buffer) -> Result<std::size_t> {
      const std::size_t size = std::min({piece, rest.size(), buffer.size()});
      std::copy_n(rest.data(), size, buffer.data());
      rest.remove_prefix(size);
      return size;
    });
    for (const Record& expected : whole.records) {
      const auto record = reader.next();
      ASSERT_TRUE(record);
      ASSERT_TRUE(*record);
      if (std::holds_alternative<core::KeyLine>(expected.thing)) continue;  // a fresh salt
      ASSERT_EQ(**record, expected) << piece;
    }
    ASSERT_FALSE(*reader.next());
  }
  std::istringstream in(text);
  Reader reader("f", read_from(in));
  std::size_t count = 0;
  while (*reader.next()) ++count;
  EXPECT_EQ(count, 10U);
  EXPECT_EQ(reader.position(), "f:10");
}

TEST(Reader, BoundsTheLineAndSoItsMemory) {
  const std::string line = R"({"kind":"company","companyId":"1"})";
  Reader::Options options;
  options.line_bytes_max = line.size();
  EXPECT_EQ(read(line + "\n" + line, options).records.size(), 2U);
  EXPECT_EQ(read(line + "\n" + line + " ", options).reason, "f:2: longer than 34 bytes");
  EXPECT_EQ(read(line + "\n" + line + " \n", options).reason, "f:2: longer than 34 bytes");

  // An endless line is given up after the limit, not read to its end.
  std::size_t given = 0;
  Reader reader("endless", [&given](std::span<char> buffer) -> Result<std::size_t> {
    std::fill(buffer.begin(), buffer.end(), ' ');
    given += buffer.size();
    return buffer.size();
  });
  const auto record = reader.next();
  ASSERT_FALSE(record);
  EXPECT_EQ(record.error().message, "endless:1: longer than 1048576 bytes");
  EXPECT_LT(given, 2 * kLineBytesMax + (1 << 18));
}

TEST(Reader, PassesOnAFailedReadAndStaysFailed) {
  int calls = 0;
  Reader reader("disk", [&calls](std::span<char> buffer) -> Result<std::size_t> {
    if (++calls == 2) return unavailable("gone");
    std::fill(buffer.begin(), buffer.end(), '\n');
    return buffer.size();
  });
  for (int i = 0; i < 3; ++i) {
    const auto record = reader.next();
    ASSERT_FALSE(record);
    EXPECT_EQ(record.error().code, Code::unavailable);
    EXPECT_EQ(record.error().message, "disk: gone");
  }
  EXPECT_EQ(calls, 2);
}

TEST(Reader, StaysAtTheBadLine) {
  Reader reader("f", read_from("{}\n{\"kind\":\"company\",\"companyId\":\"1\"}\n"));
  for (int i = 0; i < 3; ++i) {
    const auto record = reader.next();
    ASSERT_FALSE(record);
    EXPECT_EQ(record.error().message, "f:1: kind: required");
    EXPECT_EQ(reader.position(), "f:1");
  }
}

TEST(Reader, RepeatsNothingOfTheLineInItsReason) {
  const std::string secret = "TOPSECRET";
  for (const std::string& line : {
           R"({"kind":"key","accessKey":"A","secret":"TOPSECRET\n","scopes":[]})"s,
           R"({"kind":"key","accessKey":"TOPSECRET:","secret":"s","scopes":[]})"s,
           R"({"kind":"key","accessKey":"A","secret":"s","scopes":["TOPSECRET"]})"s,
           R"({"kind":"key","accessKey":"A","secretHash":"TOPSECRET","scopes":[]})"s,
           R"({"kind":"key","accessKey":"A","secret":"TOPSECRET)"s,
           R"({"kind":"key","accessKey":"A","secret":"s","TOPSECRET":01})"s,
           R"({"kind":"TOPSECRET"})"s,
           R"({"kind":"user","userId":"TOPSECRET"})"s,
       }) {
    const std::string reason = read(line, {.company = CompanyId{1}}).reason;
    EXPECT_NE(reason, "none") << line;
    EXPECT_EQ(reason.find(secret), reason.npos) << reason;
  }
}

TEST(Reader, WarnsOfShortSecrets) {
  std::string text = R"({"kind":"company","companyId":"1"})"
                     "\n";
  for (int i = 0; i < 7; ++i) {
    text +=
        R"({"kind":"key","accessKey":"A","scopes":[],"secret":")" + std::string(19, 's') + "\"}\n";
    text +=
        R"({"kind":"key","accessKey":"A","scopes":[],"secret":")" + std::string(20, 's') + "\"}\n";
  }
  text += R"({"kind":"key","accessKey":"A","remove":true,"secret":"s"})";
  const Outcome outcome = read(text);
  EXPECT_EQ(outcome.reason, "none");
  EXPECT_EQ(outcome.warnings.short_secrets, 7U);
  EXPECT_EQ(outcome.warnings.short_secret_positions,
            (std::vector<std::string>{"f:2", "f:4", "f:6", "f:8", "f:10"}));
}

TEST(Reader, SaysTheLineAloneWhereThereIsNoFile) {
  Reader reader("", read_from(std::string_view("\n{\"kind\":\"company\",\"companyId\":\"1\"}\n{")));
  ASSERT_TRUE(reader.next().has_value());
  EXPECT_EQ(reader.position(), "line 2");
  const auto bad = reader.next();
  ASSERT_FALSE(bad.has_value());
  EXPECT_TRUE(bad.error().message.starts_with("line 3: ")) << bad.error().message;
}

}  // namespace
}  // namespace earshot::records
