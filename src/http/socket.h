// A connected, non-blocking socket, plain or with TLS on top. It never blocks, never raises
// SIGPIPE, and knows no HTTP. For edge-triggered epoll: it remembers whether there may be something
// to read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "http/tls.h"

namespace earshot::http {

class Socket {
 public:
  enum class Io : std::uint8_t { done, would_block, end, failed };
  struct Transfer {
    Io io;
    std::size_t size = 0;  // done: how many bytes, at least one
  };

  // Takes the descriptor; `session` is null for plain.
  Socket(int descriptor, SslSession session);
  ~Socket() { close(); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  int descriptor() const { return descriptor_; }
  bool is_tls() const { return session_ != nullptr; }
  bool is_shaking_hands() const;

  // Takes note of what epoll says.
  void note_readable() { is_readable_ = true; }
  void note_peer_ended() { has_peer_ended_ = is_readable_ = true; }
  bool has_peer_ended() const { return has_peer_ended_; }

  // Whether read() may give something; false until epoll says more.
  bool may_read() const { return is_readable_ || has_buffered_; }

  // Whether something has come that was not read yet. Asks the system.
  bool has_input() const;

  Transfer read(char* buffer, std::size_t size);
  // Sends as much as there is room for.
  Transfer write(std::string_view bytes);
  // Receives and forgets up to `size` bytes, without decrypting.
  Transfer discard(char* buffer, std::size_t size) { return receive(buffer, size); }
  // The system is to hold about so many bytes at most that the peer has not taken yet, in place of
  // what it finds by itself, up to megabytes.
  void bound_unsent(std::size_t bytes);
  // How many bytes the system holds that the peer has not taken yet.
  std::size_t unsent() const;
  // Says that nothing more will be sent.
  void end_sending();
  void close();

 private:
  friend struct SocketBio;
  Transfer receive(char* buffer, std::size_t size);
  Transfer send(std::string_view bytes);

  int descriptor_;
  bool is_readable_ = false;
  bool has_peer_ended_ = false;
  bool has_buffered_ = false;  // TLS holds more than it has given
  bool has_failed_ = false;    // TLS is beyond use
  SslSession session_;
};

}  // namespace earshot::http
