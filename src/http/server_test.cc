// The wire: what requests, good and bad, get over real sockets. Streams, deadlines and TLS have
// files of their own.
#include "http/server.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "http/testing.h"

namespace earshot::http {
namespace {

std::string get(const std::string& path, const std::string& fields = "") {
  return "GET " + path + " HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
}

std::string post(const std::string& path, const std::string& body, const std::string& fields = "") {
  return "POST " + path + " HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + fields + "\r\n" + body;
}

const std::string kChunkedHead =
    "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

// Answers 401 from the head alone.
std::shared_ptr<Body> deny(const RequestHead&, Reply reply) {
  reply.send(text(401, "denied"));
  return nullptr;
}

TEST(Server, AnswersAndKeepsTheConnection) {
  TestApplication application;
  Running running(application);
  RawClient client(running.address());
  for (int i = 0; i < 3; ++i) {
    const auto answer = client.ask(post("/x", "body"));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->body, "POST /x body");
    EXPECT_EQ(answer->field("content-length"), "12");
    EXPECT_EQ(answer->field("content-type"), "text/plain");
    EXPECT_FALSE(answer->fields.contains("connection"));
  }
  EXPECT_EQ(running.server->connection_count(), 1u);
}

TEST(Server, HandsOverTheHeadAsSent) {
  TestApplication application;
  application.on("/h", [](const RequestHead& head, Reply reply) -> std::shared_ptr<Body> {
    std::string seen = std::string(head.target) + "|" + std::string(head.find("x-A")) + "|" +
                       std::to_string(head.count("b")) + "|" + std::string(head.remote_address) +
                       "|" + (head.is_admin ? "admin" : "client") + "|" +
                       (head.find("absent").data() ? "?" : "none");
    reply.send(text(200, seen));
    return nullptr;
  });
  ServerOptions options;
  options.admin_listen = "127.0.0.1:0";
  Running running(application, options);
  RawClient client(running.address());
  EXPECT_EQ(client.ask(get("/h?q=1", "X-a:  v \r\nb:1\r\nB:2\r\n"))->body,
            "/h?q=1|v|2|127.0.0.1|client|none");
  RawClient admin(*running.server->admin_address());
  EXPECT_EQ(admin.ask(get("/h"))->body, "/h||0|127.0.0.1|admin|none");
}

TEST(Server, UnderstandsRequestsThatComeByteByByte) {
  TestApplication application;
  Running running(application);
  RawClient client(running.address());
  for (const auto& request :
       {post("/x", "body"), "\r\n" + get("/y"), kChunkedHead + "2;e\r\nab\r\n0\r\nT: v\r\n\r\n"}) {
    ASSERT_TRUE(client.send_slowly(request));
    const auto answer = client.receive_answer();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200) << request;
  }
}

TEST(Server, UnderstandsRequestsSplitAnywhere) {
  TestApplication application;
  Running running(application);
  RawClient client(running.address());
  const std::string request =
      post("/x", "body") + kChunkedHead + "2\r\nab\r\n0\r\n\r\n" + get("/z");
  for (std::size_t split = 1; split < request.size(); ++split) {
    ASSERT_TRUE(client.send(request.substr(0, split)));
    std::this_thread::sleep_for(200us);
    ASSERT_TRUE(client.send(request.substr(split)));
    EXPECT_EQ(client.receive_answer()->body, "POST /x body") << split;
    EXPECT_EQ(client.receive_answer()->body, "POST /c ab") << split;
    EXPECT_EQ(client.receive_answer()->body, "GET /z ") << split;
  }
}

struct BadCase {
  const char* name;
  std::string bytes;
  int status;
};

