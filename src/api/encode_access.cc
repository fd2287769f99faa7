#include "api/encode_access.h"

#include <algorithm>
#include <optional>
#include <span>

#include "api/results.h"
#include "base/assert.h"
#include "base/time.h"
#include "records/writer.h"

namespace earshot::api {
namespace {

using core::Explanation;
using core::Way;

constexpr std::size_t kIdBytesMax = kIdDigitsMax + 3;  // with quotes and a comma

std::string begin_answer(std::string_view request_id, const store::AsOf& as_of) {
  std::string text = R"({"requestId":")";
  text += request_id;
  text += R"(","revision":)";
  append_number(text, as_of.revision);
  text += R"(,"at":")";
  text += format_time(as_of.time);
  text += '"';
  return text;
}

void write_ids(GrowingPen& pen, std::span<const UserId> ids) {
  pen.make_room(ids.size() * kIdBytesMax + kResultBytesMax);
  pen.write("[");
  for (std::size_t i = 0; i < ids.size(); ++i) {
    pen.write_comma_if(i > 0);
    pen.write("\"");
    pen.write(ids[i].value);
    pen.write("\"");
  }
  pen.write("]");
}

// REQUIRES: the pen has room for kResultBytesMax. It has again behind what makes its own.
void write_profile_begin(GrowingPen& pen, const core::ProfileSeen& profile) {
  pen.write(R"("profileId":")");
  pen.write(profile.id.value);
  pen.write(R"(","permissionLevel":")");
  pen.write(records::name_of(profile.level));
  pen.write("\"");
}

void write_profile_way(GrowingPen& pen, const core::ProfileSeen& profile) {
  pen.write(R"({"way":"profile",)");
  write_profile_begin(pen, profile);
  pen.write(R"(,"chain":)");
  write_ids(pen, profile.chain);
  if (profile.chain_left_out > 0) {
    pen.write(R"(,"chainLeftOut":)");
    pen.write(profile.chain_left_out);
  }
  if (profile.lead) {
    pen.write(R"(,"leadId":")");
    pen.write(profile.lead->value);
    pen.write("\"");
  }
  pen.write("}");
}

void write_individual_way(GrowingPen& pen, const core::Grant& grant) {
  pen.write(R"({"way":"individual")");
  if (grant.expires_at) {
    pen.write(R"(,"expiresAt":)");
    write_time(pen, *grant.expires_at);
  }
  if (!grant.note.empty()) {
    pen.write(R"(,"note":)");
    pen.write_string(grant.note);
    pen.make_room(kResultBytesMax);
  }
  pen.write("}");
}

void write_ways(GrowingPen& pen, const Explanation& explanation) {
  pen.write("[");
  bool is_first = true;
  for (const Way way : kWaysInOrder) {
    if (!core::has(explanation.ways, way)) continue;
    pen.write_comma_if(!std::exchange(is_first, false));
    switch (way) {
      case Way::individual:
        write_individual_way(pen, *explanation.grant);
        break;
      case Way::shared:
        pen.write(R"({"way":"shared"})");
        break;
      case Way::participant:
        pen.write(R"({"way":"participant"})");
        break;
      case Way::profile:
        write_profile_way(pen, *explanation.profile);
        break;
    }
  }
  pen.write("]");
}

void write_refusal(GrowingPen& pen, const Explanation& explanation) {
  pen.write(R"("allowed":false,"reason":")");
  pen.write(name_of(explanation.refusal));
  pen.write(R"(","ways":[])");
  if (explanation.profile && !explanation.profile->covers) {
    const core::ProfileSeen& profile = *explanation.profile;
    pen.write(R"(,"profile":{)");
    write_profile_begin(pen, profile);
    if (!profile.wanted_leads.empty()) {
      const std::size_t named = std::min(profile.wanted_leads.size(), kLeadsNamedMax);
      pen.write(R"(,"teamLeadIds":)");
      write_ids(pen, profile.wanted_leads.first(named));
      if (named < profile.wanted_leads.size()) {
        pen.write(R"(,"teamLeadsLeftOut":)");
        pen.write(profile.wanted_leads.size() - named);
      }
    }
    pen.write("}");
  }
  if (explanation.expired_at) {
    pen.write(R"(,"expiredAt":)");
    write_time(pen, *explanation.expired_at);
  }
  if (explanation.refusal == core::Refusal::user_inactive) {
    pen.write(R"(,"waysIfActive":)");
    write_way_names(pen, explanation.ways_if_active);
  }
}

