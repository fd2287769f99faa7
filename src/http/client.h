// An HTTP client over libcurl: one request at a time to one server, with credentials. It knows no
// route and no JSON, and what an answer asks for (to wait, to go elsewhere) is the caller's.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace earshot::http {

// Where to ask, and as whom. Of proxies that the environment names (https_proxy) only those for
// https are used: they see nothing but bytes that are encrypted.
struct ClientOptions {
  std::string server;          // "https://HOST[:PORT][/PREFIX]", or http://
  std::string ca_file;         // PEM: whom to believe; empty: those whom the system believes
  std::string user, password;  // never in a message
  std::string user_agent;
  std::chrono::milliseconds connect_time{5000};  // of looking up, connecting and the TLS handshake
  std::size_t answer_bytes_max = 64 << 20;
};

using ClientFields = std::vector<std::pair<std::string, std::string>>;  // names in lowercase

struct ClientRequest {
  std::string method;
  std::string target;  // path and query, behind the server's address
  ClientFields fields{};
  std::string body{};                      // sent where it is not empty
  std::chrono::milliseconds time{30'000};  // from here to the answer's last byte
  std::function<bool()> is_wanted{};       // asked about once a second; false: it is given up
};

struct ClientResponse {
  int status = 0;
  ClientFields fields{};
  std::string body{};

  // The first of the name; empty where there is none.
  std::string_view field(std::string_view name) const;
};

// One thread at a time.
class Client {
 public:
  // Connects to nothing yet. Errors: invalid_argument (as of parse_server_address(), or the file of
  // certificates cannot be read).
  static Result<Client> open(ClientOptions options);

  Client(Client&&) noexcept;
  ~Client();

  // Sends a request and waits for its answer, whatever its status; a redirection is not followed.
  // The connection is kept for the next request; where it has ended meanwhile, that is sent again
  // on another. Errors: not_found (no connection), denied (the server's certificate is not
  // believed), invalid_argument (the file of certificates holds none): nothing was sent.
  // unavailable (the connection ended, or time ran out), internal (the answer is too long, is no
  // HTTP, or was not wanted any more): the server may have done what was asked. REQUIRES: SIGPIPE
  // is ignored.
  Result<ClientResponse> send(const ClientRequest& request);

 private:
  struct State;
  explicit Client(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Of a server's address, what decides how it may be spoken to.
struct ServerAddress {
  bool is_tls = false;
  std::string host;  // without brackets
};

// Errors: invalid_argument (neither http:// nor https://, no host, a port that is none, a query or
// fragment, or credentials). The message shows nothing of the text, since a secret may be in it.
Result<ServerAddress> parse_server_address(std::string_view text);

}  // namespace earshot::http
