// Credentials on one server of many: keys that memory does not know, or knows as they were.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "api/testing.h"

namespace earshot::api {
namespace {

const std::string kDenied = "Access denied";
const std::string kReadMissing =
    "You don't have permission to use 'api:call-user-access:read' in your app.";
const std::vector<std::string> kBoth = {"api:call-user-access:read", "api:call-user-access:write"};

Fields with(std::string authorization) {
  return {{"authorization", std::move(authorization)}, {"content-type", "application/json"}};
}
const Fields kNew = with("Basic TkVXOnMzY3JldA==");  // NEW:s3cret

// When a look-up is answered.
enum class Moment { at_once, before_the_body, within_the_body, after_the_body };
constexpr Moment kMoments[] = {Moment::at_once, Moment::before_the_body, Moment::within_the_body,
                               Moment::after_the_body};

class AdmissionTest : public ApplicationTest {
 protected:
  AdmissionTest() {
    store_.is_one_of_many = true;
    for (const char* name : {"ACME", "OTHER", "READ"}) store_.remember(name);
  }

  std::shared_ptr<Got> ask_at(Moment moment, const Request& request) {
    const auto got = std::make_shared<Got>();
    store_.are_look_ups_deferred = moment != Moment::at_once;
    const auto body = begin(request, got);
    if (!body) return got;
    if (moment == Moment::before_the_body) store_.answer_look_ups();
    const std::size_t half = request.body.size() / 2;
    body->piece(request.body.substr(0, half));
    if (moment == Moment::within_the_body) store_.answer_look_ups();
    body->piece(request.body.substr(half));
    if (request.is_too_long) {
      body->too_long();
    } else {
      body->end();
    }
    if (moment == Moment::after_the_body) {
      EXPECT_TRUE(!got->response || store_.look_ups.empty()) << "answered without the look-up";
    }
    store_.answer_look_ups();
    return got;
  }
};

struct Case {
  std::string name;
  std::function<void()> happens;  // before the request, on another server
  Request request;
  int status = 200;
  std::string error{};  // errors[0]
};

TEST_F(AdmissionTest, KeysFromMemoryLetInWithoutALookUp) {
  EXPECT_EQ(ask("POST", list(R"("107")"))->response->status, 200);
  EXPECT_EQ(ask("PUT", access("107", R"("134")"))->response->status, 200);
  EXPECT_TRUE(store_.look_ups.empty());
  ASSERT_TRUE(store_.reads.at(0).asker);
  EXPECT_EQ(store_.reads[0].asker->key(), store_.find_key("ACME"));
  ASSERT_TRUE(store_.commands.at(0).asker);

  store_.is_one_of_many = false;
  EXPECT_EQ(ask("POST", list(R"("107")"))->response->status, 200);
  EXPECT_EQ(ask("PUT", access("107", R"("134")"))->response->status, 200);
  EXPECT_FALSE(store_.reads.at(1).asker) << "nobody has to be asked again";
  EXPECT_FALSE(store_.commands.at(1).asker);
  EXPECT_EQ(ask({.fields = kNew})->response->status, 401);
  EXPECT_TRUE(store_.look_ups.empty());
}

TEST_F(AdmissionTest, LooksUpWhomMemoryWouldRefuse) {
  const Request read{.fields = kNew, .body = list(R"("107")")};
  const Request write{.method = "PUT", .fields = kNew, .body = access("107", R"("134")")};
  const auto a_key = [this](std::vector<std::string> scopes, std::string secret = "s3cret") {
    return [this, scopes, secret] {
      revoke_key(CompanyId{1}, "NEW");
      store_.remembered.erase("NEW");
      put_key(CompanyId{1}, "NEW", scopes, secret);
    };
  };
  const auto changed = [&](std::vector<std::string> before, std::vector<std::string> after,
                           std::string secret_before, std::string secret_after) {
    return [this, have = a_key(before, secret_before), after, secret_after] {
      have();
      store_.remember("NEW");
      put_key(CompanyId{1}, "NEW", after, secret_after);
    };
  };
  const std::vector<std::string> only_write = {"api:call-user-access:write"};
  const std::vector<Case> cases = {
      {"no such key", [] {}, read, 401, kDenied},
      {"a key made elsewhere", a_key(kBoth), read},
      {"a key made elsewhere, to write", a_key(kBoth), write},
      {"made with another secret", a_key(kBoth, "else"), read, 401, kDenied},
      {"made without the scope", a_key(only_write), read, 401, kReadMissing},
      {"a widened scope", changed(only_write, kBoth, "s3cret", "s3cret"), read},
      {"a scope that is missing still", changed({}, only_write, "s3cret", "s3cret"), read, 401,
       kReadMissing},
      {"rotated to this secret", changed(kBoth, kBoth, "else", "s3cret"), read},
      {"rotated to a third secret", changed(kBoth, kBoth, "else", "third"), read, 401, kDenied},
  };
  for (const Case& item : cases) {
    for (const Moment moment : kMoments) {
      item.happens();
      store_.look_ups.clear();
      const auto got = ask_at(moment, item.request);
      expect_envelope(*got);
      EXPECT_EQ(got->response->status, item.status) << item.name;
      EXPECT_EQ(item.status == 200 ? "" : got->errors().at(0), item.error) << item.name;
      EXPECT_EQ(got->field("www-authenticate"), item.status == 401 ? kChallenge : "");
      EXPECT_EQ(store_.look_ups, std::vector<std::string>{"NEW"}) << item.name;
    }
  }
}

TEST_F(AdmissionTest, LooksUpAnExpiredKey) {
  core::KeyLine line;
  line.key = {"NEW", hash_secret("s3cret"), kBoth, kNow};
  store_.apply({CompanyId{1}, false, line});
  store_.remember("NEW");
  const Request request{.fields = kNew, .body = list(R"("107")")};
  for (const Moment moment : kMoments) {
    EXPECT_EQ(ask_at(moment, request)->response->status, 401);
  }
  line.key.expires_at = Time{kNow.micros + 1};
  store_.apply({CompanyId{1}, false, line});
  for (const Moment moment : kMoments) {
    EXPECT_EQ(ask_at(moment, request)->response->status, 200);
  }
}

TEST_F(AdmissionTest, RefusesMalformedCredentialsAtOnce) {
  store_.are_look_ups_deferred = true;
  for (const Fields& fields : std::vector<Fields>{
           {}, with("Bearer QUNNRTpzM2NyZXQ="), with("Basic QUNNRQ=="), {kNew[0], kNew[0]}}) {
    const auto got = std::make_shared<Got>();
    EXPECT_FALSE(begin({.fields = fields}, got));
    expect_envelope(*got);
    EXPECT_EQ(got->errors(), std::vector{kDenied});
  }
  EXPECT_TRUE(store_.look_ups.empty());
}

// What is wrong with a body is for those who are let in.
TEST_F(AdmissionTest, ChecksInTheOrderOfTheContract) {
  const Fields untyped = {kNew[0]};
  const std::vector<std::pair<Request, int>> requests = {
      {{.fields = kNew, .body = "{", .is_too_long = true}, 413},
      {{.fields = untyped, .body = list(R"("107")")}, 415},
      {{.fields = kNew, .body = "{"}, 400},
      {{.fields = kNew, .body = list(R"("107")") + "!"}, 400},
      {{.fields = kNew, .body = list(R"("5")")}, 400},
  };
  for (const bool is_there : {false, true}) {
    make({}, {.per_second = 0, .per_day = is_there ? 100U : 1U});
    if (is_there) put_key(CompanyId{1}, "NEW", kBoth);
    for (const auto& [request, status] : requests) {
      for (const Moment moment : kMoments) {
        store_.look_ups.clear();
        const auto got = ask_at(moment, request);
        expect_envelope(*got);
        EXPECT_EQ(got->response->status, is_there ? status : 401);
        EXPECT_EQ(store_.look_ups.size(), 1u) << "what was looked up is not looked up again";
      }
    }
  }
  // The limit comes between the two; and what was refused before it has not counted.
  make({}, {.per_second = 0, .per_day = 1});
  EXPECT_EQ(ask_at(Moment::within_the_body, requests[2].first)->response->status, 400);
  for (const Moment moment : kMoments) {
    EXPECT_EQ(ask_at(moment, requests[2].first)->response->status, 429);
    EXPECT_EQ(ask_at(moment, {.fields = with("Basic Tk86Tk8="), .body = "{"})->response->status,
              401);
  }
}

TEST_F(AdmissionTest, LooksUpAKeyFromMemoryBeforeItRefusesABody) {
  const Fields untyped = {kAuthorized[0]};
  const std::vector<Request> requests = {
      {.fields = kAuthorized, .body = "{", .is_too_long = true},
      {.fields = untyped, .body = list(R"("107")")},
      {.fields = kAuthorized, .body = "{"},
      {.fields = {kAuthorized[0], kAuthorized[1], {"x-earshot-revision", "-1"}},
       .body = list(R"("107")")},
  };
  const int statuses[] = {413, 415, 400, 400};
  const auto expect_all = [&](int status, std::string error) {
    for (std::size_t i = 0; i < requests.size(); ++i) {
      for (const Moment moment : kMoments) {
        store_.look_ups.clear();
        const auto got = ask_at(moment, requests[i]);
        expect_envelope(*got);
        EXPECT_EQ(got->response->status, status == 0 ? statuses[i] : status);
        EXPECT_TRUE(error.empty() || got->errors().at(0) == error);
        EXPECT_EQ(store_.look_ups, std::vector<std::string>{"ACME"});
      }
    }
  };
  expect_all(0, "");
  store_.look_up_failure = unavailable("no server answers");
  expect_all(503, "Service Unavailable");
  store_.look_up_failure.reset();
  put_key(CompanyId{1}, "ACME", {"api:call-user-access:write"});
  expect_all(401, kReadMissing);
  put_key(CompanyId{1}, "ACME", kBoth, "rotated");
  expect_all(401, kDenied);
  revoke_key(CompanyId{1}, "ACME");
  expect_all(401, kDenied);
}

TEST_F(AdmissionTest, DoesNotLookUpWhoIsOverTheRate) {
  make({}, {.per_second = 0, .per_day = 1});
  EXPECT_EQ(ask("POST", list(R"("107")"))->response->status, 200);
  EXPECT_EQ(ask("POST", "{")->response->status, 429);
  EXPECT_TRUE(store_.look_ups.empty());
}

TEST_F(AdmissionTest, AnswersWhatTheStoreFindsOfAKey) {
  const std::vector<std::pair<std::string, std::string>> requests = {
      {"POST", list(R"("107")")}, {"PUT", access("107", R"("134")")}, {"PUT", access("5", "")}};
  const auto expect_all = [&](std::string read_error) {
    for (const auto& [method, body] : requests) {
      const auto got = ask(method, body);
      expect_envelope(*got);
      EXPECT_EQ(got->response->status, 401) << method;
      EXPECT_EQ(got->field("www-authenticate"), kChallenge);
      EXPECT_TRUE(method != "POST" || got->errors() == std::vector{read_error});
    }
  };
  put_key(CompanyId{1}, "ACME", {});
  expect_all(kReadMissing);
  revoke_key(CompanyId{1}, "ACME");
  expect_all(kDenied);
  put_key(CompanyId{2}, "ACME", kBoth);
  expect_all(kDenied);  // a key of the same name and secret, but of another company
  const std::string text =
      ask({.method = "GET", .path = "/metrics", .is_admin = true})->response->body;
  EXPECT_NE(text.find("earshot_refusals_total{reason=\"credentials\"} 6\n"), std::string::npos)
      << text;
  EXPECT_NE(text.find("earshot_refusals_total{reason=\"scope\"} 3\n"), std::string::npos) << text;
}

TEST_F(AdmissionTest, IsUnavailableWhileKeysCannotBeLookedUp) {
  for (const Moment moment : kMoments) {
    store_.look_up_failure = unavailable("no server answers at 10.0.0.1");
    const auto got = ask_at(moment, {.fields = kNew, .body = "{"});
    expect_envelope(*got);
    EXPECT_EQ(got->response->status, 503);
    EXPECT_EQ(got->errors(), std::vector<std::string>{"Service Unavailable"});
    EXPECT_EQ(got->field("retry-after"), "1");
    store_.look_up_failure = internal("a row that cannot be read");
    EXPECT_EQ(ask_at(moment, {.fields = kNew, .body = "{"})->response->status, 500);
  }
}

TEST_F(AdmissionTest, ClientsMayLeaveBeforeTheirKeyIsLookedUp) {
  store_.are_look_ups_deferred = true;
  for (const bool is_there : {false, true}) {
    if (is_there) put_key(CompanyId{1}, "NEW", kBoth);
    const auto got = std::make_shared<Got>();
    {
      const auto body =
          begin({.method = "PUT", .fields = kNew, .body = access("107", R"("134")")}, got);
      ASSERT_TRUE(body);
      body->piece("{");
    }
    EXPECT_FALSE(got->is_abandoned) << "the look-up still holds the request";
    store_.answer_look_ups();
    EXPECT_EQ(got->is_abandoned, is_there);
  }
  EXPECT_TRUE(store_.commands.empty());
}

TEST_F(AdmissionTest, ALookUpMayBeAnsweredOnAnotherThread) {
  put_key(CompanyId{1}, "NEW", kBoth);
  store_.are_look_ups_deferred = true;
  const std::string body = list(R"("107")");
  const std::string unknown = "Basic Tk86Tk8=";
  for (int i = 0; i < 200; ++i) {
    const bool is_known = i % 2 == 0;
    const auto got = std::make_shared<Got>();
    const auto taken = begin({.fields = is_known ? kNew : with(unknown)}, got);
    ASSERT_TRUE(taken);
    std::thread other([&] { store_.answer_look_ups(); });
    for (const char c : body) taken->piece(std::string(1, c));
    taken->end();
    other.join();
    expect_envelope(*got);
    EXPECT_EQ(got->response->status, is_known ? 200 : 401);
  }
}

}  // namespace
}  // namespace earshot::api