std::vector<BadCase> bad_cases() {
  using namespace std::string_literals;
  const std::string host = "Host: a\r\n";
  return {
      {"no http", "hello\r\n", 400},
      {"tls hello", "\x16\x03\x01\x02\x00\x01\x00"s, 400},
      {"missing host", "GET / HTTP/1.1\r\n\r\n", 400},
      {"second host", get("/", host), 400},
      {"folding", get("/", "A: b\r\n c\r\n"), 400},
      {"bare lf", "GET / HTTP/1.1\nHost: a\n\n", 400},
      {"nul", get("/", "A: \0\r\n"s), 400},
      {"length and coding", get("/", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 400},
      {"two lengths", get("/", "Content-Length: 1\r\nContent-Length: 1\r\n"), 400},
      {"signed length", get("/", "Content-Length: +1\r\n"), 400},
      {"bad chunk", kChunkedHead + "x\r\n", 400},
      {"chunk without end", kChunkedHead + "1\r\nabc", 400},
      {"bad trailer", kChunkedHead + "0\r\nA b\r\n\r\n", 400},
      {"unknown coding", get("/", "Transfer-Encoding: gzip\r\n"), 501},
      {"unknown expect", get("/", "Expect: x\r\n"), 417},
      {"unknown version", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
      {"head too long", get("/", "A: " + std::string(20000, 'a') + "\r\n"), 431},
      {"endless head", "GET /" + std::string(20000, 'a'), 431},
  };
}

TEST(Server, RefusesMalformedRequestsAndCloses) {
  TestApplication application;
  Running running(application);
  for (const BadCase& c : bad_cases()) {
    for (const bool slowly : {false, true}) {
      SCOPED_TRACE(std::string(c.name) + (slowly ? " slowly" : ""));
      RawClient client(running.address());
      // The refusal may come before the last byte could be sent.
      slowly ? client.send_slowly(c.bytes) : client.send(c.bytes);
      const auto answer = client.receive_answer();
      ASSERT_TRUE(answer);
      EXPECT_EQ(answer->status, c.status);
      EXPECT_EQ(answer->body, "refused");
      EXPECT_TRUE(answer->closes());
      EXPECT_TRUE(client.is_ended());
    }
  }
}

TEST(Server, AnswersWhatCameBeforeAMalformedRequest) {
  TestApplication application;
  Running running(application);
  RawClient client(running.address());
  ASSERT_TRUE(client.send(get("/1") + get("/2") + "bad\r\n\r\n" + get("/3")));
  EXPECT_EQ(client.receive_answer()->body, "GET /1 ");
  EXPECT_EQ(client.receive_answer()->body, "GET /2 ");
  EXPECT_EQ(client.receive_answer()->status, 400);
  EXPECT_TRUE(client.is_ended());
  EXPECT_EQ(application.begun, 2);
}

TEST(Server, RefusesARequestThatTheClientStopsSending) {
  TestApplication application;
  Running running(application);
  for (const std::string& part : {std::string("GET / HT"), get("/").substr(0, 20),
                                  post("/", "body").substr(0, post("/", "body").size() - 1)}) {
    RawClient client(running.address());
    ASSERT_TRUE(client.send(part));
    client.end_sending();
    EXPECT_EQ(client.receive_answer()->status, 400) << part;
    EXPECT_TRUE(client.is_ended());
  }
  // But one that has come whole is answered.
  RawClient client(running.address());
  ASSERT_TRUE(client.send(get("/whole")));
  client.end_sending();
  EXPECT_EQ(client.receive_answer()->body, "GET /whole ");
  EXPECT_TRUE(client.is_ended());
}

TEST(Server, SaysThatItsAnswerIsTheLastToWhoeverHasStoppedSending) {
  TestApplication application;
  std::promise<void> blocked, released;
  application.on("/block", [&](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    blocked.set_value();
    released.get_future().wait();
    reply.send(text(200, "released"));
    return nullptr;
  });
  Running running(application);
  RawClient blocker(running.address()), client(running.address());
  ASSERT_TRUE(running.has_connections(2));
  // While the one thread waits, both requests and the end arrive.
  ASSERT_TRUE(blocker.send(get("/block")));
  blocked.get_future().wait();
  ASSERT_TRUE(client.send(get("/first") + get("/last")));
  client.end_sending();
  released.set_value();
  EXPECT_FALSE(blocker.receive_answer()->closes());
  const auto first = client.receive_answer();
  EXPECT_EQ(first->body, "GET /first ");
  EXPECT_FALSE(first->closes());
  const auto last = client.receive_answer();
  EXPECT_EQ(last->body, "GET /last ");
  EXPECT_TRUE(last->closes());
  EXPECT_TRUE(client.is_ended());
}

TEST(Server, AnswersPipelinedRequestsInOrder) {
  TestApplication application;
  Running running(application);
  RawClient client(running.address());
  constexpr int kCount = 5000;
  std::string requests;
  for (int i = 0; i < kCount; ++i) {
    requests += post("/" + std::to_string(i), std::string(static_cast<std::size_t>(i % 50), 'b'));
  }
  std::thread sender([&] { EXPECT_TRUE(client.send(requests)); });
  for (int i = 0; i < kCount; ++i) {
    const auto answer = client.receive_answer();
    if (!answer) {
      ADD_FAILURE() << "no answer " << i;
      break;
    }
    EXPECT_EQ(answer->body, "POST /" + std::to_string(i) + " " +
                                std::string(static_cast<std::size_t>(i % 50), 'b'));
  }
  sender.join();
}

TEST(Server, BeginsARequestOnlyAfterTheAnswerToTheOneBefore) {
  TestApplication application;
  Answerers answerers;
  std::atomic<int> open = 0, open_max = 0;
  application.on("/later", [&](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    open_max = std::max<int>(open_max, ++open);
    auto kept = std::make_shared<Reply>(std::move(reply));
    answerers.run([&open, kept] {
      std::this_thread::sleep_for(1ms);
      --open;
      kept->send(text(200, "late"));
    });
    return nullptr;
  });
  Running running(application);
  RawClient client(running.address());
  std::string requests;
  for (int i = 0; i < 50; ++i) requests += get("/later") + get("/now");
  ASSERT_TRUE(client.send(requests));
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(client.receive_answer()->body, "late");
    EXPECT_EQ(client.receive_answer()->body, "GET /now ");
  }
  EXPECT_EQ(open_max, 1);
}

TEST(Server, TakesAnswersFromManyThreadsForManyConnections) {
  TestApplication application;
  std::mutex mutex;
  std::vector<Reply> waiting;
  application.on("/batch", [&](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    const std::lock_guard lock(mutex);
    waiting.push_back(std::move(reply));
    return nullptr;
  });
  ServerOptions options;
  options.threads = 2;
  Running running(application, options);
  std::atomic<bool> over = false;
  std::vector<std::thread> committers;
  for (int i = 0; i < 2; ++i) {
    committers.emplace_back([&] {
      while (!over) {
        std::vector<Reply> batch;
        {
          const std::lock_guard lock(mutex);
          batch.swap(waiting);
        }
        for (Reply& reply : batch) reply.send(text(200, "done"));
        std::this_thread::sleep_for(100us);
      }
    });
  }
  std::vector<std::thread> clients;
  std::atomic<int> answered = 0;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&] {
      RawClient client(running.address());
      for (int round = 0; round < 50; ++round) {
        client.send(get("/batch") + get("/now") + get("/batch"));
        for (const char* expected : {"done", "GET /now ", "done"}) {
          const auto answer = client.receive_answer();
          if (answer && answer->body == expected) ++answered;
        }
      }
    });
  }
  for (auto& client : clients) client.join();
  over = true;
  for (auto& committer : committers) committer.join();
  EXPECT_EQ(answered, 8 * 50 * 3);
}

