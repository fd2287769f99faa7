#include "store/pg_reads.h"

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <optional>
#include <string>
#include <utility>

#include "store/pg_entries.h"
#include "store/pg_past.h"
#include "store/pg_statements.h"

namespace earshot::store {
namespace {

using Entries = boost::unordered_flat_map<std::uint64_t, core::PackedEntryPtr>;

const core::PackedEntryPtr& entry_of(const Entries& entries, CallId call) {
  const auto found = entries.find(call.value);
  return found == entries.end() ? absent_entry() : found->second;
}

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
    const Time time = time_of(result);
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
      view.time = time;
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
      queries.push_back(query_access_of_all(company, calls_));
      return queries;
    }
    std::vector<const core::CallUsers*> named;
    for (const PgReadPtr& read : all) {
      for (const core::CallUsers& one : of(read).calls_) named.push_back(&one);
    }
    queries.push_back(query_access(company, std::move(named)));
    return queries;
  }

  void take(std::span<const PgReadPtr> all, std::span<const PgResult> results) override {
    const PgResult& result = results.front();
    const AsOf as_of = as_of_now(result, clock_);
    Entries entries;
    entries.reserve(static_cast<std::size_t>(result.rows()));
    for (int row = 0; row < result.rows(); ++row) {
      if (result.is_null(row, kEntryColumn)) continue;
      entries.emplace(result.number(row, kEntryColumn),
                      core::PackedEntry::pack(read_entry(result, row)));
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

  std::optional<DirectoryWish> wishes_directory(core::Revision now) const override {
    return DirectoryWish{false, now};
  }
  void take_directory(const DirectoryPtr& directory) override { view_.directory = directory; }

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
      view_.entries.push_back(core::PackedEntry::pack(read_entry(result, row)));
    }
    if (!view_.calls.empty() && view_.calls.size() >= calls_max_) view_.last = view_.calls.back();
  }

  std::optional<DirectoryWish> wishes_directory(core::Revision now) const override {
    return DirectoryWish{false, now};
  }
  void take_directory(const DirectoryPtr& directory) override { view_.directory = directory; }

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

PgReadPtr make_access_read(const Clock& clock, PastEntries& kept, AccessCommand command,
                           Store::AccessDone done) {
  if (command.moment.is_now()) {
    return std::make_unique<AccessRead>(clock, std::move(command), std::move(done));
  }
  PastCommand past{.company = command.company,
                   .calls = std::move(command.calls),
                   .everybody = command.everybody,
                   .kept = command.everybody ? &kept : nullptr,
                   .user = {},
                   .moment = command.moment,
                   .at_least = command.at_least,
                   .asker = std::move(command.asker)};
  return make_past_read(clock, std::move(past), [done = std::move(done)](Result<PastView> view) {
    if (!view) return done(view.error());
    done(AccessView{view->as_of, std::move(view->directory), std::move(view->entries)});
  });
}

PgReadPtr make_user_calls_read(const Clock& clock, UserCallsCommand command,
                               Store::UserCallsDone done) {
  if (command.moment.is_now()) {
    return std::make_unique<UserCallsRead>(clock, std::move(command), std::move(done));
  }
  PastCommand past{
      .company = command.company,
      .calls = {},
      .everybody = false,
      .kept = nullptr,
      .user = PastCommand::OfUser{command.user, command.ways, command.after, command.calls_max},
      .moment = command.moment,
      .at_least = command.at_least,
      .asker = std::move(command.asker)};
  return make_past_read(clock, std::move(past), [done = std::move(done)](Result<PastView> view) {
    if (!view) return done(view.error());
    UserCallsView found{view->as_of, std::move(view->directory), {}, std::move(view->entries), {}};
    found.calls.reserve(view->calls.size());
    for (const core::CallUsers& named : view->calls) found.calls.push_back(named.call);
    found.last = view->last;
    done(std::move(found));
  });
}

}  // namespace earshot::store
