// What a command changes: pure functions of what was loaded. Both stores run them, inside their
// commit. No I/O, no clock, no JSON; the time comes in as a value.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "core/directory.h"
#include "core/entry.h"
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

using Decision = std::variant<std::vector<GrantChange>, UnknownCalls, UnknownUsers>;

// PUT: gives an individual grant to every user who has no access in any way, judged as if active. A
// live grant stays as it is; an expired one is replaced by one without expiry. Changes come in the
// order of the calls, users ascending. REQUIRES: calls are distinct; entries[i] is the entry of
// calls[i].
Decision decide_give(std::span<const CallUsers> calls, std::span<const EntryPtr> entries,
                     const Directory& directory, Time now);

// DELETE: takes live individual grants alone. Users that are unknown or have none are no error.
Decision decide_remove(std::span<const CallUsers> calls, std::span<const EntryPtr> entries,
                       Time now);

}  // namespace earshot::core
