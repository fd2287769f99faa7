// The client beside the server of this folder: credentials, answers, limits, TLS, and what ends a
// request without an answer.
#include "http/client.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <thread>

#include "base/text.h"
#include "http/certificates_testing.h"
#include "http/testing.h"

namespace earshot::http {
namespace {

const std::string kSecret = "s3cret-of-a-key";

ClientOptions options_for(const std::string& server) {
  ClientOptions options;
  options.server = server;
  options.user = "ACME";
  options.password = kSecret;
  options.user_agent = "test/1";
  return options;
}

Client open(ClientOptions options) {
  auto client = Client::open(std::move(options));
  if (!client) throw std::runtime_error(client.error().message);
  return std::move(*client);
}

Client open(const Running& running, const std::string& prefix = "") {
  return open(options_for("http://" + running.address() + prefix));
}

// An address that nobody listens on.
std::string dead_address() {
  TestApplication application;
  const Running running(application);
  return running.address();
}

// Keeps what it was asked, and answers with a redirection.
struct Recorder {
  explicit Recorder(TestApplication& application, const std::string& path) {
    application.on(path, [this](const RequestHead& head, Reply reply) -> std::shared_ptr<Body> {
      method = head.method;
      target = head.target;
      for (const auto& field : head.fields) fields.emplace(field.name, field.value);
      return std::make_shared<CollectingBody>(std::move(reply), [this](std::string got, Reply r) {
        body = std::move(got);
        Response response = text(302, "elsewhere");
        response.fields.add("Location", "/other");
        response.fields.add("X-Twice", "  first ");
        response.fields.add("X-Twice", "second");
        r.send(std::move(response));
      });
    });
  }
  std::string method, target, body;
  std::multimap<std::string, std::string> fields;
};

TEST(HttpClient, SendsCredentialsFieldsAndBodyAndGivesTheAnswerAsItIs) {
  TestApplication application;
  Recorder recorder(application, "/prefix/things");
  const Running running(application);
  auto client = open(running, "/prefix/");
  const std::string body = "{\"a\":1}" + std::string(2 << 20, ' ');
  ClientRequest request{"DELETE", "/things?at=2026-03-01T10%3A00%3A00Z", {}, body};
  request.fields = {{"content-type", "application/json"}, {"idempotency-key", "k1"}};
  const auto answer = client.send(request);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 302) << "a redirection is the caller's to judge";
  EXPECT_EQ(answer->body, "elsewhere");
  EXPECT_EQ(answer->field("location"), "/other");
  EXPECT_EQ(answer->field("x-twice"), "first");
  EXPECT_EQ(answer->field("none"), "");
  EXPECT_EQ(recorder.method, "DELETE");
  EXPECT_EQ(recorder.target, "/prefix/things?at=2026-03-01T10%3A00%3A00Z");
  EXPECT_EQ(recorder.body, body);
  const auto field = [&](const std::string& name) {
    for (const auto& [key, value] : recorder.fields) {
      if (equals_ignoring_case(key, name)) return value;
    }
    return std::string("(none)");
  };
  EXPECT_EQ(field("authorization"), "Basic QUNNRTpzM2NyZXQtb2YtYS1rZXk=");
  EXPECT_EQ(field("content-type"), "application/json");
  EXPECT_EQ(field("idempotency-key"), "k1");
  EXPECT_EQ(field("user-agent"), "test/1");
  EXPECT_EQ(field("expect"), "(none)") << "the body is sent at once, however long";
}

TEST(HttpClient, KeepsItsConnectionAndMixesMethodsOnIt) {
  TestApplication application;
  const Running running(application);
  auto client = open(running);
  const std::string large(3 << 20, 'x');
  EXPECT_EQ(client.send({"POST", "/a", {}, large})->body, "POST /a " + large);
  EXPECT_EQ(client.send({"GET", "/b"})->body, "GET /b ");
  EXPECT_EQ(client.send({"PUT", "/c", {}, "small"})->body, "PUT /c small");
  EXPECT_EQ(client.send({"DELETE", "/d"})->body, "DELETE /d ");
  EXPECT_EQ(running.server->connection_count(), 1U);
}

TEST(HttpClient, SaysThatNobodyListensWithoutTheSecret) {
  auto client = open(options_for("http://" + dead_address()));
  const auto answer = client.send({"GET", "/"});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::not_found);
  EXPECT_NE(answer.error().message.find("http://127.0.0.1:"), std::string::npos);
  EXPECT_EQ(answer.error().message.find(kSecret), std::string::npos);
}

TEST(HttpClient, GivesUpWhenTheTimeIsOver) {
  TestApplication application;
  std::vector<Reply> kept;
  application.on("/silent", [&](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    kept.push_back(std::move(reply));
    return nullptr;
  });
  const Running running(application);
  auto client = open(running);
  const auto begun = std::chrono::steady_clock::now();
  const auto answer = client.send({.method = "GET", .target = "/silent", .time = 200ms});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::unavailable);
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 200ms);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
  EXPECT_EQ(client.send({"GET", "/b"})->body, "GET /b ") << "the next request is another one";
}

// Answers one connection with bytes of the test's own choice, and closes it.
class OneAnswer {
 public:
  explicit OneAnswer(std::string bytes) : bytes_(std::move(bytes)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(listener_, reinterpret_cast<sockaddr*>(&at), sizeof at);
    ::listen(listener_, 1);
    socklen_t size = sizeof at;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size);
    address_ = "127.0.0.1:" + std::to_string(ntohs(at.sin_port));
    thread_ = std::thread([this] {
      const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      char request[4096];
      if (::recv(socket, request, sizeof request, 0) > 0) {
        ::send(socket, bytes_.data(), bytes_.size(), MSG_NOSIGNAL);
      }
      ::close(socket);
    });
  }
  ~OneAnswer() {
    thread_.join();
    ::close(listener_);
  }
  const std::string& address() const { return address_; }

 private:
  const std::string bytes_;
  int listener_ = -1;
  std::string address_;
  std::thread thread_;
};

