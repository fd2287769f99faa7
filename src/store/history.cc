#include "store/history.h"

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>
#include <iterator>
#include <queue>
#include <string>
#include <utility>
#include <variant>

#include "base/time.h"

namespace earshot::store {

namespace {

// Where no revision was made yet.
constexpr Time kBeforeAll{INT64_MIN};

// Which row of its call a change is of, and whether there was one before and is one after.
struct RowChange {
  std::pair<std::size_t, UserId> row;
  bool was_there = false;
  bool is_there = false;
};
RowChange row_change_of(const Change& change) {
  RowChange told{{change.index(), {}}};
  std::visit(
      [&told](const auto& one) {
        if constexpr (requires { one.user; }) told.row.second = one.user;
        if constexpr (requires { one.before; }) told.was_there = static_cast<bool>(one.before);
        if constexpr (requires { one.before; }) told.is_there = static_cast<bool>(one.after);
      },
      change);
  return told;
}

CallId call_of(const Change& change) {
  return std::visit(
      [](const auto& one) {
        if constexpr (requires { one.call; }) return one.call;
        return CallId{};
      },
      change);
}

// The call's own record and the rows of these users, who ascend.
core::CallEntry narrow(const core::CallEntry& whole, std::span<const UserId> users) {
  const auto is_asked = [users](UserId user) { return std::ranges::binary_search(users, user); };
  core::CallEntry narrow{whole.call, whole.call_stamp, whole.newest, {}, {}, {}};
  std::ranges::copy_if(whole.shares, std::back_inserter(narrow.shares), is_asked,
                       &core::ShareRow::user);
  std::ranges::copy_if(whole.grants, std::back_inserter(narrow.grants), is_asked,
                       &core::GrantRow::user);
  std::ranges::copy_if(whole.notes, std::back_inserter(narrow.notes), is_asked,
                       [](const auto& note) { return note.first; });
  return narrow;
}

}  // namespace

// A call that has changed since.
struct Past::Pending {
  std::size_t place = 0;  // among the calls asked for
  CallId call;
  core::Stamp newest;  // of its changes that are not undone yet
  core::CallEntry entry;
  Rewind rewind;
  // Where what was undone last put a row where none was: which, and by which revision.
  std::optional<std::pair<core::Revision, std::pair<std::size_t, UserId>>> put{};

