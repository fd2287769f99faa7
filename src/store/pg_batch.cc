#include "store/pg_batch.h"

#include <algorithm>

#include "base/assert.h"
#include "store/pg_rows.h"
#include "store/pg_statements.h"

namespace earshot::store {
namespace {

std::string bytes_of(const Digest& digest) { return {digest.begin(), digest.end()}; }

Digest read_digest(std::string_view bytes) {
  Digest digest{};
  ASSERT(bytes.size() == digest.size());
  std::ranges::copy(bytes, digest.begin());
  return digest;
}

}  // namespace

PgHead read_head(const PgResult& locked) {
  PgHead head;
  if (locked.rows() == 0) return head;
  head.revision = locked.number(0, 0);
  head.directory_revision = locked.number(0, 1);
  head.time = locked.timestamp(0, 2);
  head.hash = read_digest(locked.text(0, 3));
  head.horizon = locked.number(0, 4);
  return head;
}

void PgNamed::add(const GrantCommand& command) {
  if (const WithResults* const asked = command.with_results.get()) {
    const auto* const call = std::get_if<CallId>(&asked->all_of);
    if (call) calls.push_back(call->value);
    if (asked->idempotency_key) idempotency_keys.push_back(bytes_of(asked->idempotency_key->key));
    if (asked->if_revision && (call || !command.calls.empty())) {
      unchanged_since =
          std::min(*asked->if_revision, unchanged_since.value_or(*asked->if_revision));
      if (call) unchanged_calls.push_back(call->value);
      for (const core::CallUsers& named : command.calls) {
        unchanged_calls.push_back(named.call.value);
      }
    }
  }
  for (const core::CallUsers& named : command.calls) {
    calls.push_back(named.call.value);
    for (const UserId user : named.users) {
      pair_calls.push_back(named.call.value);
      pair_users.push_back(user.value);
    }
  }
}

void PgNamed::make_distinct() {
  for (std::vector<std::uint64_t>* const ids : {&calls, &unchanged_calls}) {
    std::ranges::sort(*ids);
    ids->erase(std::unique(ids->begin(), ids->end()), ids->end());
  }
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
    entry->second->put_grant({grants.number(row, 1)}, read_grant(grants, row, 2), {});
  }
}

void PgBatch::take_changed(const PgResult& changed) {
  for (int row = 0; row < changed.rows(); ++row) {
    changed_[{changed.number(row, 0)}] = changed.number(row, 1);
  }
}

void PgBatch::take_answers(const PgResult& answers) {
  for (int row = 0; row < answers.rows(); ++row) {
    // One that no release wrote has no results, and says so when it is told.
    answers_[read_digest(answers.text(row, 0))] =
        read_kept_answer(answers, row).value_or(KeptAnswer{});
  }
}

void PgBatch::take_all(const PgResult& grants) {
  take_pairs(grants);
  all_count_ = grants.rows() == 0 ? 0 : grants.number(0, 4);
}

void PgBatch::take_pairs(const PgResult& grants) {
  for (int row = 0; row < grants.rows(); ++row) {
    const CallId call{grants.number(row, 0)};
    const UserId user{grants.number(row, 1)};
    if (all_.empty() || all_.back().call != call) all_.push_back({call, {}});
    all_.back().users.push_back(user);
    auto& entry = entries_[call];
    if (!entry) {
      // It is there, since it has grants; what it says else is nothing to one that goes.
      entry = std::make_shared<core::CallEntry>();
      entry->call.emplace();
    }
    entry->put_grant(user, read_grant(grants, row, 2), {});
  }
}

std::vector<std::uint64_t> PgBatch::calls_of_all() const {
  std::vector<std::uint64_t> calls;
  calls.reserve(all_.size());
  for (const core::CallUsers& named : all_) calls.push_back(named.call.value);
  return calls;
}

std::vector<core::EntryPtr> PgBatch::entries_of(std::span<const core::CallUsers> calls) const {
  static const auto absent = std::make_shared<const core::CallEntry>();
  std::vector<core::EntryPtr> entries;
  entries.reserve(calls.size());
  for (const core::CallUsers& named : calls) {
    const auto found = entries_.find(named.call);
    entries.push_back(found == entries_.end() ? absent : found->second);
  }
  return entries;
}

