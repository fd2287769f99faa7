// Asking a server: what is asked again, what is not, and what is said in the end.
#include "client/remote.h"

#include <gtest/gtest.h>

#include "client/testing.h"

namespace earshot::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const std::string kBusy = R"({"requestId":"r1","errors":["Service Unavailable"]})";

http::FieldLines retry_after(const std::string& value) {
  http::FieldLines fields;
  fields.add("retry-after", value);
  return fields;
}

// A remote whose pauses are noted and not waited for.
struct Asker {
  explicit Asker(const Server& server)
      : remote(*Remote::open(server, [this](milliseconds time) { pauses.push_back(time); })) {}
  Result<Remote::Answer> ask() {
    return remote.ask({"PUT", "/earshot/v1/grants", "{\"grants\":[]}", "key-1"});
  }
  std::vector<milliseconds> pauses;
  Remote remote;
};

TEST(Remote, SendsTheRequestWithItsKeys) {
  ScriptedServer server;
  http::FieldLines replayed;
  replayed.add("Idempotent-Replayed", "true");
  server.answer(200, "{\"a\":1}", replayed);
  server.answer(200, "{}");
  Asker asker(server.server());
  const auto answer = asker.ask();
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->body, "{\"a\":1}");
  EXPECT_TRUE(answer->is_replay);
  EXPECT_FALSE(asker.remote.ask({"GET", "/earshot/v1/x?limit=1"})->is_replay);
  const auto said = server.said();
  ASSERT_EQ(said.size(), 2U);
  EXPECT_EQ(said[0].method + " " + said[0].target, "PUT /earshot/v1/grants");
  EXPECT_EQ(said[0].body, "{\"grants\":[]}");
  EXPECT_EQ(said[0].field("authorization"), "Basic QUNNRTpzM2NyZXQtb2YtYS1rZXk=");
  EXPECT_EQ(said[0].field("content-type"), "application/json");
  EXPECT_EQ(said[0].field("idempotency-key"), "key-1");
  EXPECT_EQ(said[0].field("user-agent"), "earshot/" EARSHOT_VERSION);
  EXPECT_EQ(said[1].method + " " + said[1].target, "GET /earshot/v1/x?limit=1");
  EXPECT_EQ(said[1].field("content-type"), "");
  EXPECT_EQ(said[1].field("idempotency-key"), "");
  EXPECT_TRUE(asker.pauses.empty());
}

TEST(Remote, AsksAgainWithTheSameKeyAndWaitsAsLongAsItIsTold) {
  ScriptedServer server;
  server.answer(503, kBusy, retry_after("2"));
  server.answer(429, R"({"requestId":"r2","errors":["API request limit exceeded"]})",
                retry_after("7"));
  server.answer(409, R"({"requestId":"r3","errors":["A request with this key is still running"]})");
  server.answer(200, "{}");
  Asker asker(server.server());
  ASSERT_TRUE(asker.ask());
  ASSERT_EQ(asker.pauses.size(), 3U);
  EXPECT_EQ(asker.pauses[0], seconds(2));
  EXPECT_EQ(asker.pauses[1], seconds(7));
  EXPECT_GE(asker.pauses[2], milliseconds(400)) << "they grow where nothing is said";
  EXPECT_LE(asker.pauses[2], milliseconds(800));
  for (const auto& said : server.said()) EXPECT_EQ(said.field("idempotency-key"), "key-1");
}

TEST(Remote, AsksAgainAsOftenAsItMayAndThenSaysWhy) {
  ScriptedServer server;
  for (int i = 0; i < 10; ++i) server.answer(503, kBusy);
  auto options = server.server();
  options.retries = 2;
  Asker asker(options);
  const auto answer = asker.ask();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::unavailable);
  EXPECT_EQ(answer.error().message,
            server.url() + ": failed: Service Unavailable (status 503, request r1)");
  EXPECT_EQ(server.said().size(), 3U);
  options.retries = 0;
  EXPECT_FALSE(Asker(options).ask());
  EXPECT_EQ(server.said().size(), 4U);
}

TEST(Remote, ComesBackNoLaterThanItsTimeAllows) {
  ScriptedServer server;
  server.answer(429, R"({"requestId":"r","errors":["API request limit exceeded"]})",
                retry_after("3600"));
  Asker asker(server.server());
  const auto answer = asker.ask();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::unavailable);
  EXPECT_NE(answer.error().message.find("it asks to come back in 3600 s"), std::string::npos)
      << answer.error().message;
  EXPECT_TRUE(asker.pauses.empty());
  EXPECT_EQ(server.said().size(), 1U);
}