TEST(Server, SurvivesRepliesAfterTheClientHasLeft) {
  TestApplication application;
  std::mutex mutex;
  std::vector<Reply> kept;
  const auto keep = [&](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    const std::lock_guard lock(mutex);
    kept.push_back(std::move(reply));
    return nullptr;
  };
  application.on("/keep", keep);
  {
    Running running(application);
    for (int i = 0; i < 20; ++i) {
      RawClient client(running.address());
      ASSERT_TRUE(client.send(get("/keep")));
      while (application.begun <= i) std::this_thread::sleep_for(1ms);
      i % 2 ? client.reset() : client.close();
    }
    for (int i = 0; i < 10; ++i) {
      kept.back().send(text(200, "late"));
      kept.pop_back();
      kept.erase(kept.begin());  // dropped unused
      if (kept.empty()) break;
    }
    kept.clear();
    // And the server serves on.
    EXPECT_EQ(RawClient(running.address()).ask(get("/x"))->status, 200);
    RawClient last(running.address());
    ASSERT_TRUE(last.send(get("/keep") + get("/keep")));
    while (application.begun < 22) std::this_thread::sleep_for(1ms);
  }
  // After the server.
  ASSERT_EQ(kept.size(), 1u);
  kept.front().send(text(200, "too late"));
}

