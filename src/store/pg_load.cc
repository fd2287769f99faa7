#include "store/pg_load.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/assert.h"
#include "core/record.h"
#include "store/pg_load_set.h"
#include "store/pg_rows.h"
#include "store/pg_statements_sync.h"

namespace earshot::store {
namespace {

constexpr std::string_view kLockNotAvailable = "55P03";

// How records change the rows, and what goes into the record of changes: the same as over the
// embedded store, but that what a removal takes along goes with it, and not in a sweep.
class PgLoadTarget final : public core::RecordTarget {
 public:
  PgLoadTarget(PgSession& session, PgLoadSet& set, std::size_t removed_rows)
      : session_(session), set_(set), removed_rows_(removed_rows) {}

  Result<bool> has_company(CompanyId company) override {
    return set_.company(company).name.has_value();
  }
  Result<bool> has_user(CompanyId company, UserId user) override {
    return set_.has_user(company, user);
  }
  Result<bool> has_call(CompanyId company, CallId call) override {
    return set_.has_call(company, call);
  }
  Result<std::optional<std::pair<CompanyId, core::Key>>> find_key(
      std::string_view access_key) override {
    return set_.key(std::string(access_key)).now;
  }

  Status put(const core::Company& company) override;
  Status put(CompanyId company, const core::Key& key) override;
  Status put(CompanyId company, const core::Workspace& workspace) override {
    return put_thing(company, ThingKind::workspace, workspace);
  }
  Status put(CompanyId company, const core::Profile& profile) override {
    return put_thing(company, ThingKind::profile, profile);
  }
  Status put(CompanyId company, const core::User& user) override {
    set_.set_has_user(company, user.id, true);
    return put_thing(company, ThingKind::user, user);
  }
  Status put(CompanyId company, const core::Call& call) override;
  Status put_share(CompanyId company, CallId call, UserId user) override;
  Status put_grant(CompanyId company, CallId call, UserId user, const core::Grant& grant) override;
  Status remove_company(CompanyId company) override;
  Status remove_key(CompanyId company, std::string_view access_key) override;
  Status remove_workspace(CompanyId company, WorkspaceId id) override {
    return remove_thing<core::Workspace>(company, ThingKind::workspace, id);
  }
  Status remove_profile(CompanyId company, ProfileId id) override {
    return remove_thing<core::Profile>(company, ThingKind::profile, id);
  }
  Status remove_user(CompanyId company, UserId id) override;
  Status remove_call(CompanyId company, CallId id) override;
  Status remove_share(CompanyId company, CallId call, UserId user) override;
  Status remove_grant(CompanyId company, CallId call, UserId user) override;

 private:
  template <class Thing>
  Status put_thing(CompanyId id, ThingKind kind, const Thing& thing) {
    LoadRow<Thing>& row = set_.row(id, thing.id);
    if (row.now == thing) return {};
    row.set(thing);
    std::string body;
    append_body(body, thing);
    return set_.record(set_.company(id), ThingChanged{kind, thing.id.value, std::move(body)});
  }
  template <class Thing, class IdType>
  Status remove_thing(CompanyId company, ThingKind kind, IdType id) {
    LoadRow<Thing>& row = set_.row(company, id);
    if (!row.now) return {};
    row.set(std::nullopt);
    return set_.record(set_.company(company), ThingChanged{kind, id.value, std::nullopt});
  }

  // Deletes rows of a company in ranges of their keys, until none is left. `take` sees each row, in
  // the order of the columns that are its key; `params` stand between the company and the key.
  struct Removal {
    const PgStatement& find_end;
    const PgStatement& remove;
    std::vector<int> key_columns;
    std::vector<std::uint64_t> params{};
  };
  using TakeRemoved = std::function<Status(const PgResult& rows, int row)>;
  Status remove_rows(LoadCompany& company, const Removal& removal, const TakeRemoved& take);
  // The shares and grants of the rows of such statements, which give call and user.
  Status remove_pairs(LoadCompany& company, const Removal& shares, const Removal& grants);
  Status remove_keys(LoadCompany& company);
  Status remove_things(LoadCompany& company, const PgStatement& find_end, const PgStatement& remove,
                       ThingKind kind);

