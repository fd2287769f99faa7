// The sweeping half of Transaction: takes away, in bounded steps, the rows of what was removed.
// Nobody has seen them since the removal; the steps are changes like any other.
#include <algorithm>

#include "store/transaction.h"

namespace earshot::store {

Result<bool> Transaction::sweep(CompanyId id, std::size_t rows_max) {
  WorkingCompany& working = *TRY(company(id));
  if (!working.removals || working.removals->empty()) return true;
  open_revision(working, Operation::sweep, Origin{make_request_id(), ""});
  std::size_t rows = 0;
  while (rows < rows_max && !working.removals->empty()) {
    const std::size_t room = rows_max - rows;
    std::size_t swept = 0;
    SweepKind kind = SweepKind::company;
    std::uint64_t thing = id.value;
    if (!working.removals->calls.empty()) {
      kind = SweepKind::call;
      thing = working.removals->calls.begin()->first.value;
      swept =
          TRY(sweep_call(working, {thing}, working.removals->calls.begin()->second.newest, room));
    } else if (!working.removals->users.empty()) {
      kind = SweepKind::user;
      thing = working.removals->users.begin()->first.value;
      swept = TRY(sweep_user(working, {thing}, room));
    } else {
      swept = TRY(sweep_company(working, room));
    }
    rows += swept;
    if (swept < room) end_sweep(working, kind, thing);
  }
  TRY(close_revision(working));
  return working.removals->empty();
}

void Transaction::end_sweep(WorkingCompany& working, SweepKind kind, std::uint64_t id) {
  Removals& removals = change_removals(working);
  switch (kind) {
    case SweepKind::company:
      removals.company = {};
      break;
    case SweepKind::user:
      removals.users.erase({id});
      break;
    case SweepKind::call:
      removals.calls.erase({id});
      break;
  }
  batch_.Delete(ground_.rocks.family(Family::meta),
                encode_key(SweepKey{working.state->id, kind, id}));
}

Result<std::size_t> Transaction::sweep_call(WorkingCompany& working, CallId call,
                                            core::Stamp removed, std::size_t rows_max) {
  const CompanyId company = working.state->id;
  // A copy: what is taken away below may be taken from this very entry.
  const core::CallEntry seen = *TRY(entry(company, call))->now();
  std::size_t rows = 0;
  for (const core::ShareRow& row : seen.shares) {
    if (rows == rows_max) return rows;
    if (!(row.stamp < removed)) continue;
    TRY(write_share(working, call, row.user, true, false));
    ++rows;
  }
  for (const core::GrantRow& row : seen.grants) {
    if (rows == rows_max) return rows;
    if (!(row.stamp < removed)) continue;
    TRY(write_grant(working, call, row.user, seen.grant_of(row), std::nullopt));
    ++rows;
  }
  return rows;
}

Result<std::size_t> Transaction::sweep_user(WorkingCompany& working, UserId user,
                                            std::size_t rows_max) {
  const CompanyId company = working.state->id;
  const Removal removal = working.removals->users.at(user);
  const std::string prefix = encode_user_prefix(company, user);
  const auto pairs = ground_.rocks.iterate(Family::by_user);
  std::size_t rows = 0;
  std::uint64_t next = removal.swept_to;
  for (pairs->Seek(encode_key(UserCallKey{company, user, {next}}));
       rows < rows_max && pairs->Valid() && pairs->key().starts_with(prefix); pairs->Next()) {
    const auto key = decode_user_call_key(view(pairs->key()));
    const auto value = decode_user_call_value(view(pairs->value()));
    if (!key || !value) return corrupt("by_user");
    next = key->call.value;  // once more where the room ends between a pair's two rows
    if (!value->grant && !value->share) continue;
    const core::EntryPtr seen = TRY(entry(company, key->call))->now();
    const core::ShareRow* share = seen->find_share(user);
    if (share && share->stamp < removal.newest) {
      TRY(write_share(working, key->call, user, true, false));
      ++rows;
    }
    const core::GrantRow* grant = seen->find_grant(user);
    if (rows < rows_max && grant && grant->stamp < removal.newest) {
      TRY(write_grant(working, key->call, user, seen->grant_of(*grant), std::nullopt));
      ++rows;
    }
  }
  if (!pairs->status().ok()) return from_rocksdb(pairs->status(), "sweeping a user");
  change_removals(working).users.at(user).swept_to = next;
  return rows;
}

Result<std::size_t> Transaction::sweep_things(WorkingCompany& working, core::Stamp removed,
                                              std::size_t rows_max) {
  std::vector<std::pair<ThingKind, std::uint64_t>> dead;
  std::string last_thing;
  TRY(ground_.rocks.scan(
      Family::directory, encode_company_prefix(working.state->id), nullptr,
      [&](std::string_view key_bytes, std::string_view value_bytes) -> Result<bool> {
        const std::string_view thing = key_bytes.substr(0, key_bytes.size() - 8);
        if (thing == last_thing) return true;
        last_thing = thing;
        const auto key = decode_directory_key(key_bytes);
        const auto value = decode_directory_value(value_bytes);
        if (!key || !value) return corrupt("directory");
        if (value->body && core::Stamp{key->revision, value->n} < removed) {
          dead.emplace_back(key->kind, key->id);
        }
        return dead.size() < rows_max;
      }));
  for (const auto& [kind, id] : dead) TRY(write_thing(working, kind, id, std::nullopt));
  return dead.size();
}

Result<std::size_t> Transaction::sweep_company(WorkingCompany& working, std::size_t rows_max) {
  const CompanyId company = working.state->id;
  const Removal removal = working.removals->company;
  std::size_t rows = TRY(sweep_things(working, removal.newest, rows_max));
  const std::string prefix = encode_company_prefix(company);
  const auto calls = ground_.rocks.iterate(Family::calls);
  std::uint64_t next = removal.swept_to;
  while (rows < rows_max) {
    calls->Seek(encode_call_prefix(company, {next}));
    if (!calls->Valid() || !calls->key().starts_with(prefix)) break;
    const auto key = decode_call_row_key(view(calls->key()));
    if (!key) return corrupt("calls");
    next = key->call.value;
    rows += TRY(sweep_call(working, key->call, removal.newest, rows_max - rows));
    if (rows == rows_max) break;
    const core::EntryPtr seen = TRY(entry(company, key->call))->now();
    if (seen->call && seen->call_stamp < removal.newest) {
      std::optional<core::Call> before = TRY(find_call(company, key->call));
      TRY(write_call(working, key->call, std::move(before), std::nullopt));
      ++rows;
    }
    ++next;
  }
  if (!calls->status().ok()) return from_rocksdb(calls->status(), "sweeping a company");
  change_removals(working).company.swept_to = next;
  return rows;
}

}  // namespace earshot::store