TEST(Server, KnowsWhetherTheClientOfAReplyIsThere) {
  TestApplication application;
  std::mutex mutex;
  std::optional<Reply> kept;
  application.on("/keep", [&](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    const std::lock_guard lock(mutex);
    kept.emplace(std::move(reply));
    return nullptr;
  });
  const auto becomes = [](const auto& is_so) {
    for (int i = 0; i < 1000 && !is_so(); ++i) std::this_thread::sleep_for(5ms);
    return is_so();
  };
  const auto is_open = [&] { return kept->is_open(); };
  const auto is_client_there = [&] { return kept->is_client_there(); };
  const auto is_not = [](const auto& is_so) { return [&is_so] { return !is_so(); }; };
  auto running = std::make_unique<Running>(application);
  const auto ask = [&](RawClient& client) {
    const int before = application.begun;
    ASSERT_TRUE(client.send(get("/keep")));
    ASSERT_TRUE(becomes([&] { return application.begun > before; }));
    EXPECT_TRUE(is_open());
    EXPECT_TRUE(is_client_there());
  };
  {
    // One that stops sending may still take an answer.
    RawClient client(running->address());
    ask(client);
    std::this_thread::sleep_for(20ms);
    EXPECT_TRUE(is_client_there()) << "it only waits";
    client.end_sending();
    EXPECT_TRUE(becomes(is_not(is_client_there)));
    EXPECT_TRUE(is_open());
    kept->send(text(200, "late"));
    EXPECT_EQ(client.receive_answer()->body, "late");
    EXPECT_TRUE(client.is_ended());
  }
  {
    RawClient client(running->address());
    ask(client);
    client.close();
    EXPECT_TRUE(becomes(is_not(is_client_there)));
    EXPECT_TRUE(is_open()) << "it closed, or has stopped sending: nobody can know";
  }
  {
    RawClient client(running->address());
    ask(client);
    client.reset();
    EXPECT_TRUE(becomes(is_not(is_client_there)));
    EXPECT_TRUE(becomes(is_not(is_open)));
  }
  RawClient client(running->address());
  ask(client);
  running.reset();
  EXPECT_FALSE(is_client_there());
  EXPECT_FALSE(is_open());
  kept.reset();
}

TEST(Server, AnswersFiveHundredForWhatTheApplicationThrowsOrDrops) {
  TestApplication application;
  struct Throwing final : Body {
    Throwing(Reply its_reply, int its_when) : reply(std::move(its_reply)), when(its_when) {}
    void piece(std::string_view) override {
      if (when == 1) throw std::runtime_error("piece");
    }
    void end() override {
      if (when == 2) throw std::runtime_error("end");
    }
    void too_long() override {}
    Reply reply;
    int when;
  };
  application.on("/begin", [](const RequestHead&, Reply) -> std::shared_ptr<Body> {
    throw std::runtime_error("begin");
  });
  application.on("/piece", [](const RequestHead&, Reply reply) {
    return std::make_unique<Throwing>(std::move(reply), 1);
  });
  application.on("/end", [](const RequestHead&, Reply reply) {
    return std::make_unique<Throwing>(std::move(reply), 2);
  });
  application.on("/drop", [](const RequestHead&, Reply reply) {
    return std::make_unique<Throwing>(std::move(reply), 0);
  });
  application.on("/drop-elsewhere", [](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    std::thread([kept = std::make_shared<Reply>(std::move(reply))] {}).join();
    return nullptr;
  });
  Running running(application);
  for (const char* path : {"/begin", "/piece", "/end", "/drop", "/drop-elsewhere"}) {
    SCOPED_TRACE(path);
    const int refused_before = application.refused;
    RawClient client(running.address());
    ASSERT_TRUE(client.send(get("/before") + post(path, "body") + get("/behind")));
    EXPECT_EQ(client.receive_answer()->body, "GET /before ");
    const auto answer = client.receive_answer();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 500);
    EXPECT_TRUE(answer->closes());
    EXPECT_TRUE(client.is_ended());
    EXPECT_EQ(application.refused - refused_before, 1);
  }
}

