// The working state of one commit of the embedded store: what its commands loaded, what they
// changed so far, and the rows and change records to be written. Later commands see what earlier
// ones changed. Nothing outside sees any of it before publish(). Of one thread: the committer's.
#pragma once

#include <rocksdb/write_batch.h>

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/result.h"
#include "core/decide.h"
#include "core/record.h"
#include "store/change_record.h"
#include "store/codec.h"
#include "store/company_state.h"
#include "store/entry_cache.h"
#include "store/kept_answer.h"
#include "store/load_rows.h"
#include "store/near_rows.h"
#include "store/rocks.h"
#include "store/store.h"

namespace earshot::store {

// Finds the state of a company, made from the store when it is met for the first time.
class Companies {
 public:
  explicit Companies(Rocks& rocks) : rocks_(rocks) {}

  // Null if the company has not been met yet. Any thread; no I/O.
  CompanyState* find(CompanyId company) const;
  // Any thread; may read the disk once for each company.
  Result<CompanyState*> meet(CompanyId company);
  // The committer lets go of the directories in memory if they have grown too large; they are
  // loaded again when needed.
  void forget_people(std::uint64_t bytes_max);

 private:
  Rocks& rocks_;
  mutable std::shared_mutex mutex_;
  std::unordered_map<CompanyId, std::unique_ptr<CompanyState>> states_;
};

// Everything that a transaction works on.
struct Ground {
  Rocks& rocks;
  EntryCache& cache;
  Companies& companies;
  KeyTable& keys;
  std::string scratch_directory;        // for the files of a load; of the store's own file system
  std::function<Status()> check_space;  // unavailable while the disk is too full for writes
  std::chrono::seconds idempotency_keep{};
};

inline constexpr std::size_t kWorkingEntryBytes = 256;  // of tables and text beside an entry, about

class Transaction final : public core::RecordTarget {
 public:
  Transaction(const Ground& ground, Time now);

  // Decides one command and takes in its changes as one revision. After an error nothing of it was
  // taken in. REQUIRES: no command before it had its idempotency key; one that removes all grants
  // of a user or call is the first.
  Result<Outcome> run(const GrantCommand& command);

  // From here on records are applied (core::apply_record), until end_records(): one revision for
  // each company named. After an error the transaction can only be dropped. Rows and entries that
  // need more than `memory_bytes_max` go to the disk for a while. The revisions are of the time
  // when the records end: nobody has seen them before.
  void begin_records(const Origin& origin, std::size_t memory_bytes_max);
  Status end_records(Time now);

  // Removes at most `rows_max` dead rows of one company, as one revision. Answers whether nothing
  Result<bool> sweep(CompanyId company, std::size_t rows_max);

  // Takes away grants that have expired, as one revision of each company, looking at no more than
  // so many rows. Answers whether none is left that is due.
  Result<bool> sweep_expired(std::size_t rows_max);

  // Whether there is nothing to commit.
  bool is_empty() const {
    return rows_ ? rows_->empty() : near_rows_.empty() && batch_.Count() == 0;
  }
  // Whether it only takes away: that is let through when the disk is nearly full.
  bool only_removes() const { return only_removes_; }
  // Of records: lets go of memory, or moves rows to the disk, where too much has gathered.
  Status bound_memory();
  // Whether commit() failed after the disk was asked to make it durable: then nobody knows what it
  // holds.
  bool outcome_is_unknown() const { return disk_was_asked_; }
  std::uint64_t changes() const { return changes_; }

  // Whether an access key is gone after this.
  bool removes_keys() const;
  // The newest revision of each company that this changes, ascending by company. REQUIRES: no
  // revision is open.
  std::vector<std::pair<CompanyId, core::Revision>> revisions() const;

  // The companies that have something to sweep after this.
  std::vector<CompanyId> companies_to_sweep() const;

  // Makes it durable. On error nothing of it is in the store, unless outcome_is_unknown().
  Status commit();
  // Shows it to readers. REQUIRES: commit() succeeded.
  void publish();

