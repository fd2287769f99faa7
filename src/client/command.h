// The commands that ask a server, as values: what the command line asks for. Carrying them out is
// in run.h.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "client/key.h"

namespace earshot::client {

// Pairs of one request, at most. The server's own limit is named in docs/api.md; a request of this
// size is far from those of an answer's length and time.
inline constexpr std::size_t kBatchMax = 10'000;
// Pairs of one command, at most: they are held in memory, so that a bad line is seen before
// anything is asked.
inline constexpr std::size_t kPairsMax = 1'000'000;
inline constexpr std::size_t kIdempotencyKeyCharsMax = 240;  // 255, less what each request adds

// Whom to ask, and as whom.
struct Server {
  std::string url;
  std::string ca_file;   // empty: whom the system believes
  std::string key_file;  // holds the key, where it is not empty
  Key key{};
  std::chrono::milliseconds timeout{60'000};  // of one request, with its repetitions
  std::size_t retries = 3;                    // how often a request is repeated, at most
};

struct Pair {
  UserId user;
  CallId call;
  friend bool operator==(const Pair&, const Pair&) = default;
};

// Pairs that were named, and those of a file ("-": standard input), where it is not empty.
struct Pairs {
  std::vector<Pair> named;
  std::string file;
  std::size_t batch = kBatchMax;
};

// What an answer is to be as of: now, where neither is given. Never both.
struct Moment {
  std::optional<std::uint64_t> revision;
  std::optional<Time> at;
};

// give, remove
struct ChangeGrants {
  bool gives = true;
  Pairs pairs;
  std::optional<UserId> all_of_user;  // remove: all that was given to this user
  std::optional<CallId> all_of_call;  // remove: all that was given of this call
  std::optional<Time> expires_at;
  std::string note;
  bool dry_run = false;
  std::optional<std::uint64_t> if_revision;
  std::string idempotency_key;  // empty: one that nobody has
};

struct Check {
  Pairs pairs;
  Moment moment;
};

struct Why {
  Pair pair;
  Moment moment;
};

// Who may hear a call.
struct Who {
  CallId call;
  Moment moment;
};

// Which calls a user may hear.
struct ListCalls {
  UserId user;
  std::vector<std::string> ways;  // by one of these; none: by any
  Moment moment;
};

// Who was given calls.
struct ListGrants {
  std::vector<CallId> calls;
};

using Question = std::variant<ChangeGrants, Check, Why, Who, ListCalls, ListGrants>;

struct Command {
  Server server;
  Question question;
  bool as_json = false;
};

}  // namespace earshot::client
