#include "http/socket.h"

#include <linux/sockios.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace earshot::http {

// OpenSSL's own socket BIO sends without MSG_NOSIGNAL and receives once more than needed.
struct SocketBio {
  static int finish(BIO* bio, Socket::Transfer transfer, int flags, std::size_t* size) {
    BIO_clear_retry_flags(bio);
    *size = transfer.size;
    if (transfer.io == Socket::Io::done) return 1;
    if (transfer.io == Socket::Io::would_block) BIO_set_flags(bio, flags | BIO_FLAGS_SHOULD_RETRY);
    if (transfer.io == Socket::Io::end) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return 0;
  }
  static int read(BIO* bio, char* buffer, std::size_t size, std::size_t* done) {
    const auto socket = static_cast<Socket*>(BIO_get_data(bio));
    return finish(bio, socket->receive(buffer, size), BIO_FLAGS_READ, done);
  }
  static int write(BIO* bio, const char* bytes, std::size_t size, std::size_t* done) {
    const auto socket = static_cast<Socket*>(BIO_get_data(bio));
    return finish(bio, socket->send({bytes, size}), BIO_FLAGS_WRITE, done);
  }
  static long control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    return command == BIO_CTRL_FLUSH;
  }
  static BIO_METHOD* method() {
    static BIO_METHOD* const made = [] {
      BIO_METHOD* fresh =
          BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "earshot socket");
      BIO_meth_set_read_ex(fresh, &read);
      BIO_meth_set_write_ex(fresh, &write);
      BIO_meth_set_ctrl(fresh, &control);
      return fresh;
    }();
    return made;
  }
};

Socket::Socket(int descriptor, SslSession session)
    : descriptor_(descriptor), session_(std::move(session)) {
  if (!session_) return;
  BIO* bio = BIO_new(SocketBio::method());
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(session_.get(), bio, bio);
}

bool Socket::is_shaking_hands() const { return session_ && !SSL_is_init_finished(session_.get()); }

Socket::Transfer Socket::receive(char* buffer, std::size_t size) {
  if (!is_readable_) return {Io::would_block};
  ssize_t received;
  do {
    received = ::recv(descriptor_, buffer, size, 0);
  } while (received < 0 && errno == EINTR);
  if (received == 0) return {Io::end};
  if (received < 0) {
    is_readable_ = false;
    return {errno == EAGAIN ? Io::would_block : Io::failed};
  }
  // A short read has emptied the socket, so the next bytes bring an event; but the end that is
  // known of may be next.
  if (static_cast<std::size_t>(received) < size && !has_peer_ended_) is_readable_ = false;
  return {Io::done, static_cast<std::size_t>(received)};
}

Socket::Transfer Socket::send(std::string_view bytes) {
  ssize_t sent;
  do {
    sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) return {Io::done, static_cast<std::size_t>(sent)};
  return {errno == EAGAIN ? Io::would_block : Io::failed};
}

Socket::Transfer Socket::read(char* buffer, std::size_t size) {
  if (!session_) return receive(buffer, size);
  has_buffered_ = false;
  ERR_clear_error();
  std::size_t done = 0;
  const int result = SSL_read_ex(session_.get(), buffer, size, &done);
  if (result == 1) {
    has_buffered_ = SSL_has_pending(session_.get());
    return {Io::done, done};
  }
  switch (SSL_get_error(session_.get(), result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return {Io::would_block};
    case SSL_ERROR_ZERO_RETURN:
      return {Io::end};
    default:
      has_failed_ = true;
      return {Io::failed};
  }
}

Socket::Transfer Socket::write(std::string_view bytes) {
  if (!session_) {
    std::size_t sent = 0;
    while (sent < bytes.size()) {
      const auto step = send(bytes.substr(sent));
      if (step.io == Io::would_block) break;
      if (step.io == Io::failed) return step;
      sent += step.size;
    }
    return {sent > 0 ? Io::done : Io::would_block, sent};
  }
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    ERR_clear_error();
    std::size_t done = 0;
    const int result =
        SSL_write_ex(session_.get(), bytes.data() + sent, bytes.size() - sent, &done);
    if (result == 1) {
      sent += done;
      continue;
    }
    const int error = SSL_get_error(session_.get(), result);
    if (error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ) break;
    has_failed_ = true;
    return {Io::failed};
  }
  return {sent > 0 ? Io::done : Io::would_block, sent};
}

bool Socket::has_input() const {
  if (session_ && SSL_has_pending(session_.get())) return true;
  int bytes = 0;
  return ::ioctl(descriptor_, FIONREAD, &bytes) == 0 && bytes > 0;
}

void Socket::bound_unsent(std::size_t bytes) {
  const int size = static_cast<int>(bytes);
  ::setsockopt(descriptor_, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

std::size_t Socket::unsent() const {
  int bytes = 0;
  return ::ioctl(descriptor_, SIOCOUTQ, &bytes) == 0 ? static_cast<std::size_t>(bytes) : 0;
}

void Socket::end_sending() {
  if (session_ && !has_failed_ && !is_shaking_hands()) {
    ERR_clear_error();
    SSL_shutdown(session_.get());
  }
  ::shutdown(descriptor_, SHUT_WR);
}

void Socket::close() {
  if (descriptor_ < 0) return;
  session_.reset();
  ::close(descriptor_);
  descriptor_ = -1;
  is_readable_ = has_buffered_ = false;
}

}  // namespace earshot::http
