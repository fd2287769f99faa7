// Which refusals anybody may cause, and how many of them are kept: less than all, so that who knows
// the name of an access key cannot push out the newest of what else was refused to its company.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "store/refusals.h"

namespace earshot::store {

// Whether somebody who proved nothing can bring about refusals for this reason: those for bad
// credentials, and the count of those that were too many. pg_statements_sync.h and the index
// refusals_of_anybody say the same.
constexpr bool may_anybody_cause(std::string_view reason) {
  return reason == "credentials" || reason == "not_kept";
}

// How many of these are kept of a company: half of all, but at least one. What is of no company is
// all of that kind.
inline std::size_t refusals_of_anybody_max(CompanyId company, const RefusalLimits& limits) {
  if (company.value == 0) return limits.per_company;
  return std::max<std::size_t>(limits.per_company / 2, 1);
}

}  // namespace earshot::store
