// PUT and DELETE /earshot/v1/grants.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/testing.h"

namespace earshot::api {
namespace {

constexpr const char* kRevision = "x-earshot-revision";
const std::string kGrants = "/earshot/v1/grants";
const std::string kSoon = "2026-05-28T20:26:41Z";  // a second after kNow

// {"callId":"107","userId":"132"}, and more members.
std::string pair(int call, int user, const std::string& more = "") {
  return R"({"callId":")" + std::to_string(call) + R"(","userId":")" + std::to_string(user) + "\"" +
         more + "}";
}
std::string grants(const std::string& pairs, const std::string& more = "") {
  return R"({"grants":[)" + pairs + "]" + more + "}";
}
std::string result(int call, int user, const std::string& outcome, const std::string& more = "") {
  return pair(call, user, R"(,"result":")" + outcome + "\"" + more);
}

class GrantsTest : public ApplicationTest {
 protected:
  GrantsTest() {
    core::Workspace workspace;
    workspace.id = WorkspaceId{10};
    store_.apply({CompanyId{1}, false, workspace});
    core::Profile profile;
    profile.id = ProfileId{20};
    profile.workspace = WorkspaceId{10};
    profile.level = core::PermissionLevel::all;
    store_.apply({CompanyId{1}, false, profile});
    core::User person;
    person.id = UserId{135};
    person.profiles = {ProfileId{20}};
    store_.apply({CompanyId{1}, false, person});
    core::Call call;
    call.id = CallId{110};
    call.workspace = WorkspaceId{10};
    call.parties = {UserId{135}};
    store_.apply({CompanyId{1}, false, call});
    core::ShareLine line;
    line.call = CallId{110};
    line.user = UserId{133};
    store_.apply({CompanyId{1}, false, line});
  }

  std::shared_ptr<Got> change(std::string method, std::string body, Fields more = {}) {
    Fields fields = kAuthorized;
    fields.insert(fields.end(), more.begin(), more.end());
    return ask({.method = std::move(method),
                .path = kGrants,
                .fields = std::move(fields),
                .body = std::move(body)});
  }
  // The results, of an answer that must be 200.
  std::string results(const Got& got) {
    expect_envelope(got);
    EXPECT_EQ(got.response->status, 200) << got.response->body;
    EXPECT_EQ(got.field(kRevision), std::to_string(store_.revision()));
    const std::string head =
        R"({"requestId":"ID","revision":)" + got.field(kRevision) + R"(,"results":[)";
    EXPECT_EQ(got.body().substr(0, head.size()), head);
    return got.body().substr(head.size(), got.body().size() - head.size() - 2);
  }
  void expect_refused(const Got& got, int status, std::vector<std::string> errors) {
    expect_envelope(got);
    EXPECT_EQ(got.response->status, status);
    EXPECT_EQ(got.errors(), errors);
  }
};

TEST_F(GrantsTest, GivesWithAResultForEachPair) {
  const std::string terms = R"(,"expiresAt":")" + kSoon + R"(","note":"a \"b\"")";
  EXPECT_EQ(results(*change(
                "PUT", grants(pair(107, 134, terms) + "," + pair(107, 131) + "," + pair(110, 133) +
                              "," + pair(110, 135) + "," + pair(5, 134) + "," + pair(107, 999) +
                              "," + pair(207, 231) + "," + pair(107, 134, terms)))),
            result(107, 134, "given", terms) + "," +
                result(107, 131, "no effect: participant", R"(,"ways":["participant"])") + "," +
                result(110, 133, "no effect: shared", R"(,"ways":["shared"])") + "," +
                result(110, 135, "no effect: participant", R"(,"ways":["participant","profile"])") +
                "," + result(5, 134, "unknown call") + "," + result(107, 999, "unknown user") +
                "," + result(207, 231, "unknown call") + "," + result(107, 134, "given", terms));
  EXPECT_EQ(results(*change("PUT", grants(pair(107, 134, terms)))),
            result(107, 134, "already", terms));
  EXPECT_EQ(results(*change("PUT", grants(pair(107, 134)))), result(107, 134, "changed"));
  EXPECT_EQ(results(*change("PUT", grants(""))), "");
}

