// Keys over HTTP: who may make which, rotation, revocation, and the list.
#include <future>

#include "api/testing.h"
#include "auth/scopes.h"

namespace earshot::api {
namespace {

using namespace std::chrono_literals;

const std::string kKeysPath = "/earshot/v1/keys";
const std::string kBoss = "Basic Qk9TUzpzM2NyZXQ=";
const std::string kKeys = "Basic S0VZUzpzM2NyZXQ=";

class KeysApiTest : public ApplicationTest {
 protected:
  KeysApiTest() {
    put_key({1}, "BOSS", {auth::kKnownScopes.begin(), auth::kKnownScopes.end()});
    put_key({1}, "KEYS", {std::string(auth::kScopeKeysWrite), std::string(auth::kScopeAccessRead)});
  }

  std::shared_ptr<Got> keys(const std::string& method, const std::string& body = "",
                            const std::string& authorization = kKeys) {
    Request request{.method = method,
                    .path = kKeysPath,
                    .fields = {{"Authorization", authorization}},
                    .body = body};
    if (method != "GET") request.fields.push_back({"Content-Type", "application/json"});
    const auto got = ask(request);
    EXPECT_TRUE(application_->finish_waiting(30s));
    return got;
  }
  boost::json::object made(const std::string& body, const std::string& authorization = kKeys) {
    const auto got = keys("POST", body, authorization);
    EXPECT_EQ(got->response->status, 200) << got->response->body;
    return boost::json::parse(got->response->body).as_object();
  }
};

TEST_F(KeysApiTest, MakesAKeyAndShowsItsSecretOnce) {
  const auto got =
      keys("POST", R"({"scopes":["earshot:access:read"],"expiresAt":"2090-01-01T00:00:00Z"})");
  expect_envelope(*got);
  ASSERT_EQ(got->response->status, 200) << got->response->body;
  EXPECT_EQ(got->field("cache-control"), "no-store");
  const auto body = boost::json::parse(got->response->body).as_object();
  const auto& key = body.at("key").as_object();
  const std::string access_key(key.at("accessKey").as_string());
  const std::string secret(key.at("secret").as_string());
  EXPECT_EQ(got->body(),
            R"({"requestId":"ID","revision":)" + std::to_string(store_.revision()) +
                R"(,"key":{"accessKey":")" + access_key + R"(","secret":")" + secret +
                R"(","scopes":["earshot:access:read"],"expiresAt":"2090-01-01T00:00:00Z"}})");
  const store::KeyPtr stored = store_.find_key(access_key);
  ASSERT_NE(stored, nullptr);
  EXPECT_EQ(stored->company, CompanyId{1});
  EXPECT_TRUE(verify_secret(stored->key.secret, secret));
  EXPECT_EQ(stored->key.scopes, std::vector<std::string>{"earshot:access:read"});
  EXPECT_EQ(stored->key.expires_at, parse_time("2090-01-01T00:00:00Z"));
  const std::string listed = keys("GET")->response->body;
  EXPECT_EQ(listed.find(secret), std::string::npos);
  EXPECT_NE(
      listed.find(R"({"accessKey":")" + access_key +
                  R"(","scopes":["earshot:access:read"],"expiresAt":"2090-01-01T00:00:00Z"})"),
      std::string::npos)
      << listed;
}

TEST_F(KeysApiTest, ReplacesAKeyOfAScopeThatIsUnknownHere) {
  put_key({1}, "KEYS", {std::string(auth::kScopeKeysWrite), "api:all"});
  const auto body = made(R"({"replaces":"KEYS"})");
  EXPECT_EQ(boost::json::serialize(body.at("key").at("scopes")),
            R"(["earshot:keys:write","api:all"])");
}

