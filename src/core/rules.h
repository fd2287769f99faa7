// Who may hear a call, and by which ways. The one place that decides; pure. The rules and their
// sources stand in docs/api.md under "Ways of access".
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

#include "core/directory.h"
#include "core/entry_view.h"

namespace earshot::core {

// A set of ways.
enum class Way : std::uint8_t { participant = 1, shared = 2, profile = 4, individual = 8 };
using Ways = std::uint8_t;
inline constexpr Ways kAllWays = 15;

inline bool has(Ways ways, Way way) { return (ways & static_cast<Ways>(way)) != 0; }

// Somebody of a call stands under somebody.
struct Standing {
  UserId participant;     // of several the one with the lowest id
  UserId superior;        // under whom; the participant too, with no steps
  std::size_t steps = 0;  // from manager to manager between the two
  friend bool operator==(const Standing&, const Standing&) = default;
};

// What the rules find of one user and one call.
struct Finding {
  const Directory::Member* member = nullptr;  // null: there is no such user
  // Every way that holds for the user if active. None for a call or user that is not there.
  Ways ways_if_active = 0;
  // When the user's grant ends or ended; nothing without a grant, or without a call or user.
  std::optional<Time> grant_expires_at;
  // Of the profile that counts for the user in the call's workspace; null where there is none, and
  // where the call is private.
  const Directory::ProfileRule* rule = nullptr;
  // What makes the rule cover the call, where that is the tree of managers.
  std::optional<Standing> standing;

  // None at all for an inactive user: what a check answers.
  Ways ways() const { return member != nullptr && member->active ? ways_if_active : Ways{}; }
};

// Asks the rules about many users of one call: what the tree of managers says of the call is found
// once, so that each user costs the same however many there are. Cheap to make, for one question
// too; the first few allocate nothing. Not thread-safe.
class CallRules {
 public:
  // REQUIRES: directory and entry outlive this, stay as they are, and are of one company at one
  // revision.
  CallRules(const Directory& directory, EntryView entry) : directory_(directory), entry_(entry) {}

  // As of this moment.
  Finding find(UserId user, Time now);

 private:
  bool covers(Finding& finding, UserId user);
  std::optional<Standing> find_under(UserId superior);
  std::optional<Standing> find_under_lead(const Directory::ProfileRule& rule);
  bool is_one_of_many();
  void find_superiors();

  const Directory& directory_;
  const EntryView entry_;
  std::size_t questions_ = 0;  // about the tree, answered by walking it
  bool superiors_found_ = false;
  // Under whom somebody of the call stands.
  boost::unordered_flat_map<UserId, Standing, std::hash<UserId>> superiors_;
  boost::unordered_flat_map<const Directory::ProfileRule*, std::optional<Standing>> led_;
};

// Every way by which the user would hear the call if active, at this moment. None for a call or
// user that is not there. REQUIRES: entry and directory are of one company at one revision.
Ways ways_as_if_active(const Directory& directory, EntryView entry, UserId user, Time now);

// The same, but none at all for an inactive user: what a check answers.
Ways ways(const Directory& directory, EntryView entry, UserId user, Time now);

}  // namespace earshot::core