TEST_F(GrantsTest, RemovesWithAResultForEachPair) {
  change("PUT", grants(pair(107, 134) + "," + pair(108, 134) + "," + pair(107, 133)));
  EXPECT_EQ(
      results(*change("DELETE", grants(pair(107, 134) + "," + pair(107, 131) + "," + pair(5, 134) +
                                       "," + pair(107, 999) + "," + pair(107, 134)))),
      result(107, 134, "removed") + "," + result(107, 131, "not found") + "," +
          result(5, 134, "unknown call") + "," + result(107, 999, "unknown user") + "," +
          result(107, 134, "removed"));
  EXPECT_EQ(results(*change("DELETE", R"({"allOf":{"userId":"134"}})")),
            result(108, 134, "removed"));
  EXPECT_EQ(results(*change("DELETE", R"({"allOf":{"callId":"107"}})")),
            result(107, 133, "removed"));
  EXPECT_EQ(results(*change("DELETE", R"({"allOf":{"callId":"107"}})")), "");
  expect_refused(*change("DELETE", R"({"allOf":{"callId":"207"}})"), 404,
                 {"Call ID 207 was not found"});
  expect_refused(*change("DELETE", R"({"allOf":{"userId":"999"}})"), 404,
                 {"User ID 999 was not found"});
}

TEST_F(GrantsTest, ADryRunSaysWhatItWouldDo) {
  const core::Revision before = store_.revision();
  const auto got =
      change("PUT", grants(pair(107, 134) + "," + pair(110, 133), R"(,"dryRun":true)"));
  EXPECT_EQ(got->body(), R"({"requestId":"ID","revision":)" + std::to_string(before) +
                             R"(,"dryRun":true,"results":[)" + result(107, 134, "given") + "," +
                             result(110, 133, "no effect: shared", R"(,"ways":["shared"])") + "]}");
  EXPECT_EQ(store_.revision(), before);
  EXPECT_EQ(results(*change("DELETE", grants(pair(107, 134)))), result(107, 134, "not found"));
}

TEST_F(GrantsTest, IsRefusedWhereACallHasChangedSince) {
  const std::string since = R"(,"ifRevision":)" + std::to_string(store_.revision());
  const std::string pairs = pair(107, 134) + "," + pair(108, 134);
  EXPECT_EQ(results(*change("PUT", grants(pair(108, 133), since))), result(108, 133, "given"));
  expect_refused(*change("PUT", grants(pairs, since)), 409,
                 {"Some calls have changed", "callIds changed: 108"});
  expect_refused(*change("DELETE", R"({"allOf":{"callId":"108"})" + since + "}"), 409,
                 {"Some calls have changed", "callIds changed: 108"});
  const std::string now = R"(,"ifRevision":)" + std::to_string(store_.revision());
  EXPECT_EQ(results(*change("PUT", grants(pairs, now))),
            result(107, 134, "given") + "," + result(108, 134, "given"));
}

TEST_F(GrantsTest, RefusesTermsThatCannotBe) {
  expect_refused(*change("PUT", grants(pair(107, 131) + "," +
                                       pair(107, 134, R"(,"expiresAt":"2026-05-28T20:26:40Z")"))),
                 400, {kBadJson, "grants[1].expiresAt: must be later than now"});
  expect_refused(
      *change("PUT", grants(pair(107, 134) + "," + pair(107, 131) + "," +
                            pair(107, 134, R"(,"note":"x")"))),
      400, {kBadJson, "grants[2]: says something else than grants[0] of the same call and user"});
  expect_refused(*change("PUT", "{}"), 400, {kBadJson, "grants: is required"});
  expect_refused(*change("DELETE", "{}"), 400,
                 {kBadJson, "body: must have either grants or allOf"});
  make({.limits = {.nesting_max = 64, .ids_max = 3}});
  expect_refused(*change("PUT", grants(pair(107, 131) + "," + pair(107, 132))), 400,
                 {"Too many ids", "at most 3 ids in one request"});
  make({.limits = {.nesting_max = 64, .ids_max = 4}});
  for (const int call : {107, 108, 109}) {
    change("PUT", grants(pair(call, 134) + "," + pair(call, 133)));
  }
  EXPECT_EQ(change("DELETE", R"({"allOf":{"userId":"134"}})")->response->status, 200);
  make({.limits = {.nesting_max = 64, .ids_max = 2}});
  expect_refused(*change("DELETE", R"({"allOf":{"userId":"133"}})"), 400,
                 {"Too many ids", "allOf: are 3 grants, at most 2 in one request"});
}