TEST(HttpClient, TellsAnswersThatAreNoneFromThoseThatEndEarly) {
  const struct {
    const char* name;
    std::string bytes;
    Code code;
  } cases[] = {
      {"nothing", "", Code::unavailable},
      {"half a body", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", Code::unavailable},
      {"no HTTP", "220 mail.example ESMTP ready\r\n", Code::internal},
  };
  for (const auto& one : cases) {
    const OneAnswer server(one.bytes);
    auto client = open(options_for("http://" + server.address()));
    const auto answer = client.send({"GET", "/"});
    ASSERT_FALSE(answer) << one.name;
    EXPECT_EQ(answer.error().code, one.code) << one.name << ": " << answer.error().message;
  }
}

TEST(HttpClient, TakesAnAnswerUpToItsLimitOnly) {
  TestApplication application;
  const Running running(application);
  auto options = options_for("http://" + running.address());
  options.answer_bytes_max = 16;
  auto client = open(options);
  EXPECT_EQ(client.send({"POST", "/", {}, std::string(16 - 7, 'x')})->body.size(), 16U);
  const auto answer = client.send({"POST", "/", {}, std::string(16 - 6, 'x')});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::internal);
  EXPECT_NE(answer.error().message.find("longer than 16 bytes"), std::string::npos);
}

TEST(HttpClient, UsesNoProxyInTheClear) {
  TestApplication application;
  const Running running(application);
  const std::string proxy = "http://" + dead_address();
  ::setenv("http_proxy", proxy.c_str(), 1);
  ::setenv("all_proxy", proxy.c_str(), 1);
  auto client = open(running);
  const auto answer = client.send({"GET", "/b"});
  ::unsetenv("http_proxy");
  ::unsetenv("all_proxy");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->body, "GET /b ");
}

TEST(HttpClient, BelievesOnlyACertificateOfTheFileAndForThisHost) {
  const Certificates certificates;
  const struct {
    const char* name;
    const char* subject_names;
    bool has_ca_file;
    bool is_believed;
  } cases[] = {{"of the file", "IP:127.0.0.1", true, true},
               {"of nobody whom the system knows", "IP:127.0.0.1", false, false},
               {"for another host", "DNS:earshot.example,IP:127.0.0.2", true, false}};
  for (const auto& one : cases) {
    TestApplication application;
    ServerOptions server;
    server.tls = certificates.make("server", one.subject_names);
    const Running running(application, server);
    auto options = options_for("https://" + running.address());
    if (one.has_ca_file) options.ca_file = server.tls->certificate;
    auto client = open(options);
    const auto answer = client.send({"GET", "/b"});
    EXPECT_EQ(answer.has_value(), one.is_believed) << one.name;
    if (one.is_believed) continue;
    EXPECT_EQ(answer.error().code, Code::denied) << one.name << ": " << answer.error().message;
    EXPECT_EQ(application.begun, 0) << one.name;
  }
}

TEST(HttpClient, SaysWhatIsWrongWithAFileOfCertificates) {
  const Certificates certificates;
  auto options = options_for("https://127.0.0.1:1");
  options.ca_file = certificates.path("missing.pem");
  const auto client = Client::open(options);
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().code, Code::invalid_argument);
  EXPECT_NE(client.error().message.find("missing.pem"), std::string::npos);

  TestApplication application;
  ServerOptions server;
  server.tls = certificates.make("server");
  const Running running(application, server);
  options.server = "https://" + running.address();
  options.ca_file = certificates.write("empty.pem", "no certificate\n");
  const auto answer = open(options).send({"GET", "/"});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::invalid_argument) << answer.error().message;
}

TEST(ServerAddress, IsAUrlWithoutCredentialsAndWithoutAQuery) {
  const struct {
    const char* text;
    bool is_tls;
    const char* host;  // null: refused
  } cases[] = {
      {"http://127.0.0.1:8080", false, "127.0.0.1"},
      {"https://earshot.example", true, "earshot.example"},
      {"https://earshot.example:8443/prefix/", true, "earshot.example"},
      {"http://[::1]:8080", false, "::1"},
      {"http://localhost", false, "localhost"},
      {"", false, nullptr},
      {"127.0.0.1:8080", false, nullptr},
      {"ftp://host", false, nullptr},
      {"http://", false, nullptr},
      {"http://host:99999", false, nullptr},
      {"http://host:port", false, nullptr},
      {"http://ho st", false, nullptr},
      {"http://host?x=1", false, nullptr},
      {"http://host#x", false, nullptr},
      {"http://ACME:s3cret-of-a-key@host", false, nullptr},
      {"https://ACME:s3cret-of-a-key@host:80/x", false, nullptr},
      {"postgresql://ACME:s3cret-of-a-key@host", false, nullptr},
  };
  for (const auto& one : cases) {
    const auto address = parse_server_address(one.text);
    ASSERT_EQ(address.has_value(), one.host != nullptr) << one.text;
    if (!address) {
      EXPECT_EQ(address.error().code, Code::invalid_argument);
      EXPECT_EQ(address.error().message.find(kSecret), std::string::npos) << one.text;
      continue;
    }
    EXPECT_EQ(address->is_tls, one.is_tls) << one.text;
    EXPECT_EQ(address->host, one.host) << one.text;
  }
}

}  // namespace
}  // namespace earshot::http