  PgSession& session_;
  PgLoadSet& set_;
  const std::size_t removed_rows_;
};

Status PgLoadTarget::put(const core::Company& thing) {
  LoadCompany& company = set_.company(thing.id);
  if (company.name == thing.name) return {};
  company.name = thing.name;
  std::string body;
  append_body(body, thing);
  return set_.record(company, ThingChanged{ThingKind::company, thing.id.value, std::move(body)});
}

Status PgLoadTarget::put(CompanyId id, const core::Key& key) {
  LoadRow<PgLoadSet::KeyOf>& row = set_.key(key.access_key);
  ASSERT(!row.now || row.now->first == id);
  if (row.now && row.now->second == key) return {};
  row.set(PgLoadSet::KeyOf(id, key));
  return set_.record(set_.company(id), KeyChanged{key.access_key, key});
}

Status PgLoadTarget::put(CompanyId id, const core::Call& call) {
  LoadRow<core::Call>& row = set_.row(id, call.id);
  if (row.now == call) return {};
  std::optional<core::Call> before = std::move(row.now);
  row.set(call);
  set_.set_has_call(id, call.id, true);
  return set_.record(set_.company(id), CallChanged{call.id, {}, std::move(before), call});
}

Status PgLoadTarget::put_share(CompanyId id, CallId call, UserId user) {
  LoadRow<PgLoadSet::Shared>& row = set_.share(id, call, user);
  if (row.now) return {};
  row.set(PgLoadSet::Shared{});
  return set_.record(set_.company(id), ShareChanged{call, {}, user, false, true});
}

Status PgLoadTarget::put_grant(CompanyId id, CallId call, UserId user, const core::Grant& grant) {
  LoadRow<core::Grant>& row = set_.grant(id, call, user);
  if (row.now == grant) return {};
  std::optional<core::Grant> before = std::move(row.now);
  row.set(grant);
  return set_.record(set_.company(id), GrantChanged{call, {}, user, std::move(before), grant});
}

Status PgLoadTarget::remove_key(CompanyId id, std::string_view access_key) {
  LoadRow<PgLoadSet::KeyOf>& row = set_.key(std::string(access_key));
  if (!row.now || row.now->first != id) return {};
  row.set(std::nullopt);
  return set_.record(set_.company(id), KeyChanged{std::string(access_key), std::nullopt});
}

Status PgLoadTarget::remove_share(CompanyId id, CallId call, UserId user) {
  LoadRow<PgLoadSet::Shared>& row = set_.share(id, call, user);
  if (!row.now) return {};
  row.set(std::nullopt);
  return set_.record(set_.company(id), ShareChanged{call, {}, user, true, false});
}

Status PgLoadTarget::remove_grant(CompanyId id, CallId call, UserId user) {
  LoadRow<core::Grant>& row = set_.grant(id, call, user);
  if (!row.now) return {};
  std::optional<core::Grant> before = std::move(row.now);
  row.set(std::nullopt);
  return set_.record(set_.company(id),
                     GrantChanged{call, {}, user, std::move(before), std::nullopt});
}

// --- removals that take rows along: each is alone in its chunk, so that all rows are in the
// database

Status PgLoadTarget::remove_rows(LoadCompany& company, const Removal& removal,
                                 const TakeRemoved& take) {
  const std::size_t key_size = removal.key_columns.size();
  std::vector<std::uint64_t> last(key_size, 0);
  for (;;) {
    PgParams params;
    params.add(company.id);
    for (const std::uint64_t param : removal.params) params.add(param);
    for (const std::uint64_t member : last) params.add(member);
    PgParams to_find = params;
    to_find.add(std::uint64_t{removed_rows_ - 1});
    const PgResult found = TRY(session_.run(removal.find_end, to_find));
    const bool is_last = found.rows() == 0;
    for (std::size_t i = 0; i < key_size; ++i) {
      last[i] = is_last ? kIdMax : found.number(0, static_cast<int>(i));
      params.add(last[i]);
    }
    const PgResult removed = TRY(session_.run(removal.remove, params));
    // A DELETE gives its rows in no promised order.
    std::vector<std::pair<std::vector<std::uint64_t>, int>> order;
    for (int row = 0; row < removed.rows(); ++row) {
      std::vector<std::uint64_t> key;
      for (const int column : removal.key_columns) key.push_back(removed.number(row, column));
      order.emplace_back(std::move(key), row);
    }
    std::ranges::sort(order);
    for (const auto& [key, row] : order) TRY(take(removed, row));
    TRY(set_.write_parts(company));
    if (is_last) return {};
  }
}

Status PgLoadTarget::remove_pairs(LoadCompany& company, const Removal& shares,
                                  const Removal& grants) {
  TRY(remove_rows(company, shares, [&](const PgResult& rows, int row) {
    return set_.record(company,
                       ShareChanged{{rows.number(row, 0)}, {}, {rows.number(row, 1)}, true, false});
  }));
  return remove_rows(company, grants, [&](const PgResult& rows, int row) {
    return set_.record(company, GrantChanged{{rows.number(row, 0)},
                                             {},
                                             {rows.number(row, 1)},
                                             read_grant(rows, row, 2),
                                             std::nullopt});
  });
}

Status PgLoadTarget::remove_user(CompanyId id, UserId user) {
  if (!set_.has_user(id, user)) return {};
  TRY(remove_thing<core::User>(id, ThingKind::user, user));
  set_.set_has_user(id, user, false);
  return remove_pairs(set_.company(id),
                      {kFindEndOfSharesOfUser, kRemoveSharesOfUser, {0}, {user.value}},
                      {kFindEndOfGrantsOfUser, kRemoveGrantsOfUser, {0}, {user.value}});
}

Status PgLoadTarget::remove_call(CompanyId id, CallId call) {
  if (!set_.has_call(id, call)) return {};
  LoadRow<core::Call>& row = set_.row(id, call);
  std::optional<core::Call> before = std::move(row.now);
  row.set(std::nullopt);
  set_.set_has_call(id, call, false);
  LoadCompany& company = set_.company(id);
  TRY(set_.record(company, CallChanged{call, {}, std::move(before), std::nullopt}));
  return remove_pairs(company, {kFindEndOfSharesOfCall, kRemoveSharesOfCall, {1}, {call.value}},
                      {kFindEndOfGrantsOfCall, kRemoveGrantsOfCall, {1}, {call.value}});
}

Status PgLoadTarget::remove_keys(LoadCompany& company) {
  const PgResult removed = TRY(session_.run(kRemoveKeysOfCompany, PgParams().add(company.id)));
  std::vector<std::string> names;
  names.reserve(static_cast<std::size_t>(removed.rows()));
  for (int i = 0; i < removed.rows(); ++i) names.emplace_back(removed.text(i, 0));
  std::ranges::sort(names);
  for (const std::string& name : names) {
    TRY(set_.record(company, KeyChanged{name, std::nullopt}));
  }
  return {};
}

Status PgLoadTarget::remove_things(LoadCompany& company, const PgStatement& find_end,
                                   const PgStatement& remove, ThingKind kind) {
  return remove_rows(company, {find_end, remove, {0}}, [&](const PgResult& rows, int row) {
    return set_.record(company, ThingChanged{kind, rows.number(row, 0), std::nullopt});
  });
}

Status PgLoadTarget::remove_company(CompanyId id) {
  LoadCompany& company = set_.company(id);
  TRY(remove_keys(company));
  TRY(session_.run(kForgetAnswersOfCompany, PgParams().add(id)));
  TRY(session_.run(kForgetRefusalsOfCompany, PgParams().add(id)));
  TRY(session_.run(kForgetKeyUsesOfCompany, PgParams().add(id)));
  company.name.reset();
  TRY(set_.record(company, ThingChanged{ThingKind::company, id.value, std::nullopt}));
  set_.forget_who_is_there();
  for (const PgStatement* const keep :
       {&kKeepWorkspacesOfCompany, &kKeepProfilesOfCompany, &kKeepUsersOfCompany}) {
    TRY(session_.run(*keep, PgParams().add(id).add(company.revision())));
  }
  TRY(remove_things(company, kFindEndOfWorkspacesOfCompany, kRemoveWorkspacesOfCompany,
                    ThingKind::workspace));
  TRY(remove_things(company, kFindEndOfProfilesOfCompany, kRemoveProfilesOfCompany,
                    ThingKind::profile));
  TRY(remove_things(company, kFindEndOfUsersOfCompany, kRemoveUsersOfCompany, ThingKind::user));
  TRY(remove_pairs(company, {kFindEndOfSharesOfCompany, kRemoveSharesOfCompany, {0, 1}},
                   {kFindEndOfGrantsOfCompany, kRemoveGrantsOfCompany, {0, 1}}));
  return remove_rows(
      company, {kFindEndOfCallsOfCompany, kRemoveCallsOfCompany, {0}},
      [&](const PgResult& rows, int row) {
        core::Call before = read_call(rows, row);
        const CallId call = before.id;
        return set_.record(company, CallChanged{call, {}, std::move(before), std::nullopt});
      });
}

// --- reading ahead

// Whether it may take rows along: then those must be in the database.
bool takes_rows_along(const core::Record& record) {
  return record.remove && (std::holds_alternative<core::Company>(record.thing) ||
                           std::holds_alternative<core::User>(record.thing) ||
                           std::holds_alternative<core::Call>(record.thing));
}

std::size_t bytes_of(const core::Record& record) {
  struct Size {
    std::size_t operator()(const core::Company& thing) const { return thing.name.size(); }
    std::size_t operator()(const core::KeyLine& line) const {
      return line.key.access_key.size() + line.key.scopes.size() * 64;
    }
    std::size_t operator()(const core::Workspace& thing) const { return thing.name.size(); }
    std::size_t operator()(const core::Profile& thing) const {
      return thing.name.size() + thing.team_leads.size() * 8;
    }
    std::size_t operator()(const core::User& thing) const {
      return thing.email_address.size() + thing.first_name.size() + thing.last_name.size() +
             thing.profiles.size() * 8;
    }
    std::size_t operator()(const core::Call& thing) const {
      return thing.title.size() + thing.started.size() + thing.parties.size() * 8;
    }
    std::size_t operator()(const core::ShareLine&) const { return 0; }
    std::size_t operator()(const core::GrantLine& line) const { return line.grant.note.size(); }
  };
  return sizeof record + std::visit(Size{}, record.thing);
}

// Some records in a row, each with its place in the source.
class Chunks {
 public:
  Chunks(RecordSource& source, PgLoadLimits limits) : source_(source), limits_(limits) {}

