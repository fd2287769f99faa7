// What the tests of the application share: the server's side of a reply, and a company to ask
// about.
#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/application.h"
#include "base/secret.h"
#include "model_store.h"

namespace earshot::api {

inline constexpr Time kNow{1'780'000'000'000'000};
inline const std::string kPath = "/v2/calls/users-access";
inline const std::string kBadJson =
    "Json parse error, verify Json format matches the API description.";
inline const std::string kChallenge = R"(Basic realm="earshot", charset="UTF-8")";

using Fields = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method = "POST";
  std::string path = kPath;  // with the query
  Fields fields{};
  std::string body{};
  bool is_admin = false;
  bool is_too_long = false;  // the server ends the body by too_long()
  std::size_t piece_bytes = 1 << 20;
};

// What the server's side of a reply got: the answer, whole or in pieces.
struct Got final : http::Reply::Target {
  std::optional<http::Response> response;
  int answers = 0;
  bool is_abandoned = false;
  bool is_stream = false;
  bool is_ended = false;
  bool is_gone = false;  // the client has closed the connection
  bool is_client_here = true;
  bool is_slow = false;  // pieces are drained by drain() instead of at once
  std::size_t pieces = 0;
  std::deque<std::function<void()>> waiting;
  std::function<void()> client_left;

  struct Pieces final : http::Stream {
    explicit Pieces(Got& target) : got(target) {}
    void write(std::string piece, std::function<void()> drained) override {
      ++got.pieces;
      got.response->body += piece;
      if (got.is_slow) {
        got.waiting.push_back(std::move(drained));
      } else {
        drained();
      }
    }
    void end() override { got.is_ended = true; }
    Got& got;
  };

  void send(http::Response sent) override {
    ++answers;
    response = std::move(sent);
  }
  std::shared_ptr<http::Stream> stream(http::Response head, std::function<void()> left) override {
    ++answers;
    is_stream = true;
    response = std::move(head);
    client_left = std::move(left);
    return std::make_shared<Pieces>(*this);
  }
  void abandon() override { is_abandoned = true; }
  bool is_open() const override { return !is_gone; }
  bool is_client_there() const override { return is_client_here; }

  void drain() {
    while (!waiting.empty()) {
      const auto next = std::move(waiting.front());
      waiting.pop_front();
      next();
    }
  }

  Fields fields() const {
    Fields found;
    std::string_view lines = response->fields.text();
    while (!lines.empty()) {
      const std::size_t colon = lines.find(": ");
      const std::size_t end = lines.find("\r\n");
      found.emplace_back(lines.substr(0, colon), lines.substr(colon + 2, end - colon - 2));
      lines.remove_prefix(end + 2);
    }
    return found;
  }
  std::string field(std::string_view name) const {
    std::string found;
    for (const auto& [key, value] : fields()) {
      if (key == name) found += value;
    }
    return found;
  }
  std::vector<std::string> errors() const {
    std::vector<std::string> texts;
    const boost::json::value body = boost::json::parse(response->body);
    const auto* list = body.as_object().if_contains("errors");
    if (list == nullptr) return texts;
    for (const auto& error : list->as_array()) texts.emplace_back(error.as_string());
    return texts;
  }
  // The body with the request's id as "ID".
  std::string body() const {
    std::string text = response->body;
    const std::string id = field("x-traceid");
    const std::size_t at = text.find(id);
    if (!id.empty() && at != std::string::npos) text.replace(at, id.size(), "ID");
    return text;
  }
};

inline const Fields kAuthorized = {{"Authorization", "Basic QUNNRTpzM2NyZXQ="},  // ACME:s3cret
                                   {"Content-Type", "application/json"}};

class ApplicationTest : public testing::Test {
 protected:
  ApplicationTest() {
    for (const std::uint64_t id : {1, 2}) {
      const CompanyId company{id};
      store_.apply({company, false, core::Company{company, "C"}});
      put_key(company, id == 1 ? "ACME" : "OTHER",
              {"api:call-user-access:read", "api:call-user-access:write", "earshot:access:read",
               "earshot:grants:write"});
      for (const std::uint64_t user : {31, 32, 33, 34}) {
        core::User person;
        person.id = UserId{id * 100 + user};
        store_.apply({company, false, person});
      }
      for (const std::uint64_t number : {7, 8, 9}) {
        core::Call call;
        call.id = CallId{id * 100 + number};
        call.primary_user = UserId{id * 100 + 31};
        store_.apply({company, false, call});
      }
    }
    put_key(CompanyId{1}, "READ", {"api:call-user-access:read"});
    put_key(CompanyId{1}, "NONE", {});
    make({});
  }

