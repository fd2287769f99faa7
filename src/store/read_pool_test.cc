#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "store/embedded_store.h"

namespace earshot::store {
namespace {

// Whoever asks for much leaves threads to the others.
TEST(ReadPool, LongJobsHaveHalfOfTheThreadsAtMost) {
  for (const std::size_t threads : {1, 2, 5}) {
    const std::size_t half = std::max<std::size_t>(threads / 2, 1);
    std::promise<void> may_end;
    const auto end = may_end.get_future().share();
    std::atomic<std::size_t> running{0}, ended{0}, most{0};
    const auto pool = std::make_shared<ReadPool>(threads, 10);
    const auto wait_for = [](const std::atomic<std::size_t>& count, std::size_t wanted) {
      while (count < wanted) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    };
    for (int i = 0; i < 10; ++i) {
      const auto job = [&] {
        const std::size_t now = ++running;
        for (std::size_t seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
        }
        end.wait();
        --running;
        ++ended;
      };
      ASSERT_TRUE(pool->submit(job, ReadPool::Length::any));
    }
    pool->wake();
    wait_for(running, half);
    std::atomic<std::size_t> answered{0};
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(pool->submit([&] { ++answered; }));
    EXPECT_FALSE(pool->submit([] {})) << "no more of them may wait";
    pool->wake();
    if (threads > 1) wait_for(answered, 10);
    EXPECT_EQ(running, half);
    may_end.set_value();
    wait_for(ended, 10);
    pool->stop();
    EXPECT_EQ(answered, 10U);
    EXPECT_EQ(most, half);
  }
}

// Neither those who ask for little nor those who ask for much wait for as long as the others come.
TEST(ReadPool, LongJobsAndOthersTakeTurns) {
  std::promise<void> is_busy, may_go_on;
  std::string order;  // the only thread's until it has stopped
  const auto pool = std::make_shared<ReadPool>(1, 10);
  ASSERT_TRUE(pool->submit([&] {
    is_busy.set_value();
    may_go_on.get_future().wait();
  }));
  pool->wake();
  is_busy.get_future().wait();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(pool->submit([&] { order += 's'; }));
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(pool->submit([&] { order += 'L'; }, ReadPool::Length::any));
  }
  may_go_on.set_value();
  pool->stop();
  EXPECT_EQ(order, "LssssssssLssL") << "eight of the others are taken at once";
}

}  // namespace
}  // namespace earshot::store
