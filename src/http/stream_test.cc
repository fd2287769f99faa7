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
  EXPECT_LT(before, 64) << "all of it was taken without a reader";
  EXPECT_EQ(client.receive_answer()->body.size(), 64u * (256 << 10));
  EXPECT_EQ(source->written, 64);
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
