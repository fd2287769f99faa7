#include "api/problem.h"

#include <algorithm>
#include <array>

namespace earshot::api {
namespace {

constexpr std::array<std::string_view, kReasons> kReasonNames = {
    "path",
    "method",
    "credentials",
    "scope",
    "rate_per_second",
    "rate_per_day",
    "body_too_long",
    "media_type",
    "parameter",
    "json",
    "too_many_ids",
    "unknown_calls",
    "unknown_users",
    "unknown_key",
    "records",
    "history",
    "changed_calls",
    "key_in_use",
    "key_used",
    "too_many_streams",
    "not_ready",
    "unavailable",
    "fault",
    "malformed_head",
    "head_too_long",
    "request_too_slow",
    "expectation",
    "transfer_coding",
    "http_version",
};

constexpr std::string_view kChallenge = R"(Basic realm="earshot", charset="UTF-8")";
constexpr std::string_view kBadJson =
    "Json parse error, verify Json format matches the API description.";

Problem make_problem(int status, Reason reason, std::string_view first) {
  return {status, reason, std::string(first), {}, {}, {}};
}

Problem service_unavailable(Reason reason) {
  Problem problem = make_problem(503, reason, "Service Unavailable");
  problem.field = {"retry-after", std::to_string(kRetryAfterSeconds)};
  return problem;
}

// "callIds not found: 7,8 and 3 more".
template <class IdType>
std::string list_ids(std::string_view what, std::span<const IdType> ids) {
  std::string text(what);
  text += ": ";
  const std::size_t named = std::min(ids.size(), kIdsNamedMax);
  for (std::size_t i = 0; i < named; ++i) {
    if (i > 0) text += ',';
    append_id(text, ids[i]);
  }
  if (ids.size() > named) {
    text += " and ";
    append_number(text, ids.size() - named);
    text += " more";
  }
  return text;
}

}  // namespace

std::string_view reason_name(Reason reason) {
  return kReasonNames[static_cast<std::size_t>(reason)];
}

Problem unknown_path() { return make_problem(404, Reason::path, "Not Found"); }

Problem wrong_method(std::string_view allow) {
  Problem problem = make_problem(405, Reason::method, "Method Not Allowed");
  problem.field = {"allow", std::string(allow)};
  return problem;
}

Problem access_denied() {
  Problem problem = make_problem(401, Reason::credentials, "Access denied");
  problem.field = {"www-authenticate", std::string(kChallenge)};
  return problem;
}

Problem scope_missing(std::string_view scope) {
  Problem problem = make_problem(401, Reason::scope, "You don't have permission to use '");
  problem.first += scope;
  problem.first += "' in your app.";
  problem.field = {"www-authenticate", std::string(kChallenge)};
  return problem;
}

Problem rate_exceeded(auth::RateLimiter::Refusal refusal, const auth::RateLimits& limits) {
  const bool day = refusal.limit == auth::RateLimiter::Limit::day;
  Problem problem = make_problem(429, day ? Reason::rate_per_day : Reason::rate_per_second,
                                 "API request limit exceeded");
  problem.more.push_back(day ? "at most " + std::to_string(limits.per_day) + " requests a day"
                             : "at most " + std::to_string(limits.per_second) +
                                   " requests a second");
  problem.field = {"retry-after", std::to_string(refusal.retry_after_seconds)};
  return problem;
}

Problem body_too_long(std::size_t bytes_max) {
  Problem problem = make_problem(413, Reason::body_too_long, "Payload Too Large");
  problem.more.push_back("body: at most " + std::to_string(bytes_max) + " bytes");
  return problem;
}

Problem records_too_long(std::size_t bytes_max) {
  Problem problem = body_too_long(bytes_max);
  problem.more.back() +=
      " in one request; send the records in several, each a unit of its own: users and calls "
      "before "
      "the shares and grants that name them";
  return problem;
}

Problem bad_records(std::string what) {
  Problem problem = make_problem(400, Reason::records, "Bad records");
  problem.more.push_back(std::move(what));
  return problem;
}

Problem scope_lacking(std::string what) {
  Problem problem = make_problem(403, Reason::scope, "Forbidden");
  problem.more.push_back(std::move(what));
  return problem;
}

Problem unsupported_media_type(std::string what) {
  Problem problem = make_problem(415, Reason::media_type, "Unsupported Media Type");
  problem.more.push_back(std::move(what));
  return problem;
}

Problem bad_request(std::string what) {
  Problem problem = make_problem(400, Reason::parameter, "Bad request");
  problem.more.push_back(std::move(what));
  return problem;
}

Problem bad_json(std::string what) {
  Problem problem = make_problem(400, Reason::json, kBadJson);
  problem.more.push_back(std::move(what));
  return problem;
}

Problem too_many_ids(std::string what) {
  Problem problem = make_problem(400, Reason::too_many_ids, "Too many ids");
  problem.more.push_back(std::move(what));
  return problem;
}

Problem unknown_calls(std::span<const CallId> ids) {
  Problem problem = make_problem(400, Reason::unknown_calls, "Some calls not found");
  problem.more.push_back(list_ids("callIds not found", ids));
  return problem;
}

Problem unknown_users(std::span<const UserId> ids) {
  Problem problem = make_problem(400, Reason::unknown_users, "Some users not found");
  problem.more.push_back(list_ids("userIds not found", ids));
  return problem;
}

Problem no_such_call(CallId id) {
  return make_problem(404, Reason::unknown_calls, "Call ID " + to_string(id) + " was not found");
}

Problem no_such_user(UserId id) {
  return make_problem(404, Reason::unknown_users, "User ID " + to_string(id) + " was not found");
}

Problem no_such_key() { return make_problem(404, Reason::unknown_key, "Access key was not found"); }

Problem history_gone(std::string what) {
  Problem problem = make_problem(410, Reason::history, "History is not kept that far back");
  problem.more.push_back(std::move(what));
  return problem;
}

Problem calls_changed(std::span<const CallId> ids) {
  Problem problem = make_problem(409, Reason::changed_calls, "Some calls have changed");
  problem.more.push_back(list_ids("callIds changed", ids));
  return problem;
}

Problem key_in_use() {
  return make_problem(409, Reason::key_in_use, "A request with this key is still running");
}

Problem key_used() {
  return make_problem(422, Reason::key_used, "This key was used for another request");
}

Problem too_many_streams(std::string why) {
  Problem problem = service_unavailable(Reason::too_many_streams);
  problem.more.push_back(std::move(why));
  return problem;
}

Problem not_ready(std::string why) {
  Problem problem = service_unavailable(Reason::not_ready);
  problem.more.push_back(std::move(why));
  return problem;
}

Problem not_admitted(auth::Verdict verdict, std::string_view scope) {
  return verdict == auth::Verdict::scope_missing ? scope_missing(scope) : access_denied();
}

Problem failed(const Error& error) {
  Problem problem = error.code == Code::unavailable ? service_unavailable(Reason::unavailable)
                    : error.code == Code::denied
                        ? access_denied()
                        : make_problem(500, Reason::fault, "Internal server error occurred");
  problem.cause = error.message;
  return problem;
}

Problem refused(int status) {
  switch (status) {
    case 400:
      return make_problem(400, Reason::malformed_head, "Bad Request");
    case 408:
      return make_problem(408, Reason::request_too_slow, "Request Timeout");
    case 417:
      return make_problem(417, Reason::expectation, "Expectation Failed");
    case 431:
      return make_problem(431, Reason::head_too_long, "Request Header Fields Too Large");
    case 501:
      return make_problem(501, Reason::transfer_coding, "Not Implemented");
    case 503:
      return service_unavailable(Reason::unavailable);
    case 505:
      return make_problem(505, Reason::http_version, "HTTP Version Not Supported");
    default:
      return make_problem(500, Reason::fault, "Internal server error occurred");
  }
}

}  // namespace earshot::api
