#include "store/pg_verify.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <string>
#include <unordered_set>
#include <vector>

#include "store/kept_answer.h"
#include "store/pg_changes.h"
#include "store/pg_rows.h"
#include "store/pg_statements_sync.h"
#include "store/verify_record.h"

namespace earshot::store {
namespace {

constexpr std::uint64_t kCallsAStep = 2000;
constexpr std::uint64_t kAllRows = kIdMax;

void add_fault(VerifyReport& report, std::string what) {
  if (report.faults.size() < kVerifyFaultsMax) report.faults.push_back(std::move(what));
}

// One company, in a snapshot of its own.
class PgCompanyCheck {
 public:
  PgCompanyCheck(PgSession& session, CompanyId company, HeadClaims& claims, VerifyReport& report)
      : session_(session), company_(company), claims_(claims), report_(report) {}

  Status run() {
    TRY(session_.begin_snapshot());
    const PgResult head = TRY(session_.run(kFindCompany, of_company()));
    if (head.rows() == 0) return {};  // gone since the companies were listed
    has_record_ = !head.is_null(0, 0);
    horizon_ = head.number(0, 5);
    versions_from_ = std::max(horizon_, head.number(0, 6));
    TRY(check_changes(head));
    if (has_record_) {
      ++report_.companies;
      add_body(ThingKind::company, core::Company{company_, std::string(head.text(0, 0))});
    }
    TRY(check_directory());
    TRY(check_versions());
    TRY(check_keys());
    TRY(check_answers());
    TRY(check_calls());
    // Where retention cut, the record does not explain the rows any more.
    if (horizon_ == 0) check_sums();
    return {};
  }

 private:
  PgParams of_company() const { return std::move(PgParams().add(company_)); }

  void fault(const std::string& what) {
    add_fault(report_, "company " + to_string(company_) + ": " + what);
  }

  void check_revision(core::Revision revision, const std::string& where) {
    if (revision == 0 || revision > head_.revision) {
      fault(where + " carries revision " + std::to_string(revision) + ", the record ends at " +
            std::to_string(head_.revision));
    }
  }

  Status check_changes(const PgResult& head) {
    RecordCheck record(company_, horizon_, claims_,
                       [this](const std::string& what) { fault(what); });
    TRY(session_.stream(kListChanges, of_company(), [&](const PgResult& row) -> Status {
      const auto part = read_change_row(company_, row, 0);
      if (!part) {
        fault("a part of revision " + std::to_string(row.number(0, 0)) + " cannot be read");
        record.take_unreadable(row.number(0, 0));
        return {};
      }
      const auto changes = record.take(part->key, encode_key(part->key), part->value());
      check_calls_named(*part, changes);
      for (const Change& change : changes) expect(change, part->key.revision);
      return {};
    }));
    record.end();
    head_ = record.head();
    explained_ = record.explained();
    report_.changes += record.changes();
    const std::string_view hash = head.text(0, 4);
    if (head.number(0, 1) != head_.revision || head.number(0, 2) != head_.directory_revision ||
        head.timestamp(0, 3) != head_.time || !std::ranges::equal(hash, head_.hash, {}, [](char c) {
          return static_cast<std::uint8_t>(c);
        })) {
      fault("its row in companies says revision " + std::to_string(head.number(0, 1)) +
            ", and is not what the record of changes ends with, revision " +
            std::to_string(head_.revision) +
            " (where these are the same: another directory revision, time or hash)");
    }
    return {};
  }

  void check_calls_named(const PgChangeRow& part, const std::vector<Change>& changes) {
    std::vector<std::uint64_t> calls;
    for (const Change& change : changes) {
      if (const auto* grant = std::get_if<GrantChanged>(&change))
        calls.push_back(grant->call.value);
      if (const auto* share = std::get_if<ShareChanged>(&change))
        calls.push_back(share->call.value);
      if (const auto* call = std::get_if<CallChanged>(&change)) calls.push_back(call->call.value);
    }
    std::ranges::sort(calls);
    calls.erase(std::unique(calls.begin(), calls.end()), calls.end());
    if (calls != part.call_ids) {
      fault("revision " + std::to_string(part.key.revision) + ", part at " +
            std::to_string(part.key.first_n) + " names other calls than its changes");
    }
  }

