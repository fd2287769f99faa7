// The query string of a request: which parameters it may have, and what they say.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "core/entry.h"
#include "core/rules.h"

namespace earshot::api {

// A set of parameters.
enum class Parameter : std::uint8_t { limit = 1, cursor = 2, at = 4, revision = 8, way = 16 };
using Parameters = std::uint8_t;
constexpr Parameters operator|(Parameter a, Parameter b) {
  return static_cast<Parameters>(static_cast<Parameters>(a) | static_cast<Parameters>(b));
}
constexpr Parameters operator|(Parameters a, Parameter b) {
  return static_cast<Parameters>(a | static_cast<Parameters>(b));
}

// How many a page of an answer lists.
inline constexpr std::size_t kPageLimitDefault = 100;
inline constexpr std::size_t kPageLimitMax = 1000;

struct Query {
  std::size_t limit = kPageLimitDefault;
  std::optional<std::string> cursor;  // as given
  std::optional<Time> at;
  std::optional<core::Revision> revision;
  core::Ways ways = core::kAllWays;  // those named; all where none is
};

// The decimal number of a revision: from 0, without sign or leading zero.
std::optional<core::Revision> parse_revision(std::string_view text);

// What is told of a text that should be a revision, or an id outside of JSON, and is none.
inline constexpr std::string_view kNoRevision = "must be a number from 0 to 9223372036854775807";
inline constexpr std::string_view kNoId =
    "must be a number from 1 to 9223372036854775807 without leading zeros";

// Reads "limit=10&at=2026-03-01T10:00:00Z". Percent escapes are decoded; a plus sign stands for
// itself, since no value has spaces and times have plus signs. Each parameter may be given once,
// but `way`, which may come again and may list several with commas. Errors: invalid_argument, for
// the client, without a word of the text's own.
Result<Query> parse_query(std::string_view text, Parameters allowed);

}  // namespace earshot::api
