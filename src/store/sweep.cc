// The sweeping half of Transaction: takes away, in bounded steps, the rows of what was removed, and
// grants that have expired. Nobody has seen them since; the steps are changes like any other.
#include <algorithm>
#include <map>

#include "store/transaction.h"

namespace earshot::store {

Result<bool> Transaction::sweep(CompanyId id, std::size_t rows_max) {
  WorkingCompany& working = *TRY(company(id));
  if (!working.removals || working.removals->empty()) return true;
  open_revision(working, Operation::sweep, Origin{make_request_id(), ""});
  std::size_t room = rows_max;
  while (room > 0 && !working.removals->empty()) {
    --room;  // a removal without rows is work too
    SweepKind kind = SweepKind::company;
    std::uint64_t thing = id.value;
    bool done = false;
    if (!working.removals->calls.empty()) {
      const auto& [call, removal] = *working.removals->calls.begin();
      kind = SweepKind::call;
      thing = call.value;
      done = TRY(sweep_call(working, call, removal.newest(), room));
    } else if (!working.removals->users.empty()) {
      kind = SweepKind::user;
      thing = working.removals->users.begin()->first.value;
      done = TRY(sweep_user(working, {thing}, room));
    } else {
      done = TRY(sweep_company(working, room));
    }
    if (done) end_sweep(working, kind, thing);
  }
  TRY(close_revision(working));
  return working.removals->empty();
}

void Transaction::end_sweep(WorkingCompany& working, SweepKind kind, std::uint64_t id) {
  Removals& removals = change_removals(working);
  switch (kind) {
    case SweepKind::company:
      removals.company = {};
      removals.things_swept_to.clear();
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

Result<bool> Transaction::sweep_call(WorkingCompany& working, CallId call, core::Stamp removed,
                                     std::size_t& room) {
  // A copy: what is taken away below may be taken from this very entry. From the back, where taking
  // away is cheap.
  const core::CallEntry seen = *TRY(entry(working.state->id, call))->now();
  for (auto row = seen.shares.rbegin(); row != seen.shares.rend(); ++row) {
    if (!(row->stamp < removed)) continue;
    if (room == 0) return false;
    --room;
    TRY(write_share(working, call, row->user, true, false));
  }
  for (auto row = seen.grants.rbegin(); row != seen.grants.rend(); ++row) {
    if (!(row->stamp < removed)) continue;
    if (room == 0) return false;
    --room;
    TRY(write_grant(working, call, row->user, seen.grant_of(*row), std::nullopt));
  }
  return true;
}

Result<bool> Transaction::sweep_user(WorkingCompany& working, UserId user, std::size_t& room) {
  const CompanyId company = working.state->id;
  const Removal removal = working.removals->users.at(user);
  const std::string prefix = encode_user_prefix(company, user);
  const auto pairs = ground_.rocks.iterate(Family::by_user);
  for (pairs->Seek(encode_key(UserCallKey{company, user, {removal.swept_to}}));
       pairs->Valid() && pairs->key().starts_with(prefix); pairs->Next()) {
    const auto key = decode_user_call_key(view(pairs->key()));
    const auto value = decode_user_call_value(view(pairs->value()));
    if (!key || !value) return corrupt("by_user");
    if (room == 0) {
      change_removals(working).users.at(user).swept_to = key->call.value;
      return false;
    }
    --room;
    if (!value->grant && !value->share) continue;
    const core::EntryPtr seen = TRY(entry(company, key->call))->now();
    const core::ShareRow* share = seen->find_share(user);
    if (share && share->stamp < removal.newest()) {
      TRY(write_share(working, key->call, user, true, false));
    }
    const core::EntryPtr then = TRY(entry(company, key->call))->now();
    const core::GrantRow* grant = then->find_grant(user);
    if (grant && grant->stamp < removal.newest()) {
      TRY(write_grant(working, key->call, user, then->grant_of(*grant), std::nullopt));
    }
  }
  if (!pairs->status().ok()) return from_rocksdb(pairs->status(), "sweeping a user");
  return true;
}

Result<bool> Transaction::sweep_things(WorkingCompany& working, std::size_t& room) {
  const core::Stamp removed = working.removals->company.newest();
  const std::string prefix = encode_company_prefix(working.state->id);
  const auto rows = ground_.rocks.iterate(Family::directory);
  std::string last_thing;
  rows->Seek(std::max(prefix, working.removals->things_swept_to));
  for (; rows->Valid() && rows->key().starts_with(prefix); rows->Next()) {
    // Versions come newest first: the first of each thing counts.
    const std::string_view thing = view(rows->key()).substr(0, rows->key().size() - 8);
    if (thing == last_thing) continue;
    if (room == 0) {
      change_removals(working).things_swept_to = thing;
      return false;
    }
    --room;
    last_thing = thing;
    const auto key = decode_directory_key(view(rows->key()));
    const auto value = decode_directory_value(view(rows->value()));
    if (!key || !value) return corrupt("directory");
    if (value->body && core::Stamp{key->revision, value->n} < removed) {
      TRY(write_thing(working, key->kind, key->id, std::nullopt));
    }
  }
  if (!rows->status().ok()) return from_rocksdb(rows->status(), "sweeping a company");
  change_removals(working).things_swept_to = encode_company_prefix({working.state->id.value + 1});
  return true;
}

Result<bool> Transaction::sweep_company(WorkingCompany& working, std::size_t& room) {
  const CompanyId company = working.state->id;
  if (!TRY(sweep_things(working, room))) return false;
  const Removal removal = working.removals->company;
  const std::string prefix = encode_company_prefix(company);
  const auto calls = ground_.rocks.iterate(Family::calls);
  std::uint64_t next = removal.swept_to;
  while (true) {
    calls->Seek(encode_call_prefix(company, {next}));
    if (!calls->Valid() || !calls->key().starts_with(prefix)) break;
    const auto key = decode_call_row_key(view(calls->key()));
    if (!key) return corrupt("calls");
    next = key->call.value;
    if (room > 0) --room;
    const bool swept = room > 0 && TRY(sweep_call(working, key->call, removal.newest(), room));
    if (!swept) {
      change_removals(working).company.swept_to = next;
      return false;
    }
    const core::EntryPtr seen = TRY(entry(company, key->call))->now();
    if (seen->call && seen->call_stamp < removal.newest()) {
      std::optional<core::Call> before = TRY(find_call(company, key->call));
      TRY(write_call(working, key->call, std::move(before), std::nullopt));
    }
    ++next;
  }
  if (!calls->status().ok()) return from_rocksdb(calls->status(), "sweeping a company");
  return sweep_answers(working, room);
}

// What was answered before the removal is not answered again to a company that came back.
Result<bool> Transaction::sweep_answers(WorkingCompany& working, std::size_t& room) {
  const core::Stamp removed = working.removals->company.newest();
  bool is_done = true;
  TRY(ground_.rocks.scan(Family::meta, encode_answers_prefix(working.state->id), nullptr,
                         [&](std::string_view key_bytes, std::string_view value) -> Result<bool> {
                           const auto key = decode_answer_key(key_bytes);
                           const auto answer = decode_kept_answer(value);
                           if (!key || !answer) return corrupt("meta");
                           if (answer->revision >= removed.revision) return true;
                           is_done = room > 0;
                           if (!is_done) return false;
                           --room;
                           rocksdb::ColumnFamilyHandle* const meta =
                               ground_.rocks.family(Family::meta);
                           batch_.Delete(meta, slice(key_bytes));
                           batch_.Delete(meta, encode_key(AnswerTimeKey{answer->at, *key}));
                           return true;
                         }));
  return is_done;
}

Result<bool> Transaction::sweep_expired(std::size_t rows_max) {
  bool is_done = true;
  std::map<std::pair<CompanyId, CallId>, std::vector<ExpiryKey>> due;
  TRY(ground_.rocks.scan(Family::meta, std::string(1, kExpiryTag), nullptr,
                         [&](std::string_view key_bytes, std::string_view) -> Result<bool> {
                           const auto key = decode_expiry_key(key_bytes);
                           if (!key) return corrupt("meta");
                           if (key->at > now_) return false;
                           is_done = rows_max > 0;
                           if (!is_done) return false;
                           --rows_max;
                           due[{key->company, key->call}].push_back(*key);
                           return true;
                         }));
  for (auto& [place, keys] : due) {
    const auto [id, call] = place;
    WorkingCompany& working = *TRY(company(id));
    if (!working.is_open) {
      open_revision(working, Operation::sweep, Origin{make_request_id(), ""});
    }
    std::ranges::sort(keys, {}, &ExpiryKey::user);
    const core::EntryPtr seen = TRY(entry(id, call))->now();
    std::vector<core::GrantChange> changes;
    for (const ExpiryKey& key : keys) {
      const core::GrantRow* const row = seen->find_grant(key.user);
      if (row && row->expires_at == key.at) {
        changes.push_back({0, key.user, seen->grant_of(*row), std::nullopt});
      } else {  // left by a load
        batch_.Delete(ground_.rocks.family(Family::meta), encode_key(key));
      }
    }
    if (!changes.empty()) TRY(write_grants(working, call, changes));
  }
  for (const auto& [id, working] : companies_) {
    if (working->is_open) TRY(close_revision(*working));
  }
  return is_done;
}

}  // namespace earshot::store