  // What the directory and the keys must come to.
  void expect(const Change& change, core::Revision revision) {
    if (const auto* thing = std::get_if<ThingChanged>(&change)) {
      expect_body({thing->kind, std::to_string(thing->id)}, thing->after);
      expect_version(*thing, revision);
    } else if (const auto* key = std::get_if<KeyChanged>(&change)) {
      std::optional<std::string> body;
      if (key->after) append_key_body(body.emplace(), *key->after);
      expect_body({ThingKind::key, key->access_key}, body);
    }
  }
  using ThingName = std::pair<ThingKind, std::string>;
  void expect_body(const ThingName& name, const std::optional<std::string>& body) {
    if (body) {
      expected_[name] = std::hash<std::string_view>{}(*body);
    } else {
      expected_.erase(name);
    }
  }

  // A thing that a change ends, and that another before it began, must be kept as a version.
  void expect_version(const ThingChanged& thing, core::Revision revision) {
    if (thing.kind == ThingKind::company) return;
    const std::pair name(thing.kind, thing.id);
    const auto begun = begun_.find(name);
    if (begun != begun_.end() && begun->second.revision < revision &&
        begun->second.revision > versions_from_) {
      expected_versions_.add(
          version_text(name, begun->second.revision, revision, begun->second.deciding));
    }
    if (thing.after) {
      begun_[name] = {revision, std::hash<std::string_view>{}(deciding_body(thing))};
    } else if (begun != begun_.end()) {
      begun_.erase(begun);
    }
  }

  // Of a thing's body, what decides about access.
  static std::string deciding_body(const ThingChanged& thing) {
    std::string body;
    if (thing.kind == ThingKind::user) {
      const auto user = decode_user(thing.id, *thing.after).value_or(core::User{});
      append_body(body, core::User{.id = user.id,
                                   .email_address = {},
                                   .first_name = {},
                                   .last_name = {},
                                   .manager = user.manager,
                                   .active = user.active,
                                   .profiles = user.profiles});
    } else if (thing.kind == ThingKind::profile) {
      auto profile = decode_profile(thing.id, *thing.after).value_or(core::Profile{});
      profile.name.clear();
      append_body(body, profile);
    }
    return body;
  }

  using VersionName = std::pair<ThingKind, std::uint64_t>;
  static std::string version_text(const VersionName& name, core::Revision from,
                                  core::Revision until, std::size_t deciding) {
    std::string text(1, static_cast<char>(name.first));
    for (const std::uint64_t number : {name.second, from, until, std::uint64_t{deciding}}) {
      append_fixed64(text, number);
    }
    return text;
  }

  Status check_versions() {
    TRY(check_versions_of(ThingKind::workspace, kListWorkspaceVersions,
                          [](const PgResult&) { return std::string(); }));
    TRY(check_versions_of(ThingKind::profile, kListProfileVersions, [](const PgResult& row) {
      std::string body;
      append_body(body, read_rule(row, 0, 4));
      return body;
    }));
    TRY(check_versions_of(ThingKind::user, kListUserVersions, [](const PgResult& row) {
      std::string body;
      append_body(body, read_member(row, 0, 4));
      return body;
    }));
    if (!(versions_ == expected_versions_)) {
      fault("what the directory was is not what the record of changes says");
    }
    return {};
  }

  // One after the other, and none after what is there now.
  Status check_versions_of(ThingKind kind, const PgStatement& list,
                           const std::function<std::string(const PgResult&)>& body_of) {
    VersionName last;
    core::Revision last_until = 0;
    return session_.stream(list, of_company(), [&](const PgResult& row) -> Status {
      const VersionName name(kind, row.number(0, 0));
      const core::Revision from = row.number(0, 1), until = row.number(0, 2);
      const bool overlaps =
          (name == last && from < last_until) || (!row.is_null(0, 3) && row.number(0, 3) < until);
      if (overlaps || until > head_.directory_revision) {
        fault(describe({kind, std::to_string(name.second)}) + " has a version from revision " +
              std::to_string(from) + " to " + std::to_string(until) + ", when it was another");
      }
      last = name;
      last_until = until;
      if (from > versions_from_) {
        versions_.add(version_text(name, from, until, std::hash<std::string_view>{}(body_of(row))));
      }
      return {};
    });
  }

