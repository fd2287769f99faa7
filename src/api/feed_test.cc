// The feed alone: whom it calls, where, how often, and for how long it watches a company.
#include "api/feed.h"

#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "model_store.h"

namespace earshot::api {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A loop that does a task when it is told to.
class DrivenLoop final : public Loop {
 public:
  // As on the loop's thread.
  void run(const std::function<void()>& work) {
    const Running running(*this);
    work();
  }
  // Does the oldest task. False where there is none.
  bool run_one() {
    if (tasks_.empty()) return false;
    const auto task = std::move(tasks_.front());
    tasks_.pop_front();
    run(task);
    return true;
  }

  bool post(std::function<void()> task) override {
    tasks_.push_back(std::move(task));
    return true;
  }
  bool watch(int, EventSource&, std::uint32_t) override { return false; }
  void rewatch(int, EventSource&, std::uint32_t) override {}
  void unwatch(int) override {}
  void at_end(std::function<void()>) override {}

 private:
  std::deque<std::function<void()>> tasks_;
};

struct CountingReader final : Feed::Reader {
  using Reader::Reader;
  void on_news() override { ++news; }
  void on_time(SteadyTime) override { ++times; }
  void on_end() override { ++ends; }
  int news = 0;
  int times = 0;
  int ends = 0;
};

class FeedTest : public testing::Test {
 protected:
  FeedTest() { make({}); }

  void make(FeedOptions options) {
    options.is_driven = true;
    options.clock = [this] { return now_; };
    feed_ = std::make_unique<Feed>(store_, std::move(options));
  }
  std::shared_ptr<CountingReader> join(CompanyId company = {1}) {
    auto reader = std::make_shared<CountingReader>(company);
    EXPECT_TRUE(feed_->join(reader));
    return reader;
  }
  // Of the store, soon after a commit of company 1.
  void tell() {
    store_.watches[CompanyId{1}].back()();
    feed_->run_due(now_);
  }
  void pass(milliseconds time) {
    now_ += time;
    feed_->run_due(now_);
  }
  std::size_t watches() { return store_.watches[CompanyId{1}].size(); }

