// The commands that ask a server, as values: what the command line asks for. Carrying them out is
// in run.h.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
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

inline constexpr std::uint64_t kPositionChangesMax = (std::uint64_t{1} << 32) - 1;

// Up to where a reader of the record of changes has come: behind the whole revision, or behind its
// first `changes` changes.
struct Position {
  std::uint64_t revision = 0;
  std::optional<std::uint64_t> changes;  // absent: all; else 1 to kPositionChangesMax
  friend bool operator==(const Position&, const Position&) = default;
};

// "7" or "7.1000", as servers take it; nothing where it is neither.
std::optional<Position> parse_position(std::string_view text);
std::string to_string(const Position& position);

inline constexpr std::uint64_t kFollowedFrom = 10;  // revisions, where nothing else is said

// What changed: behind a position, or the last revisions, or all of the record. Never both of the
// first.
struct ListChanges {
  std::optional<Position> after{};
  std::optional<std::uint64_t> last{};
  std::optional<CallId> call{};  // only what concerns this call, and this user
  std::optional<UserId> user{};
  bool follows = false;  // and then what comes, until nobody reads on
};

// Requests that were refused.
struct ListRefusals {
  std::optional<std::uint64_t> limit{};
};

struct ListKeys {};

// A key of its own scopes, or one with those of the key that it replaces.
struct CreateKey {
  std::vector<std::string> scopes{};
  std::string replaces{};
  std::optional<std::chrono::seconds> overlap{};  // how long the replaced one goes on
  std::optional<Time> expires_at{};
};

struct RevokeKey {
  std::string access_key;
};

using Question = std::variant<ChangeGrants, Check, Why, Who, ListCalls, ListGrants, ListChanges,
                              ListRefusals, ListKeys, CreateKey, RevokeKey>;

struct Command {
  Server server;
  Question question;
  bool as_json = false;
};

}  // namespace earshot::client
