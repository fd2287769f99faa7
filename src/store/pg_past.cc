#include "store/pg_past.h"

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <string>
#include <utility>
#include <variant>

#include "base/assert.h"
#include "store/change_record.h"
#include "store/pg_entries.h"
#include "store/pg_statements.h"
#include "store/rewind.h"

namespace earshot::store {
namespace {

constexpr Time kBeforeAll{INT64_MIN};
constexpr std::size_t kPartsMax = 20'000;          // of the record, asked for at once
constexpr std::uint64_t kPartsBytesMax = 4 << 20;  // likewise, if it is more than one

class PastRead final : public PgRead {
 public:
  PastRead(const Clock& clock, PastCommand command, std::function<void(Result<PastView>)> done)
      : PgRead(Kind::alone, command.company, command.at_least, std::move(command.asker)),
        clock_(clock),
        everybody_(command.everybody),
        kept_(command.kept),
        of_user_(command.user),
        moment_(command.moment),
        done_(std::move(done)) {
    view_.calls = std::move(command.calls);
    // What a replica has may end before the moment, and it would not know.
    from_primary = !moment_.revision || at_least < *moment_.revision;
  }

  std::vector<PgQuery> queries(std::span<const PgReadPtr>) const override;
  void take(std::span<const PgReadPtr>, std::span<const PgResult> results) override;

  std::optional<DirectoryWish> wishes_directory(core::Revision now) const override {
    if (error_ || view_.directory) return std::nullopt;
    if (directory_revision_ == now) return DirectoryWish{false, now};
    if (everybody_) return DirectoryWish{true, directory_revision_};
    return std::nullopt;  // the people that are asked about are looked up
  }
  void take_directory(const DirectoryPtr& directory) override { view_.directory = directory; }
  bool is_complete() const override { return error_ || (stage_ == Stage::over && view_.directory); }

  void answer(Status status) override {
    if (!status) return done_(status.error());
    if (error_) return done_(*error_);
    if (kept_) keep_calls();
    done_(std::move(view_));
  }

 private:
  enum class Stage { moment, calls_of_user, rows, list, parts, people, over };
  // A call that is taken back.
  struct Past {
    core::CallEntry entry;
    Rewind rewind;
    const std::vector<UserId>* users;  // ascending; null: all
  };
  // A part of the record that is still to be read.
  struct Part {
    core::Revision revision = 0;
    std::uint64_t first_n = 0;
    std::uint64_t bytes = 0;
  };

  void take_moment(const PgResult& found);
  void refuse(const PgResult& found);
  bool find_kept_calls();
  void keep_calls();
  void take_calls_of_user(const PgResult& found);
  void take_rows(const PgResult& rows);
  void take_list(const PgResult& list);
  void take_parts(const PgResult& parts);
  void undo(std::uint64_t count, std::string_view items);
  void undo(CallId call, std::optional<UserId> user, const Change& change);
  void go_on();
  void finish_calls();
  std::size_t parts_at_once() const;
  PgQuery query_moment() const;
  PgQuery query_calls_of_user() const;
  PgQuery query_list() const;
  PgQuery query_parts() const;
  PgQuery query_people() const;

  const Clock& clock_;
  const bool everybody_;
  PastEntries* const kept_;
  const std::optional<PastCommand::OfUser> of_user_;
  const Moment moment_;
  const std::function<void(Result<PastView>)> done_;