TEST(Server, KeepsAndClosesAsTheClientAsks) {
  TestApplication application;
  application.on("/close", [](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    Response response = text(200, "bye");
    response.close = true;
    reply.send(std::move(response));
    return nullptr;
  });
  Running running(application);
  const struct {
    std::string request;
    std::string connection;
  } rows[] = {
      {get("/"), ""},
      {get("/", "Connection: close\r\n"), "close"},
      {get("/close"), "close"},
      {"GET / HTTP/1.0\r\n\r\n", "close"},
      {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "keep-alive"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.request);
    RawClient client(running.address());
    ASSERT_TRUE(client.send(row.request + row.request));
    const auto answer = client.receive_answer();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->field("connection"), row.connection);
    if (row.connection == "close") {
      EXPECT_TRUE(client.is_ended());
    } else {
      EXPECT_EQ(client.receive_answer()->status, 200);
    }
  }
}

TEST(Server, SendsNoBodyInAnswerToHead) {
  TestApplication application;
  Running running(application);
  RawClient client(running.address());
  ASSERT_TRUE(client.send("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n" + get("/y")));
  const auto answer = client.receive_answer(true);
  EXPECT_EQ(answer->field("content-length"), "8");
  EXPECT_EQ(client.receive_answer()->body, "GET /y ");
  ASSERT_TRUE(client.send("HEAD /x HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n"));
  EXPECT_EQ(client.receive_answer(true)->status, 417);
  EXPECT_TRUE(client.is_ended());
}

TEST(Server, LetsNoFieldBeginAnotherLine) {
  TestApplication application;
  application.on("/split", [](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    Response response = text(200, "");
    response.fields.add("x-a", "b\r\nx-c: d");
    reply.send(std::move(response));
    return nullptr;
  });
  Running running(application);
  RawClient client(running.address());
  const auto answer = client.ask(get("/split"));
  EXPECT_EQ(answer->field("x-a"), "b  x-c: d");
  EXPECT_FALSE(answer->fields.contains("x-c"));
}

TEST(Server, TakesBodiesOfEveryFraming) {
  TestApplication application;
  Running running(application);
  RawClient client(running.address());
  const std::string large(3 << 20, 'x');
  EXPECT_EQ(client.ask("PUT /n HTTP/1.1\r\nHost: a\r\n\r\n")->body, "PUT /n ");
  EXPECT_EQ(client.ask(post("/0", ""))->body, "POST /0 ");
  EXPECT_EQ(client.ask(post("/l", large))->body, "POST /l " + large);
  std::string chunked = kChunkedHead;
  for (std::size_t i = 0; i < 48; ++i) {
    chunked += "10000\r\n" + large.substr(i << 16, 1 << 16) + "\r\n";
  }
  EXPECT_EQ(client.ask(chunked + "0\r\n\r\n")->body, "POST /c " + large);
  EXPECT_EQ(client.ask("DELETE /d HTTP/1.0\r\nContent-Length: 2\r\n\r\nab")->body, "DELETE /d ab");
}

TEST(Server, ContinuesOnlyWhereTheBodyIsWanted) {
  TestApplication application;
  application.on("/deny", deny);
  application.on("/early", [](const RequestHead& head, Reply reply) -> std::shared_ptr<Body> {
    reply.send(text(403, "early"));
    return TestApplication::echo(head, Reply());
  });
  Running running(application);
  const std::string expect = "Content-Length: 4\r\nExpect: 100-continue\r\n";
  {
    RawClient client(running.address());
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(client.ask(get("/x", expect))->status, 100);
      EXPECT_EQ(client.ask("body")->body, "GET /x body");
    }
    // The body is here already; and a body of nothing needs no permission.
    EXPECT_EQ(client.ask(get("/x", expect) + "body")->status, 200);
    EXPECT_EQ(client.ask(get("/x", "Expect: 100-continue\r\n"))->status, 200);
    EXPECT_EQ(client.ask(get("/x", "Content-Length: 0\r\nExpect: 100-continue\r\n"))->status, 200);
    EXPECT_EQ(
        client.ask(get("/x", "Transfer-Encoding: chunked\r\nexpect: 100-CONTINUE\r\n"))->status,
        100);
    EXPECT_EQ(client.ask("1\r\nz\r\n0\r\n\r\n")->body, "GET /x z");
  }
  for (const char* path : {"/deny", "/early"}) {
    RawClient client(running.address());
    const auto answer = client.ask(get(path, expect));
    EXPECT_EQ(answer->status / 100, 4) << path;
    EXPECT_TRUE(answer->closes());
    EXPECT_TRUE(client.is_ended());
  }
  {
    RawClient client(running.address());
    ASSERT_TRUE(client.send("POST /x HTTP/1.0\r\n" + expect + "\r\n"));
    EXPECT_FALSE(client.is_readable_within(50ms));
    EXPECT_EQ(client.ask("body")->body, "POST /x body");
  }
}