TEST(Remote, TakesTheServersRefusalsForGood) {
  const struct {
    int status;
    std::string body;
    Code code;
    std::string text;
  } cases[] = {
      {400, R"({"requestId":"r","errors":["Too many ids","at most 3"]})", Code::denied,
       "refused: Too many ids; at most 3 (status 400, request r)"},
      {400, R"({"requestId":"r","errors":["Bad request","at: is later than now"]})", Code::denied,
       "refused: at: is later than now (status 400, request r)"},
      {400, R"({"requestId":"r","errors":["Bad request"]})", Code::denied,
       "refused: Bad request (status 400, request r)"},
      {401, R"({"requestId":"r","errors":["Access denied"]})", Code::denied,
       "refused: Access denied; check EARSHOT_KEY or --key-file (status 401, request r)"},
      {401, R"({"requestId":"r","errors":["You don't have permission to use 'x' in your app."]})",
       Code::denied, "You don't have permission to use 'x' in your app. (status 401"},
      {404, R"({"requestId":"r","errors":["Call ID 5 was not found"]})", Code::denied, "Call ID 5"},
      {409, R"({"requestId":"r","errors":["Some calls have changed","5"]})", Code::denied,
       "Some calls have changed; 5"},
      {410, R"({"requestId":"r","errors":["History is not kept that far back"]})", Code::denied,
       "History"},
      {422, R"({"requestId":"r","errors":["This key was used for another request"]})", Code::denied,
       "another request"},
      {500, R"({"requestId":"r","errors":["Internal server error occurred"]})", Code::unavailable,
       "failed: Internal server error occurred"},
      {404, "<html>", Code::unavailable, "no Earshot server"},
      {302, "", Code::unavailable, "no Earshot server"},
      {204, "", Code::unavailable, "no Earshot server"},
  };
  for (const auto& one : cases) {
    ScriptedServer server;
    server.answer(one.status, one.body);
    Asker asker(server.server());
    const auto answer = asker.ask();
    ASSERT_FALSE(answer) << one.status;
    EXPECT_EQ(answer.error().code, one.code) << one.status << one.body;
    EXPECT_NE(answer.error().message.find(one.text), std::string::npos) << answer.error().message;
    EXPECT_EQ(answer.error().message.find("s3cret"), std::string::npos);
    EXPECT_EQ(server.said().size(), 1U) << one.status << one.body;
  }
}

// A listener that takes connections and closes each behind what it says.
class Rude {
 public:
  explicit Rude(std::vector<std::string> answers) : answers_(std::move(answers)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(listener_, reinterpret_cast<sockaddr*>(&at), sizeof at);
    ::listen(listener_, 8);
    socklen_t size = sizeof at;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size);
    url_ = "http://127.0.0.1:" + std::to_string(ntohs(at.sin_port));
    thread_ = std::thread([this] {
      for (const auto& answer : answers_) {
        const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        char request[4096];
        (void)::recv(socket, request, sizeof request, 0);
        (void)::send(socket, answer.data(), answer.size(), MSG_NOSIGNAL);
        ::close(socket);
      }
    });
  }
  ~Rude() {
    thread_.join();
    ::close(listener_);
  }
  Server server() const {
    Server server;
    server.url = url_;
    server.key = {"ACME", "s3cret-of-a-key"};
    return server;
  }

 private:
  const std::vector<std::string> answers_;
  int listener_ = -1;
  std::string url_;
  std::thread thread_;
};

TEST(Remote, AsksAgainWhereTheConnectionEnded) {
  const Rude rude({"", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
                   "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"});
  Asker asker(rude.server());
  const auto answer = asker.ask();
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->body, "{}");
  EXPECT_EQ(asker.pauses.size(), 2U);
}

TEST(Remote, TellsWhetherAnythingWasEverSent) {
  Server nobody;
  {
    ScriptedServer gone;
    nobody = gone.server();
  }
  Asker asker(nobody);
  const auto unsent = asker.ask();
  ASSERT_FALSE(unsent);
  EXPECT_EQ(unsent.error().code, Code::not_found) << unsent.error().message;
  EXPECT_EQ(asker.pauses.size(), nobody.retries);

  auto options = Server();
  {
    const Rude rude({""});
    options = rude.server();
    options.retries = 0;
    const auto sent = Asker(options).ask();
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().code, Code::unavailable) << sent.error().message;
  }
  {
    // It is sent once, and then nobody listens any more.
    auto rude = std::make_unique<Rude>(std::vector<std::string>{""});
    options = rude->server();
    options.retries = 1;
    Remote remote = *Remote::open(options, [&](milliseconds) { rude.reset(); });
    const auto sent = remote.ask({"PUT", "/", "{}", "k"});
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().code, Code::unavailable) << sent.error().message;
  }
}

TEST(Remote, IsOpenedWithTheKeyOfAFile) {
  ScriptedServer server;
  server.answer(200, "{}");
  const File file("OTHER:from-a-file\n");
  auto options = server.server();
  options.key_file = file.path();
  ASSERT_TRUE(Asker(options).ask());
  EXPECT_EQ(server.said().at(0).field("authorization"), "Basic T1RIRVI6ZnJvbS1hLWZpbGU=");
  const File wide("OTHER:from-a-file\n", 0644);
  options.key_file = wide.path();
  const auto refused = Remote::open(options, [](milliseconds) {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::invalid_argument);
  EXPECT_EQ(refused.error().message.find("from-a-file"), std::string::npos);
}

}  // namespace
}  // namespace earshot::client