TEST_F(KeysApiTest, AreRefusedBeforeAnythingIsMade) {
  const std::size_t before = store_.list_keys(CompanyId{1})->size();
  const struct {
    std::string body;
    int status;
    std::string says;
  } rows[] = {
      {R"({})", 400, "body: must have either scopes or replaces"},
      {R"({"scopes":["earshot:access:read"],"replaces":"KEYS"})", 400,
       "body: must have either scopes or replaces"},
      {R"({"scopes":[]})", 400, "scopes: must name at least one scope"},
      {R"({"scopes":[""]})", 400, "scopes[0]: must have 1 to 64 characters"},
      {R"({"scopes":["earshot:access:read","earshot:access:read"]})", 400,
       "scopes[1]: is given twice"},
      {R"({"scopes":[7]})", 400, "scopes[0]: must be a string"},
      {R"({"scopes":["earshot:access:read"],"overlapSeconds":1})", 400,
       "body: has overlapSeconds without replaces"},
      {R"({"replaces":"KEYS","overlapSeconds":2592001})", 400,
       "overlapSeconds: must be a number from 0 to 2592000"},
      {R"({"replaces":"KEYS","overlapSeconds":-1})", 400,
       "overlapSeconds: must be a number from 0 to 2592000"},
      {R"({"scopes":["earshot:access:read"],"expiresAt":"tomorrow"})", 400,
       R"(expiresAt: must be a time like "2026-03-01T10:00:00Z" (RFC 3339))"},
      {R"({"scopes":["earshot:access:read"],"expiresAt":"2020-01-01T00:00:00Z"})", 400,
       "expiresAt: must be later than now"},
      {R"({"scopes":["earshot:audit:read","earshot:access:read"]})", 403,
       "scopes: the key that asks does not have earshot:audit:read"},
      {R"({"scopes":["earshot:audit:read","api:all"]})", 400,
       "unknown scope 'api:all'; there are: api:call-user-access:read api:call-user-access:write "
       "earshot:access:read earshot:audit:read earshot:directory:write earshot:grants:write "
       "earshot:keys:write"},
      {R"({"replaces":"BOSS"})", 403,
       "scopes: the key that asks does not have api:call-user-access:read, "
       "api:call-user-access:write, earshot:audit:read, earshot:directory:write, "
       "earshot:grants:write"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.body);
    const auto got = keys("POST", row.body);
    expect_envelope(*got);
    EXPECT_EQ(got->response->status, row.status) << got->response->body;
    EXPECT_EQ(got->errors().back(), row.says);
  }
  // Also of scopes that the caller has, but no key should.
  put_key({1}, "KEYS", {std::string(auth::kScopeKeysWrite), "x:y"});
  const auto odd = keys("POST", R"({"scopes":["x:y"]})");
  EXPECT_EQ(odd->response->status, 400);
  EXPECT_TRUE(odd->errors().back().starts_with("unknown scope 'x:y'; there are:"));
  for (const char* const unknown : {"NOBODY", "OTHER"}) {
    for (const std::string method : {"POST", "DELETE"}) {
      const auto got = keys(method, (method == "POST" ? R"({"replaces":")" : R"({"accessKey":")") +
                                        std::string(unknown) + "\"}");
      EXPECT_EQ(got->response->status, 404);
      EXPECT_EQ(got->body(), R"({"requestId":"ID","errors":["Access key was not found"]})");
    }
  }
  EXPECT_NE(store_.find_key("OTHER"), nullptr);
  EXPECT_EQ(keys("DELETE", "{}")->errors().back(), "accessKey: is required");
  EXPECT_EQ(keys("POST", "{", kAuthorized[0].second)->response->status, 401);
  EXPECT_EQ(store_.list_keys(CompanyId{1})->size(), before);
}

TEST_F(KeysApiTest, RotationLetsBothInForTheOverlap) {
  const core::Revision before = store_.revision();
  const auto body = made(R"({"replaces":"KEYS","overlapSeconds":60})");
  EXPECT_EQ(store_.revision(), before + 1) << "one revision";
  const auto& replaced = body.at("replaced").as_object();
  EXPECT_EQ(replaced.at("accessKey").as_string(), "KEYS");
  const Time over{kNow.micros + 60'000'000};
  EXPECT_EQ(replaced.at("expiresAt").as_string(), format_time(over));
  EXPECT_EQ(store_.find_key("KEYS")->key.expires_at, over);
  const std::string access_key(body.at("key").as_object().at("accessKey").as_string());
  EXPECT_EQ(store_.find_key(access_key)->key.scopes, store_.find_key("KEYS")->key.scopes);
  EXPECT_EQ(store_.find_key(access_key)->key.expires_at, std::nullopt);
  EXPECT_EQ(keys("GET")->response->status, 200) << "the old one lets in until then";
  // It never lives longer than it would have.
  const auto later = made(R"({"replaces":"KEYS","overlapSeconds":2592000})");
  EXPECT_EQ(later.at("replaced").as_object().at("expiresAt").as_string(), format_time(over));
  // At the very moment it is over.
  made(R"({"replaces":"KEYS","overlapSeconds":0})");
  EXPECT_EQ(keys("GET")->response->status, 401);
  EXPECT_EQ(keys("GET", "", kBoss)->response->status, 200);
}

TEST_F(KeysApiTest, RevocationHoldsFromTheNextRequestOn) {
  EXPECT_EQ(keys("GET")->response->status, 200);
  const auto got = keys("DELETE", R"({"accessKey":"KEYS"})");
  expect_envelope(*got);
  EXPECT_EQ(got->body(),
            R"({"requestId":"ID","revision":)" + std::to_string(store_.revision()) + "}");
  EXPECT_EQ(keys("GET")->response->status, 401);
  EXPECT_EQ(keys("DELETE", R"({"accessKey":"KEYS"})", kBoss)->response->status, 404);
}

// Who wants a key to let nobody in may lose the connection over it.
TEST_F(KeysApiTest, OfAClientThatHasGoneARevocationAloneIsCarriedOut) {
  const auto ask_and_go = [&](const std::string& method, const std::string& body) {
    const auto got = std::make_shared<Got>();
    got->is_gone = true;
    Request request{.method = method, .path = kKeysPath, .fields = kAuthorized, .body = body};
    request.fields[0].second = kKeys;
    ask(request, got);
    EXPECT_TRUE(application_->finish_waiting(30s));
    return got;
  };
  const core::Revision before = store_.revision();
  EXPECT_EQ(ask_and_go("POST", R"({"scopes":["earshot:access:read"]})")->answers, 0);
  EXPECT_EQ(ask_and_go("GET", "")->answers, 0);
  EXPECT_EQ(store_.revision(), before);
  ask_and_go("DELETE", R"({"accessKey":"READ"})");
  EXPECT_EQ(store_.find_key("READ"), nullptr);
}

TEST_F(KeysApiTest, AKeyThatWasRevokedElsewhereListsNothing) {
  store_.is_one_of_many = true;
  store_.remember("KEYS");
  EXPECT_EQ(keys("GET")->response->status, 200);
  revoke_key({1}, "KEYS");
  EXPECT_EQ(keys("GET")->response->status, 401);
  EXPECT_EQ(keys("POST", R"({"scopes":["earshot:access:read"]})")->response->status, 401);
  EXPECT_EQ(keys("DELETE", R"({"accessKey":"BOSS"})")->response->status, 401);
  store_.is_one_of_many = false;
  EXPECT_NE(store_.find_key("BOSS"), nullptr);
}

TEST_F(KeysApiTest, ListSaysWhenEachWasUsedLast) {
  ask("POST", list("\"107\""));  // ACME
  const auto got = keys("GET");
  expect_envelope(*got);
  const std::string now = format_time(kNow);
  EXPECT_NE(got->body().find(R"({"accessKey":"ACME","scopes":["api:call-user-access:read",)"),
            std::string::npos);
  const auto listed = boost::json::parse(got->response->body).as_object().at("keys").as_array();
  std::vector<std::string> names;
  for (const auto& one : listed) {
    const auto& key = one.as_object();
    const std::string name(key.at("accessKey").as_string());
    names.push_back(name);
    const auto* used = key.if_contains("lastUsed");
    const bool was_used = name == "ACME" || name == "KEYS";
    ASSERT_EQ(used != nullptr, was_used) << name;
    if (used) {
      EXPECT_EQ(used->as_string(), now);
    }
    EXPECT_EQ(key.if_contains("secret"), nullptr);
    EXPECT_EQ(key.if_contains("secretHash"), nullptr);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"ACME", "BOSS", "KEYS", "NONE", "READ"}));
  // The store knows it too, once it was told, and what others told it counts where it is later.
  ASSERT_TRUE(application_->save_key_uses().has_value());
  EXPECT_EQ(store_.key_uses.at("ACME").at, kNow);
  store_.key_uses["BOSS"] = {{1}, "BOSS", Time{kNow.micros + 5'000'000}};
  EXPECT_NE(keys("GET")->response->body.find(R"("lastUsed":")" +
                                             format_time(Time{kNow.micros + 5'000'000})),
            std::string::npos);
  store_.key_uses["KEYS"] = {{1}, "KEYS", Time{kNow.micros - 5'000'000}};
  EXPECT_NE(keys("GET")->response->body.find(R"("lastUsed":")" + now + '"'), std::string::npos);
  EXPECT_EQ(keys("GET")->response->body.find(format_time(Time{kNow.micros - 5'000'000})),
            std::string::npos)
      << "the later counts";
  // Who is refused used nothing, for a wrong secret or a missing scope.
  ask({.fields = {{"Authorization", "Basic Qk9TUzp3cm9uZw=="}}, .body = "{}"});
  EXPECT_EQ(keys("GET", "", "Basic Tk9ORTpzM2NyZXQ=")->response->status, 401) << "NONE:s3cret";
  store_.key_uses.clear();
  ASSERT_TRUE(application_->save_key_uses().has_value());
  EXPECT_FALSE(store_.key_uses.contains("BOSS"));
  EXPECT_FALSE(store_.key_uses.contains("NONE"));
}