  void put_key(CompanyId company, std::string name, std::vector<std::string> scopes,
               std::string_view secret = "s3cret") {
    core::KeyLine line;
    line.key = {std::move(name), hash_secret(secret), std::move(scopes), std::nullopt};
    store_.apply({company, false, line});
  }
  void revoke_key(CompanyId company, std::string name) {
    core::KeyLine line;
    line.key.access_key = std::move(name);
    store_.apply({company, true, line});
  }

  void make(Options options, auth::RateLimits limits = {}) {
    options.clock = [this] { return time_; };
    options.refusals_interval = std::chrono::hours(1);  // a test brings them to the store itself
    application_.reset();
    limiter_ = std::make_unique<auth::RateLimiter>(limits);
    application_ = std::make_unique<Application>(store_, *limiter_, std::move(options));
  }

  // Gives the application the head alone. Who takes the body; null where nobody does.
  std::shared_ptr<http::Body> begin(const Request& request, std::shared_ptr<Got> got) {
    // The head is gone when begin() has returned.
    const Request copy = request;
    std::vector<http::Field> fields;
    for (const auto& [name, value] : copy.fields) fields.push_back({name, value});
    http::RequestHead head;
    head.method = copy.method;
    head.target = copy.path;
    head.path = head.target.substr(0, head.target.find('?'));
    head.fields = fields;
    head.remote_address = "127.0.0.1";
    head.is_admin = copy.is_admin;
    head.received_at = std::chrono::steady_clock::now();
    return application_->begin(head, http::Reply(std::move(got)));
  }

  std::shared_ptr<Got> ask(const Request& request, std::shared_ptr<Got> got = nullptr) {
    if (!got) got = std::make_shared<Got>();
    const auto body = begin(request, got);
    if (!body) return got;
    if (request.is_too_long) {
      body->too_long();
      return got;
    }
    for (std::size_t at = 0; at < request.body.size(); at += request.piece_bytes) {
      body->piece(std::string(request.body.substr(at, request.piece_bytes)));
    }
    body->end();
    return got;
  }

  std::shared_ptr<Got> ask(std::string method, std::string body) {
    return ask({.method = std::move(method), .fields = kAuthorized, .body = std::move(body)});
  }

  test::ModelStore store_;
  Time time_ = kNow;  // of the application's clock
  std::unique_ptr<auth::RateLimiter> limiter_;
  std::unique_ptr<Application> application_;
};

inline std::string list(const std::string& calls) {
  return R"({"filter":{"callIds":[)" + calls + "]}}";
}
inline std::string access(const std::string& call, const std::string& users) {
  return R"({"callAccessList":[{"callId":")" + call + R"(","userIds":[)" + users + "]}]}";
}

inline void expect_envelope(const Got& got) {
  ASSERT_TRUE(got.response);
  EXPECT_EQ(got.answers, 1);
  EXPECT_FALSE(got.is_abandoned);
  EXPECT_EQ(got.field("content-type"), "application/json;charset=UTF-8");
  const boost::json::value body = boost::json::parse(got.response->body);
  const auto& id = body.as_object().at("requestId").as_string();
  EXPECT_EQ(body.as_object().begin()->key(), "requestId");
  EXPECT_EQ(id, got.field("x-traceid"));
  EXPECT_FALSE(id.empty());
  EXPECT_EQ(boost::json::serialize(body), got.response->body) << "is not compact";
}

}  // namespace earshot::api
