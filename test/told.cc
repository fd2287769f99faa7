#include "told.h"

namespace earshot::test {

std::string text_of(core::Refusal refusal) {
  switch (refusal) {
    case core::Refusal::none:
      return "";
    case core::Refusal::unknown_call:
      return "unknown call";
    case core::Refusal::unknown_user:
      return "unknown user";
    case core::Refusal::user_inactive:
      return "user inactive";
    case core::Refusal::grant_expired:
      return "grant expired";
    case core::Refusal::call_is_private:
      return "call is private";
    case core::Refusal::unknown_workspace:
      return "unknown workspace";
    case core::Refusal::no_profile_in_workspace:
      return "no profile in this workspace";
    case core::Refusal::profile_gives_no_calls:
      return "profile gives no calls";
    case core::Refusal::not_a_participant:
      return "not a participant";
    case core::Refusal::no_report_of_user:
      return "no participant reports to the user";
    case core::Refusal::user_has_no_manager:
      return "user has no manager";
    case core::Refusal::no_report_of_manager:
      return "no participant reports to the user's manager";
    case core::Refusal::no_report_of_a_team_lead:
      return "no participant reports to a team lead";
  }
  return "?";
}

Told told_by(const core::Explanation& why) {
  Told told;
  told.ways = why.ways;
  told.ways_if_active = why.ways_if_active;
  told.reason = text_of(why.refusal);
  if (core::has(why.ways, core::Way::individual)) told.grant = why.grant;
  told.expired_at = why.expired_at;
  const bool is_profile_told = core::has(why.ways, core::Way::profile) ||
                               why.refusal >= core::Refusal::profile_gives_no_calls;
  if (is_profile_told && why.profile) {
    told.profile = why.profile->id;
    told.chain = why.profile->chain;
  }
  return told;
}

std::string text_of(const Told& told) {
  std::string text = "ways " + std::to_string(told.ways) + "/" +
                     std::to_string(told.ways_if_active) + " reason '" + told.reason + "'";
  if (told.grant) text += " grant '" + told.grant->note + "'";
  if (told.profile) text += " profile " + to_string(*told.profile) + " by";
  for (const UserId user : told.chain) text += " " + to_string(user);
  if (told.expired_at) text += " expired at " + std::to_string(told.expired_at->micros);
  return text;
}

std::string text_of(core::PairOutcome outcome) {
  switch (outcome) {
    case core::PairOutcome::given:
      return "given";
    case core::PairOutcome::changed:
      return "changed";
    case core::PairOutcome::already:
      return "already";
    case core::PairOutcome::no_effect:
      return "no effect";
    case core::PairOutcome::removed:
      return "removed";
    case core::PairOutcome::not_found:
      return "not found";
    case core::PairOutcome::unknown_call:
      return "unknown call";
    case core::PairOutcome::unknown_user:
      return "unknown user";
  }
  return "?";
}

std::vector<PairTold> told_by(const std::vector<core::PairResult>& results) {
  std::vector<PairTold> told;
  for (const auto& one : results) {
    told.push_back({one.call, one.user, text_of(one.outcome), one.ways, one.grant});
  }
  return told;
}

std::string text_of(const std::vector<PairTold>& told) {
  std::string text;
  for (const PairTold& one : told) {
    text += to_string(one.call) + "/" + to_string(one.user) + " " + one.result + " ways " +
            std::to_string(one.ways);
    if (one.grant) text += " grant '" + one.grant->note + "'";
    text += "; ";
  }
  return text;
}

}  // namespace earshot::test