TEST_F(GrantsTest, ARequestWithAKeyIsCarriedOutOnce) {
  const Fields key = {{"Idempotency-Key", "a-key"}};
  const std::string body = grants(pair(107, 134));
  const auto first = change("PUT", body, key);
  EXPECT_EQ(results(*first), result(107, 134, "given"));
  EXPECT_EQ(first->field("idempotent-replayed"), "");
  change("DELETE", body);
  const core::Revision before = store_.revision();
  for (const std::size_t piece : {std::size_t{1} << 20, std::size_t{1}}) {
    Fields fields = kAuthorized;
    fields.push_back({"idempotency-key", "a-key"});
    const auto again = ask(
        {.method = "PUT", .path = kGrants, .fields = fields, .body = body, .piece_bytes = piece});
    EXPECT_EQ(again->response->status, 200);
    EXPECT_EQ(again->response->body, first->response->body) << "the same bytes, its id too";
    EXPECT_EQ(again->field("x-traceid"), first->field("x-traceid"));
    EXPECT_EQ(again->field(kRevision), first->field(kRevision));
    EXPECT_EQ(again->field("idempotent-replayed"), "true");
  }
  EXPECT_EQ(store_.revision(), before);
  expect_refused(*change("PUT", body + " ", key), 422, {"This key was used for another request"});
  expect_refused(*change("DELETE", body, key), 422, {"This key was used for another request"});
  EXPECT_EQ(results(*change("PUT", body, {{"idempotency-key", "another"}})),
            result(107, 134, "given"));

  store_.failure = conflict("under way");
  expect_refused(*change("PUT", body, key), 409, {"A request with this key is still running"});
}

TEST_F(GrantsTest, RefusesHeads) {
  const std::string bad = "Bad request";
  const std::string no_key =
      "idempotency-key: must be 1 to 255 visible characters of ASCII, without spaces";
  const std::string body = grants(pair(107, 134));
  for (const std::string& key : {std::string(""), std::string("a b"), std::string("\xC3\xBC"),
                                 std::string("a\x7F"), std::string(256, 'k')}) {
    for (const std::string method : {"PUT", "DELETE"}) {
      expect_refused(*change(method, body, {{"Idempotency-Key", key}}), 400, {bad, no_key});
    }
  }
  expect_refused(*change("PUT", "{", {{"Idempotency-Key", "a"}, {"idempotency-key", "a"}}), 400,
                 {bad, "idempotency-key: is given more than once"});
  EXPECT_EQ(change("PUT", body, {{"Idempotency-Key", std::string(255, '~')}})->response->status,
            200);
  const auto with_query =
      ask({.method = "PUT", .path = kGrants + "?dryRun=true", .fields = kAuthorized, .body = body});
  expect_refused(*with_query, 400, {bad, "query: this operation takes no parameters"});
  for (const std::string method : {"GET", "POST", "PATCH", "HEAD", "OPTIONS"}) {
    const auto got = ask({.method = method, .path = kGrants, .fields = kAuthorized, .body = body});
    expect_refused(*got, 405, {"Method Not Allowed"});
    EXPECT_EQ(got->field("allow"), "DELETE, PUT");
  }
  const auto scope = ask(
      {.method = "PUT", .path = kGrants, .fields = {{"authorization", "Basic UkVBRDpzM2NyZXQ="}}});
  expect_refused(*scope, 401,
                 {"You don't have permission to use 'earshot:grants:write' in your app."});
  const auto type = ask({.method = "PUT", .path = kGrants, .fields = {kAuthorized[0]}});
  expect_refused(*type, 415,
                 {"Unsupported Media Type", "content-type: is required: application/json"});
}

TEST_F(GrantsTest, AnswersFailuresOfTheStore) {
  const std::string body = grants(pair(107, 134));
  for (const auto& [error, status] : std::vector<std::pair<Error, int>>{
           {unavailable("the queue of /var/lib/secret is full"), 503},
           {internal("disk /dev/sda"), 500},
           {gone("revision 5 is the oldest"), 410}}) {
    store_.failure = error;
    const auto got = change("PUT", body);
    expect_envelope(*got);
    EXPECT_EQ(got->response->status, status);
  }
}

TEST_F(GrantsTest, StreamsLongAnswers) {
  std::string pairs;
  for (int i = 0; i < 3000; ++i) pairs += (i > 0 ? "," : "") + pair(107, 1000 + i);
  const std::string body = grants(pairs, R"(,"dryRun":true)");
  const auto whole = change("PUT", body);
  EXPECT_FALSE(whole->is_stream);
  expect_envelope(*whole);
  make({.answer_bytes_whole = 1000});
  const auto got = change("PUT", body);
  EXPECT_TRUE(got->is_stream && got->is_ended);
  EXPECT_EQ(got->body(), whole->body());
  EXPECT_EQ(got->field(kRevision), whole->field(kRevision));
}

}  // namespace
}  // namespace earshot::api
