// TLS: what is offered, certificates that cannot be used, and new ones while serving.
#include "http/tls.h"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/resource.h>

#include <cstdio>
#include <filesystem>
#include <string>

#include "http/certificates_testing.h"
#include "http/testing.h"

namespace earshot::http {
namespace {

namespace fs = std::filesystem;

// A TLS client over a RawClient's socket.
class TlsClient {
 public:
  explicit TlsClient(const std::string& address, int version_max = TLS1_3_VERSION,
                     const std::string& protocols = "\x08http/1.1")
      : tcp_(address), context_(SSL_CTX_new(TLS_client_method())), session_(nullptr) {
    SSL_CTX_set_min_proto_version(context_, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context_, version_max);
    SSL_CTX_set_security_level(context_, 0);
    if (!protocols.empty()) {
      SSL_CTX_set_alpn_protos(context_, reinterpret_cast<const unsigned char*>(protocols.data()),
                              static_cast<unsigned>(protocols.size()));
    }
    session_ = SSL_new(context_);
    SSL_set_fd(session_, tcp_.descriptor());
    is_secure_ = SSL_connect(session_) == 1;
    ERR_clear_error();
  }
  ~TlsClient() {
    SSL_free(session_);
    SSL_CTX_free(context_);
  }
  TlsClient(const TlsClient&) = delete;

  bool is_secure() const { return is_secure_; }
  SSL* session() { return session_; }

  std::string subject() {
    X509* certificate = SSL_get1_peer_certificate(session_);
    char name[64] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name,
                              sizeof name);
    X509_free(certificate);
    return name;
  }

  bool send(const std::string& bytes) {
    return SSL_write(session_, bytes.data(), static_cast<int>(bytes.size())) ==
           static_cast<int>(bytes.size());
  }

  // Until so much has come, or the end.
  std::string receive(std::size_t size) {
    std::string all;
    char piece[16384];
    while (all.size() < size) {
      const int got = SSL_read(session_, piece, sizeof piece);
      if (got <= 0) break;
      all.append(piece, static_cast<std::size_t>(got));
    }
    return all;
  }
  std::string receive_all() { return receive(std::string::npos); }
  // Whether the end was said, not only the connection cut.
  bool was_told_the_end() { return SSL_get_shutdown(session_) & SSL_RECEIVED_SHUTDOWN; }

 private:
  RawClient tcp_;
  SSL_CTX* context_;
  SSL* session_;
  bool is_secure_ = false;
};

ServerOptions with_tls(const TlsFiles& files) {
  ServerOptions options;
  options.tls = files;
  return options;
}

const std::string kGet = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kLastGet = "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

TEST(Tls, AnswersInBothVersions) {
  const Certificates certificates;
  TestApplication application;
  Running running(application, with_tls(certificates.make("one")));
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient client(running.address(), version);
    ASSERT_TRUE(client.is_secure());
    EXPECT_EQ(SSL_version(client.session()), version);
    ASSERT_TRUE(client.send(kGet + kGet));
    ASSERT_TRUE(client.send(kLastGet));
    const std::string answers = client.receive_all();
    std::size_t count = 0;
    for (auto at = answers.find("GET /x "); at != answers.npos;
         at = answers.find("GET /x ", at + 1))
      ++count;
    EXPECT_EQ(count, 3u);
    EXPECT_TRUE(client.was_told_the_end());
  }
}

TEST(Tls, RefusesOldVersionsAndOtherProtocols) {
  const Certificates certificates;
  TestApplication application;
  Running running(application, with_tls(certificates.make("one")));
  EXPECT_FALSE(TlsClient(running.address(), TLS1_1_VERSION).is_secure());
  EXPECT_FALSE(TlsClient(running.address(), TLS1_3_VERSION, "\x02h2").is_secure());
  EXPECT_TRUE(TlsClient(running.address(), TLS1_3_VERSION, "").is_secure());
  TlsClient both(running.address(), TLS1_3_VERSION, "\x02h2\x08http/1.1");
  ASSERT_TRUE(both.is_secure());
  const unsigned char* chosen;
  unsigned size;
  SSL_get0_alpn_selected(both.session(), &chosen, &size);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(chosen), size), "http/1.1");
  // Plain text on the TLS address ends the connection, with nothing said in plain text.
  RawClient plain(running.address());
  ASSERT_TRUE(plain.send(kGet));
  const auto rest = plain.receive_all();
  EXPECT_TRUE(!rest || rest->find("HTTP/1.1") == std::string::npos);
}

TEST(Tls, CarriesLargeBodiesBothWays) {
  const Certificates certificates;
  TestApplication application;
  Running running(application, with_tls(certificates.make("one")));
  const std::string body(5 << 20, 'x');
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient client(running.address(), version);
    ASSERT_TRUE(client.is_secure());
    const std::string head = "POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ";
    ASSERT_TRUE(client.send(head + std::to_string(body.size()) + "\r\n\r\n" + body));
    const std::string answer = client.receive_all();
    EXPECT_TRUE(answer.ends_with("POST /x " + body)) << answer.size();
  }
}

