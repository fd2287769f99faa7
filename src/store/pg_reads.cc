#include "store/pg_reads.h"

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <optional>
#include <string>
#include <utility>

#include "base/assert.h"
#include "store/pg_statements.h"

namespace earshot::store {
namespace {

constexpr std::size_t kCallsTogetherMax = 512;  // of a read that shares a statement with others

using Entries = boost::unordered_flat_map<std::uint64_t, core::PackedEntryPtr>;

const core::PackedEntryPtr& absent_entry() {
  static const core::PackedEntryPtr absent = core::PackedEntry::pack({});
  return absent;
}

const core::PackedEntryPtr& entry_of(const Entries& entries, CallId call) {
  const auto found = entries.find(call.value);
  return found == entries.end() ? absent_entry() : found->second;
}

void sort_distinct(auto& values) {
  std::ranges::sort(values);
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

// Users with a grant, and their expiries, from `column` on.
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

// Out of the columns of an entry, from `column` on. Its stamps are all of the revision read, since
// nobody asks for those of a read.
core::CallEntry read_entry(const PgResult& result, int row, int column, core::Revision revision) {
  core::CallEntry entry;
  entry.newest = entry.call_stamp = {revision, 0};
  core::Call call;
  call.workspace = {result.id(row, column + 1)};
  call.primary_user = {result.id(row, column + 2)};
  for (const std::uint64_t party : result.numbers(row, column + 3)) {
    call.parties.push_back({party});
  }
  call.is_private = result.boolean(row, column + 4);
  entry.call = core::facts_of(call);
  read_grants(entry, result, row, column + 5);
  if (!result.is_null(row, column + 7)) {
    std::vector<std::string> notes = result.texts(row, column + 7);
    ASSERT(notes.size() == entry.grants.size());
    for (std::size_t i = 0; i < notes.size(); ++i) {
      if (notes[i].empty()) continue;
      entry.grants[i].has_note = true;
      entry.notes.emplace_back(entry.grants[i].user, std::move(notes[i]));
    }
  }
  if (!result.is_null(row, column + 8)) {
    for (const std::uint64_t user : result.numbers(row, column + 8)) {
      entry.shares.push_back({{user}, entry.newest});
    }
  }
  return entry;
}

// The columns that all statements of reads begin with.
constexpr int kRevisionColumn = 0, kTimeColumn = 2, kEntryColumn = 3;

core::Revision revision_of(const PgResult& result) {
  return result.rows() == 0 ? 0 : result.number(0, kRevisionColumn);
}
Time time_of(const PgResult& result) {
  return result.rows() == 0 ? Time{} : result.timestamp(0, kTimeColumn);
}
// A clock that was put back revives nothing.
AsOf as_of_now(const PgResult& result, const Clock& clock) {
  return {revision_of(result), std::max(clock(), time_of(result))};
}

// --- who has access to calls by a grant

class CallsRead final : public PgRead {
 public:
  CallsRead(ReadCommand command, Store::ReadDone done)
      : PgRead(Kind::calls, command.company, command.at_least, std::move(command.asker)),
        calls_(std::move(command.calls)),
        done_(std::move(done)) {}

  std::size_t calls() const override { return calls_.size(); }

  std::vector<PgQuery> queries(std::span<const PgReadPtr> all) const override {
    std::vector<std::uint64_t> calls;
    for (const PgReadPtr& read : all) {
      for (const CallId call : of(read).calls_) calls.push_back(call.value);
    }
    if (all.size() > 1) sort_distinct(calls);
    std::vector<PgQuery> queries;
    queries.emplace_back(PgQuery{&kReadCalls}).params.add(company).add_numbers(calls);
    return queries;
  }

  void take(std::span<const PgReadPtr> all, std::span<const PgResult> results) override {
    const PgResult& result = results.front();
    const core::Revision revision = revision_of(result);
    Entries entries;
    entries.reserve(static_cast<std::size_t>(result.rows()));
    for (int row = 0; row < result.rows(); ++row) {
      if (result.is_null(row, kEntryColumn)) continue;
      core::CallEntry entry;
      entry.call.emplace();
      entry.newest = {revision, 0};
      read_grants(entry, result, row, kEntryColumn + 1);
      entries.emplace(result.number(row, kEntryColumn), core::PackedEntry::pack(entry));
    }
    for (const PgReadPtr& read : all) {
      CallsView& view = of(read).view_;
      view.revision = revision;
      view.entries.clear();
      view.entries.reserve(of(read).calls_.size());
      for (const CallId call : of(read).calls_) view.entries.push_back(entry_of(entries, call));
    }
  }

  void answer(Status status) override {
    if (!status) return done_(status.error());
    done_(std::move(view_));
  }

 private:
  static CallsRead& of(const PgReadPtr& read) { return static_cast<CallsRead&>(*read); }

  const std::vector<CallId> calls_;
  const Store::ReadDone done_;
  CallsView view_;
};

// --- what decides about access to calls

class AccessRead final : public PgRead {
 public:
  AccessRead(const Clock& clock, AccessCommand command, Store::AccessDone done)
      : PgRead(command.everybody || command.calls.size() > kCallsTogetherMax ? Kind::alone
                                                                             : Kind::access,
               command.company, command.at_least, std::move(command.asker)),
        clock_(clock),
        calls_(std::move(command.calls)),
        everybody_(command.everybody),
        done_(std::move(done)) {}

  std::size_t calls() const override { return calls_.size(); }

  std::vector<PgQuery> queries(std::span<const PgReadPtr> all) const override {
    std::vector<PgQuery> queries;
    if (everybody_) {
      std::vector<std::uint64_t> calls;
      for (const core::CallUsers& named : calls_) calls.push_back(named.call.value);
      queries.emplace_back(PgQuery{&kReadAccessOfAll}).params.add(company).add_numbers(calls);
      return queries;
    }
    // Of a call that several name, the users of all.
    std::vector<const core::CallUsers*> named;
    for (const PgReadPtr& read : all) {
      for (const core::CallUsers& one : of(read).calls_) named.push_back(&one);
    }
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
    PgQuery& query = queries.emplace_back(PgQuery{&kReadAccess});
    query.params.add(company).add_numbers(calls).add_texts(std::span<const std::string>(users));
    return queries;
  }

  void take(std::span<const PgReadPtr> all, std::span<const PgResult> results) override {
    const PgResult& result = results.front();
    const AsOf as_of = as_of_now(result, clock_);
    Entries entries;
    entries.reserve(static_cast<std::size_t>(result.rows()));
    for (int row = 0; row < result.rows(); ++row) {
      if (result.is_null(row, kEntryColumn)) continue;
      entries.emplace(
          result.number(row, kEntryColumn),
          core::PackedEntry::pack(read_entry(result, row, kEntryColumn, as_of.revision)));
    }
    for (const PgReadPtr& read : all) {
      AccessView& view = of(read).view_;
      view.as_of = as_of;
      view.entries.clear();
      view.entries.reserve(of(read).calls_.size());
      for (const core::CallUsers& named : of(read).calls_) {
        view.entries.push_back(entry_of(entries, named.call));
      }
    }
  }

  bool needs_directory() const override { return true; }
  void take_directory(DirectoryPtr directory) override { view_.directory = std::move(directory); }

  void answer(Status status) override {
    if (!status) return done_(status.error());
    done_(std::move(view_));
  }

 private:
  static AccessRead& of(const PgReadPtr& read) { return static_cast<AccessRead&>(*read); }

  const Clock& clock_;
  const std::vector<core::CallUsers> calls_;
  const bool everybody_;
  const Store::AccessDone done_;
  AccessView view_;
};

// --- calls that a user may have

class UserCallsRead final : public PgRead {
 public:
  UserCallsRead(const Clock& clock, UserCallsCommand command, Store::UserCallsDone done)
      : PgRead(Kind::alone, command.company, command.at_least, std::move(command.asker)),
        clock_(clock),
        user_(command.user),
        ways_(command.ways),
        after_(command.after),
        calls_max_(command.calls_max),
        done_(std::move(done)) {}

  std::vector<PgQuery> queries(std::span<const PgReadPtr>) const override {
    // By the other ways any call may be the user's.
    const bool is_by_rows = !has(ways_, core::Way::participant) && !has(ways_, core::Way::profile);
    std::vector<PgQuery> queries;
    PgQuery& query =
        queries.emplace_back(PgQuery{is_by_rows ? &kPageRowsOfUser : &kPageAccessOfUser});
    query.params.add(company).add(user_).add(after_).add(std::uint64_t{calls_max_});
    if (is_by_rows) {
      query.params.add(has(ways_, core::Way::individual)).add(has(ways_, core::Way::shared));
    }
    return queries;
  }

  void take(std::span<const PgReadPtr>, std::span<const PgResult> results) override {
    const PgResult& result = results.front();
    view_ = {};
    view_.as_of = as_of_now(result, clock_);
    for (int row = 0; row < result.rows(); ++row) {
      if (result.is_null(row, kEntryColumn)) continue;
      view_.calls.push_back({result.number(row, kEntryColumn)});
      view_.entries.push_back(
          core::PackedEntry::pack(read_entry(result, row, kEntryColumn, view_.as_of.revision)));
    }
    if (!view_.calls.empty() && view_.calls.size() >= calls_max_) view_.last = view_.calls.back();
  }

  bool needs_directory() const override { return true; }
  void take_directory(DirectoryPtr directory) override { view_.directory = std::move(directory); }

  void answer(Status status) override {
    if (!status) return done_(status.error());
    done_(std::move(view_));
  }

 private:
  const Clock& clock_;
  const UserId user_;
  const core::Ways ways_;
  const CallId after_;
  const std::size_t calls_max_;
  const Store::UserCallsDone done_;
  UserCallsView view_;
};

}  // namespace

PgReadPtr make_calls_read(ReadCommand command, Store::ReadDone done) {
  return std::make_unique<CallsRead>(std::move(command), std::move(done));
}

PgReadPtr make_access_read(const Clock& clock, AccessCommand command, Store::AccessDone done) {
  return std::make_unique<AccessRead>(clock, std::move(command), std::move(done));
}

PgReadPtr make_user_calls_read(const Clock& clock, UserCallsCommand command,
                               Store::UserCallsDone done) {
  return std::make_unique<UserCallsRead>(clock, std::move(command), std::move(done));
}

}  // namespace earshot::store