  // False at the end. An error of the source comes after all that it gave before.
  Result<bool> read() {
    records.clear();
    positions.clear();
    if (held_) push(*std::exchange(held_, std::nullopt));
    bool is_full = !records.empty() && takes_rows_along(records.front());
    while (!is_full && !is_over_ && records.size() < limits_.chunk_records &&
           bytes_ < limits_.chunk_bytes) {
      const Result<const core::Record*> next = source_.next();
      is_over_ = !next || *next == nullptr;
      if (!next) failure_ = next.error();
      if (is_over_) break;
      Placed placed{**next, source_.position()};
      is_full = takes_rows_along(placed.record);
      if (is_full && !records.empty()) {
        held_ = std::move(placed);
      } else {
        push(std::move(placed));
      }
    }
    bytes_ = 0;
    if (records.empty() && failure_) return *failure_;
    return !records.empty();
  }

  std::vector<core::Record> records;
  std::vector<std::string> positions;

 private:
  struct Placed {
    core::Record record;
    std::string position;
  };
  void push(Placed placed) {
    bytes_ += bytes_of(placed.record);
    records.push_back(std::move(placed.record));
    positions.push_back(std::move(placed.position));
  }

  RecordSource& source_;
  const PgLoadLimits limits_;
  std::size_t bytes_ = 0;
  std::optional<Placed> held_;
  std::optional<Error> failure_;
  bool is_over_ = false;
};

Status apply(const Chunks& chunk, PgLoadTarget& target, LoadReport& report) {
  for (std::size_t i = 0; i < chunk.records.size(); ++i) {
    const Status applied = core::apply_record(chunk.records[i], target);
    if (!applied && applied.error().code == Code::invalid_argument) {
      return invalid_argument(chunk.positions[i] + ": " + applied.error().message);
    }
    TRY(Status(applied));
    ++report.records;
  }
  return {};
}

Status limit_waits(PgSession& session, std::chrono::milliseconds time) {
  TRY(session.run_text("SET LOCAL lock_timeout = " + std::to_string(time.count())));
  return {};
}

Status take_turn(PgSession& session, const std::optional<PgLoadPatience>& patience) {
  if (patience) TRY(limit_waits(session, patience->turn));
  const Result<PgResult> locked = session.run(kLockLoads);
  if (!locked && session.last_sqlstate() == kLockNotAvailable) {
    return unavailable("another load is under way");
  }
  if (!locked) return locked.error();
  if (locked->rows() != 1) {
    return internal("the row of earshot.load_lock is not there: put it back");
  }
  return patience ? limit_waits(session, patience->row) : Status();
}

// Everything but the COMMIT.
Result<LoadReport> load_in_transaction(PgSession& session, RecordSource& source,
                                       const Origin& origin, const Clock& clock,
                                       const PgLoadLimits& limits,
                                       const std::optional<PgLoadPatience>& patience) {
  TRY(session.begin());
  TRY(take_turn(session, patience));
  PgLoadSet set(session, origin, clock());
  PgLoadTarget target(session, set, limits.removed_rows);
  Chunks chunk(source, limits);
  LoadReport report;
  while (TRY(chunk.read())) {
    TRY(set.load(chunk.records));
    TRY(apply(chunk, target, report));
    TRY(set.write());
  }
  TRY(set.finish(clock()));
  report.changes = set.changes();
  report.revisions = set.revisions();
  return report;
}

}  // namespace

Result<LoadReport> load_over_postgres(PgSession& session, RecordSource& source,
                                      const Origin& origin, const Clock& clock, PgLoadLimits limits,
                                      std::optional<PgLoadPatience> patience) {
  // Each row is found by its key: plans that are made while tables are empty must be good when this
  // very load has filled them.
  TRY(session.run_text("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan"));
  Result<LoadReport> report = load_in_transaction(session, source, origin, clock, limits, patience);
  if (!report) {
    session.roll_back();
    if (report.error().code == Code::invalid_argument) return report;
    return Error{report.error().code, "none of the records was applied: " + report.error().message};
  }
  // Also where nothing changed: only a commit shows that what was compared with still holds.
  const PgEnding ending = session.commit();
  switch (ending.outcome) {
    case PgEnding::Outcome::committed:
      return report;
    case PgEnding::Outcome::rolled_back:
      return unavailable("none of the records was applied: " + ending.why);
    case PgEnding::Outcome::unknown:
      break;
  }
  return unavailable(
      "it is not known whether the records were applied (all, or none); loading them again is "
      "safe: " +
      ending.why);
}

}  // namespace earshot::store
