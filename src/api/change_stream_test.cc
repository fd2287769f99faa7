// Streams of changes where something goes wrong or comes in between; and over a real socket.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "api/changes_testing.h"
#include "http/server.h"

namespace earshot::api {
namespace {

class ChangeStreamTest : public ChangesTest {
 protected:
  // As one of many servers, which knows both keys and not what becomes of them.
  void be_one_of_many() {
    put_key(CompanyId{1}, "ADMIN", {"earshot:audit:read"});
    store_.is_one_of_many = true;
    store_.remember("AUDIT");
    store_.remember("ADMIN");
  }
};

TEST_F(ChangeStreamTest, LeavesNothingElseToAskOnItsConnection) {
  const auto got = stream();
  ASSERT_TRUE(got->is_stream);
  EXPECT_TRUE(got->response->close);
}

TEST_F(ChangeStreamTest, ReadsWhatCameWhileAPieceWasUnderWay) {
  const auto got = std::make_shared<Got>();
  got->is_slow = true;
  stream("", {}, kAudit, got);
  add_revision();
  tell();
  EXPECT_TRUE(read_events(got->response->body).empty());
  got->drain();  // and no news after that
  EXPECT_EQ(read_events(got->response->body).size(), 1U);
}

// After a restore from an older backup, say.
TEST_F(ChangeStreamTest, OfAStoreThatHasLostWhatWasReadEndsAsGone) {
  add_revision();
  const auto got = stream("?after=1");
  store_.recorded.clear();
  tell();
  EXPECT_TRUE(got->is_ended);
  EXPECT_EQ(read_events(got->response->body).back().data,
            R"({"reason":"gone","message":"not there yet","after":"1"})");
}

TEST_F(ChangeStreamTest, OnAnExceptionIsCutWithoutAnEnd) {
  bool throws = false;
  FeedOptions feed;
  feed.is_driven = true;
  feed.clock = [&] {
    if (std::exchange(throws, false)) throw std::runtime_error("a bug");
    return now_;
  };
  Options options;
  options.feed = feed;
  make(std::move(options));
  const auto got = stream();
  add_revision();
  throws = true;
  tell();
  EXPECT_FALSE(throws);
  EXPECT_FALSE(got->is_ended);
  EXPECT_TRUE(read_events(got->response->body).empty());
  EXPECT_EQ(application_->feed().count(), 0U) << "its place is free";
  pass(seconds(60));
  EXPECT_EQ(got->response->body, "retry: 1000\n\n");
}

TEST_F(ChangeStreamTest, OfManyServersGoesOnWhereAnotherReadersKeyWasRevoked) {
  be_one_of_many();
  add_revision();
  store_.is_deferred = true;
  const auto goes = stream("", {}, kAdmin), stays = stream();
  ASSERT_EQ(store_.changes_reads.size(), 1U) << "they share it";
  revoke_key(CompanyId{1}, "ADMIN");  // through another server
  store_.answer_deferred();
  ASSERT_TRUE(goes->response);
  EXPECT_EQ(goes->response->status, 401);
  store_.answer_deferred();  // another one was read
  ASSERT_TRUE(stays->is_stream);
  EXPECT_EQ(read_events(stays->response->body).size(), 1U);
}

// A page with a filter passes over what may have become of a key.
TEST_F(ChangeStreamTest, OfManyServersAFilteredPageSaysNothingOfAKey) {
  be_one_of_many();
  add_revision();
  store_.is_deferred = true;
  const auto stays = stream("?callId=107"), goes = stream("?callId=107", {}, kAdmin);
  ASSERT_EQ(store_.changes_reads.size(), 1U) << "they share it";
  revoke_key(CompanyId{1}, "ADMIN");  // through another server
  store_.answer_deferred();
  EXPECT_TRUE(stays->is_stream);
  ASSERT_TRUE(goes->response);
  EXPECT_EQ(goes->response->status, 401);
}

TEST_F(ChangeStreamTest, OfManyServersARevokedKeyReadsNothing) {
  be_one_of_many();
  add_revision();
  revoke_key(CompanyId{1}, "AUDIT");  // through another server
  for (const std::string query : {"", "?wait=10", "?after=1", "?after=1&wait=10", "/head"}) {
    const auto got = get(query);
    ASSERT_TRUE(got->response) << query;
    EXPECT_EQ(got->response->status, 401) << query;
  }
  EXPECT_EQ(stream()->response->status, 401);
  EXPECT_EQ(application_->feed().count(), 0U);
}

TEST_F(ChangeStreamTest, OfManyServersAPageNeedsToKnowTheScopesOfNow) {
  add_revision();
  store_.is_one_of_many = true;
  store_.remember("ADMIN");  // who sees hashes
  store_.look_up_failure = unavailable("the database is away");
  for (const std::string query : {"", "?wait=10"}) {
    const auto got = get(query, {}, kAdmin);
    ASSERT_TRUE(got->response) << query;
    EXPECT_EQ(got->response->status, 503) << query;
  }
}

// What the record shows to nobody who waits may still have ended the key of one.
TEST_F(ChangeStreamTest, AWaitIsRefusedAsSoonAsItsKeyIsRevoked) {
  const auto got = get("?wait=10&callId=999", {}, kAdmin), stays = get("?wait=10&callId=999");
  revoke_key(CompanyId{1}, "ADMIN");
  tell();
  ASSERT_TRUE(got->response);
  EXPECT_EQ(got->response->status, 401);
  EXPECT_FALSE(stays->response);
}

// A server with short times, and a client of it that reads when it likes.
class SlowReader : public testing::Test {
 protected:
  SlowReader() : limiter_({}) {
    store_.apply({CompanyId{1}, false, core::Company{CompanyId{1}, "C"}});
    core::KeyLine line;
    line.key = {"AUDIT", hash_secret("s3cret"), {"earshot:audit:read"}, std::nullopt};
    store_.apply({CompanyId{1}, false, line});
    Options options;
    options.clock = [] { return kNow; };
    options.refusals_interval = std::chrono::hours(1);
    options.feed.stall = milliseconds(300);
    application_ = std::make_unique<Application>(store_, limiter_, std::move(options));
    http::ServerOptions server_options;
    server_options.listen = "127.0.0.1:0";
    server_options.limits.write_time = seconds(20);
    server_ = *http::Server::open(std::move(server_options), *application_);
  }
  ~SlowReader() override {
    if (client_ >= 0) ::close(client_);
    server_->stop(milliseconds(0));
    application_->close();
  }