  template <class Thing>
  void add_body(ThingKind kind, const Thing& thing) {
    std::string body;
    append_body(body, thing);
    meet_body({kind, std::to_string(thing.id.value)}, body);
  }
  // A thing as its row says it is.
  void meet_body(const ThingName& name, const std::string& body) {
    if (horizon_ > 0) return;
    const auto found = expected_.find(name);
    if (found == expected_.end() || found->second != std::hash<std::string_view>{}(body)) {
      fault(describe(name) + " is not what the record of changes says");
    }
    if (found != expected_.end()) expected_.erase(found);
  }
  static std::string describe(const ThingName& name) {
    static constexpr std::array kKinds = {"the company", "workspace", "profile", "user",
                                          "access key"};
    return std::string(kKinds[static_cast<std::size_t>(name.first)]) + " " + name.second;
  }

  Status check_directory() {
    PgParams all;
    all.add(company_).add(std::uint64_t{0}).add(kAllRows);
    TRY(session_.stream(kPageWorkspaces, all, [&](const PgResult& row) -> Status {
      const core::Workspace thing = read_workspace(row, 0);
      add_body(ThingKind::workspace, thing);
      check_revision(row.number(0, 2), "workspace " + to_string(thing.id));
      return {};
    }));
    TRY(session_.stream(kPageProfiles, all, [&](const PgResult& row) -> Status {
      const core::Profile thing = TRY(read_profile(row, 0));
      add_body(ThingKind::profile, thing);
      check_revision(row.number(0, 5), "profile " + to_string(thing.id));
      return {};
    }));
    return session_.stream(kPageUsers, all, [&](const PgResult& row) -> Status {
      const core::User thing = read_user(row, 0);
      add_body(ThingKind::user, thing);
      check_revision(row.number(0, 7), "user " + to_string(thing.id));
      users_.insert(thing.id);
      return {};
    });
  }

  Status check_keys() {
    return session_.stream(kListKeysOfCompany, of_company(), [&](const PgResult& row) -> Status {
      const core::Key key = TRY(read_key(row, 0, 1));
      if (!has_record_) {
        fault("access key " + key.access_key + " is of a company that is not there");
      }
      std::string body;
      append_key_body(body, key);
      meet_body({ThingKind::key, key.access_key}, body);
      check_revision(row.number(0, 6), "access key " + key.access_key);
      return {};
    });
  }

  Status check_answers() {
    return session_.stream(kListAnswers, of_company(), [&](const PgResult& row) -> Status {
      const auto answer = read_kept_answer(row, 0);
      if (!answer || !are_results(answer->results) || answer->revision > head_.revision) {
        fault("the answer kept of request " + std::string(row.text(0, 3)) +
              " is none that it was given");
      }
      return {};
    });
  }

  // A page of calls, then the pairs up to its last one; behind the last page, all that are left.
  Status check_calls() {
    for (std::uint64_t after = 0, last = 0; last != kIdMax; after = last) {
      std::unordered_set<CallId> calls;
      PgParams params;
      params.add(company_).add(after).add(kCallsAStep);
      TRY(session_.stream(kPageCalls, params, [&](const PgResult& row) -> Status {
        const core::Call call = read_call(row, 0);
        last = call.id.value;
        calls.insert(call.id);
        rows_.add(call_row_text(call.id, call));
        check_revision(row.number(0, 7), "call " + to_string(call.id));
        return {};
      }));
      report_.calls += calls.size();
      if (calls.size() < kCallsAStep) last = kIdMax;
      TRY(check_pairs(calls, after, last));
    }
    return {};
  }

