#include "core/rules.h"

#include <algorithm>

#include "base/assert.h"

namespace earshot::core {
namespace {

// Up to so many questions and participants, walking the tree for each is cheaper than remembering
// whom it reaches.
constexpr std::size_t kWalksMax = 4;
constexpr std::size_t kWalkersMax = 16;

bool is_participant(const CallFacts& call, UserId user) {
  return std::binary_search(call.participants.begin(), call.participants.end(), user);
}

}  // namespace

Ways ways_as_if_active(const Directory& directory, const CallEntry& entry, UserId user, Time now) {
  return CallRules(directory, entry).ways_as_if_active(user, now);
}

Ways ways(const Directory& directory, const CallEntry& entry, UserId user, Time now) {
  return CallRules(directory, entry).ways(user, now);
}

bool covers(const Directory& directory, const Directory::ProfileRule& rule, const CallFacts& call,
            UserId user) {
  CallEntry entry;
  entry.call = call;
  return CallRules(directory, entry).covers(rule, user);
}

Ways CallRules::ways_as_if_active(UserId user, Time now) {
  const Directory::Member* const member = directory_.find_user(user);
  return member == nullptr ? Ways{} : ways_of(user, *member, now);
}

Ways CallRules::ways(UserId user, Time now) {
  const Directory::Member* const member = directory_.find_user(user);
  return member == nullptr || !member->active ? Ways{} : ways_of(user, *member, now);
}

Ways CallRules::ways_of(UserId user, const Directory::Member& member, Time now) {
  if (!entry_.call) return {};
  const CallFacts& call = *entry_.call;
  unsigned found = 0;
  const auto add = [&found](Way way) { found |= static_cast<unsigned>(way); };
  if (is_participant(call, user)) add(Way::participant);
  if (entry_.find_share(user) != nullptr) add(Way::shared);
  const GrantRow* const grant = entry_.find_grant(user);
  if (grant != nullptr && is_live(*grant, now)) add(Way::individual);
  if (!call.is_private) {
    const auto* const rule = directory_.find_profile_in(member, call.workspace);
    if (rule != nullptr && covers(*rule, user)) add(Way::profile);
  }
  return static_cast<Ways>(found);
}

bool CallRules::covers(const Directory::ProfileRule& rule, UserId user) {
  ASSERT(entry_.call);
  switch (rule.level) {
    case PermissionLevel::none:
      return false;
    case PermissionLevel::own:
      return is_participant(*entry_.call, user);
    case PermissionLevel::report_to_them:
      if (!rule.team_leads.empty()) return some_participant_stands_under_lead(rule);
      return some_participant_stands_under(user);
    case PermissionLevel::managers_team: {
      if (!rule.team_leads.empty()) return some_participant_stands_under_lead(rule);
      const Directory::Member* const member = directory_.find_user(user);
      return member != nullptr && some_participant_stands_under(member->manager);
    }
    case PermissionLevel::all:
      return true;
  }
  ASSERT(false);
}

bool CallRules::some_participant_stands_under(UserId superior) {
  const auto& people = entry_.call->participants;
  if (!superiors_found_ && (++questions_ > kWalksMax || people.size() > kWalkersMax)) {
    find_superiors();
  }
  if (superiors_found_) return superiors_.contains(superior);
  return std::any_of(people.begin(), people.end(),
                     [&](UserId p) { return directory_.stands_under(p, superior); });
}

// The same for every user who has the profile, so it is found once for each.
bool CallRules::some_participant_stands_under_lead(const Directory::ProfileRule& rule) {
  const auto [place, is_new] = led_.try_emplace(&rule, false);
  if (is_new) {
    const auto& leads = rule.team_leads;
    const auto is_lead = [&leads](UserId user) {
      return std::binary_search(leads.begin(), leads.end(), user);
    };
    const auto& people = entry_.call->participants;
    if (!superiors_found_ && people.size() > kWalkersMax) find_superiors();
    place->second = superiors_found_ ? std::any_of(superiors_.begin(), superiors_.end(), is_lead)
                                     : std::any_of(people.begin(), people.end(), [&](UserId p) {
                                         return directory_.any_upwards(p, is_lead);
                                       });
  }
  return place->second;
}

void CallRules::find_superiors() {
  for (const UserId p : entry_.call->participants) {
    // Above somebody seen before there is nobody new, so every user is visited once.
    directory_.any_upwards(p, [this](UserId user) { return !superiors_.insert(user).second; });
  }
  superiors_found_ = true;
}

}  // namespace earshot::core
