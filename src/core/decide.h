// What a command changes: pure functions of what was loaded. Both stores run them, inside their
// commit. No I/O, no clock, no JSON; the time comes in as a value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "core/directory.h"
#include "core/entry.h"
#include "core/rules.h"
#include "core/types.h"

namespace earshot::core {

// The users to be given one call, or to lose it.
struct CallUsers {
  CallId call;
  std::vector<UserId> users;  // ascending, distinct
  friend bool operator==(const CallUsers&, const CallUsers&) = default;
};

// One pair's grant before and after; absent is no grant. An expired grant that is replaced stands
// in `before`.
struct GrantChange {
  std::size_t call_index = 0;  // into the command's calls
  UserId user;
  std::optional<Grant> before;
  std::optional<Grant> after;
  friend bool operator==(const GrantChange&, const GrantChange&) = default;
};

// A command refused because of what is, or is not, in the company. Nothing was changed.
struct UnknownCalls {
  std::vector<CallId> ids;  // in the order named
  friend bool operator==(const UnknownCalls&, const UnknownCalls&) = default;
};
struct UnknownUsers {
  std::vector<UserId> ids;  // ascending, distinct
  friend bool operator==(const UnknownUsers&, const UnknownUsers&) = default;
};

// What only a request with results can be refused for.
struct PastExpiries {
  std::vector<std::size_t> pairs;  // as the command names them: call after call, users ascending
  friend bool operator==(const PastExpiries&, const PastExpiries&) = default;
};
struct ChangedCalls {
  std::vector<CallId> ids;  // in the order named
  friend bool operator==(const ChangedCalls&, const ChangedCalls&) = default;
};
struct TooManyGrants {
  std::size_t count = 0;  // that all of a user or call come to
  friend bool operator==(const TooManyGrants&, const TooManyGrants&) = default;
};

using Decision = std::variant<std::vector<GrantChange>, UnknownCalls, UnknownUsers, PastExpiries,
                              ChangedCalls, TooManyGrants>;

// What a request with results came to for one pair.
enum class PairOutcome : std::uint8_t {
  given,      // there was no live grant and no other way
  changed,    // a live grant said something else
  already,    // a live grant says exactly this
  no_effect,  // no live grant, and another way holds: nothing was given
  removed,
  not_found,  // no live grant to remove
  unknown_call,
  unknown_user,
};
struct PairResult {
  CallId call;
  UserId user;
  PairOutcome outcome = PairOutcome::given;
  Ways ways = 0;               // where there was no effect: those that hold, judged as if active
  std::optional<Grant> grant;  // as it stands now, where it was given, changed or there already
  friend bool operator==(const PairResult&, const PairResult&) = default;
};
struct DecisionWithResults {
  Decision decision;
  std::vector<PairResult> results;  // of each pair, in the command's order; none of a refusal
};

// PUT: gives an individual grant to every user who has no access in any way, judged as if active. A
// live grant stays as it is; an expired one is replaced by one without expiry. Changes come in the
// order of the calls, users ascending. REQUIRES: calls are distinct; entries[i] is the entry of
// calls[i].
Decision decide_give(std::span<const CallUsers> calls, std::span<const EntryPtr> entries,
                     const Directory& directory, Time now);

// DELETE: takes live individual grants alone. Users that are unknown or have none are no error.
Decision decide_remove(std::span<const CallUsers> calls, std::span<const EntryPtr> entries,
                       Time now);

// The same with a result for each pair, where an unknown call or user is one: it stops nobody else.
// `terms` are what the grants are to say, one for each pair; none: no expiry, no note. A live grant
// is changed to exactly its terms. Refused whole: terms that have expired already.
DecisionWithResults decide_give_with_results(std::span<const CallUsers> calls,
                                             std::span<const Grant> terms,
                                             std::span<const EntryPtr> entries,
                                             const Directory& directory, Time now);
DecisionWithResults decide_remove_with_results(std::span<const CallUsers> calls,
                                               std::span<const EntryPtr> entries,
                                               const Directory& directory, Time now);

}  // namespace earshot::core