  Result<bool> has_company(CompanyId company) override;
  Result<bool> has_user(CompanyId company, UserId user) override;
  Result<bool> has_call(CompanyId company, CallId call) override;
  Result<std::optional<std::pair<CompanyId, core::Key>>> find_key(
      std::string_view access_key) override;
  Status put(const core::Company& company) override;
  Status put(CompanyId company, const core::Key& key) override;
  Status put(CompanyId company, const core::Workspace& workspace) override;
  Status put(CompanyId company, const core::Profile& profile) override;
  Status put(CompanyId company, const core::User& user) override;
  Status put(CompanyId company, const core::Call& call) override;
  Status put_share(CompanyId company, CallId call, UserId user) override;
  Status put_grant(CompanyId company, CallId call, UserId user, const core::Grant& grant) override;
  Status remove_company(CompanyId company) override;
  Status remove_key(CompanyId company, std::string_view access_key) override;
  Status remove_workspace(CompanyId company, WorkspaceId id) override;
  Status remove_profile(CompanyId company, ProfileId id) override;
  Status remove_user(CompanyId company, UserId id) override;
  Status remove_call(CompanyId company, CallId id) override;
  Status remove_share(CompanyId company, CallId call, UserId user) override;
  Status remove_grant(CompanyId company, CallId call, UserId user) override;

 private:
  // A company as this transaction leaves it.
  struct WorkingCompany {
    CompanyState* state = nullptr;
    Head head;
    PeoplePtr people;                          // null: not loaded
    std::shared_ptr<People> changed_people;    // ours, once changed
    std::shared_ptr<const Removals> removals;  // null: none
    std::shared_ptr<Removals> changed_removals;
    bool removals_grew = false;

    // The open revision.
    bool is_open = false;
    Operation operation = Operation::give;
    Origin origin;
    std::uint32_t next_n = 0;
    std::uint32_t part_first_n = 0;
    ChangeWriter writer;
  };
  struct WorkingEntry {
    CallRef ref;
    core::EntryPtr before;                     // as readers see it now
    core::PackedEntryPtr cached;               // the same, where the cache had it
    std::shared_ptr<core::CallEntry> changed;  // ours, once changed
    core::EntryPtr now() const { return changed ? core::EntryPtr(changed) : before; }
  };

  Result<WorkingCompany*> company(CompanyId id);
  Result<const People*> people(WorkingCompany& working);
  Result<core::Directory*> change_directory(WorkingCompany& working);
  Removals& change_removals(WorkingCompany& working);
  Result<WorkingEntry*> entry(CompanyId company, CallId call);
  core::CallEntry& change_entry(WorkingEntry& working);
  bool is_there(const WorkingCompany& company, const core::CallEntry& entry) const;
  // Since which revision the row is dead, this transaction's removals included; 0: it is alive.
  template <class Row>
  core::Revision killed_at(const WorkingCompany& company, CallId call, const Row& row) const;
  // The row of this pair, if it is alive.
  template <class Row>
  const Row* alive(const WorkingCompany& company, CallId call, const Row* row) const;
  core::EntryPtr visible(const WorkingCompany& company, const WorkingEntry& entry,
                         CallId call) const;

  Result<std::vector<core::EntryPtr>> load_entries(WorkingCompany& working,
                                                   std::span<const core::CallUsers> calls);
  // When it is for the company: a clock that jumps back revives nothing.
  Time judged_at(const WorkingCompany& working) const { return std::max(now_, working.head.time); }
  // The changes as one revision.
  void take_in(WorkingCompany& working, const GrantCommand& command,
               std::span<const core::CallUsers> calls,
               const std::vector<core::GrantChange>& changes);

  // Commands with results.
  Result<Outcome> run_with_results(const GrantCommand& command);
  Result<std::optional<KeptAnswer>> find_answer(const AnswerKey& key);
  // As a new one, but for a row of it.
  bool is_forgotten(const WorkingCompany& working, const KeptAnswer& answer) const;
  void keep_answer(WorkingCompany& working, const GrantCommand& command, const Outcome& outcome,
                   const std::optional<KeptAnswer>& before);
  // The grants that are all of the user or call, expired ones too; or why they cannot be had.
  Result<std::variant<std::vector<core::CallUsers>, core::Decision>> find_all(
      WorkingCompany& working, const WithResults& asked);
  // The calls that the user has grants of, as many as may be, and how many there are in all: of all
  // rows that stand, or of those that give access. REQUIRES: no command came before.
  Result<std::size_t> find_grants_of(WorkingCompany& working, UserId user, bool only_live,
                                     std::size_t calls_max, std::vector<core::CallUsers>& calls);
  Result<bool> has_live_grant(const WorkingCompany& working, CallId call, UserId user);
  Status check_reach(const WorkingCompany& working, core::Revision if_revision) const;
  // Whether anything of the call has changed for anybody. REQUIRES: the record reaches so far back.
  Result<bool> has_changed_after(WorkingCompany& working, CallId call, core::Revision revision);
  // Where a call's newest change only swept what was dead: since when it was, and `newest` goes to
  // the change before it. Else nothing.
  Result<std::optional<core::Revision>> find_sweep(rocksdb::Iterator& changes, CompanyId company,
                                                   CallId call, core::Stamp& newest);
  void open_revision(WorkingCompany& working, Operation operation, const Origin& origin);
  Status close_revision(WorkingCompany& working);
  Status write_part(WorkingCompany& working, bool last);
  // Takes one change into the open revision, and the stamp that its rows carry.
  template <class ChangeType>
  Result<core::Stamp> record(WorkingCompany& working, const ChangeType& change);

