// Records over HTTP: what a key may put, the texts of what it may not, and limits that are crossed.
#include "api/testing.h"
#include "auth/scopes.h"

namespace earshot::api {
namespace {

using namespace std::chrono_literals;

const std::string kDirectory = "/earshot/v1/directory";
const std::string kBoss = "Basic Qk9TUzpzM2NyZXQ=";  // may do everything
const std::string kLoad = "Basic TE9BRDpzM2NyZXQ=";  // the directory alone
const std::string kKeys = "Basic S0VZUzpzM2NyZXQ=";  // the directory and keys

class DirectoryApiTest : public ApplicationTest {
 protected:
  DirectoryApiTest() {
    put_key({1}, "BOSS", {auth::kKnownScopes.begin(), auth::kKnownScopes.end()});
    put_key({1}, "LOAD", {std::string(auth::kScopeDirectoryWrite)});
    put_key({1}, "KEYS",
            {std::string(auth::kScopeDirectoryWrite), std::string(auth::kScopeKeysWrite)});
  }

  std::shared_ptr<Got> load(const std::string& lines, const std::string& authorization = kBoss,
                            const std::string& type = "application/x-ndjson") {
    Request request{.path = kDirectory,
                    .fields = {{"Authorization", authorization}, {"Content-Type", type}},
                    .body = lines};
    request.piece_bytes = 7;
    const auto got = ask(request);
    EXPECT_TRUE(application_->finish_waiting(30s));
    return got;
  }
  std::shared_ptr<Got> get(const std::string& path, const std::string& authorization = kLoad) {
    return ask({.method = "GET", .path = path, .fields = {{"Authorization", authorization}}});
  }
  // The company's records without keys, whose hashes are random.
  std::vector<core::Record> things() {
    std::vector<core::Record> found;
    const Status done = store_.dump([&](const core::Record& record) -> Status {
      if (!std::holds_alternative<core::KeyLine>(record.thing)) found.push_back(record);
      return {};
    });
    EXPECT_TRUE(done.has_value());
    return found;
  }
};

TEST_F(DirectoryApiTest, PutsRecordsAndSaysWhichRevisionHoldsThem) {
  const auto got = load(R"({"kind":"user","userId":"900","firstName":"Ada"}

{"kind":"call","callId":"901","primaryUserId":"900","companyId":"1"}
{"kind":"grant","callId":"901","userId":"131","note":"for you"})",
                        kBoss, "Application/X-NDJSON; charset=utf-8");
  expect_envelope(*got);
  ASSERT_EQ(got->response->status, 200) << got->response->body;
  const std::string revision = std::to_string(store_.revision());
  EXPECT_EQ(got->body(), R"({"requestId":"ID","revision":)" + revision +
                             R"(,"records":3,"changes":3,"warnings":[]})");
  EXPECT_EQ(got->field("x-earshot-revision"), revision);

