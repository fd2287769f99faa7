// Certificates and keys, made into contexts that TLS connections begin with.
#pragma once

#include <memory>

#include "base/result.h"
#include "http/server.h"

struct ssl_ctx_st;
struct ssl_st;

namespace earshot::http {

struct SslFree {
  void operator()(ssl_st* session) const;
};
using SslSession = std::unique_ptr<ssl_st, SslFree>;

class TlsContext {
 public:
  // TLS 1.2 and 1.3 with this certificate and key. Errors: invalid_argument, naming the file and
  // what is wrong with it.
  static Result<std::shared_ptr<const TlsContext>> load(const TlsFiles& files);

  // A session of the server's side, without a socket yet. Null when memory is short. Any thread.
  SslSession make_session() const;

 private:
  struct Free {
    void operator()(ssl_ctx_st* context) const;
  };
  std::unique_ptr<ssl_ctx_st, Free> context_;
};

}  // namespace earshot::http
