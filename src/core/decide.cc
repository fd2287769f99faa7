#include "core/decide.h"

#include <algorithm>

#include "base/assert.h"

namespace earshot::core {
namespace {

UnknownCalls find_unknown_calls(std::span<const CallUsers> calls,
                                std::span<const EntryPtr> entries) {
  ASSERT(calls.size() == entries.size());
  UnknownCalls unknown;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    if (!entries[i]->call) unknown.ids.push_back(calls[i].call);
  }
  return unknown;
}

UnknownUsers find_unknown_users(std::span<const CallUsers> calls, const Directory& directory) {
  std::vector<UserId> ids;
  for (const CallUsers& named : calls) {
    for (const UserId user : named.users) {
      if (directory.find_user(user) == nullptr) ids.push_back(user);
    }
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return {std::move(ids)};
}

std::optional<Grant> stored_grant(const CallEntry& entry, UserId user) {
  const GrantRow* const row = entry.find_grant(user);
  if (row == nullptr) return std::nullopt;
  return entry.grant_of(*row);
}

std::optional<Grant> live_grant(const CallEntry& entry, UserId user, Time now) {
  const GrantRow* const row = entry.find_grant(user);
  if (row == nullptr || !is_live(*row, now)) return std::nullopt;
  return entry.grant_of(*row);
}

PastExpiries find_past_expiries(std::span<const Grant> terms, Time now) {
  PastExpiries past;
  for (std::size_t i = 0; i < terms.size(); ++i) {
    if (terms[i].expires_at && *terms[i].expires_at <= now) past.pairs.push_back(i);
  }
  return past;
}

// Decides call after call, user after user: `decide` tells of a known pair what it comes to, and
// adds its change where there is one.
template <class Decide>
DecisionWithResults decide_pairs(std::span<const CallUsers> calls,
                                 std::span<const EntryPtr> entries, const Directory& directory,
                                 Decide decide) {
  ASSERT(calls.size() == entries.size());
  DecisionWithResults out;
  auto& changes = std::get<std::vector<GrantChange>>(out.decision);
  std::size_t pair = 0;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    CallRules rules(directory, *entries[i]);
    for (const UserId user : calls[i].users) {
      PairResult result{calls[i].call, user, PairOutcome::unknown_call, {}, {}};
      if (entries[i]->call) {
        result.outcome = PairOutcome::unknown_user;
        if (directory.find_user(user) != nullptr) decide(i, pair, rules, result, changes);
      }
      out.results.push_back(std::move(result));
      ++pair;
    }
  }
  return out;
}

}  // namespace

Decision decide_give(std::span<const CallUsers> calls, std::span<const EntryPtr> entries,
                     const Directory& directory, Time now) {
  if (auto unknown = find_unknown_calls(calls, entries); !unknown.ids.empty()) return unknown;
  if (auto unknown = find_unknown_users(calls, directory); !unknown.ids.empty()) return unknown;
  std::vector<GrantChange> changes;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const CallEntry& entry = *entries[i];
    CallRules rules(directory, entry);
    for (const UserId user : calls[i].users) {
      if (rules.find(user, now).ways_if_active != 0) continue;
      changes.push_back({i, user, stored_grant(entry, user), Grant{}});
    }
  }
  return changes;
}

Decision decide_remove(std::span<const CallUsers> calls, std::span<const EntryPtr> entries,
                       Time now) {
  if (auto unknown = find_unknown_calls(calls, entries); !unknown.ids.empty()) return unknown;
  std::vector<GrantChange> changes;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const CallEntry& entry = *entries[i];
    for (const UserId user : calls[i].users) {
      auto live = live_grant(entry, user, now);
      if (live) changes.push_back({i, user, std::move(live), std::nullopt});
    }
  }
  return changes;
}

DecisionWithResults decide_give_with_results(std::span<const CallUsers> calls,
                                             std::span<const Grant> terms,
                                             std::span<const EntryPtr> entries,
                                             const Directory& directory, Time now) {
  if (auto past = find_past_expiries(terms, now); !past.pairs.empty()) return {past, {}};
  return decide_pairs(calls, entries, directory,
                      [&](std::size_t i, std::size_t pair, CallRules& rules, PairResult& result,
                          std::vector<GrantChange>& changes) {
                        Grant wanted = terms.empty() ? Grant{} : terms[pair];
                        const Ways ways = rules.find(result.user, now).ways_if_active;
                        if (ways != 0 && !has(ways, Way::individual)) {
                          result.outcome = PairOutcome::no_effect;
                          result.ways = ways;
                          return;
                        }
                        auto before = stored_grant(*entries[i], result.user);
                        const bool is_change = ways == 0 || *before != wanted;
                        result.outcome = ways == 0   ? PairOutcome::given
                                         : is_change ? PairOutcome::changed
                                                     : PairOutcome::already;
                        if (is_change)
                          changes.push_back({i, result.user, std::move(before), wanted});
                        result.grant = std::move(wanted);
                      });
}

DecisionWithResults decide_remove_with_results(std::span<const CallUsers> calls,
                                               std::span<const EntryPtr> entries,
                                               const Directory& directory, Time now) {
  return decide_pairs(calls, entries, directory,
                      [&](std::size_t i, std::size_t, CallRules&, PairResult& result,
                          std::vector<GrantChange>& changes) {
                        auto live = live_grant(*entries[i], result.user, now);
                        result.outcome = live ? PairOutcome::removed : PairOutcome::not_found;
                        if (live) {
                          changes.push_back({i, result.user, std::move(live), std::nullopt});
                        }
                      });
}

}  // namespace earshot::core
