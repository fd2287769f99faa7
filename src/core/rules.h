// Who may hear a call, and by which ways. The one place that decides; pure. The rules and their sources stand in
// docs/api.md under "Ways of access".
#pragma once

#include <cstdint>

#include "core/directory.h"
#include "core/entry.h"

namespace earshot::core {

// A set of ways.
enum class Way : std::uint8_t { participant = 1, shared = 2, profile = 4, individual = 8 };
using Ways = std::uint8_t;

inline bool has(Ways ways, Way way) { return (ways & static_cast<Ways>(way)) != 0; }

// Every way by which the user would hear the call if active, at this moment. None for a call or user that is not
// there. REQUIRES: entry and directory are of one company at one revision.
Ways ways_as_if_active(const Directory& directory, const CallEntry& entry, UserId user, Time now);

// The same, but none at all for an inactive user: what a check answers.
Ways ways(const Directory& directory, const CallEntry& entry, UserId user, Time now);

// Whether a profile's rule covers the call for this user, privacy aside.
bool covers(const Directory& directory, const Directory::ProfileRule& rule, const CallFacts& call,
            UserId user);

}  // namespace earshot::core