void write_result(GrowingPen& pen, const service::Pair& pair, const Explanation& explanation) {
  pen.make_room(kResultBytesMax);
  pen.write(R"({"callId":")");
  pen.write(pair.call.value);
  pen.write(R"(","userId":")");
  pen.write(pair.user.value);
  pen.write(R"(",)");
  if (explanation.ways != 0) {
    pen.write(R"("allowed":true,"ways":)");
    write_ways(pen, explanation);
  } else {
    write_refusal(pen, explanation);
  }
  pen.write("}");
}

std::string end_page(std::size_t size, std::string_view cursor) {
  std::string text = R"(],"records":{"currentPageSize":)";
  append_number(text, size);
  if (!cursor.empty()) {
    text += R"(,"cursor":")";
    text += cursor;
    text += '"';
  }
  text += "}}";
  return text;
}

template <class IdType>
std::vector<std::pair<std::uint64_t, Explanation>> plain_items(
    std::vector<std::pair<IdType, Explanation>> items) {
  std::vector<std::pair<std::uint64_t, Explanation>> plain;
  plain.reserve(items.size());
  for (auto& [id, explanation] : items) plain.emplace_back(id.value, std::move(explanation));
  return plain;
}

}  // namespace

std::string_view name_of(core::Refusal refusal) {
  switch (refusal) {
    case core::Refusal::none:
      break;
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
  ASSERT(false);
}

CheckEncoder::CheckEncoder(std::string_view request_id, std::vector<service::Pair> pairs,
                           service::CheckAnswer answer)
    : head_(begin_answer(request_id, answer.as_of) + R"(,"results":[)"),
      pairs_(std::move(pairs)),
      answer_(std::move(answer)) {
  ASSERT(pairs_.size() == answer_.explanations.size());
}

bool CheckEncoder::append(std::string& out, std::size_t size) {
  return append_items(out, size, head_, "]}", next_, pairs_.size(),
                      [&](GrowingPen& pen, std::size_t i) {
                        write_result(pen, pairs_[i], answer_.explanations[i]);
                      });
}

PageEncoder::PageEncoder(std::string_view request_id, CallId call, service::CallPage page,
                         std::string_view cursor)
    : head_(begin_answer(request_id, page.as_of) + R"(,"callId":")" + to_string(call) +
            R"(","users":[)"),
      tail_(end_page(page.users.size(), cursor)),
      item_begin_(R"({"userId":")"),
      directory_(std::move(page.directory)),
      items_(plain_items(std::move(page.users))) {}

PageEncoder::PageEncoder(std::string_view request_id, UserId user, service::UserPage page,
                         std::string_view cursor)
    : head_(begin_answer(request_id, page.as_of) + R"(,"userId":")" + to_string(user) +
            (page.is_active ? R"(","calls":[)" : R"(","reason":"user inactive","calls":[)")),
      tail_(end_page(page.calls.size(), cursor)),
      item_begin_(R"({"callId":")"),
      directory_(std::move(page.directory)),
      items_(plain_items(std::move(page.calls))) {}

bool PageEncoder::append(std::string& out, std::size_t size) {
  return append_items(out, size, head_, tail_, next_, items_.size(),
                      [&](GrowingPen& pen, std::size_t i) {
                        pen.write(item_begin_);
                        pen.write(items_[i].first);
                        pen.write(R"(","ways":)");
                        write_ways(pen, items_[i].second);
                        pen.write("}");
                      });
}

}  // namespace earshot::api