  Stage stage_ = Stage::moment;
  std::optional<Error> error_;
  PastView view_;
  core::Revision directory_revision_ = 0;  // as of the revision asked for
  core::Revision newest_ = 0;              // as of which the rows were read
  boost::unordered_flat_map<CallId, Past, std::hash<CallId>> calls_;
  std::vector<Part> parts_;  // newest first
  std::size_t parts_read_ = 0;
  bool is_list_over_ = false;
  Part listed_;  // the last one that was
};

std::vector<PgQuery> PastRead::queries(std::span<const PgReadPtr>) const {
  std::vector<PgQuery> queries;
  switch (stage_) {
    case Stage::moment:
      queries.push_back(query_moment());
      return queries;
    case Stage::calls_of_user:
      queries.push_back(query_calls_of_user());
      break;
    case Stage::rows:
      if (everybody_) {
        queries.push_back(query_access_of_all(company, view_.calls));
      } else {
        std::vector<const core::CallUsers*> named;
        for (const core::CallUsers& one : view_.calls) named.push_back(&one);
        queries.push_back(query_access(company, std::move(named)));
      }
      break;
    case Stage::list:
      queries.push_back(query_list());
      queries.insert(queries.begin(), PgQuery{&kPlanAnew});
      break;
    case Stage::parts:
      queries.push_back(query_parts());
      break;
    case Stage::people:
      queries.push_back(query_people());
      for (const PgStatement* const part : {&kLoadPastRules, &kLoadPastWorkspaces}) {
        queries.emplace_back(PgQuery{part}).params.add(company).add(directory_revision_);
      }
      break;
    case Stage::over:
      break;
  }
  queries.emplace_back(PgQuery{&kReadHead}).params.add(company);
  return queries;
}

void PastRead::take(std::span<const PgReadPtr>, std::span<const PgResult> results) {
  if (stage_ == Stage::moment) return take_moment(results.front());
  const PgResult& head = results.back();
  ASSERT(head.rows() == 1);
  constexpr int kHorizonColumn = 2;
  if (view_.as_of.revision < head.number(0, kHorizonColumn)) {
    error_ = gone("the history of revision " + std::to_string(view_.as_of.revision) +
                  " was cut off while it was read");
    return;
  }
  switch (stage_) {
    case Stage::calls_of_user:
      return take_calls_of_user(results.front());
    case Stage::rows:
      return take_rows(results.front());
    case Stage::list:
      return take_list(results[1]);
    case Stage::parts:
      return take_parts(results.front());
    case Stage::people:
      view_.directory = read_directory(results[0], results[1], results[2]);
      stage_ = Stage::over;
      return;
    case Stage::moment:
    case Stage::over:
      return;
  }
}

// --- which revision

PgQuery PastRead::query_moment() const {
  PgQuery query{&kFindMoment};
  query.params.add(company);
  if (moment_.revision) {
    query.params.add(*moment_.revision).add_null();
  } else {
    query.params.add_null().add(*moment_.at);
  }
  return query;
}

namespace moment_columns {
enum {
  newest,
  newest_directory,
  changed_at,
  horizon,
  horizon_at,
  horizon_directory,
  versions_from,
  revision,
  at,
  directory,
  oldest_at,
};
}  // namespace moment_columns

void PastRead::take_moment(const PgResult& found) {
  namespace column = moment_columns;
  const bool is_known = found.rows() > 0;
  const core::Revision newest = is_known ? found.number(0, column::newest) : 0;
  if (moment_.revision && *moment_.revision > newest) {
    error_ = invalid_argument("revision " + std::to_string(*moment_.revision) +
                              " is later than the newest, " + std::to_string(newest));
    return;
  }
  // A replica that is asked next must not be behind.
  at_least = std::max(at_least, newest);
  // The clock may have jumped back since the newest revision.
  const Time now = is_known ? std::max(clock_(), found.timestamp(0, column::changed_at)) : clock_();
  if (!moment_.revision && *moment_.at > now) {
    error_ = invalid_argument(format_time(*moment_.at) + " is later than now");
    return;
  }
  AsOf& as_of = view_.as_of;
  as_of = {0, kBeforeAll};
  const core::Revision horizon = is_known ? found.number(0, column::horizon) : 0;
  if (is_known && found.is_null(0, column::revision)) {
    error_ = internal("revisions are missing in the record of changes");
    return;
  }
  if (is_known) as_of.revision = found.number(0, column::revision);
  if (as_of.revision > horizon) {
    if (found.is_null(0, column::at)) {
      error_ = internal("revision " + std::to_string(as_of.revision) +
                        " is missing in the record of changes");
      return;
    }
    as_of.time = found.timestamp(0, column::at);
    directory_revision_ = found.number(0, column::directory);
  } else if (horizon > 0) {
    if (as_of.revision < horizon || found.is_null(0, column::horizon_at)) return refuse(found);
    as_of.time = found.timestamp(0, column::horizon_at);
    directory_revision_ = found.number(0, column::horizon_directory);
    if (!moment_.revision && *moment_.at < as_of.time) return refuse(found);
  }
  if (moment_.at) as_of.time = *moment_.at;
  if (as_of.revision == 0) {
    // Nothing was there.
    if (of_user_) view_.calls.clear();
    view_.entries.assign(view_.calls.size(), absent_entry());
    view_.directory = std::make_shared<const core::Directory>();
    stage_ = Stage::over;
    return;
  }
  const bool has_changed = directory_revision_ != found.number(0, column::newest_directory);
  if (has_changed && as_of.revision < found.number(0, column::versions_from)) return refuse(found);
  if (kept_ && find_kept_calls()) {
    stage_ = Stage::over;
  } else {
    stage_ = of_user_ ? Stage::calls_of_user : Stage::rows;
  }
}

// Whether all of them were there.
bool PastRead::find_kept_calls() {
  for (const core::CallUsers& named : view_.calls) {
    core::PackedEntryPtr entry = kept_->find({company, named.call, view_.as_of.revision});
    if (!entry) {
      view_.entries.clear();
      return false;
    }
    view_.entries.push_back(std::move(entry));
  }
  return true;
}

// What is answered is what a primary told that has proved to be the primary.
void PastRead::keep_calls() {
  for (std::size_t i = 0; i < view_.calls.size(); ++i) {
    kept_->keep({company, view_.calls[i].call, view_.as_of.revision}, view_.entries[i]);
  }
}

void PastRead::refuse(const PgResult& found) {
  namespace column = moment_columns;
  const core::Revision horizon = found.number(0, column::horizon);
  const core::Revision versions_from = found.number(0, column::versions_from);
  core::Revision oldest = std::max(horizon + 1, versions_from);
  int time = column::oldest_at;
  if (versions_from <= horizon && !found.is_null(0, column::horizon_at)) {
    oldest = horizon;
    time = column::horizon_at;
  }
  const std::string when =
      found.is_null(0, time) ? "" : " of " + format_time(found.timestamp(0, time));
  error_ = gone("history is kept from revision " + std::to_string(oldest) + when + " on");
}

// --- the calls that a user may have had

PgQuery PastRead::query_calls_of_user() const {
  // By the other ways any call may have been the user's.
  const core::Ways ways = of_user_->ways;
  const bool is_by_rows = !has(ways, core::Way::participant) && !has(ways, core::Way::profile);
  PgQuery query{is_by_rows ? &kPagePastRowsOfUser : &kPagePastCalls};
  query.params.add(company);
  if (is_by_rows) query.params.add(of_user_->user);
  query.params.add(view_.as_of.revision).add(of_user_->after);
  query.params.add(std::uint64_t{of_user_->calls_max});
  if (is_by_rows) {
    query.params.add(has(ways, core::Way::individual)).add(has(ways, core::Way::shared));
  }
  return query;
}

void PastRead::take_calls_of_user(const PgResult& found) {
  view_.calls.clear();
  for (int row = 0; row < found.rows(); ++row) {
    view_.calls.push_back({{found.number(row, 0)}, {of_user_->user}});
  }
  if (!view_.calls.empty() && view_.calls.size() >= of_user_->calls_max) {
    view_.last = view_.calls.back().call;
  }
  stage_ = Stage::rows;
}

// --- the calls as they are, and what changed since

void PastRead::take_rows(const PgResult& rows) {
  newest_ = rows.number(0, kRevisionColumn);
  at_least = std::max(at_least, newest_);
  const core::Revision then = view_.as_of.revision;
  calls_.clear();
  for (const core::CallUsers& named : view_.calls) {
    calls_.emplace(named.call, Past{{}, Rewind(then), everybody_ ? nullptr : &named.users});
  }
  for (int row = 0; row < rows.rows(); ++row) {
    if (rows.is_null(row, kEntryColumn)) continue;
    calls_.at({rows.number(row, kEntryColumn)}).entry = read_entry(rows, row);
  }
  listed_ = {newest_ + 1, 0, 0};
  is_list_over_ = newest_ == then || calls_.empty();
  go_on();
}

PgQuery PastRead::query_list() const {
  std::vector<std::uint64_t> calls;
  for (const core::CallUsers& named : view_.calls) calls.push_back(named.call.value);
  PgQuery query{&kListChangesOfCalls};
  query.params.add(company).add_numbers(calls).add(view_.as_of.revision).add(newest_);
  query.params.add(listed_.revision).add(listed_.first_n);
  query.params.add(std::uint64_t{kPartsMax}).add(kPartsBytesMax);
  return query;
}

void PastRead::take_list(const PgResult& list) {
  parts_.clear();
  parts_read_ = 0;
  for (int row = 0; row < list.rows(); ++row) {
    listed_ = {list.number(row, 0), list.number(row, 1), list.number(row, 2)};
    if (list.is_null(row, 4)) {
      parts_.push_back(listed_);
    } else {
      undo(list.number(row, 3), list.text(row, 4));
    }
  }
  is_list_over_ = static_cast<std::size_t>(list.rows()) < kPartsMax;
  go_on();
}

std::size_t PastRead::parts_at_once() const {
  std::size_t count = 0;
  std::uint64_t bytes = 0;
  for (std::size_t i = parts_read_; i < parts_.size(); ++i) {
    bytes += parts_[i].bytes;
    if (count > 0 && bytes > kPartsBytesMax) break;
    ++count;
  }
  return count;
}

PgQuery PastRead::query_parts() const {
  std::vector<std::uint64_t> revisions, firsts;
  const std::size_t end = parts_read_ + parts_at_once();
  for (std::size_t i = parts_read_; i < end; ++i) {
    revisions.push_back(parts_[i].revision);
    firsts.push_back(parts_[i].first_n);
  }
  PgQuery query{&kReadChanges};
  query.params.add(company).add_numbers(revisions).add_numbers(firsts);
  return query;
}

void PastRead::take_parts(const PgResult& parts) {
  if (static_cast<std::size_t>(parts.rows()) != parts_at_once()) {
    error_ = internal("parts of the record of changes are missing");
    return;
  }
  for (int row = 0; row < parts.rows(); ++row) undo(parts.number(row, 0), parts.text(row, 1));
  parts_read_ += static_cast<std::size_t>(parts.rows());
  go_on();
}

void PastRead::undo(std::uint64_t count, std::string_view items) {
  if (error_) return;
  const auto changes =
      decode_changes_of(encode_change({}, static_cast<std::uint32_t>(count), items),
                        [this](CallId call) { return calls_.contains(call); });
  if (!changes) {
    error_ = internal("a part of the record of changes cannot be decoded");
    return;
  }
  for (auto change = changes->rbegin(); change != changes->rend(); ++change) {
    if (const auto* grant = std::get_if<GrantChanged>(&*change)) {
      undo(grant->call, grant->user, *change);
    } else if (const auto* share = std::get_if<ShareChanged>(&*change)) {
      undo(share->call, share->user, *change);
    } else if (const auto* call = std::get_if<CallChanged>(&*change)) {
      undo(call->call, std::nullopt, *change);
    }
  }
}

void PastRead::undo(CallId call, std::optional<UserId> user, const Change& change) {
  Past& past = calls_.at(call);
  const bool is_asked = !user || !past.users || std::ranges::binary_search(*past.users, *user);
  if (is_asked) past.rewind.undo(change);
}

void PastRead::go_on() {
  if (parts_read_ < parts_.size()) {
    stage_ = Stage::parts;
  } else if (!is_list_over_) {
    stage_ = Stage::list;
  } else {
    finish_calls();
  }
}

void PastRead::finish_calls() {
  view_.entries.clear();
  view_.entries.reserve(view_.calls.size());
  for (const core::CallUsers& named : view_.calls) {
    Past& past = calls_.at(named.call);
    past.rewind.apply_to(past.entry);
    view_.entries.push_back(core::PackedEntry::pack(past.entry));
  }
  calls_ = {};
  stage_ = view_.directory || everybody_ ? Stage::over : Stage::people;
}

// --- the people who decide about it

PgQuery PastRead::query_people() const {
  std::vector<std::uint64_t> users;
  for (const core::CallUsers& named : view_.calls) {
    for (const UserId user : named.users) users.push_back(user.value);
  }
  if (of_user_) users.push_back(of_user_->user.value);
  for (const core::PackedEntryPtr& entry : view_.entries) {
    for (const UserId user : entry->participants()) users.push_back(user.value);
  }
  sort_distinct(users);
  PgQuery query{&kLoadPastMembersAbove};
  query.params.add(company).add(directory_revision_).add_numbers(users);
  return query;
}

}  // namespace

PgReadPtr make_past_read(const Clock& clock, PastCommand command,
                         std::function<void(Result<PastView>)> done) {
  return std::make_unique<PastRead>(clock, std::move(command), std::move(done));
}

}  // namespace earshot::store
