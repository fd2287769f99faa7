#include "base/loop.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace earshot {
namespace {

using namespace std::chrono_literals;

std::unique_ptr<LoopThread> start() {
  auto started = LoopThread::start();
  EXPECT_TRUE(started.has_value());
  return std::move(*started);
}

// Runs `task` on the loop and waits for it.
void run_on(Loop& loop, const std::function<void()>& task) {
  std::promise<void> done;
  ASSERT_TRUE(loop.post([&] {
    task();
    done.set_value();
  }));
  ASSERT_EQ(done.get_future().wait_for(10s), std::future_status::ready);
}

// Two ends of a connection.
struct Pair {
  Pair() { EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()), 0); }
  ~Pair() {
    for (const int end : ends) close(end);
  }
  void send() const { EXPECT_EQ(write(ends[1], "x", 1), 1); }
  int watched() const { return ends[0]; }

  std::array<int, 2> ends{};
};

// Hands each report to a function; of the loop's thread.
struct Reported final : EventSource {
  void on_events(std::uint32_t events) override { take(events); }
  std::function<void(std::uint32_t)> take = [](std::uint32_t) {};
};

TEST(Loop, RunsTasksInOrderOnItsThread) {
  const auto thread = start();
  std::vector<int> order;
  std::thread::id id;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(thread->loop().post([&order, i] { order.push_back(i); }));
  }
  run_on(thread->loop(), [&] { id = std::this_thread::get_id(); });
  EXPECT_NE(id, std::this_thread::get_id());
  ASSERT_EQ(order.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

TEST(Loop, RunsWhatATaskPosts) {
  const auto thread = start();
  std::promise<int> done;
  int depth = 0;
  std::function<void()> again = [&] {
    if (++depth == 100) return done.set_value(depth);
    thread->loop().post(again);
  };
  thread->loop().post(again);
  EXPECT_EQ(done.get_future().get(), 100);
}

TEST(Loop, IsCurrentOnItsOwnThreadAlone) {
  const auto thread = start();
  const auto other = start();
  EXPECT_EQ(Loop::current(), nullptr);
  run_on(thread->loop(), [&] { EXPECT_EQ(Loop::current(), &thread->loop()); });
  run_on(other->loop(), [&] { EXPECT_EQ(Loop::current(), &other->loop()); });
}

TEST(Loop, ReportsDescriptorsUntilTheyAreUnwatched) {
  const auto thread = start();
  Loop& loop = thread->loop();
  const Pair pair;
  Reported source;
  std::atomic<int> reports{0};
  std::promise<std::uint32_t> first;
  source.take = [&](std::uint32_t events) {
    EXPECT_EQ(Loop::current(), &loop);
    char byte;
    EXPECT_EQ(read(pair.watched(), &byte, 1), 1);
    if (reports++ == 0) first.set_value(events);
  };
  run_on(loop, [&] { EXPECT_TRUE(loop.watch(pair.watched(), source, EPOLLIN)); });
  pair.send();
  EXPECT_EQ(first.get_future().get(), static_cast<std::uint32_t>(EPOLLIN));

  run_on(loop, [&] { loop.unwatch(pair.watched()); });
  pair.send();
  run_on(loop, [] {});
  EXPECT_EQ(reports, 1);
  run_on(loop, [&] { EXPECT_FALSE(loop.watch(-1, source, EPOLLIN)); });
}

TEST(Loop, ReportsAgainWhatWasNotTaken) {
  const auto thread = start();
  Loop& loop = thread->loop();
  const Pair pair;
  Reported source;
  std::promise<void> third;
  int reports = 0;
  source.take = [&](std::uint32_t) {
    if (++reports == 3) {
      loop.unwatch(pair.watched());
      third.set_value();
    }
  };
  pair.send();
  run_on(loop, [&] { ASSERT_TRUE(loop.watch(pair.watched(), source, EPOLLIN)); });
  EXPECT_EQ(third.get_future().wait_for(10s), std::future_status::ready);
}

TEST(Loop, ReportsWhatItWasToldLast) {
  const auto thread = start();
  Loop& loop = thread->loop();
  const Pair pair;
  Reported source;
  std::promise<std::uint32_t> writable;
  source.take = [&](std::uint32_t events) {
    loop.rewatch(pair.watched(), source, 0);
    writable.set_value(events);
  };
  pair.send();
  run_on(loop, [&] { ASSERT_TRUE(loop.watch(pair.watched(), source, 0)); });
  run_on(loop, [] {});
  run_on(loop, [&] { loop.rewatch(pair.watched(), source, EPOLLOUT); });
  EXPECT_EQ(writable.get_future().get(), static_cast<std::uint32_t>(EPOLLOUT));
  run_on(loop, [&] { loop.unwatch(pair.watched()); });
}

TEST(Loop, EndsWithWhatItWasAskedToAndTakesNothingMore) {
  Reported source;
  const Pair pair;
  auto thread = start();
  Loop* const loop = &thread->loop();
  std::vector<int> order;
  bool is_posted_at_end = false;
  const auto token = std::make_shared<int>();
  run_on(*loop, [&] {
    EXPECT_TRUE(loop->watch(pair.watched(), source, EPOLLIN));
    loop->at_end([&] {
      EXPECT_EQ(Loop::current(), loop);
      loop->unwatch(pair.watched());
      order.push_back(2);
    });
    loop->at_end([&, token] {
      order.push_back(3);
      // Taken, but it will not be run any more.
      is_posted_at_end = loop->post([&, token] { order.push_back(4); });
    });
  });
  loop->post([&] { order.push_back(1); });
  thread.reset();
  EXPECT_EQ(order, (std::vector{1, 2, 3}));
  EXPECT_TRUE(is_posted_at_end);
  EXPECT_EQ(token.use_count(), 1);
}

}  // namespace
}  // namespace earshot
