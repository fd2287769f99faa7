// A stretch of network between the store and PostgreSQL, for tests: it can be cut at an exact
// point, frozen and mended.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "store/pg_url.h"

namespace earshot::store {

class PgProxy {
 public:
  // Leads to the server of the URL.
  explicit PgProxy(const std::string& url) {
    const auto targets = parse_postgres_url(url);
    if (!targets) throw std::runtime_error(targets.error().message);
    const std::string& name = targets->front().name;
    server_port_ = static_cast<std::uint16_t>(std::stoi(name.substr(name.rfind(':') + 1)));
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(listener_, 64) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw std::runtime_error("the proxy cannot listen");
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { run(); });
  }
  ~PgProxy() {
    is_over_ = true;
    thread_.join();
    ::close(listener_);
  }
  PgProxy(const PgProxy&) = delete;
  PgProxy& operator=(const PgProxy&) = delete;

  // The URL, by way of this.
  std::string route(const std::string& url) const {
    const auto server = ":" + std::to_string(server_port_) + "/";
    std::string routed = url;
    routed.replace(routed.find(server), server.size(), ":" + std::to_string(port_) + "/");
    return routed;
  }

  // What happens to the next piece that says `word` on its way to the server, once.
  enum class Fate { passes_and_answer_is_lost, is_lost };
  void arm(std::string word, Fate fate) {
    const std::lock_guard lock(mutex_);
    word_ = std::move(word);
    fate_ = fate;
  }
  bool has_struck() {
    const std::lock_guard lock(mutex_);
    return word_.empty();
  }
  // Pieces that say `word` go no further from now on, and nobody is told; empty: all do again.
  void swallow(std::string word) {
    const std::lock_guard lock(mutex_);
    swallowed_ = std::move(word);
  }
  // Nothing passes, and nothing is closed: as if the server hung.
  void set_frozen(bool frozen) { is_frozen_ = frozen; }
  // Cuts what is there, and refuses what comes.
  void set_cut(bool cut) { is_cut_ = cut; }

 private:
  struct Line {
    int client = -1, server = -1;
    bool answer_is_lost = false;
  };

  static sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }

  void run() {
    while (!is_over_) {
      if (is_cut_) close_all();
      std::vector<pollfd> polled = {{listener_, POLLIN, 0}};
      for (const Line& line : lines_) {
        if (is_frozen_) break;
        polled.push_back({line.client, POLLIN, 0});
        polled.push_back({line.server, POLLIN, 0});
      }
      if (::poll(polled.data(), polled.size(), 5) <= 0) continue;
      std::vector<Line> kept;
      for (std::size_t i = 0; 2 * i + 2 < polled.size(); ++i) {
        Line line = lines_[i];
        bool is_open = true;
        if (polled[2 * i + 1].revents != 0) is_open = to_server(line);
        if (is_open && polled[2 * i + 2].revents != 0) is_open = to_client(line);
        if (is_open) {
          kept.push_back(line);
        } else {
          close(line);
        }
      }
      if (polled.size() > 1) lines_ = std::move(kept);
      if (polled[0].revents != 0) accept();
    }
    close_all();
  }

  void accept() {
    Line line;
    line.client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (line.client < 0) return;
    line.server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(server_port_);
    if (is_cut_ ||
        ::connect(line.server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      return close(line);
    }
    lines_.push_back(line);
  }

  bool to_server(Line& line) {
    const std::string piece = read(line.client);
    if (piece.empty()) return false;
    {
      const std::lock_guard lock(mutex_);
      if (!swallowed_.empty() && piece.find(swallowed_) != std::string::npos) return true;
      if (!word_.empty() && piece.find(word_) != std::string::npos) {
        word_.clear();
        if (fate_ == Fate::is_lost) return false;
        line.answer_is_lost = true;
      }
    }
    return write(line.server, piece);
  }

  // Where the answer is lost the server has at least begun to answer: it did what it was told.
  bool to_client(Line& line) {
    const std::string piece = read(line.server);
    return !piece.empty() && !line.answer_is_lost && write(line.client, piece);
  }

  static std::string read(int from) {
    char bytes[65536];
    const ssize_t size = ::recv(from, bytes, sizeof bytes, 0);
    return size > 0 ? std::string(bytes, static_cast<std::size_t>(size)) : std::string();
  }
  static bool write(int to, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t size = ::send(to, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (size <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(size));
    }
    return true;
  }
  static void close(const Line& line) {
    ::close(line.client);
    ::close(line.server);
  }
  void close_all() {
    for (const Line& line : lines_) close(line);
    lines_.clear();
  }

  int listener_ = -1;
  std::uint16_t port_ = 0, server_port_ = 0;
  std::atomic<bool> is_over_{false}, is_frozen_{false}, is_cut_{false};
  std::mutex mutex_;
  std::string swallowed_;      // guarded by mutex_
  std::string word_;           // guarded by mutex_; empty: not armed
  Fate fate_ = Fate::is_lost;  // guarded by mutex_
  std::vector<Line> lines_;    // of the thread
  std::thread thread_;         // last: it uses all of the above
};

}  // namespace earshot::store
