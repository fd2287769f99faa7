// A raw epoll loop that gives fixed answers, one to reads and one to gives: the bound beside which
// ./dev bench puts Earshot. It is no HTTP server: it trusts its client, and of a request it reads
// only its first letters and where it ends. With a store it makes each give's commit before it
// answers.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bare_rows.h"

namespace {

constexpr std::size_t kReadBytes = 256 << 10;
constexpr int kEventsMax = 256;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

struct Answers {
  std::string read, give;
};

// Bytes of the request that `text` begins with, or 0 where its end is not there yet.
std::size_t request_bytes(std::string_view text) {
  constexpr std::string_view kEnd = "\r\n\r\n";
  constexpr std::string_view kLength = "Content-Length: ";
  const std::size_t end = text.find(kEnd);
  if (end == std::string_view::npos) return 0;
  std::size_t body = 0;
  const std::size_t length = text.substr(0, end).find(kLength);
  if (length != std::string_view::npos) {
    std::from_chars(text.data() + length + kLength.size(), text.data() + end, body);
  }
  const std::size_t bytes = end + kEnd.size() + body;
  return text.size() < bytes ? 0 : bytes;
}

struct Connection {
  std::string rest;    // of a request that has not arrived whole
  std::string unsent;  // answers that the socket did not take yet; nothing is read meanwhile
};

class Echo {
 public:
  // With `rows` a give is committed there, synced, before it is answered.
  Echo(int listener, Answers answers, earshot::bench::BareRows* rows)
      : listener_(listener), answers_(std::move(answers)), rows_(rows) {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ < 0) fail("epoll_create1");
    watch(EPOLL_CTL_ADD, listener_, EPOLLIN);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, kEventsMax> events;
    for (;;) {
      const int count = epoll_wait(epoll_, events.data(), kEventsMax, -1);
      if (count < 0 && errno != EINTR) fail("epoll_wait");
      for (int i = 0; i < count; ++i) {
        const int fd = events[static_cast<std::size_t>(i)].data.fd;
        if (fd == listener_) {
          accept_one();
        } else if (!serve(fd)) {
          connections_[static_cast<std::size_t>(fd)].reset();
          close(fd);
        }
      }
    }
  }

 private:
  void watch(int operation, int fd, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    if (epoll_ctl(epoll_, operation, fd, &event) != 0) fail("epoll_ctl");
  }

  void accept_one() {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const auto place = static_cast<std::size_t>(fd);
    if (connections_.size() <= place) connections_.resize(place + 1);
    connections_[place] = std::make_unique<Connection>();
    watch(EPOLL_CTL_ADD, fd, EPOLLIN);
  }

  // Whether the connection stays.
  bool serve(int fd) {
    Connection& connection = *connections_[static_cast<std::size_t>(fd)];
    if (!connection.unsent.empty()) return send_rest(fd, connection);
    const ssize_t got = read(fd, buffer_.data(), buffer_.size());
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) return false;
    std::string_view text(buffer_.data(), static_cast<std::size_t>(got));
    std::string joined;
    if (!connection.rest.empty()) {
      joined = std::move(connection.rest);
      joined += text;
      text = joined;
    }
    const std::string* first = nullptr;
    std::string all;  // where there is more than one
    std::size_t gives = 0;
    while (const std::size_t bytes = request_bytes(text)) {
      const bool give = text.starts_with("PUT");
      const std::string& answer = give ? answers_.give : answers_.read;
      gives += give ? 1 : 0;
      text.remove_prefix(bytes);
      if (first == nullptr) {
        first = &answer;
        continue;
      }
      if (all.empty()) all = *first;
      all += answer;
    }
    connection.rest.assign(text);
    if (rows_ != nullptr && gives > 0) rows_->commit(gives, 1, true);
    if (!all.empty()) return send(fd, connection, all);
    return first == nullptr || send(fd, connection, *first);
  }

  bool send(int fd, Connection& connection, std::string_view text) {
    const ssize_t sent = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return false;
    text.remove_prefix(sent < 0 ? 0 : static_cast<std::size_t>(sent));
    if (!text.empty()) {
      connection.unsent.assign(text);
      watch(EPOLL_CTL_MOD, fd, EPOLLOUT);
    }
    return true;
  }

  bool send_rest(int fd, Connection& connection) {
    const std::string text = std::move(connection.unsent);
    connection.unsent.clear();
    if (!send(fd, connection, text)) return false;
    if (connection.unsent.empty()) watch(EPOLL_CTL_MOD, fd, EPOLLIN);
    return true;
  }

  int listener_;
  int epoll_ = -1;
  Answers answers_;
  earshot::bench::BareRows* rows_;
  std::vector<char> buffer_ = std::vector<char>(kReadBytes);
  std::vector<std::unique_ptr<Connection>> connections_;  // by file descriptor
};

// A socket that listens on a free port of 127.0.0.1, and its port.
std::pair<int, unsigned> listen_anywhere() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(fd, generic, length) != 0) fail("bind");
  if (listen(fd, SOMAXCONN) != 0) fail("listen");
  if (getsockname(fd, generic, &length) != 0) fail("getsockname");
  return {fd, ntohs(address.sin_port)};
}

std::string text_of(const char* path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file || text.empty()) {
    std::fprintf(stderr, "bench_echo: cannot read an answer from %s\n", path);
    std::exit(2);
  }
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 && argc != 6) {
    std::fprintf(stderr,
                 "usage: bench_echo READ-ANSWER-FILE GIVE-ANSWER-FILE [DIR CALLS USERS]\n"
                 "with the last three it commits gives to that bare store first\n");
    return 2;
  }
  Answers answers{text_of(argv[1]), text_of(argv[2])};
  std::optional<earshot::bench::BareRows> rows;
  if (argc == 6) rows.emplace(argv[3], std::stoull(argv[4]), std::stoull(argv[5]));
  const auto [listener, port] = listen_anywhere();
  std::printf("listening on http://127.0.0.1:%u\n", port);
  std::fflush(stdout);
  Echo(listener, std::move(answers), rows ? &*rows : nullptr).run();
}