  const auto user = get("/earshot/v1/users/900");
  expect_envelope(*user);
  EXPECT_EQ(user->body(), R"({"requestId":"ID","revision":)" + revision +
                              R"(,"record":{"kind":"user","userId":"900","firstName":"Ada"}})");
  EXPECT_EQ(user->field("x-earshot-revision"), revision);
  const auto call = get("/earshot/v1/calls/901");
  EXPECT_EQ(call->body(), R"({"requestId":"ID","revision":)" + revision +
                              R"(,"record":{"kind":"call","callId":"901","primaryUserId":"900"}})");
}

TEST_F(DirectoryApiTest, AThingThatIsNotThereOrAnothersIsNotFound) {
  EXPECT_EQ(get("/earshot/v1/calls/207")->errors(),
            (std::vector<std::string>{"Call ID 207 was not found"}));
  EXPECT_EQ(get("/earshot/v1/users/231")->response->status, 404);
  EXPECT_EQ(get("/earshot/v1/users/231")->errors(),
            (std::vector<std::string>{"User ID 231 was not found"}));
  EXPECT_EQ(get("/earshot/v1/users/0")->response->status, 400);
  EXPECT_EQ(get("/earshot/v1/users/131", kAuthorized[0].second)->response->status, 401)
      << "it needs the scope of the directory";
}

TEST_F(DirectoryApiTest, AThingIsReadAsOfARevisionThatIsThere) {
  const auto read_at = [&](core::Revision revision) {
    return ask(
        {.method = "GET",
         .path = "/earshot/v1/calls/107",
         .fields = {{"Authorization", kLoad}, {"x-earshot-revision", std::to_string(revision)}}});
  };
  EXPECT_EQ(read_at(store_.revision())->response->status, 200);
  const auto ahead = read_at(store_.revision() + 1);
  EXPECT_EQ(ahead->response->status, 503);
  EXPECT_EQ(ahead->field("retry-after"), "1");
}

TEST_F(DirectoryApiTest, AThingIsNotReadWithAKeyThatWasRevokedElsewhere) {
  store_.is_one_of_many = true;
  store_.remember("LOAD");
  EXPECT_EQ(get("/earshot/v1/calls/107")->response->status, 200);
  revoke_key({1}, "LOAD");
  EXPECT_EQ(get("/earshot/v1/calls/107")->response->status, 401);
}

TEST_F(DirectoryApiTest, ABadRecordIsNamedByItsLineAndNothingIsApplied) {
  const auto before = things();
  const std::string good = R"({"kind":"user","userId":"900"})"
                           "\n";
  const struct {
    const char* name;
    std::string line;
    std::string authorization;
    int status;
    std::string says;
  } rows[] = {
      {"no JSON", "{", kBoss, 400, "line 3: "},
      {"unknown kind", R"({"kind":"thing"})", kBoss, 400, "line 3: "},
      {"a company", R"({"kind":"company","companyId":"1","name":"N"})", kBoss, 400,
       "line 3: kind: only an operator puts a company in place"},
      {"a company that goes", R"({"kind":"company","companyId":"1","remove":true})", kBoss, 400,
       "line 3: kind: only an operator puts a company in place"},
      {"another company's user", R"({"kind":"user","userId":"5","companyId":"2"})", kBoss, 400,
       "line 3: companyId: must be that of the access key, or absent"},
      {"an unknown call", R"({"kind":"share","callId":"5","userId":"131"})", kBoss, 400,
       "line 3: "},
      {"another company's access key",
       R"({"kind":"key","accessKey":"OTHER","secret":"a-secret-of-twenty-chars","scopes":["earshot:audit:read"]})",
       kBoss, 400, "line 3: "},
      {"a grant without its scope", R"({"kind":"grant","callId":"107","userId":"132"})", kLoad, 403,
       "line 3: a grant line needs the scope earshot:grants:write"},
      {"a grant that goes, without its scope",
       R"({"kind":"grant","callId":"107","userId":"132","remove":true})", kLoad, 403,
       "line 3: a grant line needs the scope earshot:grants:write"},
      {"a key without its scope",
       R"({"kind":"key","accessKey":"N","secret":"a-secret-of-twenty-chars","scopes":["earshot:directory:write"]})",
       kLoad, 403, "line 3: a key line needs the scope earshot:keys:write"},
      {"a key that goes, without its scope", R"({"kind":"key","accessKey":"READ","remove":true})",
       kLoad, 403, "line 3: a key line needs the scope earshot:keys:write"},
      {"scopes that the key lacks",
       R"({"kind":"key","accessKey":"N","secret":"a-secret-of-twenty-chars","scopes":["earshot:keys:write","earshot:audit:read","x:y"]})",
       kKeys, 403, "line 3: scopes: the key that asks does not have earshot:audit:read, x:y"},
      {"wider scopes for itself",
       R"({"kind":"key","accessKey":"KEYS","secret":"s3cret","scopes":["earshot:directory:write","earshot:keys:write","earshot:grants:write"]})",
       kKeys, 403, "line 3: scopes: the key that asks does not have earshot:grants:write"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    const auto got = load(good + "\n" + row.line + "\n" + good, row.authorization);
    expect_envelope(*got);
    EXPECT_EQ(got->response->status, row.status) << got->response->body;
    ASSERT_EQ(got->errors().size(), 2U);
    EXPECT_EQ(got->errors()[0], row.status == 403 ? "Forbidden" : "Bad records");
    EXPECT_TRUE(got->errors()[1].starts_with(row.says)) << got->errors()[1];
    EXPECT_EQ(got->response->body.find("/tmp"), std::string::npos);
    EXPECT_EQ(things(), before);
  }
  const auto metrics = ask({.method = "GET", .path = "/metrics", .is_admin = true});
  EXPECT_NE(metrics->response->body.find(R"({operation="putRecords",status="403"} )"),
            std::string::npos);
}

TEST_F(DirectoryApiTest, AKeyMayPutKeysWithItsOwnScopes) {
  const auto got = load(
      R"({"kind":"key","accessKey":"N","secret":"short","scopes":["earshot:directory:write"]})",
      kKeys);
  ASSERT_EQ(got->response->status, 200) << got->response->body;
  EXPECT_NE(
      got->response->body.find(
          R"("warnings":["line 1: secret: is shorter than 20 characters and can be guessed"])"),
      std::string::npos)
      << got->response->body;
  EXPECT_EQ(load("", "Basic TjpzaG9ydA==")->response->status, 200) << "N:short lets in";
  const auto gone = load(R"({"kind":"key","accessKey":"OTHER","remove":true})", kKeys);
  EXPECT_EQ(gone->response->status, 200);
  EXPECT_NE(store_.find_key("OTHER"), nullptr) << "another company's stays";
}

TEST_F(DirectoryApiTest, WantsLinesOfJson) {
  EXPECT_EQ(load("", kBoss, "application/json")->response->status, 415);
  EXPECT_EQ(load("", kBoss, "application/x-ndjson; charset=latin1")->response->status, 415);
  EXPECT_EQ(load("")->response->status, 200) << "no record is no fault";
}

TEST_F(DirectoryApiTest, SaysHowToSplitWhatIsTooLong) {
  Options options;
  options.directory_bytes_max = 1000;
  make(options);
  const auto got = std::make_shared<Got>();
  const Request request{
      .path = kDirectory,
      .fields = {{"Authorization", kBoss}, {"Content-Type", "application/x-ndjson"}},
      .is_too_long = true};
  EXPECT_EQ(begin(request, std::make_shared<Got>())->bytes_max(), 1000U);
  EXPECT_EQ(begin({.fields = kAuthorized}, std::make_shared<Got>())->bytes_max(), std::nullopt);
  ask(request, got);
  EXPECT_EQ(got->response->status, 413);
  EXPECT_EQ(got->errors()[1].substr(0, 57),
            "body: at most 1000 bytes in one request; send the records");
}

TEST_F(DirectoryApiTest, TakesNoMoreRequestsThanMayWait) {
  Options options;
  options.directory_requests_max = 1;
  make(options);
  const Request request{
      .path = kDirectory,
      .fields = {{"Authorization", kBoss}, {"Content-Type", "application/x-ndjson"}}};
  auto first = std::make_shared<Got>();
  auto body = begin(request, first);
  body->piece("{\"kind\":\"user\",");
  const auto refused = load(R"({"kind":"user","userId":"901"})");
  EXPECT_EQ(refused->response->status, 503);
  EXPECT_EQ(refused->field("retry-after"), "1");
  body->piece("\"userId\":\"900\"}");
  body->end();
  body.reset();
  ASSERT_TRUE(application_->finish_waiting(30s));
  EXPECT_EQ(first->response->status, 200);
  // Who leaves in the middle leaves a place.
  body = begin(request, std::make_shared<Got>());
  body->piece("{");
  body.reset();
  EXPECT_EQ(load(R"({"kind":"user","userId":"901"})")->response->status, 200);
}

TEST_F(DirectoryApiTest, ACompanyLeavesPlacesToTheOthers) {
  put_key({2}, "LOAD2", {std::string(auth::kScopeDirectoryWrite)});
  const Request request{
      .path = kDirectory,
      .fields = {{"Authorization", kBoss}, {"Content-Type", "application/x-ndjson"}}};
  std::vector<std::shared_ptr<http::Body>> held;
  const std::size_t most =
      Options{}.directory_requests_max / service::WaitingRequests::kCompanyPart;
  for (std::size_t i = 0; i < most; ++i) {
    held.push_back(begin(request, std::make_shared<Got>()));
    held.back()->piece("{");
  }
  const auto refused = load("", kLoad);
  EXPECT_EQ(refused->response->status, 503);
  EXPECT_EQ(refused->field("retry-after"), "1");
  EXPECT_EQ(load("", "Basic TE9BRDI6czNjcmV0")->response->status, 200) << "LOAD2:s3cret";
  held.pop_back();
  EXPECT_EQ(load("", kLoad)->response->status, 200);
}

// While their keys are looked up they hold no place of a company's.
TEST_F(DirectoryApiTest, StrangersLeavePlacesToThoseWhoAreKnown) {
  Options options;
  options.directory_requests_max = 1;
  make(options);
  store_.is_one_of_many = true;
  store_.remember("BOSS");
  store_.are_look_ups_deferred = true;
  const auto request = [](const std::string& authorization) {
    return Request{
        .path = kDirectory,
        .fields = {{"Authorization", authorization}, {"Content-Type", "application/x-ndjson"}}};
  };
  struct Stranger {
    std::shared_ptr<Got> got = std::make_shared<Got>();
    std::shared_ptr<http::Body> body;
  };
  std::vector<Stranger> strangers(service::WaitingRequests::Limits{}.strangers);
  for (Stranger& one : strangers) {
    one.body = begin(request("Basic Tk9CT0RZOnMzY3JldA=="), one.got);  // NOBODY:s3cret
    ASSERT_TRUE(one.body);
    one.body->piece("{");
  }
  store_.are_look_ups_deferred = false;  // the load looks keys up itself
  EXPECT_EQ(load(R"({"kind":"user","userId":"900"})")->response->status, 200);
  // The one that is one too many is told so, though it has a key.
  const auto ask_as_loader = [&] {
    const auto got = std::make_shared<Got>();
    store_.are_look_ups_deferred = true;
    const auto body = begin(request(kLoad), got);
    store_.are_look_ups_deferred = false;
    body->piece(R"({"kind":"user","userId":"901"})");
    body->end();
    store_.answer_look_ups();
    return got;
  };
  EXPECT_EQ(ask_as_loader()->response->status, 503);
  for (Stranger& one : strangers) {
    EXPECT_EQ(one.got->response->status, 401);
    one.body.reset();
  }
  const auto got = ask_as_loader();
  ASSERT_TRUE(application_->finish_waiting(30s));
  ASSERT_TRUE(got->response);
  EXPECT_EQ(got->response->status, 200) << got->response->body;
}

TEST_F(DirectoryApiTest, LoadsNothingForAClientThatHasGone) {
  const auto before = things();
  const auto got = std::make_shared<Got>();
  got->is_gone = true;
  ask({.path = kDirectory,
       .fields = {{"Authorization", kBoss}, {"Content-Type", "application/x-ndjson"}},
       .body = R"({"kind":"user","userId":"900"})"},
      got);
  ASSERT_TRUE(application_->finish_waiting(30s));
  EXPECT_EQ(things(), before);
  EXPECT_EQ(got->answers, 0);
}

// Revoked, or with fewer scopes, between the head and the load.
TEST_F(DirectoryApiTest, LoadsNothingForAKeyThatWasRevokedMeanwhile) {
  for (const bool is_one_of_many : {false, true}) {
    for (const bool is_gone : {true, false}) {
      put_key({1}, "BOSS", {auth::kKnownScopes.begin(), auth::kKnownScopes.end()});
      store_.remember("BOSS");
      store_.is_one_of_many = is_one_of_many;
      const auto before = things();
      const auto got = std::make_shared<Got>();
      auto body =
          begin({.path = kDirectory,
                 .fields = {{"Authorization", kBoss}, {"Content-Type", "application/x-ndjson"}}},
                got);
      body->piece(R"({"kind":"grant","callId":"107","userId":"132"})");
      if (is_gone) {
        revoke_key({1}, "BOSS");
      } else {
        put_key({1}, "BOSS", {std::string(auth::kScopeDirectoryWrite)});
      }
      body->end();
      body.reset();
      ASSERT_TRUE(application_->finish_waiting(30s));
      EXPECT_EQ(got->response->status, is_gone ? 401 : 403) << got->response->body;
      EXPECT_EQ(things(), before);
    }
  }
}

}  // namespace
}  // namespace earshot::api
