// What the tests of this folder share: a client that can be as rude as they need, and an
// application to talk to.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "http/server.h"

namespace earshot::http {

using namespace std::chrono_literals;

struct Answer {
  int status = 0;
  std::multimap<std::string, std::string> fields;
  std::string body;

  std::string field(const std::string& name) const {
    const auto found = fields.find(name);
    return found == fields.end() ? "" : found->second;
  }
  bool closes() const { return field("connection") == "close"; }
};

// A blocking client of the server under test. It gives up after ten seconds.
class RawClient {
 public:
  explicit RawClient(const std::string& address, int receive_buffer = 0) {
    const auto colon = address.rfind(':');
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer > 0) {
      ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    timeval patience{10, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
    ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
    is_connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  }
  ~RawClient() { close(); }
  RawClient(const RawClient&) = delete;

  bool is_connected() const { return is_connected_; }
  int descriptor() const { return socket_; }

  // False when the server has closed.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  // One send() for each byte.
  bool send_slowly(std::string_view bytes) {
    for (const char c : bytes) {
      if (!send({&c, 1})) return false;
    }
    return true;
  }

  void end_sending() { ::shutdown(socket_, SHUT_WR); }

  void close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }

  void reset() {
    const linger hard{1, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close();
  }

  // Everything up to the server's end; nothing in the optional when the connection was reset or
  // took too long.
  std::optional<std::string> receive_all() {
    while (receive()) {
    }
    if (!has_ended_) return std::nullopt;
    return std::exchange(buffer_, {});
  }

  // The next answer, or nothing when the connection ended before it was whole. `to_head`: it has no
  // body.
  std::optional<Answer> receive_answer(bool to_head = false) {
    std::size_t head_size;
    while ((head_size = buffer_.find("\r\n\r\n")) == buffer_.npos) {
      if (!receive()) return std::nullopt;
    }
    Answer answer;
    answer.status = std::atoi(buffer_.substr(9, 3).c_str());
    std::size_t at = buffer_.find("\r\n") + 2;
    while (at < head_size) {
      const auto end = buffer_.find("\r\n", at);
      const auto colon = buffer_.find(": ", at);
      answer.fields.emplace(buffer_.substr(at, colon - at),
                            buffer_.substr(colon + 2, end - colon - 2));
      at = end + 2;
    }
    buffer_.erase(0, head_size + 4);
    if (to_head || answer.status / 100 == 1 || answer.status == 204) return answer;
    if (answer.field("transfer-encoding") == "chunked") {
      if (!receive_chunks(answer.body)) return std::nullopt;
    } else if (answer.fields.contains("content-length")) {
      const auto size = std::stoul(answer.field("content-length"));
      while (buffer_.size() < size) {
        if (!receive()) return std::nullopt;
      }
      answer.body = buffer_.substr(0, size);
      buffer_.erase(0, size);
    } else {
      while (receive()) {
      }
      answer.body = std::exchange(buffer_, {});
    }
    return answer;
  }

  std::optional<Answer> ask(std::string_view request) {
    if (!send(request)) return std::nullopt;
    return receive_answer();
  }

  // Whether the server ends the connection now, having sent nothing more.
  bool is_ended() { return receive_all() == ""; }

  // Whether something can be received, or the end, within the time.
  bool is_readable_within(std::chrono::milliseconds time) {
    pollfd wanted{socket_, POLLIN, 0};
    return ::poll(&wanted, 1, static_cast<int>(time.count())) > 0;
  }

 private:
  bool receive() {
    char piece[65536];
    const auto size = ::recv(socket_, piece, sizeof piece, 0);
    if (size == 0) has_ended_ = true;
    if (size <= 0) return false;
    buffer_.append(piece, static_cast<std::size_t>(size));
    return true;
  }

  bool receive_chunks(std::string& body) {
    for (;;) {
      std::size_t line_end;
      while ((line_end = buffer_.find("\r\n")) == buffer_.npos) {
        if (!receive()) return false;
      }
      const auto size = std::stoul(buffer_.substr(0, line_end), nullptr, 16);
      while (buffer_.size() < line_end + 2 + size + 2) {
        if (!receive()) return false;
      }
      body += buffer_.substr(line_end + 2, size);
      buffer_.erase(0, line_end + 2 + size + 2);
      if (size == 0) return true;
    }
  }

  int socket_ = -1;
  bool is_connected_ = false;
  bool has_ended_ = false;
  std::string buffer_;
};

inline Response text(int status, std::string body) {
  Response response;
  response.status = status;
  response.fields.add("content-type", "text/plain");
  response.body = std::move(body);
  return response;
}

// Threads that answer later, and in any order.
class Answerers {
 public:
  ~Answerers() {
    for (auto& thread : threads_) thread.join();
  }
  void run(std::function<void()> work) {
    const std::lock_guard lock(mutex_);
    threads_.emplace_back(std::move(work));
  }

