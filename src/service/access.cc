#include "service/access.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <functional>
#include <numeric>
#include <utility>

#include "base/assert.h"

namespace earshot::service {
namespace {

void change_access(store::Operation operation, store::Store& store,
                   const auth::Principal& principal, std::vector<core::CallUsers> calls,
                   const RequestId& request_id, ChangeDone done) {
  store::GrantCommand command;
  command.operation = operation;
  command.company = principal.company();
  command.calls = merge_calls(std::move(calls));
  command.origin = {request_id, principal.key->key.access_key};
  command.asker = principal.asker;
  store.write(std::move(command), std::move(done));
}

// Whether a call is there twice. Nearly no request repeats one, so that this is mostly all there is
// to do: a table with two places or more for each call costs a tenth of sorting them. Ids that were
// chosen to meet in one stretch of it would make that slow; after some steps sorting decides.
bool has_repeats(const std::vector<CallId>& calls) {
  if (calls.size() < 2) return false;
  constexpr std::size_t steps_max = 64;
  std::vector<CallId> table(std::bit_ceil(calls.size() * 2));
  const std::size_t mask = table.size() - 1;
  bool is_table_good = true;
  for (const CallId call : calls) {
    std::size_t place = std::hash<CallId>{}(call)&mask;
    std::size_t steps = 0;
    for (; table[place].value != 0 && steps < steps_max; ++steps) {
      if (table[place] == call) return true;
      place = (place + 1) & mask;
    }
    if (steps == steps_max) {
      is_table_good = false;
      break;
    }
    table[place] = call;
  }
  if (is_table_good) return false;
  std::vector<CallId> sorted = calls;
  std::ranges::sort(sorted);
  return std::ranges::adjacent_find(sorted) != sorted.end();
}

std::vector<CallId> ids_of(const std::vector<core::CallUsers>& calls) {
  std::vector<CallId> ids(calls.size());
  std::ranges::transform(calls, ids.begin(), &core::CallUsers::call);
  return ids;
}

// For each call the place where it is there first. By sorting: whoever chooses the ids must not be
// able to make it slow.
std::vector<std::size_t> first_places(const std::vector<CallId>& calls) {
  std::vector<std::size_t> order(calls.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t place) { return std::pair(calls[place], place); });
  std::vector<std::size_t> first(calls.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    const bool is_again = i > 0 && calls[order[i]] == calls[order[i - 1]];
    first[order[i]] = is_again ? first[order[i - 1]] : order[i];
  }
  return first;
}

// The same call twice means all the users of both.
std::vector<core::CallUsers> join_repeated(std::vector<core::CallUsers> calls) {
  const std::vector<std::size_t> first = first_places(ids_of(calls));
  std::size_t kept = 0;
  std::vector<std::size_t> places(calls.size());  // of those kept
  for (std::size_t i = 0; i < calls.size(); ++i) {
    if (first[i] == i) {
      places[i] = kept;
      if (kept != i) calls[kept] = std::move(calls[i]);
      ++kept;
    } else {
      auto& users = calls[places[first[i]]].users;
      users.insert(users.end(), calls[i].users.begin(), calls[i].users.end());
    }
  }
  calls.resize(kept);
  return calls;
}

}  // namespace

Access access_of(std::vector<CallId> calls, store::CallsView view) {
  ASSERT(view.entries.size() == calls.size());
  Access access;
  access.revision = view.revision;
  access.time = view.time;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    if (!view.entries[i]->has_call()) access.unknown.push_back(calls[i]);
  }
  access.calls = std::move(calls);
  if (access.unknown.empty()) access.entries = std::move(view.entries);
  return access;
}

std::vector<CallId> distinct_calls(std::vector<CallId> calls) {
  if (!has_repeats(calls)) return calls;
  const std::vector<std::size_t> first = first_places(calls);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    if (first[i] == i) calls[kept++] = calls[i];
  }
  calls.resize(kept);
  return calls;
}

std::vector<core::CallUsers> merge_calls(std::vector<core::CallUsers> calls) {
  if (calls.size() > 1 && has_repeats(ids_of(calls))) calls = join_repeated(std::move(calls));
  for (core::CallUsers& item : calls) {
    std::ranges::sort(item.users);
    item.users.erase(std::unique(item.users.begin(), item.users.end()), item.users.end());
  }
  return calls;
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
