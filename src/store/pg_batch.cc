#include "store/pg_batch.h"

#include <algorithm>

#include "base/assert.h"
#include "store/pg_statements.h"

namespace earshot::store {

void PgNamed::add(const GrantCommand& command) {
  for (const core::CallUsers& named : command.calls) {
    calls.push_back(named.call.value);
    for (const UserId user : named.users) {
      pair_calls.push_back(named.call.value);
      pair_users.push_back(user.value);
    }
  }
}

void PgNamed::make_distinct() {
  std::ranges::sort(calls);
  calls.erase(std::unique(calls.begin(), calls.end()), calls.end());
  std::vector<std::pair<std::uint64_t, std::uint64_t>> pairs(pair_calls.size());
  for (std::size_t i = 0; i < pairs.size(); ++i) pairs[i] = {pair_calls[i], pair_users[i]};
  std::ranges::sort(pairs);
  pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
  pair_calls.resize(pairs.size());
  pair_users.resize(pairs.size());
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    std::tie(pair_calls[i], pair_users[i]) = pairs[i];
  }
}

void PgBatch::take_calls(const PgResult& calls) {
  for (int row = 0; row < calls.rows(); ++row) {
    core::Call call;
    call.id = {calls.number(row, 0)};
    call.workspace = {calls.id(row, 1)};
    call.primary_user = {calls.id(row, 2)};
    for (const std::uint64_t party : calls.numbers(row, 3)) call.parties.push_back({party});
    call.is_private = calls.boolean(row, 4);
    auto entry = std::make_shared<core::CallEntry>();
    entry->call = core::facts_of(call);
    entries_[call.id] = std::move(entry);
  }
}

void PgBatch::take_shares(const PgResult& shares) {
  for (int row = 0; row < shares.rows(); ++row) {
    const auto entry = entries_.find(CallId{shares.number(row, 0)});
    if (entry != entries_.end()) entry->second->put_share({shares.number(row, 1)}, {});
  }
}

void PgBatch::take_grants(const PgResult& grants) {
  for (int row = 0; row < grants.rows(); ++row) {
    const auto entry = entries_.find(CallId{grants.number(row, 0)});
    if (entry == entries_.end()) continue;
    core::Grant grant;
    if (!grants.is_null(row, 2)) grant.expires_at = grants.timestamp(row, 2);
    if (!grants.is_null(row, 3)) grant.note = grants.text(row, 3);
    entry->second->put_grant({grants.number(row, 1)}, grant, {});
  }
}

Outcome PgBatch::run(const GrantCommand& command, const core::Directory* directory) {
  static const auto absent = std::make_shared<const core::CallEntry>();
  std::vector<core::EntryPtr> entries;
  entries.reserve(command.calls.size());
  for (const core::CallUsers& named : command.calls) {
    const auto found = entries_.find(named.call);
    entries.push_back(found == entries_.end() ? absent : found->second);
  }
  Outcome outcome;
  if (command.operation == Operation::give) {
    ASSERT(directory != nullptr);
    outcome.decision = core::decide_give(command.calls, entries, *directory, now_);
  } else {
    outcome.decision = core::decide_remove(command.calls, entries, now_);
  }
  const auto* changes = std::get_if<std::vector<core::GrantChange>>(&outcome.decision);
  if (changes && !changes->empty()) write(command, *changes);
  outcome.revision = head_.revision;
  return outcome;
}

void PgBatch::write(const GrantCommand& command, const std::vector<core::GrantChange>& changes) {
  ChangeWriter writer;
  std::uint32_t n = 0, first_n = 0;
  const core::Revision revision = head_.revision + 1;
  std::vector<core::GrantEdit> edits;
  for (auto change = changes.begin(); change != changes.end(); ++change) {
    if (writer.bytes() >= kPartBytesMax) {
      end_part(writer, command, first_n, false);
      first_n = n;
    }
    const CallId call = command.calls[change->call_index].call;
    writer.add(GrantChanged{call, {}, change->user, change->before, change->after});
    grants_[{call, change->user}] = {change->after, revision};
    edits.push_back({change->user, change->after, {revision, n}});
    ++n;
    if (change + 1 == changes.end() || (change + 1)->call_index != change->call_index) {
      entries_.at(call)->apply(edits);
      edits.clear();
    }
  }
  end_part(writer, command, first_n, true);
  head_.revision = revision;
  changes_ += changes.size();
}

void PgBatch::end_part(ChangeWriter& writer, const GrantCommand& command, std::uint32_t first_n,
                       bool is_last) {
  head_.time = std::max(head_.time, now_);
  rows_.push_back(make_change_row({company_, head_.revision + 1, first_n},
                                  {.previous_hash = head_.hash,
                                   .last_part = is_last,
                                   .time = head_.time,
                                   .directory_revision = head_.directory_revision,
                                   .operation = command.operation,
                                   .origin = command.origin},
                                  writer.take_items()));
  head_.hash = rows_.back().hash();
}

std::vector<PgQuery> PgBatch::queries() const {
  std::vector<std::uint64_t> put_calls, put_users, put_revisions;
  std::vector<std::pair<CallId, std::vector<std::uint64_t>>> gone;
  std::vector<std::optional<Time>> expiries;
  std::vector<std::optional<std::string>> notes;
  for (const auto& [pair, after] : grants_) {
    if (!after.grant) {
      if (gone.empty() || gone.back().first != pair.first) gone.push_back({pair.first, {}});
      gone.back().second.push_back(pair.second.value);
      continue;
    }
    put_calls.push_back(pair.first.value);
    put_users.push_back(pair.second.value);
    put_revisions.push_back(after.revision);
    expiries.push_back(after.grant->expires_at);
    notes.push_back(after.grant->note.empty() ? std::nullopt : std::optional(after.grant->note));
  }
  std::vector<PgQuery> queries;
  if (!put_calls.empty()) {
    PgQuery& put = queries.emplace_back(PgQuery{&kPutGrants});
    put.params.add(company_).add_numbers(put_calls).add_numbers(put_users);
    put.params.add_numbers(put_revisions).add_times(expiries).add_texts(notes);
  }
  for (const auto& [call, users] : gone) {
    queries.emplace_back(PgQuery{&kRemoveGrants}).params.add(company_).add(call).add_numbers(users);
  }
  queries.push_back({&kInsertChanges, params_of(rows_)});
  PgQuery& head = queries.emplace_back(PgQuery{&kMoveHead});
  head.params.add(company_).add(head_.revision).add(head_.time);
  head.params.add_bytes({reinterpret_cast<const char*>(head_.hash.data()), head_.hash.size()});
  return queries;
}

}  // namespace earshot::store
