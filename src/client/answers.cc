#include "client/answers.h"

#include <algorithm>

#include "client/members.h"

namespace earshot::client {
namespace {

using namespace members;

Result<AsOf> decode_as_of(const json::object& object) {
  AsOf as_of;
  as_of.revision = TRY(required(object, "revision", as_number));
  as_of.time = TRY(required(object, "at", as_time));
  return as_of;
}

Result<Way> decode_way(const json::object& object) {
  Way way;
  way.name = TRY(required(object, "way", as_text));
  way.expires_at = TRY(optional(object, "expiresAt", as_time));
  way.note = TRY(optional(object, "note", as_text)).value_or("");
  way.profile = TRY(optional(object, "profileId", as_id<ProfileId>));
  way.level = TRY(optional(object, "permissionLevel", as_text)).value_or("");
  way.chain = TRY(list(object, "chain", as_id<UserId>));
  way.left_out = TRY(optional(object, "chainLeftOut", as_number)).value_or(0);
  way.lead = TRY(optional(object, "leadId", as_id<UserId>));
  return way;
}

Result<std::vector<Way>> decode_ways(const json::object& object) {
  std::vector<Way> ways;
  for (const auto* way : TRY(required_list(object, "ways", as_object))) {
    ways.push_back(TRY(decode_way(*way)));
  }
  return ways;
}

Result<Pair> decode_pair(const json::object& object) {
  Pair pair;
  pair.user = TRY(required(object, "userId", as_id<UserId>));
  pair.call = TRY(required(object, "callId", as_id<CallId>));
  return pair;
}

Result<Finding> decode_finding(const json::object& object) {
  Finding finding;
  finding.pair = TRY(decode_pair(object));
  finding.allowed = TRY(required(object, "allowed", as_bool));
  finding.ways = TRY(decode_ways(object));
  if (finding.allowed) {
    if (finding.ways.empty()) return not_understood("ways");
    return finding;
  }
  finding.reason = TRY(required(object, "reason", as_text));
  if (const auto profile = TRY(optional(object, "profile", as_object))) {
    finding.profile = Profile{TRY(required(**profile, "profileId", as_id<ProfileId>)),
                              TRY(required(**profile, "permissionLevel", as_text)),
                              TRY(list(**profile, "teamLeadIds", as_id<UserId>)),
                              TRY(optional(**profile, "teamLeadsLeftOut", as_number)).value_or(0)};
  }
  finding.expired_at = TRY(optional(object, "expiredAt", as_time));
  finding.ways_if_active = TRY(list(object, "waysIfActive", as_text));
  return finding;
}

// A page whose items have the id of the other side.
template <class IdType, class Take>
Result<Page> decode_page(std::string_view body, std::string_view items, std::string_view id,
                         Take take) {
  const json::object object = TRY(decode_answer(body));
  Page page;
  page.as_of = TRY(decode_as_of(object));
  for (const auto* item : TRY(required_list(object, items, as_object))) {
    Finding finding;
    finding.pair = take(TRY(required(*item, id, as_id<IdType>)));
    finding.allowed = true;
    finding.ways = TRY(decode_ways(*item));
    page.findings.push_back(std::move(finding));
  }
  page.reason = TRY(optional(object, "reason", as_text)).value_or("");
  page.cursor = TRY(optional(*TRY(required(object, "records", as_object)), "cursor", as_text));
  return page;
}

}  // namespace

Result<CheckAnswer> decode_check(std::string_view body) {
  const json::object object = TRY(decode_answer(body));
  CheckAnswer answer;
  answer.as_of = TRY(decode_as_of(object));
  for (const auto* result : TRY(required_list(object, "results", as_object))) {
    answer.findings.push_back(TRY(decode_finding(*result)));
  }
  return answer;
}

Result<Page> decode_call_page(std::string_view body, CallId call) {
  return decode_page<UserId>(body, "users", "userId", [call](UserId user) {
    return Pair{user, call};
  });
}

Result<Page> decode_user_page(std::string_view body, UserId user) {
  return decode_page<CallId>(body, "calls", "callId", [user](CallId call) {
    return Pair{user, call};
  });
}

Result<GrantsAnswer> decode_grants(std::string_view body) {
  const json::object object = TRY(decode_answer(body));
  GrantsAnswer answer;
  answer.request_id = TRY(required(object, "requestId", as_text));
  answer.revision = TRY(required(object, "revision", as_number));
  for (const auto* item : TRY(required_list(object, "results", as_object))) {
    GrantResult result;
    result.pair = TRY(decode_pair(*item));
    result.result = TRY(required(*item, "result", as_text));
    result.ways = TRY(list(*item, "ways", as_text));
    result.expires_at = TRY(optional(*item, "expiresAt", as_time));
    result.note = TRY(optional(*item, "note", as_text)).value_or("");
    answer.results.push_back(std::move(result));
  }
  return answer;
}

Result<std::vector<Pair>> decode_listed(std::string_view body) {
  const json::object object = TRY(decode_answer(body));
  std::vector<Pair> pairs;
  for (const auto* item : TRY(required_list(object, "callAccessList", as_object))) {
    const CallId call = TRY(required(*item, "callId", as_id<CallId>));
    for (const auto* user : TRY(required_list(*item, "users", as_object))) {
      pairs.push_back({TRY(required(*user, "userId", as_id<UserId>)), call});
    }
  }
  return pairs;
}

Problem decode_problem(std::string_view body) {
  Problem problem;
  const auto object = parse_object(body);
  if (!object) return problem;
  if (auto id = optional(*object, "requestId", as_text); id && *id) problem.request_id = **id;
  if (auto errors = list(*object, "errors", as_text)) problem.errors = std::move(*errors);
  return problem;
}

Result<Pair> parse_pair(std::string_view line) {
  const auto bad = [] {
    return invalid_argument("give a user's id and a call's, as 34 7782342274025937895");
  };
  if (line.starts_with('{')) {
    const auto object = parse_object(line);
    if (!object) return invalid_argument("this is no JSON object");
    const auto pair = decode_pair(*object);
    if (!pair) return invalid_argument("userId and callId must be there, as strings of digits");
    return *pair;
  }
  constexpr std::string_view kBlank = " \t";
  const auto end = std::min(line.find_first_of(" \t,"), line.size());
  const auto user = parse_id<UserId>(line.substr(0, end));
  line.remove_prefix(std::min(line.find_first_not_of(kBlank, end), line.size()));
  if (line.starts_with(',')) line.remove_prefix(1);
  line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
  const auto call = parse_id<CallId>(line);
  if (!user || !call) return bad();
  return Pair{*user, *call};
}

}  // namespace earshot::client
