#include "service/access.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/assert.h"

namespace earshot::service {
namespace {

void change_access(store::Operation operation, store::Store& store,
                   const auth::Principal& principal, std::vector<core::CallUsers> calls,
                   const RequestId& request_id, ChangeDone done) {
  if (calls.empty()) return done(store::Outcome{});
  store::GrantCommand command;
  command.operation = operation;
  command.company = principal.company();
  command.calls = merge_calls(std::move(calls));
  command.origin = {request_id, principal.key->key.access_key};
  store.write(std::move(command), std::move(done));
}

Access access_of(std::vector<CallId> calls, store::CallsView view) {
  ASSERT(view.entries.size() == calls.size());
  Access access;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    if (!view.entries[i]->call) access.unknown.push_back(calls[i]);
  }
  access.calls = std::move(calls);
  if (access.unknown.empty()) access.entries = std::move(view.entries);
  return access;
}

// Nearly no request repeats a call: sorting a copy is cheaper than hashing, and mostly all there is
// to do.
bool has_repeats(std::vector<CallId> calls) {
  std::ranges::sort(calls);
  return std::ranges::adjacent_find(calls) != calls.end();
}

bool has_repeats(const std::vector<core::CallUsers>& calls) {
  if (calls.size() < 2) return false;
  std::vector<CallId> ids(calls.size());
  std::ranges::transform(calls, ids.begin(), &core::CallUsers::call);
  return has_repeats(std::move(ids));
}

// The same call twice means all the users of both.
std::vector<core::CallUsers> join_repeated(std::vector<core::CallUsers> calls) {
  std::vector<core::CallUsers> joined;
  std::unordered_map<CallId, std::size_t> places;
  places.reserve(calls.size());
  for (core::CallUsers& item : calls) {
    const auto [place, first] = places.emplace(item.call, joined.size());
    if (first) {
      joined.push_back(std::move(item));
    } else {
      auto& users = joined[place->second].users;
      users.insert(users.end(), item.users.begin(), item.users.end());
    }
  }
  return joined;
}

}  // namespace

std::vector<CallId> distinct_calls(std::vector<CallId> calls) {
  if (calls.size() < 2 || !has_repeats(calls)) return calls;
  std::unordered_set<CallId> seen;
  seen.reserve(calls.size());
  std::erase_if(calls, [&](CallId call) { return !seen.insert(call).second; });
  return calls;
}

std::vector<core::CallUsers> merge_calls(std::vector<core::CallUsers> calls) {
  if (has_repeats(calls)) calls = join_repeated(std::move(calls));
  for (core::CallUsers& item : calls) {
    std::ranges::sort(item.users);
    item.users.erase(std::unique(item.users.begin(), item.users.end()), item.users.end());
  }
  return calls;
}

void list_access(store::Store& store, const auth::Principal& principal, std::vector<CallId> calls,
                 ListDone done) {
  calls = distinct_calls(std::move(calls));
  auto asked = calls;
  store.read(
      principal.company(), std::move(asked),
      [calls = std::move(calls), done = std::move(done)](Result<store::CallsView> view) mutable {
        if (!view) return done(std::move(view).error());
        done(access_of(std::move(calls), std::move(*view)));
      });
}

void give_access(store::Store& store, const auth::Principal& principal,
                 std::vector<core::CallUsers> calls, const RequestId& request_id, ChangeDone done) {
  change_access(store::Operation::give, store, principal, std::move(calls), request_id,
                std::move(done));
}

void remove_access(store::Store& store, const auth::Principal& principal,
                   std::vector<core::CallUsers> calls, const RequestId& request_id,
                   ChangeDone done) {
  change_access(store::Operation::remove, store, principal, std::move(calls), request_id,
                std::move(done));
}

}  // namespace earshot::service