TEST(Server, RefusesBodiesOverTheLimit) {
  TestApplication application;
  application.on("/deny", deny);
  ServerOptions options;
  options.limits.body_bytes_max = 100;
  Running running(application, options);
  const std::string most(100, 'x'), more(101, 'x');
  const auto chunked = [](const std::string& path, const std::string& body) {
    std::string bytes =
        "POST " + path + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (const char c : body) bytes += std::string("1\r\n") + c + "\r\n";
    return bytes + "0\r\n\r\n";
  };
  const struct {
    const char* name;
    std::string request;
    int status;
    bool closes;
  } rows[] = {
      {"length at the limit", post("/x", most), 200, false},
      {"length over", post("/x", more), 413, true},
      {"length over, body not sent", get("/x", "Content-Length: 101\r\n"), 413, true},
      {"length over, expecting", get("/x", "Content-Length: 101\r\nExpect: 100-continue\r\n"), 413,
       true},
      {"chunked at the limit", chunked("/x", most), 200, false},
      {"chunked over", chunked("/x", more), 413, true},
      {"denied, at the limit", post("/deny", most), 401, false},
      {"denied, over", post("/deny", more), 401, true},
      {"denied, chunked", chunked("/deny", most), 401, false},
      {"denied, chunked over", chunked("/deny", more), 401, true},
      {"denied, then a bad chunk", chunked("/deny", "ab").substr(0, 60) + "\n\n\n", 401, true},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    RawClient client(running.address());
    ASSERT_TRUE(client.send(row.request));
    const auto answer = client.receive_answer();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, row.status);
    EXPECT_EQ(answer->closes(), row.closes);
    if (row.closes) {
      EXPECT_TRUE(client.is_ended());
    } else {
      EXPECT_EQ(client.ask(get("/next"))->body, "GET /next ");
    }
  }
}

TEST(Server, DropsTheRestOfABodyThatWasAnsweredEarly) {
  TestApplication application;
  struct Early final : Body {
    explicit Early(Reply its_reply) : reply(std::move(its_reply)) {}
    void piece(std::string_view) override {
      reply.send(text(400, "early"));
    }  // a second call would crash
    void end() override { ADD_FAILURE() << "answered already"; }
    void too_long() override { ADD_FAILURE() << "answered already"; }
    Reply reply;
  };
  application.on("/early", [](const RequestHead&, Reply reply) {
    return std::make_unique<Early>(std::move(reply));
  });
  Running running(application);
  RawClient client(running.address());
  ASSERT_TRUE(client.send(post("/early", std::string(1 << 20, 'x')) + get("/next")));
  EXPECT_EQ(client.receive_answer()->body, "early");
  EXPECT_EQ(client.receive_answer()->body, "GET /next ");
}

