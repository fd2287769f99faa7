// The answers of a server about access and grants, from JSON to values; and lines of pairs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "client/command.h"

namespace earshot::client {

struct AsOf {
  std::uint64_t revision = 0;
  Time time;
};

// A way by which a user hears a call, with its reasons. Which members are there depends on the way.
struct Way {
  std::string name;  // individual, shared, participant, profile
  std::optional<Time> expires_at;
  std::string note;
  std::optional<ProfileId> profile;
  std::string level;
  std::vector<UserId> chain;   // from a participant upwards
  std::uint64_t left_out = 0;  // of the chain, before its last
  std::optional<UserId> lead;
};

// The profile that does not cover a call.
struct Profile {
  ProfileId id;
  std::string level;
  std::vector<UserId> team_leads;
  std::uint64_t leads_left_out = 0;  // behind those named
};

// What is said about a user and a call.
struct Finding {
  Pair pair;
  bool allowed = false;
  std::vector<Way> ways;
  std::string reason;  // of a refusal
  std::optional<Profile> profile;
  std::optional<Time> expired_at;
  std::vector<std::string> ways_if_active;
};

struct CheckAnswer {
  AsOf as_of;
  std::vector<Finding> findings;  // in the order asked
};

// One page of who may hear a call, or of what a user may hear.
struct Page {
  AsOf as_of;
  std::vector<Finding> findings;
  std::string reason;                 // why a user hears nothing at all
  std::optional<std::string> cursor;  // more may follow
};

// What became of a pair.
struct GrantResult {
  Pair pair;
  std::string result;
  std::vector<std::string> ways;  // of no effect
  std::optional<Time> expires_at;
  std::string note;
};

struct GrantsAnswer {
  std::string request_id;
  std::uint64_t revision = 0;
  std::vector<GrantResult> results;
};

// What a refusal says; empty where the body is none of Earshot's.
struct Problem {
  std::string request_id;
  std::vector<std::string> errors;
};

// Members that are not known are passed over. Errors: unavailable (this is no answer of Earshot's,
// or of a release that says other things).
Result<CheckAnswer> decode_check(std::string_view body);
Result<Page> decode_call_page(std::string_view body, CallId call);
Result<Page> decode_user_page(std::string_view body, UserId user);
Result<GrantsAnswer> decode_grants(std::string_view body);
// The POST of Gong's API: who was given calls.
Result<std::vector<Pair>> decode_listed(std::string_view body);
Problem decode_problem(std::string_view body);

// A line of a file of pairs: a user's id and a call's, with white space or a comma between, or a
// JSON object with userId and callId. Errors: invalid_argument.
Result<Pair> parse_pair(std::string_view line);

}  // namespace earshot::client