  // Changes to grants of one call, users ascending.
  Status write_grants(WorkingCompany& working, CallId call,
                      std::span<const core::GrantChange> changes);
  Status write_grant(WorkingCompany& working, CallId call, UserId user,
                     std::optional<core::Grant> before, std::optional<core::Grant> after);
  Status write_share(WorkingCompany& working, CallId call, UserId user, bool before, bool after);
  Status write_call(WorkingCompany& working, CallId call, std::optional<core::Call> before,
                    std::optional<core::Call> after);
  Status write_thing(WorkingCompany& working, ThingKind kind, std::uint64_t id,
                     std::optional<std::string> body);
  Status write_key(WorkingCompany& working, std::string_view access_key,
                   std::optional<core::Key> key);
  void write_by_user(const UserCallKey& key, UserCallValue before, UserCallValue after);
  void write_expiry(ExpiryKey key, Time before, Time after);
  // The removal at this stamp awaits its sweep.
  Status await_sweep(WorkingCompany& working, SweepKind kind, std::uint64_t id, core::Stamp stamp);
  void end_sweep(WorkingCompany& working, SweepKind kind, std::uint64_t id);

  template <class Thing>
  Status put_thing(CompanyId company, ThingKind kind, std::uint64_t id, const Thing& thing);
  Status remove_thing(CompanyId company, ThingKind kind, std::uint64_t id, bool is_there);
  Result<std::optional<std::string>> find_thing_body(WorkingCompany& working, ThingKind kind,
                                                     std::uint64_t id);
  Result<std::optional<core::Call>> find_call(CompanyId company, CallId call);

  // Each takes dead rows away and answers whether none is left; it stops once it has looked at so
  // many rows as there is room for, and takes them off the room.
  Result<bool> sweep_user(WorkingCompany& working, UserId user, std::size_t& room);
  Result<bool> sweep_call(WorkingCompany& working, CallId call, core::Stamp removed,
                          std::size_t& room);
  Result<bool> sweep_things(WorkingCompany& working, std::size_t& room);
  Result<bool> sweep_company(WorkingCompany& working, std::size_t& room);
  Result<bool> sweep_answers(WorkingCompany& working, std::size_t& room);

  void write_row(Family family, std::string_view key, std::string_view value);
  void forget_loaded();
  // What this load has left of a call, where that is known without the store; else null.
  Result<core::EntryPtr> find_loading(const CallRef& ref);
  // Whether the rows of records are too many for one write.
  bool must_write_files() const;
  Status commit_files();

  const Ground ground_;
  Time now_;
  std::size_t memory_bytes_max_ = 0;  // of a load
  std::uint64_t changes_ = 0;
  std::size_t entries_bytes_ = 0;  // of entries_, about
  std::size_t writers_bytes_ = 0;  // of the parts being written
  bool disk_was_asked_ = false;
  bool only_removes_ = true;

  bool in_records_ = false;
  Origin records_origin_;

  std::unordered_map<CompanyId, std::unique_ptr<WorkingCompany>> companies_;
  std::deque<WorkingEntry> entries_;  // they stay where they are
  boost::unordered_flat_map<CallRef, WorkingEntry*, CallRefHash> entries_index_;
  // What this transaction has written of things and calls since it last spilled: what it writes
  // cannot be read before.
  std::map<std::string, std::optional<std::string>, std::less<>> things_;
  std::unordered_map<CallRef, std::optional<core::Call>, CallRefHash> calls_;
  std::unordered_map<std::string, KeyRow> keys_;

  rocksdb::WriteBatch batch_;
  NearRows near_rows_;              // go into the batch at its end
  std::unique_ptr<LoadRows> rows_;  // of records, in place of the batch
};

}  // namespace earshot::store