// What a body holds is free again although its client sends no more of it.
TEST(Server, LetsGoOfABodyThatWasAnsweredEarlyAtOnce) {
  struct Held final : Body {
    explicit Held(std::function<void()> first) : on_first(std::move(first)) {}
    ~Held() override { gone.set_value(); }
    void piece(std::string_view) override {
      if (on_first) std::exchange(on_first, nullptr)();
    }
    void end() override { ADD_FAILURE() << "answered already"; }
    void too_long() override { ADD_FAILURE() << "answered already"; }
    std::function<void()> on_first;
    std::promise<void> gone;
  };
  for (const bool is_late : {true, false}) {
    Answerers answerers;
    TestApplication application;
    std::promise<std::future<void>> begun;
    application.on("/held", [&](const RequestHead&, Reply reply) {
      const auto later = std::make_shared<Reply>(std::move(reply));
      const auto send = [later] { later->send(text(401, "early")); };
      const auto body = std::make_shared<Held>([&answerers, is_late, send] {
        if (is_late) answerers.run(send);
      });
      if (!is_late) send();
      begun.set_value(body->gone.get_future());
      return body;
    });
    Running running(application);
    RawClient client(running.address());
    const std::string request = post("/held", "123");
    ASSERT_TRUE(client.send(request.substr(0, request.size() - 2)));
    EXPECT_EQ(begun.get_future().get().wait_for(std::chrono::seconds(30)),
              std::future_status::ready);
    ASSERT_TRUE(client.send("23" + get("/next")));
    EXPECT_EQ(client.receive_answer()->body, "early");
    EXPECT_EQ(client.receive_answer()->body, "GET /next ");
  }
}

TEST(Server, KeepsABodyToTheLimitThatItSays) {
  class OwnLimit final : public Body {
   public:
    explicit OwnLimit(Reply reply) : reply_(std::move(reply)) {}
    std::optional<std::size_t> bytes_max() const override { return 200; }
    void piece(std::string_view bytes) override { size_ += bytes.size(); }
    void end() override { reply_.send(text(200, std::to_string(size_))); }
    void too_long() override { reply_.send(text(413, "too long")); }

   private:
    Reply reply_;
    std::size_t size_ = 0;
  };
  TestApplication application;
  application.on("/own", [](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    return std::make_shared<OwnLimit>(std::move(reply));
  });
  // More than the server's limit, and less.
  for (const std::size_t of_server : {100U, 1000U}) {
    ServerOptions options;
    options.limits.body_bytes_max = of_server;
    Running running(application, options);
    for (const bool is_chunked : {false, true}) {
      const auto ask = [&](const std::string& path, std::size_t size) {
        const std::string body(size, 'x');
        RawClient client(running.address());
        if (!is_chunked) return client.ask(post(path, body));
        return client.ask("POST " + path + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked" +
                          "\r\n\r\n1\r\nx\r\nC7\r\n" + body.substr(1, 199) + "\r\n" +
                          (size > 200 ? "1\r\nx\r\n" : "") + "0\r\n\r\n");
      };
      EXPECT_EQ(ask("/own", 200)->body, "200");
      EXPECT_EQ(ask("/own", 201)->status, 413);
      EXPECT_EQ(ask("/x", 201)->status, of_server < 201 ? 413 : 200) << "the others keep theirs";
    }
  }
}

TEST(Server, DeliversTheAnswerThoughTheClientIsStillSending) {
  TestApplication application;
  application.on("/deny", deny);
  ServerOptions options;
  options.limits.body_bytes_max = 1000;
  Running running(application, options);
  for (const char* path : {"/deny", "/x"}) {
    for (int i = 0; i < 10; ++i) {
      RawClient client(running.address());
      // All of it, and only then does this client look at what came back.
      ASSERT_TRUE(client.send(post(path, std::string(8 << 20, 'x'))));
      const auto answer = client.receive_answer();
      ASSERT_TRUE(answer) << "lost to a reset";
      EXPECT_EQ(answer->status, path[1] == 'd' ? 401 : 413);
      EXPECT_TRUE(client.is_ended());
    }
  }
}

TEST(Server, WaitsForClientsThatReadSlowly) {
  TestApplication application;
  const std::string large(4 << 20, 'y');
  application.on("/large", [&](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    reply.send(text(200, large));
    return nullptr;
  });
  Running running(application);
  RawClient client(running.address(), 4096);
  std::string requests;
  for (int i = 0; i < 5; ++i) requests += get("/large") + get("/small");
  ASSERT_TRUE(client.send(requests));
  std::this_thread::sleep_for(50ms);
  // Nothing is begun that could not be sent.
  EXPECT_LE(application.begun, 2);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(client.receive_answer()->body, large);
    EXPECT_EQ(client.receive_answer()->body, "GET /small ");
  }
}

}  // namespace
}  // namespace earshot::http