 private:
  std::mutex mutex_;
  std::vector<std::thread> threads_;
};

// Collects a body and calls what it was given with it.
class CollectingBody final : public Body {
 public:
  using Done = std::function<void(std::string body, Reply reply)>;
  CollectingBody(Reply reply, Done done) : reply_(std::move(reply)), done_(std::move(done)) {}
  void piece(std::string_view bytes) override { body_ += bytes; }
  void end() override { done_(std::move(body_), std::move(reply_)); }
  void too_long() override { reply_.send(text(413, "too long")); }

 private:
  Reply reply_;
  Done done_;
  std::string body_;
};

// Echoes "METHOD path body" unless the test has set a handler for the path.
class TestApplication : public Application {
 public:
  using Handler = std::function<std::shared_ptr<Body>(const RequestHead&, Reply)>;

  ~TestApplication() override = default;

  void on(const std::string& path, Handler handler) { handlers_[path] = std::move(handler); }

  std::shared_ptr<Body> begin(const RequestHead& head, Reply reply) override {
    const auto found = handlers_.find(std::string(head.path));
    auto body = (found == handlers_.end() ? Handler(&echo) : found->second)(head, std::move(reply));
    ++begun;  // last, so that who has seen it sees what the handler did
    return body;
  }

  Response refuse(int status, std::string_view) override {
    ++refused;
    last_refused = status;
    return text(status, "refused");
  }

  static std::shared_ptr<Body> echo(const RequestHead& head, Reply reply) {
    const std::string start = std::string(head.method) + " " + std::string(head.path) + " ";
    return std::make_shared<CollectingBody>(
        std::move(reply),
        [start](std::string body, Reply late) { late.send(text(200, start + body)); });
  }

  std::atomic<int> begun = 0;
  std::atomic<int> refused = 0;
  std::atomic<int> last_refused = 0;

 private:
  std::map<std::string, Handler> handlers_;  // set before the server starts
};

// A running server with the test's application.
struct Running {
  explicit Running(Application& application, ServerOptions options = {}) {
    options.listen = "127.0.0.1:0";
    auto opened = Server::open(std::move(options), application);
    if (!opened) ADD_FAILURE() << opened.error().message;
    server = std::move(*opened);
    server->start();
  }
  ~Running() { server->stop(0ms); }

  std::string address() const { return server->address(); }

  // Waits, for a bounded time, until so many connections are open.
  bool has_connections(std::size_t count) const {
    for (int i = 0; i < 1000; ++i) {
      if (server->connection_count() == count) return true;
      std::this_thread::sleep_for(5ms);
    }
    return false;
  }

  std::unique_ptr<Server> server;
};

inline std::mt19937 make_random(const char* test) {
  const char* given = std::getenv("EARSHOT_SEED");
  const auto seed = given ? static_cast<unsigned>(std::atol(given)) : std::random_device{}();
  std::printf("%s: EARSHOT_SEED=%u\n", test, seed);
  return std::mt19937(seed);
}

}  // namespace earshot::http