TEST(Tls, UnderstandsRequestsThatComeByteByByte) {
  const Certificates certificates;
  TestApplication application;
  Running running(application, with_tls(certificates.make("one")));
  TlsClient client(running.address());
  for (const char c : kGet + kLastGet) ASSERT_TRUE(client.send({c}));
  EXPECT_NE(client.receive_all().find("GET /x "), std::string::npos);
}

TEST(Tls, AnswersLateAndFromOtherThreads) {
  const Certificates certificates;
  TestApplication application;
  Answerers answerers;
  application.on("/later", [&](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    answerers.run([kept = std::make_shared<Reply>(std::move(reply))] {
      std::this_thread::sleep_for(2ms);
      kept->send(text(200, "late"));
    });
    return nullptr;
  });
  Running running(application, with_tls(certificates.make("one")));
  TlsClient client(running.address());
  std::string requests;
  for (int i = 0; i < 20; ++i) requests += "GET /later HTTP/1.1\r\nHost: a\r\n\r\n" + kGet;
  ASSERT_TRUE(client.send(requests + kLastGet));
  const std::string answers = client.receive_all();
  std::size_t count = 0;
  for (auto at = answers.find("late"); at != answers.npos; at = answers.find("late", at + 1))
    ++count;
  EXPECT_EQ(count, 20u);
}

TEST(Tls, EndsHandshakesThatTakeTooLong) {
  const Certificates certificates;
  TestApplication application;
  ServerOptions options = with_tls(certificates.make("one"));
  options.limits.request_time = 100ms;
  Running running(application, options);
  RawClient silent(running.address()), half(running.address());
  ASSERT_TRUE(half.send(std::string("\x16\x03\x01\x00\xff", 5)));
  EXPECT_TRUE(silent.is_ended());
  EXPECT_TRUE(half.is_ended());
  EXPECT_EQ(application.refused, 0);
}

TEST(Tls, IsIdleAfterTheHandshake) {
  const Certificates certificates;
  TestApplication application;
  ServerOptions options = with_tls(certificates.make("one"));
  options.limits.request_time = 50ms;
  options.limits.idle_time = 400ms;
  Running running(application, options);
  TlsClient client(running.address());
  std::this_thread::sleep_for(200ms);
  ASSERT_TRUE(client.send(kGet));
  EXPECT_NE(client.receive(50).find("200 OK"), std::string::npos);
}

TEST(Tls, ServesTheNewCertificateAfterAReload) {
  const Certificates certificates;
  const TlsFiles files = certificates.make("one");
  const TlsFiles next = certificates.make("two");
  TestApplication application;
  Running running(application, with_tls(files));
  TlsClient before(running.address());
  EXPECT_EQ(before.subject(), "one");

  // Half a pair is refused, and the old one stays.
  fs::copy_file(next.certificate, files.certificate, fs::copy_options::overwrite_existing);
  const Status refused = running.server->reload_tls();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "the TLS key " + files.key + " does not match the certificate " + files.certificate);
  EXPECT_EQ(TlsClient(running.address()).subject(), "one");

  fs::copy_file(next.key, files.key, fs::copy_options::overwrite_existing);
  ASSERT_TRUE(running.server->reload_tls());
  EXPECT_EQ(TlsClient(running.address()).subject(), "two");
  ASSERT_TRUE(before.send(kGet));
  EXPECT_NE(before.receive(50).find("200 OK"), std::string::npos);
}

TEST(Tls, SaysWhichFileIsWrongAndWhy) {
  const Certificates certificates;
  const TlsFiles one = certificates.make("one");
  const TlsFiles two = certificates.make("two");
  const std::string absent = certificates.path("absent"), empty = certificates.write("empty", ""),
                    junk = certificates.write("junk", "no PEM\n");
  TestApplication application;
  const struct {
    TlsFiles files;
    std::string message;  // how it begins
  } rows[] = {
      {{absent, one.key}, "cannot read the TLS certificate " + absent + ": No such file"},
      {{one.certificate, absent}, "cannot read the TLS key " + absent + ": No such file"},
      {{certificates.path(""), one.key}, "cannot read the TLS certificate "},
      {{empty, one.key}, "the TLS certificate " + empty + " is empty"},
      {{junk, one.key}, "the TLS certificate " + junk + " is no PEM"},
      {{one.certificate, junk}, "the TLS key " + junk + " is no PEM key"},
      {{one.key, one.key}, "the TLS certificate " + one.key + " is no PEM"},
      {{one.certificate, two.key},
       "the TLS key " + two.key + " does not match the certificate " + one.certificate},
  };
  for (const auto& row : rows) {
    ServerOptions options = with_tls(row.files);
    options.listen = "127.0.0.1:0";
    const auto opened = Server::open(options, application);
    ASSERT_FALSE(opened) << row.message;
    EXPECT_EQ(opened.error().code, Code::invalid_argument);
    EXPECT_TRUE(opened.error().message.starts_with(row.message)) << opened.error().message;
  }
}

}  // namespace
}  // namespace earshot::http
