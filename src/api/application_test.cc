#include "api/application.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "api/testing.h"
#include "auth/scopes.h"

namespace earshot::api {
namespace {

namespace json = boost::json;

TEST_F(ApplicationTest, GivesListsAndTakesAway) {
  const auto transcript = [&](std::string method, std::string body, std::string answer) {
    const auto got = ask(std::move(method), body);
    expect_envelope(*got);
    EXPECT_EQ(got->response->status, 200) << body;
    EXPECT_EQ(got->body(), answer) << body;
  };
  const std::string done = R"({"requestId":"ID"})";
  const std::string head = R"({"requestId":"ID","callAccessList":[)";
  transcript("POST", list(R"("107")"), head + R"({"callId":"107","users":[]}]})");
  transcript("PUT", access("107", R"("134","132","134")"), done);
  transcript("PUT", access("107", R"("134")"), done);
  transcript("PUT", access("107", R"("131")"), done);  // the host needs no grant
  transcript("PUT", access("108", ""), done);
  transcript("PUT", R"({"callAccessList":[]})", done);
  transcript("POST", list(R"("108","107","108")"),
             head + R"({"callId":"108","users":[]},)"
                    R"({"callId":"107","users":[{"userId":"132"},{"userId":"134"}]}]})");
  transcript("DELETE", access("107", R"("134","131","999")"), done);
  transcript("POST", list(R"("107")"), head + R"({"callId":"107","users":[{"userId":"132"}]}]})");
  transcript("DELETE", R"({"callAccessList":[]})", done);
  EXPECT_EQ(store_.commands.size(), 7u);
}

TEST_F(ApplicationTest, ListsNoExpiredGrants) {
  core::GrantLine line;
  line.call = CallId{107};
  line.user = UserId{133};
  line.grant.expires_at = kNow;
  store_.apply({CompanyId{1}, false, line});
  EXPECT_EQ(ask("POST", list(R"("107")"))->body(),
            R"({"requestId":"ID","callAccessList":[{"callId":"107","users":[]}]})");
}

TEST_F(ApplicationTest, ListsNoGrantThatExpiredBeforeTheNewestChangeWhateverTheClockSays) {
  core::GrantLine line;
  line.call = CallId{107};
  line.user = UserId{133};
  line.grant.expires_at = Time{kNow.micros + 5};
  store_.apply({CompanyId{1}, false, line});
  EXPECT_EQ(ask("POST", list(R"("107")"))->body(),
            R"({"requestId":"ID","callAccessList":[{"callId":"107","users":[{"userId":"133"}]}]})");
  store_.now = Time{kNow.micros + 5};  // where the clock stood before it was put back
  store_.apply({CompanyId{1}, false, core::Company{CompanyId{1}, "Another name"}});
  EXPECT_EQ(ask("POST", list(R"("107")"))->body(),
            R"({"requestId":"ID","callAccessList":[{"callId":"107","users":[]}]})");
}

struct Refused {
  std::string name;
  std::string method;
  std::string body{};
  std::vector<std::string> errors;
};

const std::string kDigits = "must be a string of 1–19 digits";

std::vector<Refused> refused_bodies() {
  std::vector<Refused> cases;
  for (const std::string method : {"PUT", "DELETE"}) {
    const std::vector<Refused> both = {
        {"empty", method, "", {kBadJson, "body: is empty"}},
        {"not JSON", method, "{", {kBadJson, "body: the JSON text ends too early"}},
        {"no list", method, "{}", {kBadJson, "callAccessList: is required"}},
        {"the body of POST", method, list(R"("107")"), {kBadJson, "callAccessList: is required"}},
        {"null",
         method,
         R"({"callAccessList":null})",
         {kBadJson, "callAccessList: must be an array"}},
        {"numbers",
         method,
         access("107", "131"),
         {kBadJson, "callAccessList[0].userIds[0]: " + kDigits}},
        {"a call of another company",
         method,
         access("207", ""),
         {"Some calls not found", "callIds not found: 207"}},
        {"unknown calls",
         method,
         R"({"callAccessList":[{"callId":"5","userIds":[]},{"callId":"107","userIds":["131"]},)"
         R"({"callId":"4","userIds":["999"]},{"callId":"5","userIds":[]}]})",
         {"Some calls not found", "callIds not found: 5,4"}},
    };
    cases.insert(cases.end(), both.begin(), both.end());
  }
  const std::vector<Refused> others = {
      {"unknown user",
       "PUT",
       access("107", R"("999","134","998")"),
       {"Some users not found", "userIds not found: 998,999"}},
      {"a user of another company",
       "PUT",
       access("107", R"("231")"),
       {"Some users not found", "userIds not found: 231"}},
      {"no filter", "POST", "{}", {kBadJson, "filter: is required"}},
      {"the body of PUT", "POST", access("107", ""), {kBadJson, "filter: is required"}},
      {"no calls", "POST", list(""), {kBadJson, "filter.callIds: must name at least one call"}},
      {"unknown calls",
       "POST",
       list(R"("5","107","207","5")"),
       {"Some calls not found", "callIds not found: 5,207"}},
  };
  cases.insert(cases.end(), others.begin(), others.end());
  return cases;
}

TEST_F(ApplicationTest, RefusesBodies) {
  for (const Refused& item : refused_bodies()) {
    for (const std::size_t piece : {1 << 20, 1}) {
      const auto got = ask({.method = item.method,
                            .fields = kAuthorized,
                            .body = item.body,
                            .piece_bytes = static_cast<std::size_t>(piece)});
      expect_envelope(*got);
      EXPECT_EQ(got->response->status, 400) << item.method << ' ' << item.name;
      EXPECT_EQ(got->errors(), item.errors) << item.method << ' ' << item.name;
      EXPECT_FALSE(got->response->close);
    }
  }
  EXPECT_EQ(ask("POST", list(R"("107")"))->body(),
            R"({"requestId":"ID","callAccessList":[{"callId":"107","users":[]}]})");
}

TEST_F(ApplicationTest, SaysNotFoundAndInvalidOnlyOfUnknownIds) {
  for (const Refused& item : refused_bodies()) {
    if (item.errors[0].starts_with("Some ")) continue;
    for (const std::string& error : ask(item.method, item.body)->errors()) {
      EXPECT_EQ(error.find("not found"), std::string::npos) << error;
      EXPECT_EQ(error.find("invalid"), std::string::npos) << error;
    }
  }
}

TEST_F(ApplicationTest, NamesTheFirstHundredUnknownIds) {
  std::string calls;
  std::string named;
  for (int i = 1000; i < 1250; ++i) {
    calls += (calls.empty() ? "\"" : ",\"") + std::to_string(i) + '"';
    if (i < 1100) named += (named.empty() ? "" : ",") + std::to_string(i);
  }
  EXPECT_EQ(ask("POST", list(calls))->errors(),
            (std::vector<std::string>{"Some calls not found",
                                      "callIds not found: " + named + " and 150 more"}));
}

TEST_F(ApplicationTest, RefusesTooManyIds) {
  make({.limits = {.nesting_max = 64, .ids_max = 3}});
  const auto got = ask("PUT", access("107", R"("131","132","133")"));
  EXPECT_EQ(got->response->status, 400);
  EXPECT_EQ(got->errors(),
            (std::vector<std::string>{"Too many ids", "at most 3 ids in one request"}));
  EXPECT_EQ(ask("PUT", access("107", R"("131","132")"))->response->status, 200);
}

struct HeadCase {
  std::string name;
  Request request;
  int status;
  std::vector<std::string> errors;
  Fields fields;  // of the answer
};

TEST_F(ApplicationTest, RefusesHeads) {
  const std::string body = list(R"("107")");
  const std::string basic = "Basic QUNNRTpzM2NyZXQ=";
  const Fields challenge = {{"www-authenticate", kChallenge}};
  const Fields allow = {{"allow", "DELETE, POST, PUT"}};
  const auto with = [&](Fields fields) {
    return Request{.method = "POST", .fields = std::move(fields), .body = body};
  };
  const auto at = [&](std::string method, std::string path) {
    return Request{.method = std::move(method), .path = std::move(path), .fields = kAuthorized};
  };
  const auto typed = [&](std::string type) {
    return with({{"authorization", basic}, {"content-type", std::move(type)}});
  };
  std::vector<HeadCase> cases;
  for (const std::string path :
       {"/", "", "/v2/calls/users-access/", "/V2/calls/users-access", "/v2//calls/users-access",
        "/v2/calls%2Fusers-access", "/v2/calls/./users-access", "/v2/calls/users%2daccess",
        "/v2/calls/users-access%00", "/v2/calls", "*", "/healthz", "/metrics", "/readyz",
        "/openapi.json"}) {
    cases.push_back({"path " + path, at("POST", path), 404, {"Not Found"}, {}});
  }
  for (const std::string method : {"GET", "HEAD", "PATCH", "OPTIONS", "put", "POSTS", "TRACE"}) {
    cases.push_back({method, at(method, kPath), 405, {"Method Not Allowed"}, allow});
  }
  for (const std::string value :
       {"", "Basic", "Basic QUNNRTpzM2NyZXU=", "Basic VU5LTk9XTjpzM2NyZXQ=", "Basic QUNNRQ==",
        "Bearer QUNNRTpzM2NyZXQ=", "Basic  QUNNRTpzM2NyZXQ", "QUNNRTpzM2NyZXQ="}) {
    cases.push_back({"credentials " + value,
                     with({{"authorization", value}, {"content-type", "application/json"}}),
                     401,
                     {"Access denied"},
                     challenge});
  }
  cases.push_back({"no credentials",
                   with({{"content-type", "application/json"}}),
                   401,
                   {"Access denied"},
                   challenge});
  cases.push_back({"credentials twice",
                   with({{"authorization", basic},
                         {"Authorization", basic},
                         {"content-type", "application/json"}}),
                   401,
                   {"Access denied"},
                   challenge});
  cases.push_back({"no scope at all",
                   with({{"authorization", "Basic Tk9ORTpzM2NyZXQ="}}),
                   401,
                   {"You don't have permission to use 'api:call-user-access:read' in your app."},
                   challenge});
  for (const std::string method : {"PUT", "DELETE"}) {
    cases.push_back({"no scope to " + method,
                     {.method = method, .fields = {{"authorization", "Basic UkVBRDpzM2NyZXQ="}}},
                     401,
                     {"You don't have permission to use 'api:call-user-access:write' in your app."},
                     challenge});
  }
  Request too_long = with(kAuthorized);
  too_long.is_too_long = true;
  cases.push_back(
      {"too long", too_long, 413, {"Payload Too Large", "body: at most 8388608 bytes"}, {}});
  const std::string unsupported = "Unsupported Media Type";
  cases.push_back({"no type",
                   with({{"authorization", basic}}),
                   415,
                   {unsupported, "content-type: is required: application/json"},
                   {}});
  for (const std::string type : {"", "*/*", "text/plain", "application/json; charset=latin1"}) {
    cases.push_back({"type " + type,
                     typed(type),
                     415,
                     {unsupported, "content-type: must be application/json, in UTF-8"},
                     {}});
  }
  Request twice = typed("application/json");
  twice.fields.emplace_back("Content-type", "application/json");
  cases.push_back(
      {"type twice", twice, 415, {unsupported, "content-type: is given more than once"}, {}});
  Request coded = typed("application/json");
  coded.fields.emplace_back("Content-Encoding", "gzip");
  cases.push_back(
      {"gzip", coded, 415, {unsupported, "content-encoding: must be absent or identity"}, {}});

  for (const HeadCase& item : cases) {
    const auto got = ask(item.request);
    expect_envelope(*got);
    EXPECT_EQ(got->response->status, item.status) << item.name;
    EXPECT_EQ(got->errors(), item.errors) << item.name;
    EXPECT_EQ(got->fields().size(), 2 + item.fields.size()) << item.name;
    for (const auto& [name, value] : item.fields) EXPECT_EQ(got->field(name), value) << item.name;
    EXPECT_EQ(got->response->close, item.status == 413) << item.name;
  }
  EXPECT_TRUE(store_.reads.empty());
}

TEST_F(ApplicationTest, TakesWhatOtherClientsSend) {
  const std::string body = list(R"("107")");
  for (const Fields& fields : std::vector<Fields>{
           {{"AUTHORIZATION", "basic QUNNRTpzM2NyZXQ="}, {"CONTENT-TYPE", "Application/Json"}},
           {{"authorization", "BASIC   QUNNRTpzM2NyZXQ="},
            {"content-type", "application/json; charset=\"utf-8\""}},
           {{"authorization", "Basic QUNNRTpzM2NyZXQ="},
            {"content-type", "application/json;charset=UTF-8"},
            {"content-encoding", "Identity"},
            {"accept", "text/html"}},
       }) {
    EXPECT_EQ(ask({.fields = fields, .body = body})->response->status, 200);
  }
}

// Requests with a fault in each check from some point on get the answer of the first.
TEST_F(ApplicationTest, ChecksInTheOrderOfTheContract) {
  make({.limits = {.nesting_max = 64, .ids_max = 2}}, {.per_second = 1, .per_day = 0});
  const std::string calls = R"({"callAccessList":[{"callId":"5","userIds":["999"]}]})";
  // Company 2 has spent what it may do in this second, company 1 has not.
  const std::string other = "Basic T1RIRVI6czNjcmV0";
  ASSERT_EQ(ask({.fields = {{"authorization", other}, {"content-type", "application/json"}},
                 .body = list(R"("207")")})
                ->response->status,
            200);
  const auto status = [&](Request request) { return ask(request)->response->status; };
  const auto first = [&](Request request) { return ask(request)->errors().at(0); };

  Request request;
  request.method = "BREW";
  request.path = "/nowhere";
  request.is_too_long = true;
  request.body = "{";
  EXPECT_EQ(status(request), 404);
  request.path = kPath;
  EXPECT_EQ(status(request), 405);
  request.method = "PUT";
  EXPECT_EQ(first(request), "Access denied");
  request.fields = {{"authorization", "Basic UkVBRDpzM2NyZXQ="}};
  EXPECT_EQ(first(request),
            "You don't have permission to use 'api:call-user-access:write' in your app.");
  request.fields = {{"authorization", other}};
  EXPECT_EQ(status(request), 429);

  // From here on each passes the limit: as many in a second as it takes.
  make({.limits = {.nesting_max = 64, .ids_max = 2}});
  request.fields = kAuthorized;
  request.fields.pop_back();
  EXPECT_EQ(status(request), 413);
  request.is_too_long = false;
  EXPECT_EQ(status(request), 415);
  request.fields = kAuthorized;
  request.body = R"({"callAccessList":[{"callId":"5","userIds":["999","998","x"]}]}!)";
  EXPECT_EQ(ask(request)->errors().at(1), "callAccessList[0].userIds[2]: " + kDigits);
  request.body = R"({"callAccessList":[{"callId":"5","userIds":["999","998"]}]}!)";
  EXPECT_EQ(first(request), kBadJson);
  request.body.pop_back();
  EXPECT_EQ(first(request), "Too many ids");
  request.body = calls;
  EXPECT_EQ(first(request), "Some calls not found");
  request.body = access("107", R"("999")");
  EXPECT_EQ(first(request), "Some users not found");
  request.body = access("107", R"("134")");
  EXPECT_EQ(status(request), 200);
}

TEST_F(ApplicationTest, LimitsTheRateOfACompany) {
  make({}, {.per_second = 0, .per_day = 2});
  const std::string body = list(R"("107")");
  EXPECT_EQ(ask("POST", body)->response->status, 200);
  // What was refused before does not count.
  EXPECT_EQ(ask({.method = "PUT", .fields = {{"authorization", "Basic UkVBRDpzM2NyZXQ="}}})
                ->response->status,
            401);
  EXPECT_EQ(ask("POST", "{")->response->status, 400);
  const auto got = ask("POST", body);
  expect_envelope(*got);
  EXPECT_EQ(got->response->status, 429);
  EXPECT_EQ(got->errors(),
            (std::vector<std::string>{"API request limit exceeded", "at most 2 requests a day"}));
  EXPECT_EQ(got->field("retry-after"), "12800");  // kNow is 20:26:40
}

TEST_F(ApplicationTest, AnswersFailuresOfTheStore) {
  for (const auto& [method, body] :
       std::vector<std::pair<std::string, std::string>>{{"POST", list(R"("107")")},
                                                        {"PUT", access("107", R"("134")")},
                                                        {"DELETE", access("107", R"("134")")}}) {
    store_.failure = unavailable("the queue of /var/lib/secret is full");
    const auto busy = ask(method, body);
    expect_envelope(*busy);
    EXPECT_EQ(busy->response->status, 503);
    EXPECT_EQ(busy->errors(), std::vector<std::string>{"Service Unavailable"});
    EXPECT_EQ(busy->field("retry-after"), "1");
    for (const Error& error : {internal("disk /dev/sda"), invalid_argument("x"), conflict("y")}) {
      store_.failure = error;
      const auto failed = ask(method, body);
      expect_envelope(*failed);
      EXPECT_EQ(failed->response->status, 500);
      EXPECT_EQ(failed->errors(), std::vector<std::string>{"Internal server error occurred"});
    }
  }
}

TEST_F(ApplicationTest, AnswersWhenTheStoreDoes) {
  store_.is_deferred = true;
  const auto read = ask("POST", list(R"("107")"));
  const auto written = ask("PUT", access("107", R"("134")"));
  EXPECT_FALSE(read->response);
  EXPECT_FALSE(written->response);
  EXPECT_FALSE(written->is_abandoned);
  store_.answer_deferred();
  expect_envelope(*read);
  expect_envelope(*written);
}

TEST_F(ApplicationTest, LeavesABrokenRequestUnanswered) {
  const auto got = std::make_shared<Got>();
  {
    const auto body = begin({.method = "PUT", .fields = kAuthorized}, got);
    ASSERT_TRUE(body);
    body->piece(access("107", R"("134")"));
  }
  EXPECT_TRUE(got->is_abandoned);
  EXPECT_TRUE(store_.commands.empty());
}

TEST_F(ApplicationTest, StreamsLongAnswers) {
  for (std::uint64_t user = 1000; user < 1300; ++user) {
    core::User person;
    person.id = UserId{user};
    store_.apply({CompanyId{1}, false, person});
    core::GrantLine line;
    line.call = CallId{107};
    line.user = UserId{user};
    store_.apply({CompanyId{1}, false, line});
  }
  std::string calls = R"("107")";
  for (int i = 0; i < 40; ++i) calls += R"(,"107")";
  const auto whole = ask("POST", list(calls));
  EXPECT_FALSE(whole->is_stream);
  expect_envelope(*whole);

  make({.answer_bytes_whole = 1000});
  for (const bool is_slow : {false, true}) {
    const auto got = std::make_shared<Got>();
    got->is_slow = is_slow;
    ask({.fields = kAuthorized, .body = list(calls)}, got);
    got->drain();
    EXPECT_TRUE(got->is_stream);
    EXPECT_TRUE(got->is_ended);
    expect_envelope(*got);
    EXPECT_EQ(got->body(), whole->body());
  }

  const auto gone = std::make_shared<Got>();
  gone->is_slow = true;
  ask({.fields = kAuthorized, .body = list(calls)}, gone);
  gone->client_left();
  gone->drain();
}

TEST_F(ApplicationTest, ServesNeighboursToOperators) {
  const auto get = [&](std::string path, bool is_admin = true) {
    return ask({.method = "GET", .path = std::move(path), .is_admin = is_admin});
  };
  const auto health = get("/healthz");
  expect_envelope(*health);
  EXPECT_EQ(health->body(), R"({"requestId":"ID","status":"ok"})");
  EXPECT_EQ(get("/readyz")->response->status, 200);
  EXPECT_EQ(get("/openapi.json")->field("content-type"), "application/json;charset=UTF-8");
  EXPECT_EQ(get("/metrics")->field("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_FALSE(get("/metrics")->field("x-traceid").empty());
  EXPECT_EQ(get("/healthz", false)->response->status, 404);
  EXPECT_EQ(get("/nothing")->response->status, 404);

  const auto posted = ask({.method = "POST", .path = "/healthz", .is_admin = true});
  expect_envelope(*posted);
  EXPECT_EQ(posted->response->status, 405);
  EXPECT_EQ(posted->field("allow"), "GET");
  EXPECT_EQ(ask({.method = "POST", .fields = kAuthorized, .is_admin = true})->response->status,
            404);

  make({.admin_on_main = true});
  EXPECT_EQ(get("/healthz", false)->response->status, 200);
  EXPECT_EQ(ask("POST", list(R"("107")"))->response->status, 200);
}

TEST_F(ApplicationTest, DescribesItselfToGenerators) {
  put_key(CompanyId{1}, "ACME", {auth::kKnownScopes.begin(), auth::kKnownScopes.end()});
  const auto got = ask({.method = "GET", .path = "/openapi.json", .is_admin = true});
  const json::value document = json::parse(got->response->body);
  EXPECT_EQ(document.at("openapi").as_string(), "3.1.0");
  std::vector<std::string> operations;
  for (const auto& path : document.at("paths").as_object()) {
    for (const auto& [method, operation] : path.value().as_object()) {
      std::string name(method);
      for (char& c : name) c = static_cast<char>(c - 'a' + 'A');
      operations.push_back(name + " " + std::string(path.key()) + " " +
                           std::string(operation.at("operationId").as_string()));
      const auto* const body = operation.as_object().if_contains("requestBody");
      if (body == nullptr) continue;
      EXPECT_TRUE(body->at("required").as_bool());
      // Each example of a request is one that the server takes, but for ids that are not there.
      const auto& type = *body->at("content").as_object().begin();
      for (const auto& example : type.value().at("examples").as_object()) {
        const json::value& value = example.value().at("value");
        const auto answer = ask(
            {.method = name,
             .path = std::string(path.key()),
             .fields = {kAuthorized[0], {"Content-Type", std::string(type.key())}},
             .body = value.is_string() ? std::string(value.as_string()) : json::serialize(value)});
        ASSERT_TRUE(application_->finish_waiting(std::chrono::seconds(30)));
        const auto errors = answer->errors();
        EXPECT_TRUE(errors.empty() || errors[0] == "Some calls not found" ||
                    errors[0].ends_with("was not found"))
            << name << path.key() << errors[0];
      }
    }
  }
  EXPECT_EQ(operations, (std::vector<std::string>{
                            "PUT " + kPath + " addUsersAccessToCalls",
                            "POST " + kPath + " getUsersAccessToCalls",
                            "DELETE " + kPath + " deleteUsersAccessToCalls",
                            "POST /earshot/v1/access/check checkAccess",
                            "GET /earshot/v1/calls/{callId}/access listCallAccess",
                            "GET /earshot/v1/users/{userId}/access listUserAccess",
                            "PUT /earshot/v1/grants giveGrants",
                            "DELETE /earshot/v1/grants removeGrants",
                            "GET /earshot/v1/changes listChanges",
                            "GET /earshot/v1/changes/head getChangesHead",
                            "POST /earshot/v1/directory putRecords",
                            "GET /earshot/v1/calls/{callId} getCall",
                            "GET /earshot/v1/users/{userId} getUser",
                            "POST /earshot/v1/keys createKey",
                            "GET /earshot/v1/keys listKeys",
                            "DELETE /earshot/v1/keys revokeKey",
                            "GET /earshot/v1/refusals listRefusals",
                        }));
}

// Each example of a refusal begins with a text that the server gives.
TEST_F(ApplicationTest, DescribesRefusalsAsTheyAre) {
  const json::value document = json::parse(
      ask({.method = "GET", .path = "/openapi.json", .is_admin = true})->response->body);
  const std::set<std::string> known = {kBadJson,
                                       "Too many ids",
                                       "Some calls not found",
                                       "Some users not found",
                                       "Bad request",
                                       "Bad records",
                                       "Forbidden",
                                       "Payload Too Large",
                                       "Unsupported Media Type",
                                       "Access key was not found",
                                       "Access denied",
                                       "Some calls have changed",
                                       "A request with this key is still running",
                                       "This key was used for another request",
                                       "History is not kept that far back",
                                       "Call ID 4711 was not found",
                                       "User ID 4711 was not found"};
  std::size_t examples = 0;
  const std::function<void(const json::value&)> walk = [&](const json::value& value) {
    if (value.is_array()) {
      for (const json::value& one : value.get_array()) walk(one);
    }
    if (!value.is_object()) return;
    for (const auto& [name, one] : value.get_object()) {
      if (name == "4XX" || name == "default" || name == "Other") continue;
      if (name == "errors" && one.is_array()) {
        const std::string first(one.at(0).as_string());
        ++examples;
        EXPECT_TRUE(known.contains(first) ||
                    first.starts_with("You don't have permission to use '"))
            << first;
      }
      walk(one);
    }
  };
  walk(document.at("paths"));
  for (const char* name : {"MayNotRead", "MayNotWrite", "HistoryGone", "ChangedOrRunning",
                           "KeyUsed", "MayNotPut", "MayNotManageKeys"}) {
    walk(document.at("components").at("responses").at(name));
  }
  EXPECT_GT(examples, 30u);
}

TEST_F(ApplicationTest, IsNotReadyWhileItCannotServe) {
  const Request ready{.method = "GET", .path = "/readyz", .is_admin = true};
  store_.health_now = {.readable = true,
                       .writable = false,
                       .failed_for_good = false,
                       .reason = "the disk is nearly full: free some space"};
  const auto full = ask(ready);
  expect_envelope(*full);
  EXPECT_EQ(full->response->status, 503);
  EXPECT_EQ(full->errors(), (std::vector<std::string>{"Service Unavailable",
                                                      "the disk is nearly full: free some space"}));
  EXPECT_FALSE(full->field("retry-after").empty());
  store_.health_now = {};
  EXPECT_EQ(ask(ready)->response->status, 200);
  application_->set_draining();
  EXPECT_EQ(ask(ready)->response->status, 503);
  EXPECT_EQ(ask({.method = "GET", .path = "/healthz", .is_admin = true})->response->status, 200);
  EXPECT_EQ(ask("POST", list(R"("107")"))->response->status, 200);
}

TEST_F(ApplicationTest, RefusesWhatIsNoRequest) {
  const std::vector<std::pair<int, std::string>> cases = {
      {400, "Bad Request"},
      {408, "Request Timeout"},
      {417, "Expectation Failed"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal server error occurred"},
      {501, "Not Implemented"},
      {503, "Service Unavailable"},
      {505, "HTTP Version Not Supported"},
  };
  for (const auto& [status, text] : cases) {
    Got got;
    got.send(application_->refuse(status, "127.0.0.1"));
    expect_envelope(got);
    EXPECT_EQ(got.response->status, status);
    EXPECT_EQ(got.errors(), std::vector<std::string>{text});
    EXPECT_EQ(got.field("retry-after"), status == 503 ? "1" : "");
    EXPECT_TRUE(got.response->close);
  }
}

TEST_F(ApplicationTest, CountsWhatItAnswers) {
  application_->set_connection_count([] { return std::size_t{5}; });
  ask("PUT", access("107", R"("134")"));
  ask("PUT", access("107", R"("999")"));
  ask("POST", list(R"("107")"));
  ask({.method = "GET", .path = "/nowhere"});
  ask({});
  application_->refuse(431, "127.0.0.1");
  const std::string text =
      ask({.method = "GET", .path = "/metrics", .is_admin = true})->response->body;
  for (const std::string line : {
           R"(earshot_requests_total{operation="addUsersAccessToCalls",status="200"} 1)",
           R"(earshot_requests_total{operation="addUsersAccessToCalls",status="400"} 1)",
           R"(earshot_requests_total{operation="getUsersAccessToCalls",status="200"} 1)",
           R"(earshot_requests_total{operation="getUsersAccessToCalls",status="401"} 1)",
           R"(earshot_requests_total{operation="none",status="404"} 1)",
           R"(earshot_requests_total{operation="none",status="431"} 1)",
           R"(earshot_refusals_total{reason="unknown_users"} 1)",
           R"(earshot_refusals_total{reason="credentials"} 1)",
           R"(earshot_refusals_total{reason="head_too_long"} 1)",
           R"(earshot_refusals_total{reason="path"} 1)",
           R"(earshot_refusals_total{reason="media_type"} 0)",
           R"(earshot_request_duration_seconds_count{operation="addUsersAccessToCalls"} 2)",
           R"(earshot_request_duration_seconds_bucket{operation="addUsersAccessToCalls",)"
           R"(le="+Inf"} 2)",
           "earshot_commit_commands_count 2",
           "earshot_commit_commands_bucket{le=\"1\"} 2",
           "earshot_commit_sync_seconds_count 2",
           "earshot_commit_sync_seconds_sum 0.002",
           "earshot_connections 5",
           "earshot_log_lines_lost_total 0",
           "earshot_build_info{version=\"" EARSHOT_VERSION "\"} 1",
           R"(earshot_cache_hits_total{kind="calls"} 12)",
           R"(earshot_cache_hits_total{kind="a\"b"} 7)",
           "earshot_cache_bytes 3456",
           "# TYPE earshot_cache_hits_total counter",
       }) {
    EXPECT_NE(text.find(line + "\n"), std::string::npos) << line << "\nis not in\n" << text;
  }
  EXPECT_EQ(text.find("# TYPE earshot_cache_hits_total"),
            text.rfind("# TYPE earshot_cache_hits_total"));
}

}  // namespace
}  // namespace earshot::api