Result<Outcome> PgBatch::run(const GrantCommand& command, const core::Directory* directory) {
  if (command.with_results) {
    ASSERT(directory != nullptr);
    return run_with_results(command, *directory);
  }
  const std::vector<core::EntryPtr> entries = entries_of(command.calls);
  Outcome outcome;
  if (command.operation == Operation::give) {
    ASSERT(directory != nullptr);
    outcome.decision = core::decide_give(command.calls, entries, *directory, now_);
  } else {
    outcome.decision = core::decide_remove(command.calls, entries, now_);
  }
  const auto* changes = std::get_if<std::vector<core::GrantChange>>(&outcome.decision);
  if (changes && !changes->empty()) {
    write(command.operation, command.origin, command.calls, *changes);
  }
  outcome.revision = head_.revision;
  return outcome;
}

Result<Outcome> PgBatch::run_with_results(const GrantCommand& command,
                                          const core::Directory& directory) {
  const WithResults& asked = *command.with_results;
  if (asked.idempotency_key) {
    const auto kept = answers_.find(asked.idempotency_key->key);
    if (kept != answers_.end() && !is_forgotten(kept->second, idempotency_keep_, now_)) {
      Outcome again = TRY(answer_again(kept->second, command));
      // Its own, where its COMMIT was not answered.
      if (again.repeated == command.origin.request_id) again.repeated.reset();
      return again;
    }
  }
  if (asked.if_revision) TRY(check_reach(*asked.if_revision));

  Outcome outcome;
  outcome.revision = head_.revision;
  if (auto refusal = refuse_all(asked, directory)) {
    outcome.decision = std::move(*refusal);
    return outcome;
  }
  const std::span<const core::CallUsers> calls = asked.all_of.index() == 0 ? command.calls : all_;
  const std::vector<core::EntryPtr> entries = entries_of(calls);
  core::DecisionWithResults decided =
      command.operation == Operation::give
          ? core::decide_give_with_results(calls, asked.terms, entries, directory, now_)
          : core::decide_remove_with_results(calls, entries, directory, now_);
  outcome.decision = std::move(decided.decision);
  const auto* const changes = std::get_if<std::vector<core::GrantChange>>(&outcome.decision);
  if (!changes) return outcome;
  if (asked.if_revision) {
    const auto* const all_of_call = std::get_if<CallId>(&asked.all_of);
    std::vector<CallId> named;  // of all grants of a user: the calls that lose one
    if (all_of_call) named.push_back(*all_of_call);
    for (const core::CallUsers& one : calls) {
      if (!all_of_call) named.push_back(one.call);
    }
    if (auto changed = changed_after(named, *asked.if_revision); !changed.ids.empty()) {
      outcome.decision = std::move(changed);
      return outcome;
    }
  }
  outcome.results = std::move(decided.results);
  if (asked.is_dry_run) return outcome;
  if (!changes->empty()) write(command.operation, command.origin, calls, *changes);
  outcome.revision = head_.revision;
  if (asked.idempotency_key) keep_answer(command, outcome);
  return outcome;
}

Status PgBatch::check_reach(core::Revision if_revision) const {
  if (if_revision > head_.revision) {
    return not_found("revision " + std::to_string(if_revision) + " is later than the newest, " +
                     std::to_string(head_.revision));
  }
  if (if_revision < head_.horizon) {
    return gone("what changed after revision " + std::to_string(if_revision) +
                " is not known any more, only what did after revision " +
                std::to_string(head_.horizon));
  }
  return {};
}

std::optional<core::Decision> PgBatch::refuse_all(const WithResults& asked,
                                                  const core::Directory& directory) const {
  if (asked.all_of.index() == 0) return std::nullopt;
  const auto* const call = std::get_if<CallId>(&asked.all_of);
  const auto* const user = std::get_if<UserId>(&asked.all_of);
  if (call && !entries_.contains(*call)) return core::UnknownCalls{{*call}};
  if (user && directory.find_user(*user) == nullptr) return core::UnknownUsers{{*user}};
  if (all_count_ > asked.all_of_max) return core::TooManyGrants{all_count_};
  return std::nullopt;
}

core::ChangedCalls PgBatch::changed_after(std::span<const CallId> calls,
                                          core::Revision revision) const {
  core::ChangedCalls changed;
  for (const CallId call : calls) {
    const auto found = changed_.find(call);
    if (found != changed_.end() && found->second > revision) changed.ids.push_back(call);
  }
  return changed;
}

void PgBatch::keep_answer(const GrantCommand& command, const Outcome& outcome) {
  if (head_.revision == 0) return;  // there is no such company
  const Digest& key = command.with_results->idempotency_key->key;
  answers_[key] = make_kept_answer(command, outcome, now_);
  kept_.push_back(key);
}