  // Whether a change took away what was dead: a sweep does, and who writes a row anew takes the
  // dead one away first. Of those who took theirs away and put it again it says so, too. REQUIRES:
  // it is asked of each change, newest first.
  bool may_have_swept(const Change& change, core::Revision revision, Operation operation) {
    const RowChange told = row_change_of(change);
    const bool is_anew = put == std::pair(revision, told.row);
    put.reset();
    if (!told.was_there && told.is_there) put.emplace(revision, told.row);
    return told.was_there && !told.is_there && (operation == Operation::sweep || is_anew);
  }
};

Past::Past(Rocks& rocks, const CompanyState& company)
    : rocks_(rocks),
      company_(company.id),
      published_(company.published.load(std::memory_order_acquire)),
      removals_(company.removals()),
      snapshot_(rocks),
      changes_(snapshot_.iterate(Family::changes)) {}

Result<std::unique_ptr<Past>> Past::open(Rocks& rocks, const CompanyState& company,
                                         const Moment& moment, Time now) {
  auto past = std::unique_ptr<Past>(new Past(rocks, company));
  const auto cut =
      TRY(past->snapshot_.get(Family::meta, encode_company_key(kHorizonTag, company.id)));
  if (cut) {
    const auto horizon = decode_horizon(*cut);
    if (!horizon) return corrupt("meta");
    past->horizon_ = *horizon;
  }
  const auto unmarked =
      TRY(past->snapshot_.get(Family::meta, encode_company_key(kUnmarkedTag, company.id)));
  if (unmarked) {
    const auto to = decode_horizon(*unmarked);
    if (!to) return corrupt("meta");
    past->unmarked_to_ = to->revision;
  }
  TRY(past->find_moment(moment, now));
  return past;
}

Status Past::find_moment(const Moment& moment, Time now) {
  if (moment.revision) {
    if (*moment.revision > published_) {
      return invalid_argument("revision " + std::to_string(*moment.revision) +
                              " is later than the newest, " + std::to_string(published_));
    }
    TRY(go_to(*moment.revision));
    if (moment.at) as_of_.time = *moment.at;
    return {};
  }
  // The clock may have jumped back since the newest revision.
  if (published_ > 0) now = std::max(now, TRY(read_head(published_)).time);
  if (*moment.at > now) return invalid_argument(format_time(*moment.at) + " is later than now");
  TRY(go_to(TRY(find_revision_at(*moment.at))));
  as_of_.time = *moment.at;
  return {};
}

Status Past::go_to(core::Revision revision) {
  if (revision > horizon_.revision) {
    const ChangeHead head = TRY(read_head(revision));
    as_of_ = {revision, head.time};
    directory_revision_ = head.directory_revision;
  } else if (revision == horizon_.revision && horizon_.head) {
    as_of_ = {revision, horizon_.head->time};
    directory_revision_ = horizon_.head->directory_revision;
  } else if (horizon_.revision > 0) {
    return refuse();
  } else {
    as_of_ = {0, kBeforeAll};
  }
  return {};
}

Status Past::refuse() {
  core::Revision oldest = horizon_.revision;
  Time time;
  if (horizon_.head) {
    time = horizon_.head->time;
  } else {
    time = TRY(read_head(++oldest)).time;
  }
  return gone("history is kept from revision " + std::to_string(oldest) + " of " +
              format_time(time) + " on");
}

Result<ChangeHead> Past::read_head(core::Revision revision) {
  // The last part: it has the last word on the directory revision.
  changes_->SeekForPrev(encode_key(ChangeKey{company_, revision, ~std::uint32_t{0}}));
  if (!changes_->status().ok()) return from_rocksdb(changes_->status(), "reading a change");
  if (!changes_->Valid()) return corrupt("changes");
  const auto key = decode_change_key(view(changes_->key()));
  auto head = decode_change_head(view(changes_->value()));
  if (!key || !head || key->company != company_ || key->revision != revision) {
    return corrupt("changes");
  }
  return std::move(*head);
}

Result<core::Revision> Past::find_revision_at(Time time) {
  core::Revision low = horizon_.revision;
  core::Revision high = published_;
  // Times never go back from one revision to the next.
  while (low < high) {
    const core::Revision middle = low + (high - low + 1) / 2;
    if (TRY(read_head(middle)).time <= time) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  if (low == horizon_.revision && horizon_.head && time < horizon_.head->time) TRY(refuse());
  return low;
}

Result<std::vector<core::PackedEntryPtr>> Past::entries(std::span<const CallId> calls) {
  std::vector<core::PackedEntryPtr> entries;
  entries.reserve(calls.size());
  for (const core::EntryPtr& whole : TRY(read_whole(calls))) {
    entries.push_back(core::PackedEntry::pack(*whole));
  }
  return entries;
}

Result<std::vector<core::PackedEntryPtr>> Past::entries_of(std::span<const core::CallUsers> asked,
                                                           std::uint64_t reads_max) {
  std::vector<core::PackedEntryPtr> entries;
  const std::uint64_t reads_before = reads_;
  std::vector<CallId> calls;
  do {
    const auto chunk = asked.subspan(entries.size());
    calls.clear();
    for (const core::CallUsers& one : chunk.first(std::min(chunk.size(), kWholeCallsMax))) {
      calls.push_back(one.call);
    }
    const std::vector<core::EntryPtr> whole = TRY(read_whole(calls));
    for (std::size_t i = 0; i < whole.size(); ++i) {
      entries.push_back(core::PackedEntry::pack(narrow(*whole[i], chunk[i].users)));
    }
  } while (entries.size() < asked.size() && reads_ - reads_before < reads_max);
  return entries;
}

Result<std::vector<core::EntryPtr>> Past::read_whole(std::span<const CallId> calls) {
  std::vector<core::EntryPtr> entries(calls.size());
  std::vector<Pending> pending;
  const auto rows = snapshot_.iterate(Family::calls);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    core::EntryPtr entry = TRY(read_rows(*rows, calls[i]));
    if (entry->newest.revision <= as_of_.revision) {
      entries[i] = std::move(entry);
    } else {
      pending.push_back({i, calls[i], entry->newest, *entry, Rewind(as_of_.revision)});
    }
  }
  TRY(rewind(pending));
  for (Pending& one : pending) {
    one.rewind.apply_to(one.entry);
    entries[one.place] = std::make_shared<const core::CallEntry>(std::move(one.entry));
  }
  return entries;
}

// As the rows stand, but for those that were dead at the revision.
Result<core::EntryPtr> Past::read_rows(rocksdb::Iterator& rows, CallId call) {
  const std::string prefix = encode_call_prefix(company_, call);
  const auto entry = std::make_shared<core::CallEntry>();
  for (rows.Seek(prefix); rows.Valid() && rows.key().starts_with(prefix); rows.Next(), ++reads_) {
    if (!apply_row(*entry, view(rows.key()), view(rows.value()))) return corrupt("calls");
  }
  if (!rows.status().ok()) return from_rocksdb(rows.status(), "reading a call");
  if (!removals_) return core::EntryPtr(entry);
  return without_dead(entry, call, *removals_, as_of_.revision);
}

// From a call's newest change each leads to the one before it. Those of all calls are taken newest
// first, so that a part is decoded once however many of the calls it changed.
Status Past::rewind(std::vector<Pending>& pending) {
  std::priority_queue<std::pair<core::Stamp, std::size_t>> next;
  boost::unordered_flat_map<CallId, std::size_t, std::hash<CallId>> places;
  for (std::size_t i = 0; i < pending.size(); ++i) {
    next.emplace(pending[i].newest, i);
    places.emplace(pending[i].call, i);
  }
  const auto is_wanted = [&](CallId call) {
    ++reads_;  // what is passed over costs, too
    return places.contains(call);
  };
  while (!next.empty()) {
    const core::Stamp newest = next.top().first;
    changes_->SeekForPrev(encode_key(ChangeKey{company_, newest.revision, newest.n}));
    if (!changes_->status().ok()) return from_rocksdb(changes_->status(), "reading a change");
    if (!changes_->Valid()) return corrupt("changes");
    const auto key = decode_change_key(view(changes_->key()));
    const auto head = decode_change_head(view(changes_->value()));
    const auto changes = decode_changes_of(view(changes_->value()), is_wanted);
    if (!key || !head || !changes || key->company != company_ || key->revision != newest.revision) {
      return corrupt("changes");
    }
    reads_ += changes->size();
    for (auto change = changes->rbegin(); change != changes->rend(); ++change) {
      Pending& one = pending[places.at(call_of(*change))];
      const bool may_have_swept = one.may_have_swept(*change, key->revision, head->operation);
      if (may_have_swept && key->revision <= unmarked_to_) {
        return gone("the history of call " + to_string(one.call) + " is kept from revision " +
                    std::to_string(key->revision) + " on");
      }
      one.rewind.undo(*change);
      one.newest = std::min(one.newest, previous_of(*change));
    }
    const core::Stamp first{key->revision, key->first_n};
    while (!next.empty() && next.top().first >= first) {
      const std::size_t i = next.top().second;
      next.pop();
      if (pending[i].newest >= first) return corrupt("changes");
      if (pending[i].newest.revision > as_of_.revision) next.emplace(pending[i].newest, i);
    }
  }
  return {};
}

Result<DirectoryPtr> Past::directory_of(std::span<const UserId> users,
                                        std::span<const core::PackedEntryPtr> calls) {
  const auto directory = std::make_shared<core::Directory>();
  boost::unordered_flat_set<UserId, std::hash<UserId>> users_seen{UserId{}};
  boost::unordered_flat_set<ProfileId, std::hash<ProfileId>> profiles_seen{ProfileId{}};
  boost::unordered_flat_set<WorkspaceId, std::hash<WorkspaceId>> workspaces_seen{WorkspaceId{}};
  const auto add = [&]<class IdType>(auto& seen, ThingKind kind, IdType id) -> Status {
    if (!seen.insert(id).second) return {};
    const auto body = TRY(find_body(kind, id.value));
    if (!body) return {};
    return put_body(*directory, kind, id.value, *body);
  };
  // Whoever is above a user, who is added; nobody where the user was not there.
  const auto add_user = [&](UserId user) -> Result<UserId> {
    TRY(add(users_seen, ThingKind::user, user));
    const core::Directory::Member* const member = directory->find_user(user);
    return member ? member->manager : UserId{};
  };
  for (const UserId user : users) {
    TRY(add_user(TRY(add_user(user))));
    const core::Directory::Member* const member = directory->find_user(user);
    if (!member) continue;
    for (const ProfileId profile : std::vector(member->profiles)) {
      TRY(add(profiles_seen, ThingKind::profile, profile));
    }
  }
  boost::unordered_flat_set<UserId, std::hash<UserId>> climbed{UserId{}};
  for (const core::PackedEntryPtr& call : calls) {
    TRY(add(workspaces_seen, ThingKind::workspace, call->workspace()));
    for (UserId user : call->participants()) {
      while (climbed.insert(user).second) user = TRY(add_user(user));
    }
  }
  return DirectoryPtr(directory);
}

Result<DirectoryPtr> Past::whole_directory() {
  const auto directory = std::make_shared<core::Directory>();
  const core::Stamp removed = TRY(find_company_removal());
  const std::string prefix = encode_company_prefix(company_);
  const auto rows = snapshot_.iterate(Family::directory);
  for (rows->Seek(prefix); rows->Valid() && rows->key().starts_with(prefix);) {
    const auto key = decode_directory_key(view(rows->key()));
    if (!key) return corrupt("directory");
    if (key->revision > as_of_.revision) {  // to the one in force then, or to the next thing
      rows->Seek(encode_key(DirectoryKey{company_, key->kind, key->id, as_of_.revision}));
      continue;
    }
    const auto value = decode_directory_value(view(rows->value()));
    if (!value) return corrupt("directory");
    if (value->body && core::Stamp{key->revision, value->n} >= removed) {
      TRY(put_body(*directory, key->kind, key->id, *value->body));
    }
    rows->Next();
    // Most things have one version; of others, all older ones are passed over at once.
    if (rows->Valid() &&
        rows->key().starts_with(encode_thing_prefix(company_, key->kind, key->id))) {
      rows->Seek(encode_thing_prefix(company_, key->kind, key->id + 1));
    }
  }
  if (!rows->status().ok()) return from_rocksdb(rows->status(), "reading a directory");
  return DirectoryPtr(directory);
}

Result<std::optional<std::string>> Past::find_body(ThingKind kind, std::uint64_t id) {
  if (!directory_) directory_ = snapshot_.iterate(Family::directory);
  const core::Stamp removed = TRY(find_company_removal());
  directory_->Seek(encode_key(DirectoryKey{company_, kind, id, as_of_.revision}));
  if (!directory_->status().ok()) return from_rocksdb(directory_->status(), "reading a directory");
  std::optional<std::string> body;
  if (!directory_->Valid() ||
      !directory_->key().starts_with(encode_thing_prefix(company_, kind, id))) {
    return body;
  }
  const auto key = decode_directory_key(view(directory_->key()));
  auto value = decode_directory_value(view(directory_->value()));
  if (!key || !value) return corrupt("directory");
  if (core::Stamp{key->revision, value->n} >= removed) body = std::move(value->body);
  return body;
}

Result<core::Stamp> Past::find_company_removal() {
  if (company_removal_) return *company_removal_;
  const std::string prefix = encode_thing_prefix(company_, ThingKind::company, company_.value);
  const auto rows = snapshot_.iterate(Family::directory);
  core::Stamp removal;
  for (rows->Seek(
           encode_key(DirectoryKey{company_, ThingKind::company, company_.value, as_of_.revision}));
       rows->Valid() && rows->key().starts_with(prefix); rows->Next()) {
    const auto key = decode_directory_key(view(rows->key()));
    const auto value = decode_directory_value(view(rows->value()));
    if (!key || !value) return corrupt("directory");
    if (value->body && !value->removed_n) continue;
    removal = {key->revision, value->body ? *value->removed_n : value->n};
    break;
  }
  if (!rows->status().ok()) return from_rocksdb(rows->status(), "reading a directory");
  company_removal_ = removal;
  return removal;
}

Result<Past::Found> Past::find_calls_of(UserId user, CallId after, std::size_t rows_max) {
  Found found;
  const std::string prefix = encode_user_prefix(company_, user);
  const auto rows = snapshot_.iterate(Family::by_user);
  for (rows->Seek(encode_key(UserCallKey{company_, user, {after.value + 1}}));
       rows->Valid() && rows->key().starts_with(prefix); rows->Next(), --rows_max) {
    if (rows_max == 0) {
      found.last = after;
      return found;
    }
    const auto key = decode_user_call_key(view(rows->key()));
    const auto value = decode_user_call_value(view(rows->value()));
    if (!key || !value) return corrupt("by_user");
    after = key->call;
    // What was taken away since was there before.
    const bool is_marker = !value->grant && !value->share;
    if (!is_marker || value->removed.revision > as_of_.revision) found.calls.push_back(after);
  }
  if (!rows->status().ok()) return from_rocksdb(rows->status(), "reading a user's calls");
  return found;
}

Result<Past::Found> Past::find_calls(CallId after, std::size_t calls_max) {
  Found found;
  const std::string prefix = encode_company_prefix(company_);
  const auto rows = snapshot_.iterate(Family::calls);
  for (rows->Seek(encode_call_prefix(company_, {after.value + 1}));
       rows->Valid() && rows->key().starts_with(prefix);
       rows->Seek(encode_call_prefix(company_, {after.value + 1})), --calls_max) {
    if (calls_max == 0) {
      found.last = after;
      return found;
    }
    const auto key = decode_call_row_key(view(rows->key()));
    if (!key) return corrupt("calls");
    after = key->call;
    // The call's own row is the first. Where its marker has gone already, so had the call.
    if (key->kind == RowKind::call) {
      const auto row = decode_call_row(view(rows->value()));
      if (!row) return corrupt("calls");
      if (row->call || row->stamp.revision > as_of_.revision) found.calls.push_back(after);
    }
  }
  if (!rows->status().ok()) return from_rocksdb(rows->status(), "reading calls");
  return found;
}

Status Past::confirm() const {
  // Compaction drops markers under a snapshot, too, and takes no notice of who reads.
  if (rocks_.horizons().of(company_) <= as_of_.revision) return {};
  return gone("the history of revision " + std::to_string(as_of_.revision) +
              " was cut off while it was read");
}

}  // namespace earshot::store
