// Deadlines, connection limits, addresses, and stopping.
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "http/server.h"
#include "http/testing.h"

namespace earshot::http {
namespace {

const std::string kGet = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kPost = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";

ServerOptions short_limits() {
  ServerOptions options;
  options.limits.idle_time = 100ms;
  options.limits.request_time = 300ms;
  options.limits.write_time = 100ms;
  return options;
}

template <class Do>
std::chrono::milliseconds time_of(Do&& action) {
  const auto start = std::chrono::steady_clock::now();
  action();
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                               start);
}

TEST(Deadlines, EndIdleConnectionsSilently) {
  TestApplication application;
  ServerOptions options = short_limits();
  options.limits.request_time = 3000ms;
  Running running(application, options);
  for (const char* before : {"", "\r\n", "\r"}) {
    RawClient client(running.address());
    ASSERT_TRUE(client.send(before));
    const auto time = time_of([&] { EXPECT_TRUE(client.is_ended()); });
    EXPECT_GE(time, 90ms);
    EXPECT_LE(time, 2800ms) << "waited as for a request";
  }
  RawClient client(running.address());
  EXPECT_TRUE(client.ask(kGet));
  EXPECT_TRUE(client.is_ended());
  EXPECT_EQ(application.refused, 0);
}

TEST(Deadlines, RefuseRequestsThatComeTooSlowly) {
  TestApplication application;
  Running running(application, short_limits());
  for (const std::string& part :
       {std::string("G"), kGet.substr(0, 20), kPost, kPost + "bod", kGet + "GET"}) {
    SCOPED_TRACE(part);
    RawClient client(running.address());
    ASSERT_TRUE(client.send(part));
    if (part.starts_with(kGet)) {
      EXPECT_EQ(client.receive_answer()->status, 200);
    }
    const auto time = time_of([&] { EXPECT_EQ(client.receive_answer()->status, 408); });
    EXPECT_GE(time, 280ms);
    EXPECT_TRUE(client.is_ended());
  }
}

TEST(Deadlines, CountFromTheFirstByteOfTheRequest) {
  TestApplication application;
  Running running(application, short_limits());
  RawClient client(running.address());
  // Never idle for long, but never done either.
  std::string received;
  const auto time = time_of([&] {
    for (const char c : kPost) {
      if (!client.send({&c, 1}) || client.is_readable_within(20ms)) break;
    }
  });
  EXPECT_EQ(client.receive_answer()->status, 408);
  EXPECT_GE(time, 280ms);
  EXPECT_LE(time, 800ms);
}

TEST(Deadlines, CountAnewForTheNextRequest) {
  TestApplication application;
  ServerOptions options = short_limits();
  options.limits.request_time = 1500ms;
  Running running(application, options);
  RawClient client(running.address());
  ASSERT_TRUE(client.send(kPost));
  std::this_thread::sleep_for(800ms);
  // The end of one and the beginning of the next, at once.
  ASSERT_TRUE(client.send("body" + kPost));
  EXPECT_EQ(client.receive_answer()->status, 200);
  std::this_thread::sleep_for(800ms);
  ASSERT_TRUE(client.send("body"));
  EXPECT_EQ(client.receive_answer()->status, 200);
}

TEST(Deadlines, LetNoAnswerComeAfterTheRefusal) {
  TestApplication application;
  struct Kept final : Body {
    explicit Kept(std::shared_ptr<Reply> its_reply) : reply(std::move(its_reply)) {}
    void piece(std::string_view) override {}
    void end() override { ADD_FAILURE() << "the body never ended"; }
    void too_long() override {}
    std::shared_ptr<Reply> reply;
  };
  std::promise<std::shared_ptr<Reply>> promise;
  application.on("/x", [&](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    auto kept = std::make_shared<Reply>(std::move(reply));
    promise.set_value(kept);
    return std::make_unique<Kept>(kept);
  });
  Running running(application, short_limits());
  RawClient client(running.address());
  ASSERT_TRUE(client.send(kPost));
  const auto reply = promise.get_future().get();
  EXPECT_EQ(client.receive_answer()->status, 408);
  reply->send(text(200, "too late"));
  EXPECT_TRUE(client.is_ended());
}

TEST(Deadlines, CutClientsThatDoNotRead) {
  TestApplication application;
  application.on("/large", [](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    reply.send(text(200, std::string(16 << 20, 'x')));
    return nullptr;
  });
  Running running(application, short_limits());
  RawClient client(running.address(), 4096);
  ASSERT_TRUE(client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_TRUE(running.has_connections(1));
  EXPECT_TRUE(running.has_connections(0));
  EXPECT_FALSE(client.receive_answer());
}

TEST(Deadlines, SpareClientsThatReadSlowlyButSteadily) {
  TestApplication application;
  application.on("/large", [](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    reply.send(text(200, std::string(8 << 20, 'x')));
    return nullptr;
  });
  ServerOptions options = short_limits();
  options.limits.write_time = 300ms;
  Running running(application, options);
  RawClient client(running.address(), 16384);
  ASSERT_TRUE(client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n"));
  std::size_t received = 0;
  char piece[128 << 10];
  const auto time = time_of([&] {
    while (received < (8u << 20)) {
      const auto size = ::recv(client.descriptor(), piece, sizeof piece, 0);
      if (size <= 0) break;
      received += static_cast<std::size_t>(size);
      std::this_thread::sleep_for(5ms);
    }
  });
  EXPECT_GE(received, 8u << 20);
  EXPECT_GE(time, 300ms) << "too fast to prove anything";
}

TEST(Deadlines, LetTheApplicationTakeItsTime) {
  TestApplication application;
  Answerers answerers;
  application.on("/x", [&](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    answerers.run([kept = std::make_shared<Reply>(std::move(reply))] {
      std::this_thread::sleep_for(600ms);
      kept->send(text(200, "late"));
    });
    return nullptr;
  });
  Running running(application, short_limits());
  RawClient client(running.address());
  EXPECT_EQ(client.ask(kGet)->body, "late");
}

TEST(ConnectionLimits, AnswerSurplusConnectionsAndCloseThem) {
  for (const bool by_address : {false, true}) {
    TestApplication application;
    ServerOptions options;
    (by_address ? options.limits.connections_per_address_max : options.limits.connections_max) = 2;
    options.admin_listen = "127.0.0.1:0";
    Running running(application, options);
    auto first = std::make_unique<RawClient>(running.address());
    RawClient second(running.address());
    EXPECT_EQ(first->ask(kGet)->status, 200);
    EXPECT_EQ(second.ask(kGet)->status, 200);
    {
      RawClient surplus(running.address());
      const auto answer = surplus.ask(kGet);
      EXPECT_EQ(answer->status, 503);
      EXPECT_TRUE(answer->closes());
      EXPECT_TRUE(surplus.is_ended());
    }
    {
      // One that asks for nothing is told so all the same, soon.
      RawClient surplus(running.address());
      const auto time = time_of([&] { EXPECT_EQ(surplus.receive_answer()->status, 503); });
      EXPECT_LE(time, 2000ms);
      EXPECT_TRUE(surplus.is_ended());
    }
    EXPECT_EQ(RawClient(*running.server->admin_address()).ask(kGet)->status, 200);
    EXPECT_EQ(second.ask(kGet)->status, 200);
    first.reset();
    EXPECT_TRUE(running.has_connections(1));
    EXPECT_EQ(RawClient(running.address()).ask(kGet)->status, 200);
    EXPECT_EQ(application.refused, 2);
  }
}

TEST(Addresses, RefusesWhatItCannotListenOn) {
  TestApplication application;
  for (const char* listen :
       {"", "127.0.0.1", ":80", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "127.0.0.1:-1",
        "::1:80", "[::1:80", "[]:80", "192.0.2.1:0", "no.such.host.invalid:80"}) {
    ServerOptions options;
    options.listen = listen;
    const auto opened = Server::open(options, application);
    ASSERT_FALSE(opened) << listen;
    EXPECT_EQ(opened.error().code, Code::invalid_argument) << opened.error().message;
    EXPECT_NE(opened.error().message.find(listen), std::string::npos) << opened.error().message;
  }
}

TEST(Addresses, RefusesAPortThatAnotherServerHas) {
  TestApplication application;
  for (const std::size_t first_threads : {1u, 2u}) {
    for (const std::size_t second_threads : {1u, 2u}) {
      ServerOptions options;
      options.threads = first_threads;
      Running running(application, options);
      options.listen = running.address();
      options.threads = second_threads;
      const auto second = Server::open(options, application);
      ASSERT_FALSE(second) << first_threads << " " << second_threads;
      EXPECT_EQ(second.error().code, Code::conflict) << second.error().message;
      options.listen = "127.0.0.1:0";
      options.admin_listen = running.address();
      EXPECT_FALSE(Server::open(options, application));
    }
  }
}

TEST(Addresses, ListensAgainWhereItHasStopped) {
  TestApplication application;
  ServerOptions options;
  options.threads = 2;
  std::string address;
  {
    Running running(application, options);
    address = running.address();
    RawClient client(address);
    EXPECT_TRUE(client.ask("GET / HTTP/1.0\r\n\r\n"));  // the server closes first, and waits
  }
  options.listen = address;
  const auto again = Server::open(options, application);
  EXPECT_TRUE(again) << again.error().message;
}

TEST(Addresses, ListensOnIpV6) {
  TestApplication application;
  ServerOptions options;
  options.listen = "[::1]:0";
  const auto opened = Server::open(options, application);
  if (!opened) GTEST_SKIP() << opened.error().message;
  EXPECT_TRUE((*opened)->address().starts_with("[::1]:"));
}

TEST(Stop, EndsIdleConnectionsAtOnce) {
  TestApplication application;
  Running running(application);
  RawClient idle(running.address()), used(running.address());
  EXPECT_TRUE(used.ask(kGet));
  EXPECT_TRUE(running.has_connections(2));
  EXPECT_LE(time_of([&] { running.server->stop(5s); }), 1s);
  EXPECT_TRUE(idle.is_ended());
  EXPECT_TRUE(used.is_ended());
  EXPECT_FALSE(RawClient(running.address()).is_connected());
  EXPECT_EQ(running.server->connection_count(), 0u);
}

TEST(Stop, AnswersWhatWasBegunAndCloses) {
  TestApplication application;
  std::promise<Reply> promise;
  application.on("/wait", [&](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    promise.set_value(std::move(reply));
    return nullptr;
  });
  Running running(application);
  RawClient waiting(running.address()), sending(running.address());
  // With another behind it: both have been received, both are answered.
  ASSERT_TRUE(waiting.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n" + kGet));
  ASSERT_TRUE(sending.send(kPost + "bo"));
  Reply reply = promise.get_future().get();
  while (application.begun < 2) std::this_thread::sleep_for(1ms);
  std::thread stopper([&] { running.server->stop(5s); });
  std::this_thread::sleep_for(50ms);
  ASSERT_TRUE(sending.send("dy"));
  const auto sent = sending.receive_answer();
  EXPECT_EQ(sent->body, "POST /x body");
  EXPECT_TRUE(sent->closes());
  reply.send(text(200, "waited for"));
  const auto first = waiting.receive_answer();
  EXPECT_EQ(first->body, "waited for");
  EXPECT_FALSE(first->closes());
  const auto last = waiting.receive_answer();
  EXPECT_EQ(last->body, "GET /x ");
  EXPECT_TRUE(last->closes());
  EXPECT_TRUE(sending.is_ended());
  EXPECT_TRUE(waiting.is_ended());
  sending.close();
  waiting.close();
  stopper.join();
}

TEST(Stop, CutsWhatIsNotDoneInTime) {
  TestApplication application;
  std::vector<Reply> kept;
  application.on("/wait", [&](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    kept.push_back(std::move(reply));
    return nullptr;
  });
  Running running(application);
  RawClient waiting(running.address()), sending(running.address());
  ASSERT_TRUE(waiting.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n"));
  ASSERT_TRUE(sending.send(kPost));
  while (application.begun < 2) std::this_thread::sleep_for(1ms);
  const auto time = time_of([&] { running.server->stop(200ms); });
  EXPECT_GE(time, 190ms);
  EXPECT_LE(time, 2s);
  EXPECT_TRUE(waiting.is_ended());
  EXPECT_TRUE(sending.is_ended());
}

// Clients with one request in flight each: every one that was sent before the stop is answered.
TEST(Stop, LosesNoRequestThatWasReceived) {
  TestApplication application;
  ServerOptions options;
  options.threads = 2;
  Running running(application, options);
  constexpr int kClients = 40;
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < kClients; ++i)
    clients.push_back(std::make_unique<RawClient>(running.address()));
  EXPECT_TRUE(running.has_connections(kClients));
  // Some more that stand in the backlog or have just been accepted.
  for (int i = 0; i < kClients; ++i)
    clients.push_back(std::make_unique<RawClient>(running.address()));
  for (auto& client : clients) ASSERT_TRUE(client->send(kGet));
  running.server->stop(5s);
  for (auto& client : clients) {
    const auto answer = client->receive_answer();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->body, "GET /x ");
    EXPECT_TRUE(client->is_ended());
  }
}

TEST(Stop, AnswersWhoStandsInTheBacklog) {
  TestApplication application;
  ServerOptions options;
  options.listen = "127.0.0.1:0";
  auto opened = Server::open(options, application);
  ASSERT_TRUE(opened) << opened.error().message;
  Server* const server = opened->get();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 300; ++i) clients.push_back(std::make_unique<RawClient>(server->address()));
  for (auto& client : clients) ASSERT_TRUE(client->send(kGet));
  server->start();
  server->stop(5s);
  for (auto& client : clients) {
    const auto answer = client->receive_answer();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->body, "GET /x ");
  }
}

TEST(Stop, WorksBeforeTheStartAndTwice) {
  TestApplication application;
  ServerOptions options;
  options.listen = "127.0.0.1:0";
  auto opened = Server::open(options, application);
  ASSERT_TRUE(opened) << opened.error().message;
  Server* const server = opened->get();
  RawClient client(server->address());
  EXPECT_TRUE(client.is_connected());
  server->stop(1s);
  server->stop(1s);
}

}  // namespace
}  // namespace earshot::http
