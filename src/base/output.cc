#include "base/output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <utility>

namespace earshot {
namespace {

constexpr std::size_t kBufferBytes = 64 << 10;
constexpr int kPollMillis = 100;

bool is_ready(int fd, int timeout_ms) {
  pollfd waiting{fd, POLLOUT, 0};
  return poll(&waiting, 1, timeout_ms) > 0;
}

}  // namespace

Output::Output(int fd, Cancelled cancelled) : fd_(fd), cancelled_(std::move(cancelled)) {}

Status Output::write(std::string_view text) {
  buffer_ += text;
  return buffer_.size() < kBufferBytes ? Status() : flush();
}

Status Output::flush() {
  // The descriptor is shared with another process, so it cannot be made non-blocking. What poll()
  // calls writable takes PIPE_BUF bytes without waiting; so a reader that stands still holds
  // nobody.
  std::string_view rest = buffer_;
  while (!rest.empty() && !failed_) {
    if (cancelled_()) {
      failed_ = true;
    } else if (is_ready(fd_, kPollMillis)) {
      const auto written = ::write(fd_, rest.data(), std::min<std::size_t>(rest.size(), PIPE_BUF));
      if (written > 0) {
        rest.remove_prefix(static_cast<std::size_t>(written));
      } else if (errno != EINTR && errno != EAGAIN) {
        const std::string reason = std::strerror(errno);
        failed_ = true;
        buffer_.clear();
        return unavailable("cannot write the output: " + reason);
      }
    }
  }
  buffer_.clear();
  if (failed_) return unavailable("the output was given up");
  return {};
}

void Output::write_if_ready(std::string_view text) {
  if (!flush() || !is_ready(fd_, 0)) return;
  if (::write(fd_, text.data(), std::min<std::size_t>(text.size(), PIPE_BUF)) < 0) failed_ = true;
}

bool Output::is_terminal() const { return isatty(fd_) == 1; }

bool Output::has_reader() const {
  pollfd asked{fd_, 0, 0};
  return poll(&asked, 1, 0) <= 0 || (asked.revents & (POLLERR | POLLHUP)) == 0;
}

}  // namespace earshot
