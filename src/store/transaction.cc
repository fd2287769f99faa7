#include "store/transaction.h"

#include <algorithm>

#include "base/assert.h"
#include "store/snapshot.h"

namespace earshot::store {

CompanyState* Companies::find(CompanyId company) const {
  const std::shared_lock lock(mutex_);
  const auto found = states_.find(company);
  return found == states_.end() ? nullptr : found->second.get();
}

Result<CompanyState*> Companies::meet(CompanyId company) {
  if (CompanyState* known = find(company)) return known;
  // Under the lock, so that nobody commits to a company between the reading of its head and its
  // being known.
  const std::unique_lock lock(mutex_);
  const auto known = states_.find(company);
  if (known != states_.end()) return known->second.get();
  auto met = std::make_unique<CompanyState>(company);

  const Snapshot snapshot(rocks_);
  Head head;
  TRY(snapshot.find_head(company,
                         [&](const ChangeKey& key, const ChangeHead& newest,
                             std::string_view key_bytes, std::string_view value) -> Status {
                           head = {key.revision, newest.directory_revision, newest.time,
                                   hash_change(key_bytes, value)};
                           return {};
                         }));
  met->set_removals(std::make_shared<Removals>(TRY(snapshot.removals(company))));
  met->publish(head, nullptr);
  return states_.emplace(company, std::move(met)).first->second.get();
}

void Companies::forget_people(std::uint64_t bytes_max) {
  const std::unique_lock lock(mutex_);
  std::uint64_t bytes = 0;
  for (const auto& [id, state] : states_) {
    if (const PeoplePtr people = state->people()) bytes += people->directory.memory_bytes();
  }
  if (bytes <= bytes_max) return;
  for (const auto& [id, state] : states_) state->forget_people();
}

Transaction::Transaction(const Ground& ground, Time now) : ground_(ground), now_(now) {}

Result<Transaction::WorkingCompany*> Transaction::company(CompanyId id) {
  auto found = companies_.find(id);
  if (found == companies_.end()) {
    CompanyState* state = TRY(ground_.companies.meet(id));
    auto working = std::make_unique<WorkingCompany>();
    working->state = state;
    working->head = state->head;
    working->people = state->people();
    working->removals = state->removals();
    found = companies_.emplace(id, std::move(working)).first;
  }
  WorkingCompany& working = *found->second;
  if (in_records_ && !working.is_open) {
    open_revision(working, Operation::records, records_origin_);
  }
  return &working;
}

Result<const People*> Transaction::people(WorkingCompany& working) {
  if (working.people) return working.people.get();
  const Removals none;
  working.people =
      TRY(Snapshot(ground_.rocks)
              .load_people(working.state->id, working.removals ? *working.removals : none,
                           working.state->head.directory_revision));
  return working.people.get();
}

Result<core::Directory*> Transaction::change_directory(WorkingCompany& working) {
  TRY(people(working));
  if (!working.changed_people) {
    working.changed_people = std::make_shared<People>(*working.people);
    working.people = working.changed_people;
  }
  return &working.changed_people->directory;
}

Removals& Transaction::change_removals(WorkingCompany& working) {
  if (!working.changed_removals) {
    working.changed_removals = working.removals ? std::make_shared<Removals>(*working.removals)
                                                : std::make_shared<Removals>();
    working.removals = working.changed_removals;
  }
  return *working.changed_removals;
}

Result<Transaction::WorkingEntry*> Transaction::entry(CompanyId company, CallId call) {
  const CallRef ref{company, call};
  const auto found = entries_index_.find(ref);
  if (found != entries_index_.end()) return found->second;
  WorkingEntry loaded;
  loaded.ref = ref;
  if (rows_) {
    loaded.before = TRY(find_loading(ref));
  } else if ((loaded.cached = ground_.cache.find_newest(ref))) {
    loaded.before = std::make_shared<const core::CallEntry>(loaded.cached->unpack());
  }
  if (!loaded.before) loaded.before = *TRY(ground_.rocks.read_entry(ref, Rocks::Tier::disk));
  if (rows_) entries_bytes_ += loaded.before->memory_bytes() + kWorkingEntryBytes;
  WorkingEntry& added = entries_.emplace_back(std::move(loaded));
  entries_index_.emplace(ref, &added);
  return &added;
}

core::CallEntry& Transaction::change_entry(WorkingEntry& working) {
  if (!working.changed) {
    working.changed = std::make_shared<core::CallEntry>(*working.before);
    if (rows_) entries_bytes_ += working.changed->memory_bytes();
  }
  return *working.changed;
}

bool Transaction::is_there(const WorkingCompany& company, const core::CallEntry& entry) const {
  return entry.call && !(company.removals && company.removals->company.kills(
                                                 entry.call_stamp, company.head.revision + 1));
}

template <class Row>
core::Revision Transaction::killed_at(const WorkingCompany& company, CallId call,
                                      const Row& row) const {
  return company.removals ? company.removals->killed_at(call, row.user, row.stamp) : 0;
}

template <class Row>
const Row* Transaction::alive(const WorkingCompany& company, CallId call, const Row* row) const {
  return row && killed_at(company, call, *row) == 0 ? row : nullptr;
}

core::EntryPtr Transaction::visible(const WorkingCompany& company, const WorkingEntry& entry,
                                    CallId call) const {
  core::EntryPtr now = entry.now();
  if (!company.removals || company.removals->empty()) return now;
  // Removals of this transaction's own revisions count too.
  return without_dead(now, call, *company.removals, company.head.revision + 1);
}

Result<std::vector<core::EntryPtr>> Transaction::load_entries(
    WorkingCompany& working, std::span<const core::CallUsers> calls) {
  std::vector<core::EntryPtr> entries;
  entries.reserve(calls.size());
  for (const core::CallUsers& wanted : calls) {
    const WorkingEntry* loaded = TRY(entry(working.state->id, wanted.call));
    entries.push_back(visible(working, *loaded, wanted.call));
  }
  return entries;
}

Result<Outcome> Transaction::run(const GrantCommand& command) {
  ASSERT(!in_records_);
  if (command.with_results) return run_with_results(command);
  WorkingCompany& working = *TRY(company(command.company));
  const std::vector<core::EntryPtr> entries = TRY(load_entries(working, command.calls));
  const Time now = judged_at(working);
  Outcome outcome;
  if (command.operation == Operation::give) {
    const People* loaded = TRY(people(working));
    outcome.decision = core::decide_give(command.calls, entries, loaded->directory, now);
  } else {
    outcome.decision = core::decide_remove(command.calls, entries, now);
  }
  const auto* changes = std::get_if<std::vector<core::GrantChange>>(&outcome.decision);
  if (changes && !changes->empty()) take_in(working, command, command.calls, *changes);
  outcome.revision = working.head.revision;
  return outcome;
}

void Transaction::take_in(WorkingCompany& working, const GrantCommand& command,
                          std::span<const core::CallUsers> calls,
                          const std::vector<core::GrantChange>& changes) {
  open_revision(working, command.operation, command.origin);
  for (auto first = changes.begin(); first != changes.end();) {
    const auto last = std::find_if(first, changes.end(), [&](const core::GrantChange& change) {
      return change.call_index != first->call_index;
    });
    const Status written = write_grants(working, calls[first->call_index].call, {first, last});
    ASSERT(written);  // all that it needs was loaded; half a command must not stay behind
    first = last;
  }
  const Status closed = close_revision(working);
  ASSERT(closed);
}

void Transaction::begin_records(const Origin& origin, std::size_t memory_bytes_max) {
  in_records_ = true;
  records_origin_ = origin;
  memory_bytes_max_ = memory_bytes_max;
  rows_ = std::make_unique<LoadRows>(ground_.rocks, ground_.scratch_directory);
}

Status Transaction::end_records(Time now) {
  now_ = now;
  in_records_ = false;
  for (auto& [id, working] : companies_) {
    if (working->is_open) TRY(close_revision(*working));
  }
  return {};
}

void Transaction::open_revision(WorkingCompany& working, Operation operation,
                                const Origin& origin) {
  ASSERT(!working.is_open);
  working.is_open = true;
  working.operation = operation;
  working.origin = origin;
  working.next_n = 0;
  working.part_first_n = 0;
}

Status Transaction::close_revision(WorkingCompany& working) {
  working.is_open = false;
  if (working.next_n == 0) return {};  // nothing changed: no revision
  TRY(write_part(working, true));
  ++working.head.revision;
  return {};
}

Status Transaction::write_part(WorkingCompany& working, bool last) {
  // A time that never goes back, so that "as of a time" has one meaning even when the clock jumps.
  working.head.time = std::max(working.head.time, now_);
  const ChangeHead head{.previous_hash = working.head.hash,
                        .last_part = last,
                        .time = working.head.time,
                        .directory_revision = working.head.directory_revision,
                        .operation = working.operation,
                        .origin = working.origin};
  const std::string key =
      encode_key(ChangeKey{working.state->id, working.head.revision + 1, working.part_first_n});
  writers_bytes_ -= std::min(writers_bytes_, working.writer.bytes());
  const std::string value = working.writer.finish(head);
  working.head.hash = hash_change(key, value);
  working.part_first_n = working.next_n;
  write_row(Family::changes, key, value);
  return {};
}

namespace {

bool puts_in_place(const ShareChanged& change) { return change.after; }
template <class ChangeType>
bool puts_in_place(const ChangeType& change) {
  return change.after.has_value();
}

}  // namespace

template <class ChangeType>
Result<core::Stamp> Transaction::record(WorkingCompany& working, const ChangeType& change) {
  ASSERT(working.is_open);
  if (working.next_n == UINT32_MAX)
    return invalid_argument("more changes than one revision can number");
  if (working.writer.bytes() >= kPartBytesMax) TRY(write_part(working, false));
  if (puts_in_place(change)) only_removes_ = false;
  const std::size_t bytes_before = working.writer.bytes();
  working.writer.add(change);
  writers_bytes_ += working.writer.bytes() - bytes_before;
  ++changes_;
  const core::Stamp stamp{working.head.revision + 1, working.next_n++};
  if constexpr (std::is_same_v<ChangeType, ThingChanged> ||
                std::is_same_v<ChangeType, KeyChanged>) {
    working.head.directory_revision = stamp.revision;
  }
  return stamp;
}

Status Transaction::write_grants(WorkingCompany& working, CallId call,
                                 std::span<const core::GrantChange> changes) {
  const CompanyId company = working.state->id;
  core::CallEntry& changed = change_entry(*TRY(entry(company, call)));
  core::Stamp previous = changed.newest;
  std::vector<core::GrantEdit> edits;
  edits.reserve(changes.size());
  for (const core::GrantChange& change : changes) {
    const core::GrantRow* row = changed.find_grant(change.user);
    const core::Revision dead_since = row ? killed_at(working, call, *row) : 0;
    if (row && !change.before) {
      // A dead row that awaits its sweep is swept now, so that the record always explains the rows.
      previous =
          TRY(record(working, GrantChanged{call, previous, change.user, changed.grant_of(*row),
                                           std::nullopt, dead_since}));
    }
    previous = TRY(record(working, GrantChanged{call, previous, change.user, change.before,
                                                change.after, change.before ? dead_since : 0}));
    write_row(Family::calls, encode_key(CallRowKey{company, call, RowKind::grant, change.user}),
              encode_value(GrantRowValue{previous, change.after}));
    const bool share = changed.find_share(change.user) != nullptr;
    write_by_user({company, change.user, call}, {row != nullptr, share, {}},
                  {change.after.has_value(), share, previous});
    write_expiry({{}, company, call, change.user}, row ? row->expires_at : core::GrantRow::kNever,
                 change.after ? change.after->expires_at.value_or(core::GrantRow::kNever)
                              : core::GrantRow::kNever);
    edits.push_back({change.user, change.after, previous});
  }
  changed.apply(edits);
  return {};
}

Status Transaction::write_grant(WorkingCompany& working, CallId call, UserId user,
                                std::optional<core::Grant> before,
                                std::optional<core::Grant> after) {
  const core::GrantChange change{0, user, std::move(before), std::move(after)};
  return write_grants(working, call, {&change, 1});
}

Status Transaction::write_share(WorkingCompany& working, CallId call, UserId user, bool before,
                                bool after) {
  const CompanyId company = working.state->id;
  core::CallEntry& changed = change_entry(*TRY(entry(company, call)));
  const core::ShareRow* row = changed.find_share(user);
  const bool had_share = row != nullptr;
  const core::Revision dead_since = row ? killed_at(working, call, *row) : 0;
  const bool grant = changed.find_grant(user) != nullptr;
  core::Stamp previous = changed.newest;
  if (!before && had_share) {  // dead, as in write_grants
    previous = TRY(record(working, ShareChanged{call, previous, user, true, false, dead_since}));
  }
  const core::Stamp stamp = TRY(
      record(working, ShareChanged{call, previous, user, before, after, before ? dead_since : 0}));
  if (after) {
    changed.put_share(user, stamp);
  } else {
    changed.remove_share(user, stamp);
  }
  write_row(Family::calls, encode_key(CallRowKey{company, call, RowKind::share, user}),
            encode_value(ShareRowValue{stamp, after}));
  write_by_user({company, user, call}, {grant, had_share, {}}, {grant, after, stamp});
  return {};
}

void Transaction::write_by_user(const UserCallKey& key, UserCallValue before, UserCallValue after) {
  if (after.grant == before.grant && after.share == before.share) return;
  write_row(Family::by_user, encode_key(key), encode_value(after));
}

void Transaction::write_expiry(ExpiryKey key, Time before, Time after) {
  if (before == after) return;
  // A load cannot take rows away: what it leaves means nothing, and goes when its time comes.
  if (before != core::GrantRow::kNever && !rows_) {
    key.at = before;
    batch_.Delete(ground_.rocks.family(Family::meta), encode_key(key));
  }
  if (after != core::GrantRow::kNever) {
    key.at = after;
    write_row(Family::meta, encode_key(key), encode_text_value({}));
  }
}

Status Transaction::write_call(WorkingCompany& working, CallId call,
                               std::optional<core::Call> before, std::optional<core::Call> after) {
  const CompanyId company = working.state->id;
  WorkingEntry& loaded = *TRY(entry(company, call));
  core::CallEntry& changed = change_entry(loaded);
  const core::Revision dead_since = changed.call && working.removals
                                        ? working.removals->company.killed_at(changed.call_stamp)
                                        : 0;
  core::Stamp previous = changed.newest;
  if (!before && changed.call) {  // dead, as in write_grants
    std::optional<core::Call> dead = TRY(find_call(company, call));
    previous = TRY(
        record(working, CallChanged{call, previous, std::move(dead), std::nullopt, dead_since}));
  }
  const core::Revision before_is_dead_since = before ? dead_since : 0;
  const core::Stamp stamp = TRY(
      record(working, CallChanged{call, previous, std::move(before), after, before_is_dead_since}));
  changed.call.reset();
  if (after) changed.call = core::facts_of(*after);
  changed.call_stamp = stamp;
  changed.newest = stamp;
  write_row(Family::calls, encode_key(CallRowKey{company, call, RowKind::call, {}}),
            encode_value(CallRow{stamp, after}));
  calls_[{company, call}] = std::move(after);
  return {};
}

Status Transaction::write_thing(WorkingCompany& working, ThingKind kind, std::uint64_t id,
                                std::optional<std::string> body) {
  const core::Stamp stamp = TRY(record(working, ThingChanged{kind, id, body}));
  const CompanyId company = working.state->id;
  DirectoryValue value{stamp.n, body, std::nullopt};
  if (kind == ThingKind::company && body && working.removals &&
      working.removals->company.newest().revision == stamp.revision) {
    value.removed_n = working.removals->company.newest().n;
  }
  write_row(Family::directory, encode_key(DirectoryKey{company, kind, id, stamp.revision}),
            encode_value(value));
  things_[encode_thing_prefix(company, kind, id)] = std::move(body);
  return {};
}

Status Transaction::write_key(WorkingCompany& working, std::string_view access_key,
                              std::optional<core::Key> key) {
  const core::Stamp stamp = TRY(record(working, KeyChanged{std::string(access_key), key}));
  const KeyRow row{working.state->id, stamp, std::move(key)};
  write_row(Family::keys, access_key, encode_value(row));
  keys_[std::string(access_key)] = row;
  return {};
}

Status Transaction::await_sweep(WorkingCompany& working, SweepKind kind, std::uint64_t id,
                                core::Stamp stamp) {
  Removals& removals = change_removals(working);
  Removal& removal = kind == SweepKind::company ? removals.company
                     : kind == SweepKind::user  ? removals.users[{id}]
                                                : removals.calls[{id}];
  // The older ones still count: for readers of the published revision, and for the record, which
  // says of a dead row since when it is dead.
  if (removal.newest().revision == stamp.revision) removal.stamps.pop_back();
  removal.stamps.push_back(stamp);
  removal.swept_to = 0;
  if (kind == SweepKind::company) removals.things_swept_to.clear();
  working.removals_grew = true;
  write_row(Family::meta, encode_key(SweepKey{working.state->id, kind, id}),
            encode_sweep_value(removal.stamps));
  return {};
}

Result<bool> Transaction::has_company(CompanyId id) {
  // A company that is only asked for opens no revision of its own: close_revision() leaves none
  // behind.
  WorkingCompany& working = *TRY(company(id));
  return TRY(people(working))->company_exists;
}

Result<bool> Transaction::has_user(CompanyId id, UserId user) {
  WorkingCompany& working = *TRY(company(id));
  return TRY(people(working))->directory.find_user(user) != nullptr;
}

Result<bool> Transaction::has_call(CompanyId id, CallId call) {
  WorkingCompany& working = *TRY(company(id));
  const WorkingEntry* loaded = TRY(entry(id, call));
  return is_there(working, *loaded->now());
}

Result<std::optional<std::pair<CompanyId, core::Key>>> Transaction::find_key(
    std::string_view access_key) {
  std::optional<std::pair<CompanyId, core::Key>> out;
  const auto changed = keys_.find(std::string(access_key));
  if (changed != keys_.end()) {
    if (changed->second.key) out.emplace(changed->second.company, *changed->second.key);
  } else if (const KeyPtr known = ground_.keys.find(access_key)) {
    out.emplace(known->company, known->key);
  }
  return out;
}

Result<std::optional<std::string>> Transaction::find_thing_body(WorkingCompany& working,
                                                                ThingKind kind, std::uint64_t id) {
  const std::string prefix = encode_thing_prefix(working.state->id, kind, id);
  const auto changed = things_.find(prefix);
  if (changed != things_.end()) return changed->second;
  const core::Stamp removed = working.removals ? working.removals->company.newest() : core::Stamp{};
  bool found = false;
  std::optional<std::string> body;
  const auto take = [&](std::string_view key_bytes, std::string_view value_bytes) -> Result<bool> {
    const auto key = decode_directory_key(key_bytes);
    auto value = decode_directory_value(value_bytes);
    if (!key || !value) return corrupt("directory");
    found = true;
    body.reset();
    if (core::Stamp{key->revision, value->n} > removed) body = std::move(value->body);
    return false;
  };
  if (rows_) {  // the last that is given is the newest
    TRY(rows_->scan_spilled(Family::directory, prefix,
                            [&](std::string_view key, std::string_view value) -> Status {
                              TRY(take(key, value));
                              return {};
                            }));
  }
  if (found || working.state->head.revision == 0) return body;
  TRY(ground_.rocks.scan(Family::directory, prefix, nullptr, take));
  return body;
}

template <class Thing>
Status Transaction::put_thing(CompanyId id, ThingKind kind, std::uint64_t thing_id,
                              const Thing& thing) {
  WorkingCompany& working = *TRY(company(id));
  std::string body;
  append_body(body, thing);
  const auto stored = TRY(find_thing_body(working, kind, thing_id));
  if (stored == body) return {};
  core::Directory* directory = TRY(change_directory(working));
  if constexpr (std::is_same_v<Thing, core::Company>) {
    working.changed_people->company_exists = true;
  } else {
    directory->put(thing);
  }
  TRY(write_thing(working, kind, thing_id, std::move(body)));
  return {};
}

Status Transaction::put(const core::Company& company) {
  return put_thing(company.id, ThingKind::company, company.id.value, company);
}
Status Transaction::put(CompanyId company, const core::Workspace& workspace) {
  return put_thing(company, ThingKind::workspace, workspace.id.value, workspace);
}
Status Transaction::put(CompanyId company, const core::Profile& profile) {
  return put_thing(company, ThingKind::profile, profile.id.value, profile);
}
Status Transaction::put(CompanyId company, const core::User& user) {
  return put_thing(company, ThingKind::user, user.id.value, user);
}

Status Transaction::put(CompanyId id, const core::Key& key) {
  WorkingCompany& working = *TRY(company(id));
  const auto known = TRY(find_key(key.access_key));
  if (known && known->first == id && known->second == key) return {};
  ASSERT(!known || known->first == id);
  TRY(write_key(working, key.access_key, key));
  return {};
}

Result<std::optional<core::Call>> Transaction::find_call(CompanyId company, CallId call) {
  const auto changed = calls_.find({company, call});
  if (changed != calls_.end()) return changed->second;
  const std::string key = encode_key(CallRowKey{company, call, RowKind::call, {}});
  std::optional<std::string> value;
  if (rows_) {
    TRY(rows_->scan_spilled(Family::calls, encode_call_prefix(company, call),
                            [&](std::string_view row_key, std::string_view row_value) -> Status {
                              if (row_key == key) value = row_value;
                              return {};
                            }));
  }
  if (!value) value = TRY(ground_.rocks.get(Family::calls, key));
  if (!value) return std::optional<core::Call>();
  auto row = decode_call_row(*value);
  if (!row) return corrupt("calls");
  if (row->call) row->call->id = call;
  return std::move(row->call);
}

Status Transaction::put(CompanyId id, const core::Call& call) {
  WorkingCompany& working = *TRY(company(id));
  std::optional<core::Call> before;
  if (TRY(has_call(id, call.id))) before = TRY(find_call(id, call.id));
  if (before == call) return {};
  TRY(write_call(working, call.id, std::move(before), call));
  return {};
}

Status Transaction::put_share(CompanyId id, CallId call, UserId user) {
  WorkingCompany& working = *TRY(company(id));
  const WorkingEntry* loaded = TRY(entry(id, call));
  if (alive(working, call, loaded->now()->find_share(user))) return {};
  TRY(write_share(working, call, user, false, true));
  return {};
}

Status Transaction::put_grant(CompanyId id, CallId call, UserId user, const core::Grant& grant) {
  WorkingCompany& working = *TRY(company(id));
  const WorkingEntry* loaded = TRY(entry(id, call));
  const core::EntryPtr seen = loaded->now();
  std::optional<core::Grant> before;
  if (const core::GrantRow* row = alive(working, call, seen->find_grant(user))) {
    before = seen->grant_of(*row);
  }
  if (before == grant) return {};
  TRY(write_grant(working, call, user, std::move(before), grant));
  return {};
}

Status Transaction::remove_thing(CompanyId id, ThingKind kind, std::uint64_t thing_id,
                                 bool is_there) {
  if (!is_there) return {};
  WorkingCompany& working = *TRY(company(id));
  TRY(write_thing(working, kind, thing_id, std::nullopt));
  return {};
}

Status Transaction::remove_company(CompanyId id) {
  WorkingCompany& working = *TRY(company(id));
  if (!TRY(people(working))->company_exists) return {};
  std::vector<std::string> access_keys;
  for (const KeyPtr& key : ground_.keys.list(id)) {
    if (!keys_.contains(key->key.access_key)) access_keys.push_back(key->key.access_key);
  }
  for (const auto& [access_key, row] : keys_) {
    if (row.company == id && row.key) access_keys.push_back(access_key);
  }
  std::sort(access_keys.begin(), access_keys.end());
  for (const std::string& access_key : access_keys)
    TRY(write_key(working, access_key, std::nullopt));

  TRY(write_thing(working, ThingKind::company, id.value, std::nullopt));
  const core::Stamp stamp{working.head.revision + 1, working.next_n - 1};
  TRY(change_directory(working));
  *working.changed_people = People{};
  TRY(await_sweep(working, SweepKind::company, id.value, stamp));
  // The bodies written before by this transaction are dead now.
  const std::string prefix = encode_company_prefix(id);
  for (auto thing = things_.lower_bound(prefix);
       thing != things_.end() && thing->first.starts_with(prefix); ++thing) {
    thing->second.reset();
  }
  return {};
}

Status Transaction::remove_key(CompanyId id, std::string_view access_key) {
  WorkingCompany& working = *TRY(company(id));
  const auto known = TRY(find_key(access_key));
  if (!known || known->first != id) return {};
  TRY(write_key(working, access_key, std::nullopt));
  return {};
}

Status Transaction::remove_workspace(CompanyId id, WorkspaceId workspace) {
  WorkingCompany& working = *TRY(company(id));
  const bool is_there = TRY(people(working))->directory.has_workspace(workspace);
  if (is_there) TRY(change_directory(working))->remove(workspace);
  return remove_thing(id, ThingKind::workspace, workspace.value, is_there);
}

Status Transaction::remove_profile(CompanyId id, ProfileId profile) {
  WorkingCompany& working = *TRY(company(id));
  const bool is_there = TRY(people(working))->directory.find_profile(profile) != nullptr;
  if (is_there) TRY(change_directory(working))->remove(profile);
  return remove_thing(id, ThingKind::profile, profile.value, is_there);
}

Status Transaction::remove_user(CompanyId id, UserId user) {
  WorkingCompany& working = *TRY(company(id));
  if (!TRY(people(working))->directory.find_user(user)) return {};
  TRY(change_directory(working))->remove(user);
  TRY(write_thing(working, ThingKind::user, user.value, std::nullopt));
  const core::Stamp stamp{working.head.revision + 1, working.next_n - 1};
  TRY(await_sweep(working, SweepKind::user, user.value, stamp));
  return {};
}

Status Transaction::remove_call(CompanyId id, CallId call) {
  WorkingCompany& working = *TRY(company(id));
  if (!TRY(has_call(id, call))) return {};
  std::optional<core::Call> before = TRY(find_call(id, call));
  TRY(write_call(working, call, std::move(before), std::nullopt));
  const WorkingEntry& loaded = *TRY(entry(id, call));
  if (!loaded.now()->shares.empty() || !loaded.now()->grants.empty()) {
    TRY(await_sweep(working, SweepKind::call, call.value, loaded.now()->call_stamp));
  }
  return {};
}

Status Transaction::remove_share(CompanyId id, CallId call, UserId user) {
  WorkingCompany& working = *TRY(company(id));
  const WorkingEntry* loaded = TRY(entry(id, call));
  if (!alive(working, call, loaded->now()->find_share(user))) return {};
  TRY(write_share(working, call, user, true, false));
  return {};
}

Status Transaction::remove_grant(CompanyId id, CallId call, UserId user) {
  WorkingCompany& working = *TRY(company(id));
  const WorkingEntry* loaded = TRY(entry(id, call));
  const core::EntryPtr seen = loaded->now();
  const core::GrantRow* row = alive(working, call, seen->find_grant(user));
  if (!row) return {};
  TRY(write_grant(working, call, user, seen->grant_of(*row), std::nullopt));
  return {};
}

void Transaction::write_row(Family family, std::string_view key, std::string_view value) {
  if (rows_) return rows_->put(family, key, value);
  if (NearRows::takes(family)) return near_rows_.put(family, key, value);
  const rocksdb::Status put = batch_.Put(ground_.rocks.family(family), slice(key), slice(value));
  ASSERT(put.ok());
}

std::vector<CompanyId> Transaction::companies_to_sweep() const {
  std::vector<CompanyId> companies;
  for (const auto& [id, working] : companies_) {
    if (working->removals_grew) companies.push_back(id);
  }
  return companies;
}

bool Transaction::removes_keys() const {
  return std::ranges::any_of(keys_, [](const auto& one) { return !one.second.key.has_value(); });
}

std::vector<std::pair<CompanyId, core::Revision>> Transaction::revisions() const {
  std::vector<std::pair<CompanyId, core::Revision>> changed;
  for (const auto& [id, working] : companies_) {
    if (working->head.revision != working->state->head.revision) {
      changed.emplace_back(id, working->head.revision);
    }
  }
  std::ranges::sort(changed);
  return changed;
}

Status Transaction::commit() {
  if (rows_ && must_write_files()) return commit_files();
  if (rows_) rows_->copy_to(batch_);
  near_rows_.copy_to(ground_.rocks, batch_);
  disk_was_asked_ = true;
  const rocksdb::Status written = ground_.rocks.write(batch_, true);
  if (!written.ok()) return from_rocksdb(written, "committing");
  return {};
}

void Transaction::publish() {
  // The order is the promise: entries, keys, people and new removals before the revision that
  // readers go by; removals that were swept only after it.
  if (rows_ && must_write_files()) {
    ground_.cache.clear();
  } else {
    for (WorkingEntry& working : entries_) {
      if (!working.changed) continue;
      if (!working.cached) working.cached = core::PackedEntry::pack(*working.before);
      ground_.cache.update(working.ref, std::move(working.cached),
                           core::PackedEntry::pack(*working.changed));
    }
  }
  for (const auto& [access_key, row] : keys_) {
    if (row.key) {
      ground_.keys.put(std::make_shared<KeyEntry>(KeyEntry{row.company, *row.key}));
    } else {
      ground_.keys.remove(access_key);
    }
  }
  for (auto& [id, working] : companies_) {
    CompanyState& state = *working->state;
    const bool shrank = working->changed_removals && !working->removals_grew;
    if (working->removals_grew) state.set_removals(working->changed_removals);
    if (working->changed_people) {
      working->changed_people->directory_revision = working->head.directory_revision;
    }
    state.publish(working->head, working->people);
    if (shrank) state.set_removals(working->changed_removals);
  }
}

}  // namespace earshot::store