void PgBatch::sweep(const PgResult& expired, const Origin& origin) {
  take_pairs(expired);
  std::vector<core::GrantChange> changes;
  for (std::size_t i = 0; i < all_.size(); ++i) {
    const core::CallEntry& entry = *entries_.at(all_[i].call);
    for (const UserId user : all_[i].users) {
      changes.push_back({i, user, entry.grant_of(*entry.find_grant(user)), std::nullopt});
    }
  }
  write(Operation::sweep, origin, all_, changes);
}

void PgBatch::write(Operation operation, const Origin& origin,
                    std::span<const core::CallUsers> calls,
                    const std::vector<core::GrantChange>& changes) {
  ChangeWriter writer;
  std::uint32_t n = 0, first_n = 0;
  const core::Revision revision = head_.revision + 1;
  std::vector<core::GrantEdit> edits;
  for (auto change = changes.begin(); change != changes.end(); ++change) {
    if (writer.bytes() >= kPartBytesMax) {
      end_part(writer, operation, origin, first_n, false);
      first_n = n;
    }
    const CallId call = calls[change->call_index].call;
    writer.add(GrantChanged{call, {}, change->user, change->before, change->after});
    grants_[{call, change->user}] = {change->after, revision};
    edits.push_back({change->user, change->after, {revision, n}});
    ++n;
    if (change + 1 == changes.end() || (change + 1)->call_index != change->call_index) {
      entries_.at(call)->apply(edits);
      edits.clear();
      changed_[call] = revision;
    }
  }
  end_part(writer, operation, origin, first_n, true);
  head_.revision = revision;
  changes_ += changes.size();
}

void PgBatch::end_part(ChangeWriter& writer, Operation operation, const Origin& origin,
                       std::uint32_t first_n, bool is_last) {
  head_.time = now_;
  rows_.push_back(make_change_row({company_, head_.revision + 1, first_n},
                                  {.previous_hash = head_.hash,
                                   .last_part = is_last,
                                   .time = head_.time,
                                   .directory_revision = head_.directory_revision,
                                   .operation = operation,
                                   .origin = origin},
                                  writer.take_items()));
  head_.hash = rows_.back().hash();
}

std::vector<PgQuery> PgBatch::queries() const {
  std::vector<std::uint64_t> put_calls, put_users, put_revisions;
  std::vector<std::optional<Time>> expiries;
  std::vector<std::optional<std::string>> notes;
  for (const auto& [pair, after] : grants_) {
    if (!after.grant) continue;
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
  add_removals(queries);
  if (!kept_.empty()) {
    std::vector<std::string> keys, requests, request_ids, results;
    std::vector<std::optional<Time>> times;
    std::vector<std::uint64_t> revisions;
    for (const Digest& key : kept_) {
      const KeptAnswer& answer = answers_.at(key);
      keys.push_back(bytes_of(key));
      requests.push_back(bytes_of(answer.request));
      times.emplace_back(answer.at);
      request_ids.emplace_back(format_request_id(answer.request_id).view());
      revisions.push_back(answer.revision);
      results.push_back(answer.results);
    }
    PgQuery& keep = queries.emplace_back(PgQuery{&kKeepAnswers});
    keep.params.add(company_).add_byte_strings(keys).add_byte_strings(requests);
    keep.params.add_times(times).add_texts(std::span<const std::string>(request_ids));
    keep.params.add_numbers(revisions).add_byte_strings(results);
  }
  if (!has_revision()) return queries;
  queries.push_back({&kInsertChanges, params_of(rows_)});
  PgQuery& head = queries.emplace_back(PgQuery{&kMoveHead});
  head.params.add(company_).add(head_.revision).add(head_.time);
  head.params.add_bytes({reinterpret_cast<const char*>(head_.hash.data()), head_.hash.size()});
  return queries;
}

// In as few statements as may be: of each call, or of each user.
void PgBatch::add_removals(std::vector<PgQuery>& queries) const {
  std::map<std::uint64_t, std::vector<std::uint64_t>> by_call, by_user;
  for (const auto& [pair, after] : grants_) {
    if (after.grant) continue;
    by_call[pair.first.value].push_back(pair.second.value);
    by_user[pair.second.value].push_back(pair.first.value);
  }
  const bool goes_by_user = by_user.size() < by_call.size();
  for (const auto& [one, others] : goes_by_user ? by_user : by_call) {
    PgQuery& query =
        queries.emplace_back(PgQuery{goes_by_user ? &kRemoveGrantsOfCalls : &kRemoveGrants});
    query.params.add(company_).add(one).add_numbers(others);
  }
}

}  // namespace earshot::store
