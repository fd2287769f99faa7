#include "core/explain.h"

#include <algorithm>

#include "base/assert.h"

namespace earshot::core {
namespace {

// Why a profile that does not cover the call does not.
Refusal refusal_of_level(const Directory& directory, const Finding& finding) {
  const Directory::ProfileRule& rule = *finding.rule;
  const bool wants_leads = !rule.team_leads.empty();
  switch (rule.level) {
    case PermissionLevel::none:
      return Refusal::profile_gives_no_calls;
    case PermissionLevel::own:
      return Refusal::not_a_participant;
    case PermissionLevel::report_to_them:
      return wants_leads ? Refusal::no_report_of_a_team_lead : Refusal::no_report_of_user;
    case PermissionLevel::managers_team:
      if (wants_leads) return Refusal::no_report_of_a_team_lead;
      return directory.find_user(finding.member->manager) == nullptr
                 ? Refusal::user_has_no_manager
                 : Refusal::no_report_of_manager;
    case PermissionLevel::all:
      break;  // covers every call
  }
  ASSERT(false);
}

// The users from the lower to the upper end, as ProfileSeen::chain has them.
void put_chain(const Directory& directory, const Standing& standing, ProfileSeen& seen) {
  const std::size_t length = standing.steps + 1;
  const std::size_t told = std::min(length, kChainUsersMax);
  seen.chain_left_out = length - told;
  seen.chain.reserve(told);
  UserId user = standing.participant;
  while (seen.chain.size() + 1 < told) {
    seen.chain.push_back(user);
    user = directory.find_user(user)->manager;
  }
  seen.chain.push_back(standing.superior);
}

}  // namespace

Explanation CallExplainer::explain(UserId user, Time now) {
  const Finding finding = rules_.find(user, now);
  Explanation explanation;
  explanation.ways = finding.ways();
  explanation.ways_if_active = finding.ways_if_active;
  if (has(finding.ways_if_active, Way::individual)) {
    explanation.grant = entry_.find_grant(user);
  } else {
    explanation.expired_at = finding.grant_expires_at;
  }
  if (finding.rule != nullptr) explanation.profile = describe(finding, user);
  if (explanation.ways == 0) explanation.refusal = refusal_of(finding);
  return explanation;
}

ProfileSeen CallExplainer::describe(const Finding& finding, UserId user) const {
  const Directory::ProfileRule& rule = *finding.rule;
  ProfileSeen seen;
  seen.id = rule.id;
  seen.level = rule.level;
  seen.covers = has(finding.ways_if_active, Way::profile);
  const bool goes_by_leads =
      !rule.team_leads.empty() && (rule.level == PermissionLevel::report_to_them ||
                                   rule.level == PermissionLevel::managers_team);
  if (!seen.covers) {
    if (goes_by_leads) seen.wanted_leads = rule.team_leads;
  } else if (rule.level == PermissionLevel::own) {
    seen.chain = {user};
  } else if (finding.standing) {
    put_chain(directory_, *finding.standing, seen);
    if (goes_by_leads) seen.lead = finding.standing->superior;
  }
  return seen;
}

Refusal CallExplainer::refusal_of(const Finding& finding) const {
  if (!entry_.has_call()) return Refusal::unknown_call;
  if (finding.member == nullptr) return Refusal::unknown_user;
  if (!finding.member->active) return Refusal::user_inactive;
  if (finding.grant_expires_at) return Refusal::grant_expired;
  if (entry_.is_private()) return Refusal::call_is_private;
  if (!directory_.has_workspace(entry_.workspace())) return Refusal::unknown_workspace;
  if (finding.rule == nullptr) return Refusal::no_profile_in_workspace;
  return refusal_of_level(directory_, finding);
}

Explanation explain(const Directory& directory, EntryView entry, UserId user, Time now) {
  return CallExplainer(directory, entry).explain(user, now);
}

}  // namespace earshot::core
