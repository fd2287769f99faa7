// The half of Transaction that runs commands with results: what was answered before, what a command
// means by all grants of a user or call, and whether calls have changed since a revision.
#include <algorithm>

#include "base/assert.h"
#include "store/transaction.h"

namespace earshot::store {

Result<Outcome> Transaction::run_with_results(const GrantCommand& command) {
  const WithResults& asked = *command.with_results;
  WorkingCompany& working = *TRY(company(command.company));
  std::optional<KeptAnswer> before;
  if (asked.idempotency_key) {
    before = TRY(find_answer({command.company, asked.idempotency_key->key}));
    if (before && !is_forgotten(working, *before)) return answer_again(*before, command);
  }
  if (asked.if_revision) TRY(check_reach(working, *asked.if_revision));

  Outcome outcome;
  outcome.revision = working.head.revision;
  const bool is_of_all = asked.all_of.index() != 0;
  std::vector<core::CallUsers> all;
  if (is_of_all) {
    auto found = TRY(find_all(working, asked));
    if (auto* const refusal = std::get_if<core::Decision>(&found)) {
      outcome.decision = std::move(*refusal);
      return outcome;
    }
    all = std::get<std::vector<core::CallUsers>>(std::move(found));
  }
  const std::span<const core::CallUsers> calls = is_of_all ? all : command.calls;
  const std::vector<core::EntryPtr> entries = TRY(load_entries(working, calls));
  const core::Directory& directory = TRY(people(working))->directory;
  core::DecisionWithResults decided =
      command.operation == Operation::give
          ? core::decide_give_with_results(calls, asked.terms, entries, directory,
                                           judged_at(working))
          : core::decide_remove_with_results(calls, entries, directory, judged_at(working));
  if (is_of_all) {
    std::erase_if(decided.results, [](const core::PairResult& result) {
      return result.outcome != core::PairOutcome::removed;
    });
  }
  outcome.decision = std::move(decided.decision);
  const auto* const changes = std::get_if<std::vector<core::GrantChange>>(&outcome.decision);
  if (!changes) return outcome;
  if (asked.if_revision) {
    // Of all grants of a user, only calls that lose one are named.
    std::vector<bool> is_named(calls.size(), !std::holds_alternative<UserId>(asked.all_of));
    for (const core::GrantChange& change : *changes) is_named[change.call_index] = true;
    core::ChangedCalls changed;
    for (std::size_t i = 0; i < calls.size(); ++i) {
      if (is_named[i] && TRY(has_changed_after(working, calls[i].call, *asked.if_revision))) {
        changed.ids.push_back(calls[i].call);
      }
    }
    if (!changed.ids.empty()) {
      outcome.decision = std::move(changed);
      return outcome;
    }
  }
  outcome.results = std::move(decided.results);
  if (asked.is_dry_run) return outcome;
  if (!changes->empty()) take_in(working, command, calls, *changes);
  outcome.revision = working.head.revision;
  if (asked.idempotency_key) keep_answer(working, command, outcome, before);
  return outcome;
}

Result<std::optional<KeptAnswer>> Transaction::find_answer(const AnswerKey& key) {
  const auto value = TRY(ground_.rocks.get(Family::meta, encode_key(key)));
  if (!value) return std::optional<KeptAnswer>();
  auto answer = decode_kept_answer(*value);
  if (!answer) return corrupt("meta");
  return answer;
}

bool Transaction::is_forgotten(const WorkingCompany& working, const KeptAnswer& answer) const {
  // What a company that was removed was told is not told to one that came back.
  if (working.removals && answer.revision < working.removals->company.newest().revision)
    return true;
  return store::is_forgotten(answer, ground_.idempotency_keep, judged_at(working));
}

void Transaction::keep_answer(WorkingCompany& working, const GrantCommand& command,
                              const Outcome& outcome, const std::optional<KeptAnswer>& before) {
  const AnswerKey key{command.company, command.with_results->idempotency_key->key};
  if (before) {
    batch_.Delete(ground_.rocks.family(Family::meta), encode_key(AnswerTimeKey{before->at, key}));
  }
  const KeptAnswer answer = make_kept_answer(command, outcome, judged_at(working));
  write_row(Family::meta, encode_key(key), encode_value(answer));
  write_row(Family::meta, encode_key(AnswerTimeKey{answer.at, key}), encode_text_value({}));
}

Result<std::variant<std::vector<core::CallUsers>, core::Decision>> Transaction::find_all(
    WorkingCompany& working, const WithResults& asked) {
  using Found = std::variant<std::vector<core::CallUsers>, core::Decision>;
  const CompanyId company = working.state->id;
  std::vector<core::CallUsers> calls;
  std::size_t count = 0;
  if (const auto* const call = std::get_if<CallId>(&asked.all_of)) {
    const core::EntryPtr seen = visible(working, *TRY(entry(company, *call)), *call);
    if (!seen->call) return Found(core::UnknownCalls{{*call}});
    core::CallUsers& named = calls.emplace_back(core::CallUsers{*call, {}});
    for (const core::GrantRow& row : seen->grants) {
      if (core::is_live(row, judged_at(working))) named.users.push_back(row.user);
    }
    count = named.users.size();
  } else {
    const UserId user = std::get<UserId>(asked.all_of);
    if (!TRY(people(working))->directory.find_user(user)) return Found(core::UnknownUsers{{user}});
    count = TRY(find_grants_of(working, user, false, asked.all_of_max, calls));
    // Of so many some may be dead, or have expired and await their sweep.
    if (count > asked.all_of_max) {
      count = TRY(find_grants_of(working, user, true, asked.all_of_max, calls));
    }
  }
  if (count > asked.all_of_max) return Found(core::TooManyGrants{count});
  return Found(std::move(calls));
}

Result<std::size_t> Transaction::find_grants_of(WorkingCompany& working, UserId user,
                                                bool only_live, std::size_t calls_max,
                                                std::vector<core::CallUsers>& calls) {
  ASSERT(entries_.empty());  // rows of commands before it are not in the store yet
  const CompanyId company = working.state->id;
  calls.clear();
  std::size_t count = 0;
  TRY(ground_.rocks.scan(
      Family::by_user, encode_user_prefix(company, user), nullptr,
      [&](std::string_view key_bytes, std::string_view value_bytes) -> Result<bool> {
        const auto key = decode_user_call_key(key_bytes);
        const auto value = decode_user_call_value(value_bytes);
        if (!key || !value) return corrupt("by_user");
        if (!value->grant) return true;
        if (only_live && !TRY(has_live_grant(working, key->call, user))) return true;
        if (++count <= calls_max) calls.push_back({key->call, {user}});
        return true;
      }));
  return count;
}

Result<bool> Transaction::has_live_grant(const WorkingCompany& working, CallId call, UserId user) {
  const CompanyId company = working.state->id;
  const auto value = TRY(ground_.rocks.get(
      Family::calls, encode_key(CallRowKey{company, call, RowKind::grant, user})));
  const auto row = value ? decode_grant_row(*value) : std::nullopt;
  if (!row || !row->grant) return corrupt("calls");
  if (working.removals && working.removals->killed_at(call, user, row->stamp) != 0) return false;
  return !row->grant->expires_at || core::is_live(*row->grant->expires_at, judged_at(working));
}

Status Transaction::check_reach(const WorkingCompany& working, core::Revision if_revision) const {
  if (if_revision > working.head.revision) {
    return not_found("revision " + std::to_string(if_revision) + " is later than the newest, " +
                     std::to_string(working.head.revision));
  }
  const core::Revision horizon = ground_.rocks.horizons().of(working.state->id);
  if (if_revision < horizon) {
    return gone("what changed after revision " + std::to_string(if_revision) +
                " is not known any more, only what did after revision " + std::to_string(horizon));
  }
  return {};
}

Result<bool> Transaction::has_changed_after(WorkingCompany& working, CallId call,
                                            core::Revision revision) {
  const core::EntryPtr seen = TRY(entry(working.state->id, call))->now();
  if (working.removals && !working.removals->empty()) {
    // Rows of a user or company that was removed since, and not swept yet.
    const Removals& removals = *working.removals;
    const auto died_after = [&](const auto& row) {
      return removals.killed_at(call, row.user, row.stamp) > revision;
    };
    const bool has_died = (seen->call && removals.company.killed_at(seen->call_stamp) > revision) ||
                          std::ranges::any_of(seen->shares, died_after) ||
                          std::ranges::any_of(seen->grants, died_after);
    if (has_died) return true;
  }
  // That what was dead is swept changes nothing for anybody: it counts when it died.
  core::Stamp newest = seen->newest;
  std::unique_ptr<rocksdb::Iterator> changes;
  while (newest.revision > revision) {
    if (newest.revision > working.state->head.revision) return true;  // by a command before it
    if (!changes) changes = ground_.rocks.iterate(Family::changes);
    const auto died_at = TRY(find_sweep(*changes, working.state->id, call, newest));
    if (!died_at || *died_at > revision) return true;
  }
  return false;
}

Result<std::optional<core::Revision>> Transaction::find_sweep(rocksdb::Iterator& changes,
                                                              CompanyId company, CallId call,
                                                              core::Stamp& newest) {
  using Found = std::optional<core::Revision>;
  changes.SeekForPrev(encode_key(ChangeKey{company, newest.revision, newest.n}));
  if (!changes.status().ok()) return from_rocksdb(changes.status(), "reading a change");
  if (!changes.Valid()) return corrupt("changes");
  const auto key = decode_change_key(view(changes.key()));
  const auto head = decode_change_head(view(changes.value()));
  if (!key || !head || key->company != company || key->revision != newest.revision) {
    return corrupt("changes");
  }
  if (head->operation != Operation::sweep) return Found();
  const auto swept =
      decode_changes_of(view(changes.value()), [call](CallId changed) { return changed == call; });
  if (!swept || swept->empty()) return corrupt("changes");
  core::Revision died_at = 0;
  for (const Change& change : *swept) {
    const core::Revision dead_since = dead_since_of(change);
    if (dead_since == 0) return Found();  // a grant that has expired
    died_at = std::max(died_at, dead_since);
    newest = std::min(newest, previous_of(change));
  }
  return Found(died_at);
}

}  // namespace earshot::store
