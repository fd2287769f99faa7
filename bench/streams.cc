// Holds open streams of the changes of a bench's company, as many readers do, and reads all that
// comes without looking into it. Says "ready" when every one is answered. Then, for each line of
// its input `until N`: when all of them together have had N events since the start, that moment in
// ns of CLOCK_MONOTONIC, and how many they have had; `until 0` asks at once. Ends with its input.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::size_t kReadBytes = 256 << 10;
constexpr int kEventsMax = 256;
constexpr std::string_view kEvent = "event: revision\n";
constexpr std::string_view kUntil = "until ";
constexpr std::uint64_t kInput = ~std::uint64_t{0};  // beside the places of streams

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "bench_streams: %s\n", what.c_str());
  std::exit(1);
}
[[noreturn]] void fail_errno(const char* what) {
  fail(std::string(what) + ": " + std::strerror(errno));
}

std::uint64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_nsec);
}

struct Options {
  std::vector<std::uint16_t> ports;  // streams are spread over them
  std::size_t streams = 1;
  std::string request;  // its bytes
};

struct Stream {
  int fd = -1;
  bool answered = false;
  std::string rest;  // the end of what came, where an event's line may have begun
};

class Streams {
 public:
  explicit Streams(const Options& options) : streams_(options.streams) {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ < 0) fail_errno("epoll_create1");
    for (std::size_t place = 0; place < streams_.size(); ++place) {
      open(place, options.ports[place % options.ports.size()], options.request);
    }
    while (answered_ < streams_.size()) wait();
    watch(STDIN_FILENO, kInput);
    std::puts("ready");
    std::fflush(stdout);
  }

  void run() {
    while (!is_over_) wait();
  }

 private:
  void watch(int fd, std::uint64_t place) const {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = place;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) fail_errno("epoll_ctl");
  }

  void open(std::size_t place, std::uint16_t port, const std::string& request) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail_errno("socket");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      fail_errno("connect");
    }
    if (send(fd, request.data(), request.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request.size())) {
      fail_errno("send");
    }
    streams_[place].fd = fd;
    watch(fd, place);
  }

  void wait() {
    std::array<epoll_event, kEventsMax> events;
    const int count = epoll_wait(epoll_, events.data(), kEventsMax, -1);
    if (count < 0 && errno != EINTR) fail_errno("epoll_wait");
    for (int i = 0; i < count; ++i) {
      const std::uint64_t place = events[static_cast<std::size_t>(i)].data.u64;
      if (place == kInput) {
        take_input();
      } else {
        take(streams_[place]);
      }
    }
    tell();
  }

  void take(Stream& stream) {
    const ssize_t got = recv(stream.fd, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got < 0) fail_errno("recv");
    if (got == 0) fail("the server ended a stream");
    std::string_view text(buffer_.data(), static_cast<std::size_t>(got));
    if (!stream.answered) {
      if (!text.starts_with("HTTP/1.1 200 ")) fail("answered with " + std::string(text));
      stream.answered = true;
      ++answered_;
    }
    if (!stream.rest.empty()) {
      stream.rest += text;
      text = stream.rest;
    }
    std::size_t end = 0;
    for (std::size_t at = text.find(kEvent); at != std::string_view::npos;
         at = text.find(kEvent, end)) {
      ++events_;
      end = at + kEvent.size();
    }
    const std::size_t kept = std::min(text.size() - end, kEvent.size() - 1);
    stream.rest = std::string(text.substr(text.size() - kept));
  }

  void take_input() {
    const ssize_t got = read(STDIN_FILENO, buffer_.data(), buffer_.size());
    if (got < 0) fail_errno("read");
    is_over_ = got == 0;
    input_.append(buffer_.data(), static_cast<std::size_t>(got));
    for (std::size_t end = input_.find('\n'); end != std::string::npos; end = input_.find('\n')) {
      const std::string line = input_.substr(0, end);
      input_.erase(0, end + 1);
      if (!line.starts_with(kUntil)) fail("told " + line);
      std::uint64_t until = 0;
      std::from_chars(line.data() + kUntil.size(), line.data() + line.size(), until);
      until_ = until;
    }
  }

  void tell() {
    if (!until_ || events_ < *until_) return;
    std::printf("%llu %llu\n", static_cast<unsigned long long>(now_ns()),
                static_cast<unsigned long long>(events_));
    std::fflush(stdout);
    until_.reset();
  }

  std::vector<Stream> streams_;
  int epoll_ = -1;
  std::size_t answered_ = 0;
  std::uint64_t events_ = 0;
  std::optional<std::uint64_t> until_;
  std::string input_;
  bool is_over_ = false;
  std::vector<char> buffer_ = std::vector<char>(kReadBytes);
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Holds open streams and reads all that comes; is told by its input"};
  app.add_option("--port", options.ports, "of 127.0.0.1; several share the streams")->required();
  app.add_option("--streams", options.streams)->check(CLI::Range(1, 20'000));
  std::string file;
  app.add_option("--request", file, "file with the request that opens one")->required();
  CLI11_PARSE(app, argc, argv);
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  std::FILE* const from = std::fopen(file.c_str(), "rb");
  if (from == nullptr) fail_errno(file.c_str());
  std::array<char, 4096> piece;
  for (std::size_t got = 0; (got = std::fread(piece.data(), 1, piece.size(), from)) > 0;) {
    options.request.append(piece.data(), got);
  }
  std::fclose(from);
  Streams streams(options);
  streams.run();
  return 0;
}
