#include "core/rules.h"

#include <algorithm>
#include <concepts>
#include <span>

#include "base/assert.h"

namespace earshot::core {
namespace {

// Up to so many questions and participants, walking the tree for each is cheaper than remembering
// whom it reaches.
constexpr std::size_t kWalksMax = 4;
constexpr std::size_t kWalkersMax = 16;

// Whom the predicate holds of first above the people, of the first of them above whom it does.
template <std::predicate<UserId> Predicate>
std::optional<Standing> walk_upwards(const Directory& directory, std::span<const UserId> people,
                                     Predicate&& holds) {
  for (const UserId p : people) {
    Standing standing{p, {}, 0};
    const bool is_found = directory.any_upwards(p, [&](UserId superior) {
      standing.superior = superior;
      if (holds(superior)) return true;
      ++standing.steps;
      return false;
    });
    if (is_found) return standing;
  }
  return std::nullopt;
}

}  // namespace

Ways ways_as_if_active(const Directory& directory, EntryView entry, UserId user, Time now) {
  return CallRules(directory, entry).find(user, now).ways_if_active;
}

Ways ways(const Directory& directory, EntryView entry, UserId user, Time now) {
  return CallRules(directory, entry).find(user, now).ways();
}

Finding CallRules::find(UserId user, Time now) {
  Finding finding;
  finding.member = directory_.find_user(user);
  if (finding.member == nullptr || !entry_.has_call()) return finding;
  unsigned ways = 0;
  const auto add = [&ways](Way way) { ways |= static_cast<unsigned>(way); };
  if (std::ranges::binary_search(entry_.participants(), user)) add(Way::participant);
  if (entry_.is_shared_with(user)) add(Way::shared);
  finding.grant_expires_at = entry_.find_expiry(user);
  if (finding.grant_expires_at && is_live(*finding.grant_expires_at, now)) add(Way::individual);
  if (!entry_.is_private()) {
    finding.rule = directory_.find_profile_in(*finding.member, entry_.workspace());
    if (finding.rule != nullptr && covers(finding, user)) add(Way::profile);
  }
  finding.ways_if_active = static_cast<Ways>(ways);
  return finding;
}

bool CallRules::covers(Finding& finding, UserId user) {
  const Directory::ProfileRule& rule = *finding.rule;
  switch (rule.level) {
    case PermissionLevel::none:
      return false;
    case PermissionLevel::own:
      return std::ranges::binary_search(entry_.participants(), user);
    case PermissionLevel::report_to_them:
      finding.standing = rule.team_leads.empty() ? find_under(user) : find_under_lead(rule);
      return finding.standing.has_value();
    case PermissionLevel::managers_team:
      finding.standing =
          rule.team_leads.empty() ? find_under(finding.member->manager) : find_under_lead(rule);
      return finding.standing.has_value();
    case PermissionLevel::all:
      return true;
  }
  ASSERT(false);
}

std::optional<Standing> CallRules::find_under(UserId superior) {
  if (is_one_of_many()) {
    find_superiors();
    const auto found = superiors_.find(superior);
    return found == superiors_.end() ? std::nullopt : std::optional(found->second);
  }
  return walk_upwards(directory_, entry_.participants(),
                      [superior](UserId user) { return user == superior; });
}

// The same for every user who has the profile, so it is found once for each.
std::optional<Standing> CallRules::find_under_lead(const Directory::ProfileRule& rule) {
  const auto& leads = rule.team_leads;
  if (!is_one_of_many()) {
    return walk_upwards(directory_, entry_.participants(),
                        [&leads](UserId user) { return std::ranges::binary_search(leads, user); });
  }
  const auto [place, is_new] = led_.try_emplace(&rule);
  if (is_new) {
    find_superiors();
    // As walking finds it: of the first participant who has one above, the lead that comes first.
    const auto comes_before = [](const Standing& a, const Standing& b) {
      return a.participant != b.participant ? a.participant < b.participant : a.steps < b.steps;
    };
    for (const UserId lead : leads) {
      const auto found = superiors_.find(lead);
      if (found == superiors_.end()) continue;
      if (!place->second || comes_before(found->second, *place->second)) {
        place->second = found->second;
      }
    }
  }
  return place->second;
}

// Whether the next question is better answered from what is remembered.
bool CallRules::is_one_of_many() {
  return superiors_found_ || ++questions_ > kWalksMax || entry_.participants().size() > kWalkersMax;
}

void CallRules::find_superiors() {
  if (superiors_found_) return;
  for (const UserId p : entry_.participants()) {
    Standing standing{p, {}, 0};
    // Above somebody seen before there is nobody new, so every user is visited once.
    directory_.any_upwards(p, [&](UserId user) {
      standing.superior = user;
      const bool is_new = superiors_.try_emplace(user, standing).second;
      ++standing.steps;
      return !is_new;
    });
  }
  superiors_found_ = true;
}

}  // namespace earshot::core