  Status check_pairs(const std::unordered_set<CallId>& calls, std::uint64_t after,
                     std::uint64_t last) {
    PgParams params;
    params.add(company_).add(after).add(kIdMax).add(last).add(kAllRows);
    TRY(session_.stream(kPageShares, params, [&](const PgResult& row) -> Status {
      const CallId call{row.number(0, 0)};
      const UserId user{row.number(0, 1)};
      rows_.add(share_row_text(call, user));
      check_pair(calls, call, user, row.number(0, 2));
      ++report_.shares;
      return {};
    }));
    return session_.stream(kPageGrants, params, [&](const PgResult& row) -> Status {
      const CallId call{row.number(0, 0)};
      const UserId user{row.number(0, 1)};
      rows_.add(grant_row_text(call, user, read_grant(row, 0, 2)));
      check_pair(calls, call, user, row.number(0, 4));
      ++report_.grants;
      return {};
    });
  }

  void check_pair(const std::unordered_set<CallId>& calls, CallId call, UserId user,
                  core::Revision revision) {
    const std::string pair = "call " + to_string(call) + ", user " + to_string(user);
    check_revision(revision, pair);
    if (!calls.contains(call)) fault(pair + " has a row, and the call is not there");
    if (!users_.contains(user)) fault(pair + " has a row, and the user is not there");
  }

  void check_sums() {
    for (const auto& [name, body] : expected_) {
      fault(describe(name) + " is not there, and the record of changes says that it is");
    }
    if (!(rows_ == explained_)) {
      fault("the rows of calls, shares and grants are not what the record of changes comes to");
    }
  }

  PgSession& session_;
  const CompanyId company_;
  HeadClaims& claims_;
  VerifyReport& report_;
  bool has_record_ = false;
  core::Revision horizon_ = 0;
  Head head_;  // where the record ends
  std::unordered_set<UserId> users_;
  std::map<ThingName, std::size_t> expected_;  // hashes of bodies, by the record
  RowSum rows_, explained_;
  core::Revision versions_from_ = 0;  // behind it the record explains every version
  struct Begun {
    core::Revision revision = 0;
    std::size_t deciding = 0;  // hash of what decides about access
  };
  std::map<VersionName, Begun> begun_;  // what is there, by the record
  RowSum versions_, expected_versions_;
};

// Rows of companies that have none in earshot.companies.
Status check_strays(PgSession& session, VerifyReport& report) {
  static constexpr std::array kTables = {"workspaces",
                                         "profiles",
                                         "users",
                                         "calls",
                                         "shares",
                                         "grants",
                                         "keys",
                                         "changes",
                                         "workspace_versions",
                                         "profile_versions",
                                         "user_versions",
                                         "kept_answers"};
  for (const std::string table : kTables) {
    const PgResult strays =
        TRY(session.run_text("SELECT DISTINCT company_id::text FROM earshot." + table +
                             " WHERE company_id NOT IN (SELECT company_id FROM earshot.companies)"
                             " LIMIT " +
                             std::to_string(kVerifyFaultsMax)));
    for (int row = 0; row < strays.rows(); ++row) {
      add_fault(report, "company " + std::string(PQgetvalue(strays.get(), row, 0)) +
                            ": it has rows in " + table + ", and none in companies");
    }
  }
  return {};
}

}  // namespace

Result<VerifyReport> verify_over_postgres(PgSession& session, std::span<const HeadClaim> heads) {
  VerifyReport report;
  HeadClaims claims(heads);
  std::vector<CompanyId> companies;
  TRY(session.stream(kListCompanies, {}, [&](const PgResult& row) -> Status {
    companies.push_back({row.number(0, 0)});
    return {};
  }));
  for (const CompanyId company : companies) {
    // A snapshot for each, since they have nothing in common: one for all would keep the database
    // from cleaning up for as long as this takes.
    const Status checked = PgCompanyCheck(session, company, claims, report).run();
    session.roll_back();
    // What cannot be read is a fault to report, not an end to the search.
    if (!checked && (session.is_lost() || checked.error().code != Code::internal)) {
      return checked.error();
    }
    if (!checked) add_fault(report, checked.error().message);
  }
  TRY(check_strays(session, report));
  claims.report_to(report);
  return report;
}

}  // namespace earshot::store
