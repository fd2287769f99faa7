// Why a user may hear a call, or may not: what core/rules.h found, told with its reasons. Pure, as
// the rules are; it decides nothing itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/directory.h"
#include "core/entry_view.h"
#include "core/rules.h"
#include "core/types.h"

namespace earshot::core {

// What stands nearest in the way of access. Of several the first in this order is told.
enum class Refusal : std::uint8_t {
  none,  // there is access
  unknown_call,
  unknown_user,
  user_inactive,
  grant_expired,
  call_is_private,
  unknown_workspace,
  no_profile_in_workspace,
  profile_gives_no_calls,   // level none
  not_a_participant,        // level own
  no_report_of_user,        // nobody of the call stands under the user
  user_has_no_manager,      // or one who does not exist
  no_report_of_manager,     // nobody of the call stands under the user's manager
  no_report_of_a_team_lead  // nobody of the call stands under a team lead of the profile
};

// The profile that counts for a user in the workspace of a call, and how it covers the call.
struct ProfileSeen {
  ProfileId id;
  PermissionLevel level = PermissionLevel::none;
  bool covers = false;
  // From somebody of the call upwards, each the manager of the one before, to whom the profile
  // wants above them: the user, the user's manager or a team lead, who is the last. Of several the
  // participant with the lowest id, and the first lead above. Of level own the user alone; empty
  // for level all, and where the profile does not cover the call.
  std::vector<UserId> chain;
  // How many were left out before the last, where the chain is longer than kChainUsersMax.
  std::size_t chain_left_out = 0;
  std::optional<UserId> lead;  // the last of the chain, where it is there as a team lead
  // Where team leads were wanted above somebody of the call, and none is: those, ascending. They
  // are the directory's own.
  std::span<const UserId> wanted_leads;
};

// People have a few managers above them; a directory may say anything.
inline constexpr std::size_t kChainUsersMax = 100;

// Good as long as the directory that it was made from: see ProfileSeen::wanted_leads.
struct Explanation {
  Ways ways = 0;            // none while the user is inactive
  Ways ways_if_active = 0;  // the same for an active user
  Refusal refusal = Refusal::none;
  std::optional<Grant> grant;          // the live one
  std::optional<Time> expired_at;      // when the user's grant ended, where it has
  std::optional<ProfileSeen> profile;  // absent where the call is private too
};

// Explains a call to many users: what the tree of managers says of it is found once, so that each
// costs the same however many there are. Cheap to make, for one user too. Not thread-safe.
class CallExplainer {
 public:
  // REQUIRES: directory and entry outlive this, stay as they are, and are of one company at one
  // revision.
  CallExplainer(const Directory& directory, EntryView entry)
      : directory_(directory), entry_(entry), rules_(directory, entry) {}

  // As of this moment. Nothing is allocated where there is neither a note nor a chain to tell.
  Explanation explain(UserId user, Time now);

 private:
  ProfileSeen describe(const Finding& finding, UserId user) const;
  Refusal refusal_of(const Finding& finding) const;

  const Directory& directory_;
  const EntryView entry_;
  CallRules rules_;
};

// The same for one user.
Explanation explain(const Directory& directory, EntryView entry, UserId user, Time now);

}  // namespace earshot::core
