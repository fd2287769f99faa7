#include "base/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <regex>
#include <string>
#include <thread>
#include <vector>

namespace earshot {
namespace {

using namespace std::string_literals;

// The log started on a pipe whose reading end the test holds.
class Piped {
 public:
  explicit Piped(LogOptions options = {}) {
    EXPECT_EQ(::pipe(fds_), 0);
    options.fd = fds_[1];
    start_log(options);
  }
  ~Piped() {
    stop_log();
    ::close(fds_[0]);
    ::close(fds_[1]);
  }
  // What was written so far.
  std::string read() {
    flush_log();
    ::fcntl(fds_[0], F_SETFL, O_NONBLOCK);
    std::string text;
    char buffer[4096];
    ssize_t got = 0;
    while ((got = ::read(fds_[0], buffer, sizeof buffer)) > 0) {
      text.append(buffer, static_cast<std::size_t>(got));
    }
    return text;
  }

 private:
  int fds_[2];
};

std::string without_time(const std::string& line) {
  static const std::regex time(
      R"re("time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}|\.\d{6})?Z",)re");
  return std::regex_replace(line, time, "");
}

TEST(Log, WritesOneObjectALine) {
  Piped piped;
  const std::string owned = "owned";
  log(Level::info, "started");
  log(Level::warn, "slow",
      {{"commands", 12}, {"size", std::size_t{7}}, {"seconds", 0.5}, {"ok", true}});
  log(Level::error, "failed \"x\"",
      {{"text", "a\nb"},
       {"owned", owned},
       {"low", INT64_MIN},
       {"high", UINT64_MAX},
       {"none", std::nan("")}});
  EXPECT_EQ(without_time(piped.read()),
            R"({"level":"info","event":"started"})"
            "\n"
            R"({"level":"warn","event":"slow","commands":12,"size":7,"seconds":0.5,"ok":true})"
            "\n"
            R"({"level":"error","event":"failed \"x\"","text":"a\nb","owned":"owned",)"
            R"("low":-9223372036854775808,"high":18446744073709551615,"none":null})"
            "\n");
}

TEST(Log, StaysJsonWhateverBytesComeIn) {
  Piped piped;
  log(Level::info, "bad\xFF", {{"text", "\xC3\0\x80"s}});
  EXPECT_EQ(without_time(piped.read()),
            "{\"level\":\"info\",\"event\":\"bad\xEF\xBF\xBD\",\"text\":"
            "\"\xEF\xBF\xBD\\u0000\xEF\xBF\xBD\"}\n");
}

TEST(Log, LeavesOutWhatIsBelowTheLevel) {
  Piped piped({.level_min = Level::warn});
  log(Level::info, "small");
  log(Level::warn, "large");
  EXPECT_EQ(without_time(piped.read()), "{\"level\":\"warn\",\"event\":\"large\"}\n");
}

TEST(Log, KeepsLinesOfManyThreadsWhole) {
  Piped piped;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      for (int i = 0; i < 50; ++i) log(Level::info, "line", {{"text", std::string(100, 'x')}});
    });
  }
  for (auto& thread : threads) thread.join();
  const std::string text = without_time(piped.read());
  const std::string line =
      "{\"level\":\"info\",\"event\":\"line\",\"text\":\"" + std::string(100, 'x') + "\"}\n";
  ASSERT_EQ(text.size(), 200 * line.size());
  for (std::size_t i = 0; i < 200; ++i)
    EXPECT_EQ(text.compare(i * line.size(), line.size(), line), 0);
}

TEST(Log, NeverWaitsForItsReaderAndCountsWhatIsLost) {
  const std::uint64_t lost_before = log_lines_lost();
  const auto start = std::chrono::steady_clock::now();
  {
    Piped piped({.queue_lines_max = 16});
    // 2 MB into a pipe that holds 64 KiB and that nobody reads.
    for (int i = 0; i < 1000; ++i) log(Level::info, "line", {{"text", std::string(2000, 'x')}});
    EXPECT_GT(log_lines_lost() - lost_before, 900U);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
  }
  EXPECT_GT(log_lines_lost() - lost_before, 900U);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(Log, CanBeStoppedAndStartedAgain) {
  stop_log();
  for (int round = 0; round < 3; ++round) {
    Piped piped;
    log(Level::info, "round", {{"n", round}});
    EXPECT_NE(piped.read().find("\"n\":" + std::to_string(round)), std::string::npos);
  }
  testing::internal::CaptureStderr();
  log(Level::info, "after");
  EXPECT_EQ(without_time(testing::internal::GetCapturedStderr()),
            "{\"level\":\"info\",\"event\":\"after\"}\n");
}

}  // namespace
}  // namespace earshot
