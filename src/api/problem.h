// Refusals: what a client is told, and the only table from what went wrong to status codes and
// texts.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "auth/credentials.h"
#include "auth/rate_limit.h"
#include "base/ids.h"
#include "base/result.h"

namespace earshot::api {

// Why a request was refused, as the metrics count it.
enum class Reason : std::uint8_t {
  path,
  method,
  credentials,
  scope,
  rate_per_second,
  rate_per_day,
  body_too_long,
  media_type,
  parameter,
  json,
  too_many_ids,
  unknown_calls,
  unknown_users,
  unknown_key,
  records,
  history,
  changed_calls,
  key_in_use,
  key_used,
  too_many_streams,
  not_ready,
  unavailable,
  fault,
  malformed_head,
  head_too_long,
  request_too_slow,
  expectation,
  transfer_coding,
  http_version,
};
inline constexpr std::size_t kReasons = static_cast<std::size_t>(Reason::http_version) + 1;

std::string_view reason_name(Reason reason);

struct Problem {
  int status = 500;
  Reason reason = Reason::fault;
  std::string first;              // errors[0]
  std::vector<std::string> more;  // the further items
  std::string cause;              // of a fault of ours, for the log alone
  // An extra field of the answer; its name is empty where there is none.
  std::pair<std::string_view, std::string> field;
};

// How many ids a refusal names before it only counts.
inline constexpr std::size_t kIdsNamedMax = 100;
inline constexpr std::uint32_t kRetryAfterSeconds = 1;  // of 503

Problem unknown_path();
Problem wrong_method(std::string_view allow);
Problem access_denied();
Problem scope_missing(std::string_view scope);
Problem rate_exceeded(auth::RateLimiter::Refusal refusal, const auth::RateLimits& limits);
Problem body_too_long(std::size_t bytes_max);
Problem records_too_long(std::size_t bytes_max);
Problem bad_records(std::string what);
// What is asked for needs a scope that the key lacks, beside the one of the operation.
Problem scope_lacking(std::string what);
Problem unsupported_media_type(std::string what);
Problem bad_request(std::string what);
Problem bad_json(std::string what);
Problem too_many_ids(std::string what);
Problem unknown_calls(std::span<const CallId> ids);
Problem unknown_users(std::span<const UserId> ids);
Problem no_such_call(CallId id);
Problem no_such_user(UserId id);
Problem no_such_key();
Problem history_gone(std::string what);
Problem calls_changed(std::span<const CallId> ids);
Problem key_in_use();
Problem key_used();
Problem too_many_streams(std::string why);
Problem not_ready(std::string why);

// A request that its key does not let in. REQUIRES: it is not admitted.
Problem not_admitted(auth::Verdict verdict, std::string_view scope);

// A failed operation: what is unavailable or denied is told so, and everything else is a fault of
// ours, without its message.
Problem failed(const Error& error);

// What the HTTP server refuses on its own, with the reason phrase; a status that it has no reason
// to give is a fault.
Problem refused(int status);

}  // namespace earshot::api