// A store whose list of keys is long in coming.
class HangingKeys final : public test::ModelStore {
 public:
  std::promise<void> goes_on;
  Result<std::vector<store::KeyPtr>> list_keys(std::optional<CompanyId>) override {
    wait_.wait();
    return std::vector<store::KeyPtr>();
  }

 private:
  std::shared_future<void> wait_ = goes_on.get_future().share();
};

TEST_F(KeysApiTest, OfACompanyOnlySoManyWait) {
  HangingKeys hanging;
  for (const std::uint64_t id : {1, 2}) {
    hanging.apply({CompanyId{id}, false, core::Company{CompanyId{id}, "C"}});
    core::KeyLine line;
    line.key = {id == 1 ? "KEYS" : "OTHER",
                hash_secret("s3cret"),
                {std::string(auth::kScopeKeysWrite)},
                std::nullopt};
    hanging.apply({CompanyId{id}, false, line});
  }
  Options options;
  options.clock = [] { return kNow; };
  options.refusals_interval = std::chrono::hours(1);
  application_ = std::make_unique<Application>(hanging, *limiter_, std::move(options));
  const auto list_keys = [&](const std::string& authorization) {
    return ask({.method = "GET", .path = kKeysPath, .fields = {{"Authorization", authorization}}});
  };
  const std::size_t most =
      service::WaitingRequests::Limits{}.keys / service::WaitingRequests::kCompanyPart;
  std::vector<std::shared_ptr<Got>> waiting;
  for (std::size_t i = 0; i < most; ++i) waiting.push_back(list_keys(kKeys));
  const auto refused = list_keys(kKeys);
  ASSERT_TRUE(refused->response);
  EXPECT_EQ(refused->response->status, 503);
  EXPECT_EQ(refused->field("retry-after"), "1");
  waiting.push_back(list_keys("Basic T1RIRVI6czNjcmV0"));  // OTHER:s3cret
  hanging.goes_on.set_value();
  EXPECT_TRUE(application_->finish_waiting(30s));
  for (const auto& got : waiting) {
    ASSERT_TRUE(got->response);
    EXPECT_EQ(got->response->status, 200);
  }
  application_.reset();
}

}  // namespace
}  // namespace earshot::api
