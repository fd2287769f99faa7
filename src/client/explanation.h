// Why a user may hear a call or may not, in plain English. Pure; what holds was decided by the
// server, and what would open a call follows from the rules in docs/api.md under "Ways of access".
#pragma once

#include <string>
#include <vector>

#include "client/answers.h"
#include "client/command.h"

namespace earshot::client {

// Of a chain of managers no more are drawn than these.
inline constexpr std::size_t kChainDrawnMax = 8;

// A change that would open a call to a user who may not hear it.
struct Alternative {
  std::string what;  // "an individual grant"
  std::string how;   // a command, a record, or where in a record
};

// What would be enough. Where `needs_activation`, the user must be made active besides; then an
// empty list means that this is enough.
struct Alternatives {
  bool is_possible = true;  // false: the call or the user must come to be first
  bool needs_activation = false;
  std::vector<Alternative> any_of;
};

// REQUIRES: the finding is a refusal.
Alternatives find_alternatives(const Finding& finding);

// The same as texts, each a change that is enough.
std::vector<std::string> list_alternatives(const Finding& finding);

// The whole explanation, over several lines. In the past tense where it was asked for a moment.
std::string explain(const Finding& finding, const AsOf& as_of, const Moment& moment);

// The ways in short, or the reason of a refusal, for a cell of a table.
std::string summarize(const Finding& finding);

}  // namespace earshot::client
