// From values to JSON: the bodies of requests, and the lines that --json prints.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "client/answers.h"
#include "client/command.h"

namespace earshot::client {

// Bodies of requests.
std::string encode_checks(std::span<const Pair> pairs);
// Of the pairs; where there are none, of all that the command names.
std::string encode_grants(std::span<const Pair> pairs, const ChangeGrants& change);
std::string encode_filter(const std::vector<CallId>& calls);
std::string encode_new_key(const CreateKey& create);
std::string encode_revocation(const RevokeKey& revoke);

// Lines, each one JSON object and an end of line. Every line says of which user and call it speaks,
// so that it can be read as a pair again.
std::string json_line(const Finding& finding, const AsOf& as_of);
std::string json_line(const Finding& finding, const AsOf& as_of,
                      const std::vector<std::string>& alternatives);
std::string json_line(const GrantResult& result, const GrantsAnswer& answer, bool is_dry_run);
std::string json_line(const Pair& pair);

}  // namespace earshot::client
