#include "base/log.h"

#include <poll.h>
#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/sinks/sink.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <climits>
#include <cmath>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/assert.h"
#include "base/text.h"
#include "base/time.h"

namespace earshot {
namespace {

constexpr std::chrono::seconds kFlushMax{2};

void write_whole(int fd, std::string_view line) {
  while (!line.empty()) {
    const ssize_t written = ::write(fd, line.data(), line.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // there is nobody left to tell
    line.remove_prefix(static_cast<std::size_t>(written));
  }
}

// Takes lines that are ready, so that the library's own formatting stays out of the way.
class LineSink final : public spdlog::sinks::sink {
 public:
  explicit LineSink(int fd) : fd_(fd) {}

  void log(const spdlog::details::log_msg& line) override {
    std::string_view rest(line.payload.data(), line.payload.size());
    // A reader that hangs must not keep the process from stopping, so this never blocks inside
    // write(): a pipe that polls as writable takes PIPE_BUF bytes.
    while (!rest.empty() && wait_writable()) {
      const std::string_view piece = rest.substr(0, PIPE_BUF);
      write_whole(fd_, piece);
      rest.remove_prefix(piece.size());
    }
    written_.fetch_add(1, std::memory_order_release);
  }
  void flush() override {}
  void set_pattern(const std::string&) override {}
  void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

  std::uint64_t written() const { return written_.load(std::memory_order_acquire); }
  // From now on lines that the reader does not take at once are dropped.
  void give_up() { given_up_.store(true, std::memory_order_relaxed); }

 private:
  bool wait_writable() {
    for (;;) {
      pollfd poll_fd{fd_, POLLOUT, 0};
      if (::poll(&poll_fd, 1, 100) > 0) return true;
      if (given_up_.load(std::memory_order_relaxed)) return false;
    }
  }

  const int fd_;
  std::atomic<std::uint64_t> written_{0};
  std::atomic<bool> given_up_{false};
};

// One start of the log. Kept until the process ends, because a thread may be about to use it when
// it is stopped; only its thread and queue end.
struct Run {
  Level level_min;
  std::shared_ptr<LineSink> sink;
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::async_logger> logger;
  std::atomic<std::uint64_t> posted{0};
};

struct State {
  std::mutex mutex;  // starting and stopping
  std::vector<std::unique_ptr<Run>> runs;
  std::atomic<Run*> running{nullptr};
  std::atomic<std::uint64_t> lost_before{0};  // in runs that have ended
};

State& state() {
  static State* const state = new State;  // outlives threads and destructors that still log
  return *state;
}

std::string_view name_of(Level level) {
  switch (level) {
    case Level::info:
      return "info";
    case Level::warn:
      return "warn";
    case Level::error:
      return "error";
  }
  ASSERT(false);
}

// A log must take any bytes and still be JSON.
void append_any_text(std::string& out, std::string_view text) {
  if (is_valid_utf8(text)) return append_json_string(out, text);
  std::string readable;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x80) {
      readable += c;
    } else {
      readable += "\xEF\xBF\xBD";  // U+FFFD
    }
  }
  append_json_string(out, readable);
}

struct AppendValue {
  std::string& out;

  void operator()(std::string_view text) const { append_any_text(out, text); }
  void operator()(bool yes) const { out += yes ? "true" : "false"; }
  void operator()(double number) const {
    if (!std::isfinite(number)) {
      out += "null";
      return;
    }
    append_digits(number);
  }
  void operator()(std::int64_t number) const { append_digits(number); }
  void operator()(std::uint64_t number) const { append_digits(number); }

  template <class Number>
  void append_digits(Number number) const {
    char digits[32];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
  }
};

void append_line(std::string& out, Level level, std::string_view event,
                 std::initializer_list<LogField> fields) {
  out += R"({"time":")";
  out += format_time(wall_now());
  out += R"(","level":")";
  out += name_of(level);
  out += R"(","event":)";
  append_any_text(out, event);
  for (const LogField& field : fields) {
    out += ',';
    append_any_text(out, field.name);
    out += ':';
    std::visit(AppendValue{out}, field.value);
  }
  out += "}\n";
}

// Waits until the lines posted so far were written or lost.
void flush(Run& run) {
  const std::uint64_t target = run.posted.load(std::memory_order_acquire);
  const auto deadline = std::chrono::steady_clock::now() + kFlushMax;
  while (run.sink->written() + run.pool->overrun_counter() < target) {
    if (std::chrono::steady_clock::now() >= deadline) return;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

}  // namespace

void log(Level level, std::string_view event, std::initializer_list<LogField> fields) {
  thread_local std::string line;
  line.clear();
  Run* const run = state().running.load(std::memory_order_acquire);
  if (run == nullptr) {
    append_line(line, level, event, fields);
    return write_whole(STDERR_FILENO, line);
  }
  if (level < run->level_min) return;
  append_line(line, level, event, fields);
  run->posted.fetch_add(1, std::memory_order_release);
  run->logger->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
}

void start_log(const LogOptions& options) {
  State& log_state = state();
  const std::lock_guard lock(log_state.mutex);
  ASSERT(log_state.running.load() == nullptr);
  auto run = std::make_unique<Run>();
  run->level_min = options.level_min;
  run->sink = std::make_shared<LineSink>(options.fd);
  run->pool = std::make_shared<spdlog::details::thread_pool>(options.queue_lines_max, 1);
  run->logger = std::make_shared<spdlog::async_logger>(
      "log", run->sink, run->pool, spdlog::async_overflow_policy::overrun_oldest);
  // Only a line that comes while the log stops gets here; the library would print a text of its
  // own.
  run->logger->set_error_handler(
      [](const std::string&) { state().lost_before.fetch_add(1, std::memory_order_relaxed); });
  log_state.runs.push_back(std::move(run));
  log_state.running.store(log_state.runs.back().get(), std::memory_order_release);
}

void flush_log() {
  State& log_state = state();
  const std::lock_guard lock(log_state.mutex);
  if (Run* const run = log_state.running.load()) flush(*run);
}

void stop_log() {
  State& log_state = state();
  const std::lock_guard lock(log_state.mutex);
  Run* const run = log_state.running.exchange(nullptr);
  if (run == nullptr) return;
  flush(*run);
  run->sink->give_up();
  log_state.lost_before.fetch_add(run->pool->overrun_counter(), std::memory_order_relaxed);
  run->pool.reset();  // joins the thread
}

std::uint64_t log_lines_lost() {
  State& log_state = state();
  const std::lock_guard lock(log_state.mutex);
  Run* const run = log_state.running.load();
  return log_state.lost_before.load() + (run ? run->pool->overrun_counter() : 0);
}

}  // namespace earshot
