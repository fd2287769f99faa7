// The HTTP/1.1 server: sockets, TLS, limits and deadlines. It knows no route and no JSON.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "http/message.h"

namespace earshot::http {

struct TlsFiles {
  std::string certificate;  // PEM, chain included
  std::string key;          // PEM
};

// Limits and deadlines. Each is an option of `earshot serve` and described in docs/operating.md.
struct Limits {
  std::size_t head_bytes_max = 16 << 10;
  std::size_t body_bytes_max = 8 << 20;
  std::size_t connections_max = 20000;
  std::size_t connections_per_address_max = 20000;
  std::chrono::milliseconds idle_time{75000};     // between requests
  std::chrono::milliseconds request_time{30000};  // from the first byte of a request to its last
  std::chrono::milliseconds write_time{30000};    // without any progress of an answer
};

struct ServerOptions {
  std::string listen = "127.0.0.1:8080";  // HOST:PORT; [v6]:PORT; port 0 picks a free one
  std::optional<std::string> admin_listen;
  std::optional<TlsFiles> tls;  // for `listen`; the admin address is plain
  std::size_t threads = 1;
  Limits limits;
};

class Server {
 public:
  // Binds and begins to listen; answers nothing before run(). Errors: conflict (address in use),
  // invalid_argument (an address, certificate or key that cannot be used; the message says which
  // and why). `application` must outlive it.
  static Result<std::unique_ptr<Server>> open(ServerOptions options, Application& application);
  virtual ~Server() = default;

  // The addresses really bound, "127.0.0.1:43117".
  virtual std::string address() const = 0;
  virtual std::optional<std::string> admin_address() const = 0;

  // Starts the threads and serves until stop() is done.
  virtual void start() = 0;

  // Reads certificate and key again; connections that are there keep theirs. On error the old ones
  // stay.
  virtual Status reload_tls() = 0;

  // Closes politely: stops accepting, answers what was begun (with connection: close), and ends
  // idle connections; what is not done after `grace` is cut. Waits until all threads have ended.
  // Their loops are there until the server is destroyed, so that what answers late may post to
  // them, in vain.
  virtual void stop(std::chrono::milliseconds grace) = 0;

  virtual std::size_t connection_count() const = 0;
};

}  // namespace earshot::http
