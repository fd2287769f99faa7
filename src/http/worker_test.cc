// The server's threads as loops that others wait on.
#include "http/worker.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <utility>

#include "base/loop.h"
#include "http/testing.h"

namespace earshot::http {
namespace {

// Something that answers over a socket, as a database does: a request goes out on one end, and
// what comes back is answered with. Lives on the loop that made it, until that ends.
class Peer final : public EventSource, public std::enable_shared_from_this<Peer> {
 public:
  explicit Peer(Loop& loop) : loop_(loop) {
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends_.data()), 0);
  }
  ~Peer() {
    for (const int end : ends_) close(end);
  }

  void ask(Reply reply, std::atomic<int>& ended) {
    reply_ = std::move(reply);
    EXPECT_TRUE(loop_.watch(ends_[0], *this, 0));
    loop_.rewatch(ends_[0], *this, EPOLLIN);
    loop_.at_end([self = shared_from_this(), &ended] {
      EXPECT_EQ(Loop::current(), &self->loop_);
      ++ended;
    });
    EXPECT_EQ(write(ends_[1], "x", 1), 1);
  }

  void on_events(std::uint32_t events) override {
    EXPECT_EQ(Loop::current(), &loop_);
    EXPECT_EQ(events, static_cast<std::uint32_t>(EPOLLIN));
    loop_.unwatch(ends_[0]);  // else it would be reported for ever
    ++reports_;
    reply_.send(text(200, "answered " + std::to_string(reports_)));
  }

 private:
  Loop& loop_;
  std::array<int, 2> ends_{};
  Reply reply_;
  int reports_ = 0;
};

TEST(Worker, LetsOthersWaitOnItsThread) {
  std::atomic<int> ended{0};
  TestApplication application;
  application.on("/peer", [&](const RequestHead&, Reply reply) -> std::shared_ptr<Body> {
    EXPECT_NE(Loop::current(), nullptr);
    std::make_shared<Peer>(*Loop::current())->ask(std::move(reply), ended);
    return nullptr;
  });
  {
    Running running(application);
    RawClient client(running.address());
    for (int i = 0; i < 3; ++i) {
      const auto answer = client.ask("GET /peer HTTP/1.1\r\nHost: a\r\n\r\n");
      ASSERT_TRUE(answer);
      EXPECT_EQ(answer->body, "answered 1");
    }
    EXPECT_EQ(ended, 0);
  }
  EXPECT_EQ(ended, 3);
}

}  // namespace
}  // namespace earshot::http
