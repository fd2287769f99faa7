#include "base/log.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <climits>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/text.h"
#include "base/time.h"

namespace earshot {
namespace {

constexpr std::chrono::seconds kFlushMax{2};
// Lines come in crowds, and waking a thread costs more than writing one: so the thread takes those
// of this time, or so many bytes, in one write.
constexpr std::chrono::milliseconds kGather{10};
constexpr std::size_t kGatherBytes = 256 << 10;

void write_whole(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // there is nobody left to tell
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

bool is_file(int fd) {
  struct stat found {};
  return ::fstat(fd, &found) == 0 && S_ISREG(found.st_mode);
}

// Whole lines one after the other, the oldest first.
class Lines {
 public:
  void add(std::string_view line) {
    bytes_ += line;
    sizes_.push_back(line.size());
  }
  void drop_oldest() {
    begin_ += sizes_.front();
    sizes_.pop_front();
    if (begin_ > bytes_.size() / 2) bytes_.erase(0, std::exchange(begin_, 0));
  }
  void clear() {
    if (bytes_.capacity() > 2 * kGatherBytes) std::string().swap(bytes_);
    bytes_.clear();
    sizes_.clear();
    begin_ = 0;
  }
  std::size_t count() const { return sizes_.size(); }
  std::string_view text() const { return std::string_view(bytes_).substr(begin_); }

 private:
  std::string bytes_;
  std::size_t begin_ = 0;
  std::deque<std::size_t> sizes_;
};

// One start of the log. Kept until the process ends, because a thread may be about to use it when
// it is stopped; only its thread ends.
class Run {
 public:
  explicit Run(const LogOptions& options)
      : options_(options), is_file_(is_file(options.fd)), thread_([this] { work(); }) {}

  Level level_min() const { return options_.level_min; }

  void post(Level level, std::string_view line) {
    bool wake = false;
    {
      const std::lock_guard lock(mutex_);
      if (is_stopping_) {
        ++lost_;
        return;
      }
      if (waiting_.count() >= options_.queue_lines_max) {
        waiting_.drop_oldest();
        ++lost_;
      }
      // The thread sleeps until there is something, and then until it is worth writing.
      wake = waiting_.count() == 0;
      waiting_.add(line);
      if (!is_due_ && (level != Level::info || waiting_.text().size() >= kGatherBytes)) {
        is_due_ = wake = true;
      }
    }
    if (wake) more_.notify_one();
  }

  // Waits, at most kFlushMax, until the lines posted so far were written or lost.
  void flush() {
    std::unique_lock lock(mutex_);
    is_due_ = true;
    more_.notify_one();
    const std::uint64_t target = gone_ + writing_.count() + waiting_.count() + lost_;
    gone_more_.wait_for(lock, kFlushMax, [&] { return gone_ + lost_ >= target; });
  }

  void stop() {
    flush();
    given_up_.store(true, std::memory_order_relaxed);
    {
      const std::lock_guard lock(mutex_);
      is_stopping_ = true;
    }
    more_.notify_one();
    thread_.join();
  }

  std::uint64_t lost() {
    const std::lock_guard lock(mutex_);
    return lost_;
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      more_.wait(lock, [this] { return is_stopping_ || waiting_.count() > 0; });
      if (waiting_.count() == 0) return;
      more_.wait_for(lock, kGather, [this] { return is_stopping_ || is_due_; });
      is_due_ = false;
      std::swap(writing_, waiting_);
      lock.unlock();
      const bool is_written = write(writing_.text());
      lock.lock();
      (is_written ? gone_ : lost_) += writing_.count();
      writing_.clear();
      gone_more_.notify_all();
    }
  }

  // False when it gave up. A reader that hangs must not keep the process from stopping, so this
  // never blocks inside write(): a pipe that polls as writable takes PIPE_BUF bytes. They end with
  // a line where one ends there, so that lines of other writers do not come between its parts.
  bool write(std::string_view text) {
    if (is_file_) {
      write_whole(options_.fd, text);
      return true;
    }
    while (!text.empty()) {
      if (!wait_writable()) return false;
      std::string_view piece = text.substr(0, PIPE_BUF);
      const auto line_end = piece.rfind('\n');
      if (line_end != piece.npos) piece = piece.substr(0, line_end + 1);
      write_whole(options_.fd, piece);
      text.remove_prefix(piece.size());
    }
    return true;
  }

  bool wait_writable() const {
    for (;;) {
      pollfd poll_fd{options_.fd, POLLOUT, 0};
      if (::poll(&poll_fd, 1, 100) > 0) return true;
      if (given_up_.load(std::memory_order_relaxed)) return false;
    }
  }

  const LogOptions options_;
  const bool is_file_;
  // From now on lines that the reader does not take at once are dropped.
  std::atomic<bool> given_up_{false};

  std::mutex mutex_;
  std::condition_variable more_;
  std::condition_variable gone_more_;
  Lines waiting_;
  bool is_due_ = false;  // to be written now
  bool is_stopping_ = false;
  std::uint64_t gone_ = 0;
  std::uint64_t lost_ = 0;
  Lines writing_;  // counted under the lock; its text is the thread's own

  std::thread thread_;  // last: it uses all of the above
};

struct State {
  std::mutex mutex;  // starting and stopping
  std::vector<std::unique_ptr<Run>> runs;
  std::atomic<Run*> running{nullptr};
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

}  // namespace

void log(Level level, std::string_view event, std::initializer_list<LogField> fields) {
  thread_local std::string line;
  line.clear();
  Run* const run = state().running.load(std::memory_order_acquire);
  if (run == nullptr) {
    append_line(line, level, event, fields);
    return write_whole(STDERR_FILENO, line);
  }
  if (level < run->level_min()) return;
  append_line(line, level, event, fields);
  run->post(level, line);
}

void start_log(const LogOptions& options) {
  State& log_state = state();
  const std::lock_guard lock(log_state.mutex);
  ASSERT(log_state.running.load() == nullptr);
  log_state.runs.push_back(std::make_unique<Run>(options));
  log_state.running.store(log_state.runs.back().get(), std::memory_order_release);
}

void flush_log() {
  State& log_state = state();
  const std::lock_guard lock(log_state.mutex);
  if (Run* const run = log_state.running.load()) run->flush();
}

void stop_log() {
  State& log_state = state();
  const std::lock_guard lock(log_state.mutex);
  if (Run* const run = log_state.running.exchange(nullptr)) run->stop();
}

std::uint64_t log_lines_lost() {
  State& log_state = state();
  const std::lock_guard lock(log_state.mutex);
  std::uint64_t lost = 0;
  for (const auto& run : log_state.runs) lost += run->lost();
  return lost;
}

}  // namespace earshot
