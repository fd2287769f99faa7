#include "store/commit_queue.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <thread>

namespace earshot::store {
namespace {

using namespace std::chrono_literals;
using Job = CommitQueue::Job;
using Push = CommitQueue::Push;

Job command() {
  return {{}, [](auto) {}, nullptr};
}
Job alone() {
  return {{}, nullptr, [] {}};
}

Push push(CommitQueue& queue, Job job) { return queue.push(job); }

TEST(CommitQueue, GivesAllThatWaitUpToABatchAndWhatMustBeAloneByItself) {
  CommitQueue queue(100);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(push(queue, command()), Push::taken);
  EXPECT_EQ(push(queue, alone()), Push::taken);
  EXPECT_EQ(push(queue, command()), Push::taken);
  std::deque<Job> jobs;
  for (const std::size_t expected : {3, 2, 1, 1}) {
    ASSERT_TRUE(queue.take(jobs, 0ms, 3));
    EXPECT_EQ(jobs.size(), expected);
  }
  EXPECT_TRUE(queue.take(jobs, 0ms, 3));
  EXPECT_TRUE(jobs.empty());
}

TEST(CommitQueue, RefusesMoreCommandsThanItMayHoldAndKeepsThem) {
  CommitQueue queue(1);
  EXPECT_EQ(push(queue, command()), Push::taken);
  Job refused = command();
  EXPECT_EQ(queue.push(refused), Push::refused);
  EXPECT_TRUE(refused.done);
  EXPECT_EQ(push(queue, alone()), Push::taken);
  EXPECT_EQ(queue.size(), 2U);
}

TEST(CommitQueue, GivesWhatWaitsAfterItWasClosedAndTakesNoMore) {
  CommitQueue queue(10);
  EXPECT_EQ(push(queue, command()), Push::taken);
  queue.close();
  EXPECT_EQ(push(queue, command()), Push::refused);
  EXPECT_EQ(push(queue, alone()), Push::refused);
  std::deque<Job> jobs;
  EXPECT_TRUE(queue.take(jobs, 10s, 10));
  EXPECT_EQ(jobs.size(), 1U);
  EXPECT_FALSE(queue.take(jobs, 10s, 10));
}

TEST(CommitQueue, AsksForOneWakeUpOfACommitterThatSleeps) {
  const auto queue = std::make_shared<CommitQueue>(1'000'000);
  constexpr int kCommands = 20'000;
  std::thread committer([&] {
    std::deque<Job> jobs;
    for (std::size_t taken = 0; taken < kCommands; taken += jobs.size()) {
      ASSERT_TRUE(queue->take(jobs, 60s, 64));
    }
  });
  // A wake-up that is not asked for where it is due would leave the committer asleep.
  for (int i = 0; i < kCommands; ++i) {
    if (push(*queue, command()) == Push::taken_and_asleep) wake(queue);
  }
  const auto begun = std::chrono::steady_clock::now();
  committer.join();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 30s);
}

}  // namespace
}  // namespace earshot::store
