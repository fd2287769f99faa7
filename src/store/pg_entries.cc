#include "store/pg_entries.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "store/pg_statements.h"

namespace earshot::store {

const core::PackedEntryPtr& absent_entry() {
  static const core::PackedEntryPtr absent = core::PackedEntry::pack({});
  return absent;
}

PgQuery query_access(CompanyId company, std::vector<const core::CallUsers*> named) {
  std::ranges::stable_sort(named, {}, [](const core::CallUsers* one) { return one->call; });
  std::vector<std::uint64_t> calls;
  std::vector<std::string> users;
  for (auto first = named.begin(); first != named.end();) {
    const CallId call = (*first)->call;
    std::vector<std::uint64_t> of_call;
    for (; first != named.end() && (*first)->call == call; ++first) {
      for (const UserId user : (*first)->users) of_call.push_back(user.value);
    }
    sort_distinct(of_call);
    calls.push_back(call.value);
    users.push_back(array_text(of_call));
  }
  PgQuery query{&kReadAccess};
  query.params.add(company).add_numbers(calls).add_texts(std::span<const std::string>(users));
  return query;
}

PgQuery query_access_of_all(CompanyId company, std::span<const core::CallUsers> named) {
  std::vector<std::uint64_t> calls;
  calls.reserve(named.size());
  for (const core::CallUsers& one : named) calls.push_back(one.call.value);
  PgQuery query{&kReadAccessOfAll};
  query.params.add(company).add_numbers(calls);
  return query;
}

void read_grants(core::CallEntry& entry, const PgResult& result, int row, int column) {
  if (result.is_null(row, column)) return;
  const std::vector<std::uint64_t> users = result.numbers(row, column);
  entry.grants.resize(users.size());
  for (std::size_t i = 0; i < users.size(); ++i) {
    entry.grants[i].user = {users[i]};
    entry.grants[i].stamp = entry.newest;
  }
  if (result.is_null(row, column + 1)) return;
  const auto expiries = result.timestamps(row, column + 1);
  ASSERT(expiries.size() == users.size());
  for (std::size_t i = 0; i < users.size(); ++i) {
    entry.grants[i].expires_at = expiries[i].value_or(core::GrantRow::kNever);
  }
}

core::CallEntry read_entry(const PgResult& result, int row) {
  enum {
    workspace = kEntryColumn + 1,
    host,
    parties,
    is_private,
    granted,
    expiries,
    notes,
    shared,
  };
  core::CallEntry entry;
  entry.newest = entry.call_stamp = {result.number(row, kRevisionColumn), 0};
  core::Call call;
  call.workspace = {result.id(row, workspace)};
  call.primary_user = {result.id(row, host)};
  for (const std::uint64_t party : result.numbers(row, parties)) call.parties.push_back({party});
  call.is_private = result.boolean(row, is_private);
  entry.call = core::facts_of(call);
  read_grants(entry, result, row, granted);
  if (!result.is_null(row, notes)) {
    std::vector<std::string> texts = result.texts(row, notes);
    ASSERT(texts.size() == entry.grants.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
      if (texts[i].empty()) continue;
      entry.grants[i].has_note = true;
      entry.notes.emplace_back(entry.grants[i].user, std::move(texts[i]));
    }
  }
  if (!result.is_null(row, shared)) {
    for (const std::uint64_t user : result.numbers(row, shared)) {
      entry.shares.push_back({{user}, entry.newest});
    }
  }
  return entry;
}

}  // namespace earshot::store
