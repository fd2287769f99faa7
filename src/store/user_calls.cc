// Which calls a user may have: found in the embedded store's rows, of one snapshot, on the threads
// that read.
#include <memory>
#include <string>
#include <thread>

#include "base/wake.h"
#include "store/embedded_store.h"

namespace earshot::store {

namespace {

constexpr core::Ways kIndividual = static_cast<core::Ways>(core::Way::individual);
constexpr core::Ways kShared = static_cast<core::Ways>(core::Way::shared);

// Walks through the rows of calls, ascending, and reads those that decide about one user: a call
// may have many rows of others.
class RowsOfUser {
 public:
  RowsOfUser(const Snapshot& snapshot, const Removals& removals, CompanyId company, UserId user)
      : removals_(removals),
        company_(company),
        user_(user),
        rows_(snapshot.iterate(Family::calls)) {}

  // The call behind this one that has rows.
  Result<std::optional<CallId>> find_next(CallId call) {
    go_to(encode_call_prefix(company_, {call.value + 1}));
    TRY(status());
    if (!rows_->Valid()) return std::optional<CallId>();
    const auto key = decode_call_row_key(view(rows_->key()));
    if (!key) return corrupt("calls");
    return key->company == company_ ? std::optional(key->call) : std::nullopt;
  }

  // Without dead rows. REQUIRES: the calls asked for ascend.
  Result<core::PackedEntryPtr> read(CallId call) {
    const auto entry = std::make_shared<core::CallEntry>();
    for (const RowKind kind : {RowKind::call, RowKind::share, RowKind::grant}) {
      const UserId user = kind == RowKind::call ? UserId{} : user_;
      const std::string key = encode_key(CallRowKey{company_, call, kind, user});
      go_to(key);
      TRY(status());
      if (!rows_->Valid() || view(rows_->key()) != key) continue;
      if (!apply_row(*entry, key, view(rows_->value()))) return corrupt("calls");
    }
    return core::PackedEntry::pack(*without_dead(entry, call, removals_, kAnyRevision));
  }

 private:
  // To the first row that is not before the key. It may be near: seeking costs as much as some
  // steps.
  void go_to(const std::string& key) {
    constexpr int steps_max = 8;
    for (int step = 0; step < steps_max && rows_->Valid(); ++step) {
      if (view(rows_->key()) >= key) return;
      rows_->Next();
    }
    if (rows_->Valid() && view(rows_->key()) >= key) return;
    rows_->Seek(slice(key));
  }

  Status status() const {
    if (!rows_->status().ok()) return from_rocksdb(rows_->status(), "reading calls");
    return {};
  }

  const Removals& removals_;
  const CompanyId company_;
  const UserId user_;
  const std::unique_ptr<rocksdb::Iterator> rows_;
};

// Takes in calls until so many were looked at.
class Collector {
 public:
  Collector(const UserCallsCommand& command, RowsOfUser& rows, UserCallsView& view)
      : room_(command.calls_max), rows_(rows), view_(view), looked_to_(command.after) {}

  // Whether there is room to look at another one, of which there is this one at least.
  bool has_room() {
    if (room_ > 0) return true;
    view_.last = looked_to_;
    return false;
  }
  Status look_at(CallId call, bool is_wanted) {
    --room_;
    looked_to_ = call;
    if (!is_wanted) return {};
    core::PackedEntryPtr entry = TRY(rows_.read(call));
    if (!entry->has_call()) return {};
    view_.calls.push_back(call);
    view_.entries.push_back(std::move(entry));
    return {};
  }

 private:
  std::size_t room_;
  RowsOfUser& rows_;
  UserCallsView& view_;
  CallId looked_to_;
};

// The calls in which the user has rows of these ways.
Status collect_own(const Snapshot& snapshot, const UserCallsCommand& command,
                   Collector& collector) {
  const auto rows = snapshot.iterate(Family::by_user);
  const std::string prefix = encode_user_prefix(command.company, command.user);
  for (rows->Seek(
           encode_key(UserCallKey{command.company, command.user, {command.after.value + 1}}));
       rows->Valid() && rows->key().starts_with(slice(prefix)) && collector.has_room();
       rows->Next()) {
    const auto key = decode_user_call_key(view(rows->key()));
    const auto value = decode_user_call_value(view(rows->value()));
    if (!key || !value) return corrupt("by_user");
    const bool is_wanted = (value->grant && (command.ways & kIndividual) != 0) ||
                           (value->share && (command.ways & kShared) != 0);
    TRY(collector.look_at(key->call, is_wanted));
  }
  if (!rows->status().ok()) return from_rocksdb(rows->status(), "reading a user's calls");
  return {};
}

Status collect_all(const UserCallsCommand& command, RowsOfUser& rows, Collector& collector) {
  auto call = TRY(rows.find_next(command.after));
  while (call && collector.has_room()) {
    TRY(collector.look_at(*call, true));
    call = TRY(rows.find_next(*call));
  }
  return {};
}

}  // namespace

void EmbeddedStore::read_user_calls(UserCallsCommand command, UserCallsDone done) {
  if (!command.moment.is_now()) return read_past_user_calls(std::move(command), done);
  auto job = [this, command = std::move(command), done] { done(find_user_calls(command)); };
  submit_long(std::move(job), done);
}

Result<UserCallsView> EmbeddedStore::find_user_calls(const UserCallsCommand& command) {
  CompanyState& state = *TRY(companies_.meet(command.company));
  PublishedSnapshot snapshot;
  Removals removals;
  PeoplePtr people;
  do {  // until no load has come between the two
    snapshot = TRY(take_snapshot(state));
    removals = TRY(snapshot.rows->removals(state.id));
    people = state.people();
    if (!people) people = TRY(load_people(state, snapshot, removals));
  } while (people->directory_revision > snapshot.head.revision);
  const core::Revision revision = snapshot.head.revision;
  if (revision < command.at_least) return not_there(command.at_least, revision);
  UserCallsView view;
  view.as_of = {revision, judging_time(snapshot.head.time)};
  view.directory = {people, &people->directory};
  RowsOfUser rows(*snapshot.rows, removals, command.company, command.user);
  Collector collector(command, rows, view);
  if ((command.ways & ~(kIndividual | kShared)) == 0) {
    TRY(collect_own(*snapshot.rows, command, collector));
  } else {
    TRY(collect_all(command, rows, collector));
  }
  return view;
}

Result<EmbeddedStore::PublishedSnapshot> EmbeddedStore::take_snapshot(const CompanyState& state) {
  PublishedSnapshot taken;
  taken.rows = std::make_unique<Snapshot>(*rocks_);
  TRY(taken.rows->find_head(state.id,
                            [&](const ChangeKey& key, const ChangeHead& head, std::string_view,
                                std::string_view) -> Status {
                              taken.head.revision = key.revision;
                              taken.head.directory_revision = head.directory_revision;
                              taken.head.time = head.time;
                              return {};
                            }));
  // A commit is in the rows a moment before it is published.
  const auto deadline = std::chrono::steady_clock::now() + kReadPatience;
  while (state.published.load(std::memory_order_acquire) < taken.head.revision) {
    if (std::chrono::steady_clock::now() > deadline) {
      return unavailable("a commit is not being published");
    }
    std::this_thread::yield();
  }
  return taken;
}

Result<PeoplePtr> EmbeddedStore::load_people(CompanyState& state, const PublishedSnapshot& snapshot,
                                             const Removals& removals) {
  PeoplePtr people =
      TRY(snapshot.rows->load_people(state.id, removals, snapshot.head.directory_revision));
  state.offer_people(people);
  return people;
}

}  // namespace earshot::store
