#include "http/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

namespace earshot::http {
namespace {

// Why OpenSSL refused, in its words. Empties its queue.
std::string last_reason() {
  const unsigned long error = ERR_peek_last_error();
  const char* reason = ERR_reason_error_string(error);
  ERR_clear_error();
  return reason ? reason : "unknown reason";
}

Status check_readable(const std::string& what, const std::string& file) {
  std::FILE* opened = std::fopen(file.c_str(), "re");
  if (!opened) {
    return invalid_argument("cannot read the TLS " + what + " " + file + ": " +
                            std::strerror(errno));
  }
  const int first = std::fgetc(opened);
  const int error = errno;
  const bool failed = std::ferror(opened);
  std::fclose(opened);
  if (failed) {
    return invalid_argument("cannot read the TLS " + what + " " + file + ": " +
                            std::strerror(error));
  }
  if (first == EOF) return invalid_argument("the TLS " + what + " " + file + " is empty");
  return {};
}

int select_protocol(SSL*, const unsigned char** chosen, unsigned char* chosen_size,
                    const unsigned char* offered, unsigned offered_size, void*) {
  static constexpr unsigned char kHttp11[] = "\x08http/1.1";
  unsigned char* match = nullptr;
  const int found = SSL_select_next_proto(&match, chosen_size, kHttp11, sizeof kHttp11 - 1, offered,
                                          offered_size);
  *chosen = match;
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

// A server must not stop at a prompt.
int refuse_password(char*, int, int, void*) { return 0; }

}  // namespace

void SslFree::operator()(ssl_st* session) const { SSL_free(session); }
void TlsContext::Free::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }

Result<std::shared_ptr<const TlsContext>> TlsContext::load(const TlsFiles& files) {
  TRY(check_readable("certificate", files.certificate));
  TRY(check_readable("key", files.key));

  auto tls = std::make_shared<TlsContext>();
  tls->context_.reset(SSL_CTX_new(TLS_server_method()));
  SSL_CTX* context = tls->context_.get();
  if (!context) return internal("OpenSSL gives no context: " + last_reason());
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  // For TLS 1.2; those of 1.3 are all good. Forward secrecy and authenticated encryption only.
  SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20");
  SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                   SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  // One receive for many records, and buffers given back when they are empty.
  SSL_CTX_set_read_ahead(context, 1);
  // Sessions are resumed by tickets; a cache would only take memory.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_alpn_select_cb(context, &select_protocol, nullptr);
  SSL_CTX_set_default_passwd_cb(context, &refuse_password);

  ERR_clear_error();
  if (SSL_CTX_use_certificate_chain_file(context, files.certificate.c_str()) != 1) {
    return invalid_argument("the TLS certificate " + files.certificate +
                            " is no PEM chain: " + last_reason());
  }
  if (SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH ||
        ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_TYPE_MISMATCH) {
      ERR_clear_error();
      return invalid_argument("the TLS key " + files.key + " does not match the certificate " +
                              files.certificate);
    }
    return invalid_argument("the TLS key " + files.key +
                            " is no PEM key without a password: " + last_reason());
  }
  if (SSL_CTX_check_private_key(context) != 1) {
    ERR_clear_error();
    return invalid_argument("the TLS key " + files.key + " does not match the certificate " +
                            files.certificate);
  }
  return std::shared_ptr<const TlsContext>(std::move(tls));
}

SslSession TlsContext::make_session() const {
  SslSession session(SSL_new(context_.get()));
  if (session) SSL_set_accept_state(session.get());
  return session;
}

}  // namespace earshot::http
