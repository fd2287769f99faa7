// Streamed answers: pieces, back-pressure, and clients that leave.
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "http/server.h"
#include "http/testing.h"

namespace earshot::http {
namespace {

const std::string kStream = "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kNext = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

// Writes `count` pieces, each when the one before has gone out.
struct Source : std::enable_shared_from_this<Source> {
  std::shared_ptr<Stream> stream;
  std::string piece;
  int count = 0;
  std::atomic<int> written = 0;

  void write_next() {
    if (written == count) {
      stream->end();
      stream.reset();
      return;
    }
    ++written;
    stream->write(piece, [self = shared_from_this()] { self->write_next(); });
  }
};

TEST(Streams, SendPiecesAndEnd) {
  TestApplication application;
  application.on("/stream", [](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    auto source = std::make_shared<Source>();
    source->piece = "0123456789abcdef";
    source->count = 3;
    source->stream = reply.stream(text(200, ""), [] { ADD_FAILURE() << "nobody left"; });
    source->write_next();
    return nullptr;
  });
  Running running(application);
  RawClient client(running.address());
  ASSERT_TRUE(client.send(kStream + kNext + kStream));
  for (int i = 0; i < 2; ++i) {
    const auto answer = client.receive_answer();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->field("content-type"), "text/plain");
    EXPECT_EQ(answer->field("transfer-encoding"), "chunked");
    EXPECT_FALSE(answer->fields.contains("content-length"));
    EXPECT_EQ(answer->body, "0123456789abcdef0123456789abcdef0123456789abcdef");
    if (i == 0) {
      EXPECT_EQ(client.receive_answer()->body, "GET /next ");
    }
  }
  // HTTP/1.0 knows no chunks: the end of the connection ends the answer.
  RawClient old(running.address());
  const auto answer = old.ask("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_FALSE(answer->fields.contains("transfer-encoding"));
  EXPECT_TRUE(answer->closes());
  EXPECT_EQ(answer->body.size(), 48u);
  // HEAD gets the head.
  ASSERT_TRUE(client.send("HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n" + kNext));
  EXPECT_EQ(client.receive_answer(true)->status, 200);
  EXPECT_EQ(client.receive_answer()->body, "GET /next ");
}

TEST(Streams, AreWrittenFromOtherThreads) {
  TestApplication application;
  Answerers answerers;
  application.on("/stream", [&](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    answerers.run([kept = std::make_shared<Reply>(std::move(reply))] {
      auto stream = kept->stream(text(200, ""), [] { ADD_FAILURE() << "nobody left"; });
      for (int i = 0; i < 1000; ++i) stream->write(std::to_string(i) + " ", nullptr);
      stream->write("", nullptr);  // no piece must not end the chunks
      stream->write("end", nullptr);
      stream->end();
    });
    return nullptr;
  });
  Running running(application);
  RawClient client(running.address());
  std::string expected;
  for (int i = 0; i < 1000; ++i) expected += std::to_string(i) + " ";
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client.ask(kStream)->body, expected + "end");
}

TEST(Streams, WaitForSlowReaders) {
  TestApplication application;
  const auto source = std::make_shared<Source>();
  source->piece = std::string(256 << 10, 's');
  source->count = 64;
  application.on("/stream", [&](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    source->stream = reply.stream(text(200, ""), [] { ADD_FAILURE() << "nobody left"; });
    source->write_next();
    return nullptr;
  });
  Running running(application);
  RawClient client(running.address(), 4096);
  ASSERT_TRUE(client.send(kStream));
  std::this_thread::sleep_for(200ms);
  const int before = source->written;
  EXPECT_GE(before, 1);
  EXPECT_LE(before, 3) << "more was taken without a reader than a stream may keep";
  EXPECT_EQ(client.receive_answer()->body.size(), 64u * (256 << 10));
  EXPECT_EQ(source->written, 64);
}

// Reads a little at a time, with pauses, until the server has let go of the connection or the time
// is over: always some progress, but never much. How many bytes there were.
std::size_t read_slowly(RawClient& client, const Running& running, std::chrono::milliseconds time) {
  std::size_t received = 0;
  char piece[32 << 10];
  const auto until = std::chrono::steady_clock::now() + time;
  while (running.server->connection_count() > 0 && std::chrono::steady_clock::now() < until) {
    const auto size = ::recv(client.descriptor(), piece, sizeof piece, 0);
    if (size <= 0) break;
    received += static_cast<std::size_t>(size);
    std::this_thread::sleep_for(5ms);
  }
  return received;
}

TEST(Streams, WhoseHeadClosesAreGoneInTheTimeForWritingHoweverSlowlyTheyAreRead) {
  constexpr std::size_t kBytes = 64 << 20;  // far more than is read in the time
  for (const bool closes : {true, false}) {
    SCOPED_TRACE(closes);
    TestApplication application;
    application.on("/stream", [&](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
      Response head = text(200, "");
      head.close = closes;
      const auto stream =
          reply.stream(std::move(head), [] { ADD_FAILURE() << "left before the end"; });
      stream->write(std::string(kBytes, 's'), nullptr);
      stream->end();
      return nullptr;
    });
    ServerOptions options;
    options.limits.write_time = 1500ms;
    Running running(application, options);
    RawClient client(running.address(), 65536);
    const auto start = std::chrono::steady_clock::now();
    ASSERT_TRUE(client.send(kStream));
    ASSERT_TRUE(client.is_readable_within(5s));
    EXPECT_LT(read_slowly(client, running, closes ? 6s : 2500ms), kBytes);
    if (closes) {
      EXPECT_EQ(running.server->connection_count(), 0u);
      EXPECT_GE(std::chrono::steady_clock::now() - start, 1500ms);
    } else {
      EXPECT_EQ(running.server->connection_count(), 1u) << "it reads, if slowly";
    }
  }
}

TEST(Streams, ThatNobodyReadsAreCut) {
  for (const bool is_ended : {false, true}) {
    SCOPED_TRACE(is_ended);
    TestApplication application;
    std::atomic<int> left = 0;
    std::shared_ptr<Stream> stream;
    application.on("/stream", [&](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
      stream = reply.stream(text(200, ""), [&] { ++left; });
      stream->write(std::string(16 << 20, 's'), [] { ADD_FAILURE() << "there is no room"; });
      if (is_ended) stream->end();
      return nullptr;
    });
    ServerOptions options;
    options.limits.write_time = 100ms;
    Running running(application, options);
    RawClient client(running.address(), 4096);
    ASSERT_TRUE(client.send(kStream));
    ASSERT_TRUE(client.is_readable_within(5s));
    EXPECT_TRUE(running.has_connections(0));
    running.server->stop(0ms);  // now it has told all that it tells
    EXPECT_EQ(left, is_ended ? 0 : 1) << "after the end nobody is told";
    EXPECT_FALSE(client.receive_answer()) << "taken for whole";
    stream.reset();
  }
}

// The connection of a stream that has ended, and was read to its end, waits for the client to close
// it, but not for ever: not for one that says nothing, nor for one that goes on sending.
TEST(Streams, WaitForTheClientToCloseButNotForEver) {
  TestApplication application;
  application.on("/stream", [](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    Response head = text(200, "");
    head.close = true;
    const auto stream = reply.stream(std::move(head), nullptr);
    stream->write("all", nullptr);
    stream->end();
    return nullptr;
  });
  Running running(application);
  RawClient silent(running.address()), sending(running.address());
  for (RawClient* const client : {&silent, &sending}) {
    const auto answer = client->ask(kStream);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->body, "all");
    EXPECT_TRUE(answer->closes());
    EXPECT_TRUE(client->is_ended());
  }
  EXPECT_EQ(running.server->connection_count(), 2u);
  const auto give_up = std::chrono::steady_clock::now() + 15s;
  while (running.server->connection_count() > 0 && std::chrono::steady_clock::now() < give_up) {
    sending.send(kNext);
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_EQ(running.server->connection_count(), 0u);
  EXPECT_EQ(application.begun, 2) << "nothing behind the last answer is a request";
}

TEST(Streams, TellWhenTheClientLeaves) {
  for (const bool with_reset : {false, true}) {
    for (const bool with_unread_request : {false, true}) {
      TestApplication application;
      std::atomic<int> left = 0;
      std::shared_ptr<Stream> stream;
      application.on("/stream", [&](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
        stream = reply.stream(text(200, ""), [&] { ++left; });
        stream->write("first", nullptr);
        return nullptr;
      });
      Running running(application);
      RawClient client(running.address());
      ASSERT_TRUE(client.send(kStream));
      // All of it is read, so that the end of the client is an end and not a reset.
      std::string received;
      while (received.find("first") == received.npos) {
        char piece[4096];
        const auto size = ::recv(client.descriptor(), piece, sizeof piece, 0);
        ASSERT_GT(size, 0);
        received.append(piece, static_cast<std::size_t>(size));
      }
      if (with_unread_request) {
        ASSERT_TRUE(client.send(kNext));
      }
      EXPECT_EQ(left, 0);
      with_reset ? client.reset() : client.close();
      for (int i = 0; i < 1000 && left == 0; ++i) std::this_thread::sleep_for(5ms);
      EXPECT_EQ(left, 1);
      stream->write("to nobody", [] { ADD_FAILURE() << "there is no room"; });
      stream->end();
      EXPECT_TRUE(running.has_connections(0));
      EXPECT_EQ(left, 1);
    }
  }
}

TEST(Streams, AreCutWhenDroppedBeforeTheirEnd) {
  TestApplication application;
  application.on("/stream", [](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    reply.stream(text(200, ""), [] { ADD_FAILURE() << "the client did not leave"; })
        ->write("half", nullptr);
    return nullptr;
  });
  Running running(application);
  RawClient client(running.address());
  ASSERT_TRUE(client.send(kStream));
  EXPECT_FALSE(client.receive_answer()) << "taken for whole";
}

TEST(Streams, BeginWhileTheBodyIsStillComing) {
  TestApplication application;
  application.on("/stream", [](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    auto stream = reply.stream(text(200, ""), nullptr);
    stream->write("all", nullptr);
    stream->end();
    return nullptr;
  });
  Running running(application);
  RawClient client(running.address());
  const auto answer =
      client.ask("POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf");
  EXPECT_EQ(answer->body, "all");
  EXPECT_TRUE(answer->closes());
  EXPECT_TRUE(client.is_ended());
}

TEST(Streams, EndWithTheServer) {
  TestApplication application;
  std::atomic<int> left = 0;
  std::shared_ptr<Stream> stream;
  std::optional<Reply> late;
  application.on("/stream", [&](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    stream = reply.stream(text(200, ""), [&] { ++left; });
    return nullptr;
  });
  application.on("/late", [&](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    late.emplace(std::move(reply));
    return nullptr;
  });
  {
    Running running(application);
    RawClient client(running.address()), other(running.address());
    ASSERT_TRUE(client.send(kStream));
    ASSERT_TRUE(other.send("GET /late HTTP/1.1\r\nHost: a\r\n\r\n"));
    ASSERT_TRUE(client.is_readable_within(5s));
    while (application.begun < 2) std::this_thread::sleep_for(1ms);
    running.server->stop(100ms);
    EXPECT_EQ(left, 1);
    EXPECT_FALSE(client.receive_answer());
  }
  stream->write("after the server", nullptr);
  stream.reset();
  const auto never = late->stream(text(200, ""), [&] { ++left; });
  EXPECT_EQ(left, 2);
  never->end();
}

// Whoever writes need not know that the server is about to end, nor that it is gone.
TEST(Streams, OutliveTheirLoop) {
  constexpr int kStreams = 4;
  TestApplication application;
  std::atomic<int> left = 0, drained = 0;
  std::atomic<bool> is_over = false;
  std::vector<std::thread> writers;
  std::mutex mutex;
  application.on("/stream", [&](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    const std::lock_guard lock(mutex);
    const bool is_dropped = writers.size() % 2 == 0;
    writers.emplace_back([&, is_dropped, kept = std::make_shared<Reply>(std::move(reply))] {
      const auto stream = kept->stream(text(200, ""), [&] { ++left; });
      while (!is_over) {
        stream->write("x", [&] { ++drained; });
        std::this_thread::sleep_for(50us);
      }
      if (!is_dropped) stream->end();
    });
    return nullptr;
  });
  std::vector<std::unique_ptr<RawClient>> clients;
  {
    ServerOptions options;
    options.threads = 2;
    Running running(application, options);
    for (int i = 0; i < kStreams; ++i) {
      clients.push_back(std::make_unique<RawClient>(running.address()));
      EXPECT_TRUE(clients.back()->send(kStream));
      EXPECT_TRUE(clients.back()->is_readable_within(5s));
    }
    running.server->stop(0ms);
    EXPECT_EQ(left, kStreams);
  }
  const int drained_before = drained;
  std::this_thread::sleep_for(50ms);
  is_over = true;
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(drained, drained_before);
  EXPECT_EQ(left, kStreams);
  for (const auto& client : clients) EXPECT_FALSE(client->receive_answer()) << "taken for whole";
}

TEST(Streams, SurviveCallbacksThatThrow) {
  TestApplication application;
  std::shared_ptr<Stream> stream;
  application.on("/stream", [&](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    stream = reply.stream(text(200, ""), [] { throw std::runtime_error("left"); });
    stream->write("x", [] { throw std::runtime_error("drained"); });
    return nullptr;
  });
  Running running(application);
  RawClient client(running.address());
  ASSERT_TRUE(client.send(kStream));
  EXPECT_FALSE(client.receive_answer());
  EXPECT_EQ(RawClient(running.address()).ask(kNext)->status, 200);
  stream.reset();
}

}  // namespace
}  // namespace earshot::http
