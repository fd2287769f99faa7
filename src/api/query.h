// The query string of a request: which parameters it may have, and what they say.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "core/entry.h"
#include "core/rules.h"
#include "store/changes.h"

namespace earshot::api {

// A set of parameters.
enum class Parameter : std::uint16_t {
  limit = 1,
  cursor = 2,
  at = 4,
  revision = 8,
  way = 16,
  after = 32,
  call_id = 64,
  user_id = 128,
  wait = 256,
};
using Parameters = std::uint16_t;
constexpr Parameters operator|(Parameter a, Parameter b) {
  return static_cast<Parameters>(static_cast<Parameters>(a) | static_cast<Parameters>(b));
}
constexpr Parameters operator|(Parameters a, Parameter b) {
  return static_cast<Parameters>(a | static_cast<Parameters>(b));
}

constexpr bool has(Parameters parameters, Parameter parameter) {
  return (parameters & static_cast<Parameters>(parameter)) != 0;
}

// How many a page of an answer lists.
inline constexpr std::size_t kPageLimitDefault = 100;
inline constexpr std::size_t kPageLimitMax = 1000;

// How long a request may wait for what it asks for, at most.
inline constexpr std::chrono::seconds kWaitMax{60};

struct Query {
  std::size_t limit = kPageLimitDefault;
  std::optional<std::string> cursor;  // as given
  std::optional<Time> at;
  std::optional<core::Revision> revision;
  core::Ways ways = core::kAllWays;  // those named; all where none is
  store::ChangesPosition after;
  std::optional<CallId> call;
  std::optional<UserId> user;
  std::chrono::seconds wait{0};
  Parameters given = 0;  // which parameters there were
};

// The decimal number of a revision: from 0, without sign or leading zero.
std::optional<core::Revision> parse_revision(std::string_view text);

// What is told of a text that should be a revision, or an id outside of JSON, and is none.
inline constexpr std::string_view kNoRevision = "must be a number from 0 to 9223372036854775807";
inline constexpr std::string_view kNoId =
    "must be a number from 1 to 9223372036854775807 without leading zeros";

// Up to where a reader of changes has come: "7", or "7.1000" within revision 7. Only what
// format_position() gives.
std::optional<store::ChangesPosition> parse_position(std::string_view text);
std::string format_position(const store::ChangesPosition& position);
inline constexpr std::string_view kNoPosition =
    "must be a position as next and id give it, such as 7 or 7.1000";

// Reads "limit=10&at=2026-03-01T10:00:00Z". Percent escapes are decoded; a plus sign stands for
// itself, since no value has spaces and times have plus signs. Each parameter may be given once,
// but `way`, which may come again and may list several with commas. Errors: invalid_argument, for
// the client, without a word of the text's own.
Result<Query> parse_query(std::string_view text, Parameters allowed);

}  // namespace earshot::api