  void ask() {
    server_->start();
    const std::string address = server_->address();
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port =
        htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    client_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int receive_buffer = 4096;
    ::setsockopt(client_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    const timeval patience{20, 0};
    ::setsockopt(client_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ASSERT_EQ(::connect(client_, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    const std::string request = "GET " + kChanges +
                                " HTTP/1.0\r\nAuthorization: " + std::string(kAudit) +
                                "\r\nAccept: text/event-stream\r\n\r\n";
    ASSERT_EQ(::send(client_, request.data(), request.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(request.size()));
  }

  // Waits, for a bounded time, until so many readers are there.
  bool has_readers(std::size_t count) {
    for (int i = 0; i < 4000; ++i) {
      if (application_->feed().count() == count) return true;
      std::this_thread::sleep_for(milliseconds(5));
    }
    return false;
  }

  // Up to the server's end of the connection; empty where it was reset or took too long.
  std::string receive_all() {
    std::string all;
    std::string piece(1 << 16, '\0');
    for (;;) {
      const ssize_t size = ::recv(client_, piece.data(), piece.size(), 0);
      if (size == 0) return all;
      if (size < 0) return "";
      all.append(piece, 0, static_cast<std::size_t>(size));
    }
  }

  test::ModelStore store_;
  auth::RateLimiter limiter_;
  std::unique_ptr<Application> application_;
  std::unique_ptr<http::Server> server_;
  int client_ = -1;
};

// The page that it has not taken, and the end behind it, are all that is kept for it.
TEST_F(SlowReader, IsCutOffAndFindsTheReasonBehindWhatItHasNotRead) {
  core::GrantLine line;
  line.call = CallId{107};
  line.user = UserId{132};
  line.grant.note = std::string(1024, 'n');
  for (core::Revision number = 1; number <= 20; ++number) {  // far more than sockets hold
    store::RecordedRevision revision;
    revision.revision = number;
    revision.is_complete = true;
    for (std::uint32_t n = 0; n < 1000; ++n) {
      revision.changes.push_back({n, {CompanyId{1}, false, line}, std::nullopt, 0});
    }
    store_.recorded.push_back(std::move(revision));
  }
  ask();
  ASSERT_TRUE(has_readers(1));
  ASSERT_TRUE(has_readers(0)) << "it takes nothing, and holds its place";
  const std::string all = receive_all();
  const std::size_t body = all.find("\r\n\r\n");
  ASSERT_NE(body, std::string::npos);
  const auto events = read_events(all.substr(body + 4));
  ASSERT_GE(events.size(), 2U);
  const Event& last = events.back();
  EXPECT_EQ(last.name, "end");
  const auto data = json::parse(last.data).as_object();
  EXPECT_EQ(data.at("reason").as_string(), "slow");
  EXPECT_EQ(data.at("after").as_string(), events[events.size() - 2].id) << "where to go on";
  EXPECT_NE(events[events.size() - 2].id, "20");
}

}  // namespace
}  // namespace earshot::api
