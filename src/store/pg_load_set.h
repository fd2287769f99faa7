// What a load over PostgreSQL works on: the companies that it named, with their open revisions, and
// the rows that the records read ahead name, loaded with a few statements and written back with a
// few. Of one load, and one thread.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "core/record.h"
#include "store/company_state.h"
#include "store/pg_changes.h"
#include "store/pg_session.h"

namespace earshot::store {

// A company as the load leaves it. Its row is locked.
struct LoadCompany {
  CompanyId id;
  Head head;
  std::optional<std::string> name;  // absent: the company has no record
  bool is_new = false;              // its row was made by this load

  // The open revision.
  std::uint32_t next_n = 0;
  std::uint32_t part_first_n = 0;
  ChangeWriter writer;
  std::vector<PgChangeRow> parts;  // ended, and not written yet

  core::Revision revision() const { return head.revision + 1; }
};

// The key of a row without more than two members beside its company.
struct LoadRowKey {
  CompanyId company;
  std::uint64_t first = 0;   // of pairs, the call
  std::uint64_t second = 0;  // of pairs, the user
  friend auto operator<=>(const LoadRowKey&, const LoadRowKey&) = default;
};
struct LoadRowHash {
  std::size_t operator()(const LoadRowKey& key) const noexcept {
    std::uint64_t mixed = key.company.value * 0x9E3779B97F4A7C15ULL;
    mixed = (mixed ^ mixed >> 32 ^ key.first) * 0x9E3779B97F4A7C15ULL;
    mixed = (mixed ^ mixed >> 32 ^ key.second) * 0x9E3779B97F4A7C15ULL;
    return mixed ^ mixed >> 32;
  }
};

// A row as the database had it, and as it is now.
template <class Thing>
struct LoadRow {
  std::optional<Thing> now;
  bool is_changed = false;

  void set(std::optional<Thing> thing) {
    now = std::move(thing);
    is_changed = true;
  }
};
template <class Thing>
using LoadTable = boost::unordered_flat_map<LoadRowKey, LoadRow<Thing>, LoadRowHash>;

class PgLoadSet {
 public:
  struct Shared {};  // of a share there is nothing to say but that it is there
  using KeyOf = std::pair<CompanyId, core::Key>;

  PgLoadSet(PgSession& session, const Origin& origin, Time now)
      : session_(session), origin_(origin), now_(now) {}

  // Loads all that the records need. REQUIRES: nothing is unwritten.
  Status load(std::span<const core::Record> records);
  // Writes what changed since load(), and lets go of all rows.
  Status write();
  // Ends the revisions and writes the heads.
  Status finish(Time now);

  // Takes one change into the open revision of the company.
  template <class ChangeType>
  Status record(LoadCompany& company, const ChangeType& change);
  // Writes the parts that have ended: for those who take in many changes at once.
  Status write_parts(LoadCompany& company);
  std::uint64_t changes() const { return changes_; }
  // The revision of each company that was changed, ascending by company. REQUIRES: finish().
  const std::vector<std::pair<CompanyId, core::Revision>>& revisions() const { return revisions_; }

  // Of what the records loaded for name. Good until the next load().
  LoadCompany& company(CompanyId id);
  LoadRow<core::Workspace>& row(CompanyId company, WorkspaceId id);
  LoadRow<core::Profile>& row(CompanyId company, ProfileId id);
  LoadRow<core::User>& row(CompanyId company, UserId id);
  LoadRow<core::Call>& row(CompanyId company, CallId id);
  LoadRow<Shared>& share(CompanyId company, CallId call, UserId user);
  LoadRow<core::Grant>& grant(CompanyId company, CallId call, UserId user);
  LoadRow<KeyOf>& key(const std::string& access_key);
  bool has_user(CompanyId company, UserId user) const;
  bool has_call(CompanyId company, CallId call) const;
  void set_has_user(CompanyId company, UserId user, bool is_there);
  void set_has_call(CompanyId company, CallId call, bool is_there);
  void forget_who_is_there();  // after a company went

 private:
  // Whether users or calls are there, beyond one chunk: most lines name some that others named.
  using Presence = boost::unordered_flat_map<LoadRowKey, bool, LoadRowHash>;
  // What the records name of one company.
  struct Wanted {
    std::vector<std::uint64_t> workspaces, profiles, users, calls;
    std::vector<std::uint64_t> users_there, calls_there;
    std::vector<std::uint64_t> share_calls, share_users, grant_calls, grant_users;
  };
  // Statements to be sent as one, each with who takes its result.
  struct Batch {
    std::vector<PgCall> calls;
    std::vector<PgSession::TakeRow> takers;
    void add(const PgStatement& statement, PgParams params, PgSession::TakeRow take = nullptr) {
      calls.push_back({&statement, std::move(params)});
      takers.push_back(std::move(take));
    }
  };
  struct Want;  // makes Wanted of records

  void load_company(Batch& batch, CompanyId id);
  void load_rows(Batch& batch, CompanyId id, const Wanted& wanted);
  void load_keys(Batch& batch);
  template <class Thing, class Read>
  void load_things(Batch& batch, const PgStatement& statement, CompanyId id,
                   std::span<const std::uint64_t> ids, LoadTable<Thing>& rows, Read read);
  void load_presence(Batch& batch, const PgStatement& statement, CompanyId id,
                     std::span<const std::uint64_t> ids, Presence& presence);
  // `keep` is null where no versions are kept.
  template <class Thing>
  void write_things(Batch& batch, LoadTable<Thing>& rows, const PgStatement* keep,
                    const PgStatement& put, const PgStatement& remove);
  // Pairs ascend by call: one statement for each.
  void remove_pairs(Batch& batch, const PgStatement& statement, CompanyId id,
                    std::span<const std::uint64_t> calls, std::span<const std::uint64_t> users);
  void write_shares(Batch& batch);
  void write_grants(Batch& batch);
  void write_keys(Batch& batch);
  void write_parts(Batch& batch, LoadCompany& company);
  void end_part(LoadCompany& company, bool is_last);
  Status run(const Batch& batch);

  PgSession& session_;
  const Origin origin_;
  Time now_;
  std::uint64_t changes_ = 0;
  std::vector<std::pair<CompanyId, core::Revision>> revisions_;
  std::size_t writers_bytes_ = 0;

  std::map<CompanyId, LoadCompany> companies_;
  LoadTable<core::Workspace> workspaces_;
  LoadTable<core::Profile> profiles_;
  LoadTable<core::User> users_;
  LoadTable<core::Call> calls_;
  LoadTable<Shared> shares_;
  LoadTable<core::Grant> grants_;
  std::map<std::string, LoadRow<KeyOf>> keys_;
  Presence users_there_, calls_there_;
};

template <class ChangeType>
Status PgLoadSet::record(LoadCompany& company, const ChangeType& change) {
  if (company.next_n == UINT32_MAX) {
    return invalid_argument("more changes than one revision can number");
  }
  if (company.writer.bytes() >= kPartBytesMax) end_part(company, false);
  const std::size_t bytes_before = company.writer.bytes();
  company.writer.add(change);
  writers_bytes_ += company.writer.bytes() - bytes_before;
  ++company.next_n;
  ++changes_;
  if constexpr (std::is_same_v<ChangeType, ThingChanged> ||
                std::is_same_v<ChangeType, KeyChanged>) {
    company.head.directory_revision = company.revision();
  }
  return {};
}

}  // namespace earshot::store