  test::ModelStore store_;
  SteadyTime now_{std::chrono::hours(1)};
  std::unique_ptr<Feed> feed_;
};

TEST_F(FeedTest, CallsAllReadersOfALoopThereAFewAtATime) {
  constexpr int kReaders = 200;
  constexpr int kAtATime = 64;
  DrivenLoop loop, other;
  std::vector<std::shared_ptr<CountingReader>> readers;
  loop.run([&] {
    for (int i = 0; i < kReaders; ++i) readers.push_back(join());
  });
  other.run([&] { readers.push_back(join()); });
  const auto called = [&](int CountingReader::*count) {
    int sum = 0;
    for (int i = 0; i < kReaders; ++i) sum += readers[static_cast<std::size_t>(i)].get()->*count;
    return sum;
  };
  const auto expect_turns = [&](int CountingReader::*count) {
    EXPECT_EQ(called(count), 0) << "on the thread of the feed";
    int turns = 0;
    for (int before = 0; loop.run_one(); ++turns) {
      EXPECT_LE(called(count) - before, kAtATime);
      before = called(count);
    }
    EXPECT_EQ(turns, (kReaders + kAtATime - 1) / kAtATime);
    for (int i = 0; i < kReaders; ++i)
      EXPECT_EQ(readers[static_cast<std::size_t>(i)].get()->*count, 1);
    EXPECT_EQ(readers.back().get()->*count, 0) << "it has another loop";
    EXPECT_TRUE(other.run_one());
    EXPECT_EQ(readers.back().get()->*count, 1);
  };
  tell();
  expect_turns(&CountingReader::news);
  for (const auto& reader : readers) feed_->call_at(*reader, now_);
  pass(milliseconds(0));
  expect_turns(&CountingReader::times);
  feed_->end_all();
  expect_turns(&CountingReader::ends);
}

TEST_F(FeedTest, CallsNobodyWhoHasLeftMeanwhile) {
  DrivenLoop loop;
  std::shared_ptr<CountingReader> stays, leaves;
  loop.run([&] {
    stays = join();
    leaves = join();
  });
  tell();
  std::weak_ptr<CountingReader> left = leaves;
  feed_->leave(*std::exchange(leaves, nullptr));
  EXPECT_TRUE(left.expired()) << "the feed held it";
  while (loop.run_one()) {
  }
  EXPECT_EQ(stays->news, 1);
}

TEST_F(FeedTest, TellsOfNewsTheMoreSeldomTheMoreReadersThereAre) {
  FeedOptions options;
  options.news_interval = milliseconds(50);
  options.news_interval_per_reader = milliseconds(10);
  make(options);
  std::vector<std::shared_ptr<CountingReader>> readers;
  for (int i = 0; i < 20; ++i) readers.push_back(join());
  tell();
  EXPECT_EQ(readers[0]->news, 1) << "the first at once";
  tell();
  pass(milliseconds(249));
  EXPECT_EQ(readers[0]->news, 1);
  pass(milliseconds(1));
  EXPECT_EQ(readers[0]->news, 2);
  for (std::size_t i = 1; i < readers.size(); ++i) feed_->leave(*readers[i]);
  tell();
  pass(milliseconds(59));
  EXPECT_EQ(readers[0]->news, 2);
  pass(milliseconds(1));
  EXPECT_EQ(readers[0]->news, 3);
  pass(seconds(1));
  EXPECT_EQ(readers[0]->news, 3) << "there was nothing";
}

TEST_F(FeedTest, WatchesACompanyOnceAndForAWhileAfterItsLastReader) {
  const auto first = join(), second = join();
  EXPECT_EQ(watches(), 1U);
  feed_->leave(*first);
  feed_->leave(*second);
  pass(milliseconds(4999));
  const auto third = join();
  EXPECT_EQ(watches(), 1U) << "it came in time";
  tell();
  EXPECT_EQ(third->news, 1);
  pass(seconds(60));
  feed_->leave(*third);
  pass(seconds(5));
  const std::uint64_t before = feed_->news();
  join();
  EXPECT_EQ(watches(), 2U);
  EXPECT_GT(feed_->news(), before) << "nobody was told meanwhile";
}

TEST_F(FeedTest, LimitsReadersOfAllAndOfOneCompany) {
  FeedOptions options;
  options.streams_max = 5;
  make(options);
  const auto refusal = [&](std::uint64_t company) {
    const Status joined = feed_->join(std::make_shared<CountingReader>(CompanyId{company}));
    if (joined) return std::string();
    EXPECT_EQ(joined.error().code, Code::unavailable);
    return joined.error().message;
  };
  const auto first = join({1}), second = join({1}), third = join({1});
  EXPECT_EQ(refusal(1), "at most 3 readers of one company wait for changes at once");
  const auto fourth = join({2}), fifth = join({3});
  EXPECT_EQ(refusal(2), "at most 5 readers wait for changes at once");
  feed_->leave(*fifth);
  feed_->leave(*fifth);  // nothing
  EXPECT_EQ(feed_->count(), 4U);
  EXPECT_EQ(refusal(1), "at most 3 readers of one company wait for changes at once");
  EXPECT_EQ(refusal(3), "");
}

TEST_F(FeedTest, TakesNobodyOnceItHasStopped) {
  const auto reader = join();
  feed_->stop();
  EXPECT_EQ(feed_->count(), 0U);
  EXPECT_EQ(reader.use_count(), 1) << "the feed holds it";
  const Status joined = feed_->join(reader);
  ASSERT_FALSE(joined);
  EXPECT_EQ(joined.error().message, "the server is about to stop");
  EXPECT_EQ(watches(), 1U);
  feed_->leave(*reader);  // nothing
}

}  // namespace
}  // namespace earshot::api
