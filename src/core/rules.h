// Who may hear a call, and by which ways. The one place that decides; pure. The rules and their
// sources stand in docs/api.md under "Ways of access".
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <unordered_set>

#include "core/directory.h"
#include "core/entry.h"

namespace earshot::core {

// A set of ways.
enum class Way : std::uint8_t { participant = 1, shared = 2, profile = 4, individual = 8 };
using Ways = std::uint8_t;
inline constexpr Ways kAllWays = 15;

inline bool has(Ways ways, Way way) { return (ways & static_cast<Ways>(way)) != 0; }

// Every way by which the user would hear the call if active, at this moment. None for a call or
// user that is not there. REQUIRES: entry and directory are of one company at one revision.
Ways ways_as_if_active(const Directory& directory, const CallEntry& entry, UserId user, Time now);

// The same, but none at all for an inactive user: what a check answers.
Ways ways(const Directory& directory, const CallEntry& entry, UserId user, Time now);

// Whether a profile's rule covers the call for this user, privacy aside.
bool covers(const Directory& directory, const Directory::ProfileRule& rule, const CallFacts& call,
            UserId user);

// Asks the rules about many users of one call: what the tree of managers says of the call is found
// once, so that each user costs the same however many there are. Cheap to make, for one question
// too. Not thread-safe.
class CallRules {
 public:
  // REQUIRES: directory and entry outlive this, stay as they are, and are of one company at one
  // revision.
  CallRules(const Directory& directory, const CallEntry& entry)
      : directory_(directory), entry_(entry) {}

  // As the functions of the same names.
  Ways ways_as_if_active(UserId user, Time now);
  Ways ways(UserId user, Time now);
  // Whether a profile's rule covers the call for this user, privacy aside. REQUIRES: the entry has
  // a call.
  bool covers(const Directory::ProfileRule& rule, UserId user);

 private:
  Ways ways_of(UserId user, const Directory::Member& member, Time now);
  bool some_participant_stands_under(UserId superior);
  bool some_participant_stands_under_lead(const Directory::ProfileRule& rule);
  void find_superiors();

  const Directory& directory_;
  const CallEntry& entry_;
  std::size_t questions_ = 0;  // about the tree, answered by walking it
  bool superiors_found_ = false;
  std::unordered_set<UserId> superiors_;  // under whom some participant stands
  std::unordered_map<const Directory::ProfileRule*, bool> led_;
};

}  // namespace earshot::core
