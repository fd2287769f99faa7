// One server as those see it who ask it: requests out, and answers or errors that a person can use
// back. What fails for a moment is asked again.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "base/result.h"
#include "client/command.h"
#include "http/client.h"

namespace earshot::client {

// Waits for so long; tests do not.
using Pause = std::function<void(std::chrono::milliseconds)>;

// One thread at a time.
class Remote {
 public:
  // Connects to nothing yet. Errors: invalid_argument.
  static Result<Remote> open(const Server& server, Pause pause);

  struct Request {
    std::string method;
    std::string target;
    std::string body{};             // JSON
    std::string idempotency_key{};  // of a change: what makes it safe to ask again
    // Whether asking twice does no harm, by its nature or by the key. Where it may, it is asked
    // again only if nothing was sent, or the server was not willing to begin (429).
    bool is_repeatable = true;
    std::chrono::milliseconds hold{0};  // so long the server may keep the answer back, besides
    std::function<bool()> is_wanted{};  // asked once a second; false: it is given up
  };

  struct Answer {
    std::string body;
    bool is_replay = false;  // it was given before, to a request with the same key
  };

  // Asks until there is an answer, the repetitions are used up, or the time is over; between, it
  // waits as long as the server says. Errors: denied (the server refused it, in its own words),
  // unavailable (no answer that can be used; a change may have been made all the same), not_found
  // (the same, but nothing was ever sent), invalid_argument.
  Result<Answer> ask(const Request& request);

  // How long the last answer asked to stay away; 0: it did not say.
  std::chrono::milliseconds asked_to_wait() const { return asked_to_wait_; }

 private:
  Remote(http::Client client, const Server& server, Pause pause);

  http::Client client_;
  const std::string url_;
  const std::chrono::milliseconds timeout_;
  const std::size_t retries_;
  const Pause pause_;
  std::chrono::milliseconds asked_to_wait_{0};
};

}  // namespace earshot::client
