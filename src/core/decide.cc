#include "core/decide.h"

#include <algorithm>

#include "base/assert.h"
#include "core/rules.h"

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
      const GrantRow* const row = entry.find_grant(user);
      if (row == nullptr || !is_live(*row, now)) continue;
      changes.push_back({i, user, entry.grant_of(*row), std::nullopt});
    }
  }
  return changes;
}

}  // namespace earshot::core
