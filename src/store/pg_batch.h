// What the commands of one transaction over PostgreSQL change: decided one after the other on what
// was loaded under the lock of the company's head, each seeing what those before it changed. Knows
// no connection.
#pragma once

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "base/result.h"
#include "base/time.h"
#include "core/decide.h"
#include "core/directory.h"
#include "store/company_state.h"
#include "store/kept_answer.h"
#include "store/pg_changes.h"
#include "store/pg_connection.h"
#include "store/store.h"

namespace earshot::store {

// Where a company stands, and how far its record goes back.
struct PgHead : Head {
  core::Revision horizon = 0;
};
// Of kLockHead's result; all zero where the company has no row.
PgHead read_head(const PgResult& locked);

// The calls and pairs that commands name, each once, and what else is to be known of them.
struct PgNamed {
  std::vector<std::uint64_t> calls;
  std::vector<std::uint64_t> pair_calls, pair_users;
  // Of commands that are refused where calls have changed: these calls, after the earliest of
  // their revisions.
  std::vector<std::uint64_t> unchanged_calls;
  std::optional<core::Revision> unchanged_since;
  std::vector<std::string> idempotency_keys;

  void add(const GrantCommand& command);
  void make_distinct();
};

class PgBatch {
 public:
  // Judges, and dates its changes, by `now`, unless the company's newest is later. Answers that
  // were kept for longer than `idempotency_keep` are none.
  PgBatch(CompanyId company, const PgHead& head, Time now, std::chrono::seconds idempotency_keep)
      : company_(company),
        head_(head),
        now_(std::max(now, head.time)),
        idempotency_keep_(idempotency_keep) {}

  Time now() const { return now_; }

  // What kLoadCalls, kLoadShares, kLoadGrants, kFindChangedAfter and kFindAnswers gave. REQUIRES:
  // before the first run().
  void take_calls(const PgResult& calls);
  void take_shares(const PgResult& shares);
  void take_grants(const PgResult& grants);
  void take_changed(const PgResult& changed);
  void take_answers(const PgResult& answers);
  // What kLoadGrantsOfCall or kLoadGrantsOfUser gave, as of now(), for a command that is alone.
  void take_all(const PgResult& grants);
  std::vector<std::uint64_t> calls_of_all() const;

  // Decides one command and takes in its changes as one revision. REQUIRES: what it names was
  // loaded; `directory` is there for a give, and for a command with results. Errors: those that
  // WithResults says, but for the key that is under way.
  Result<Outcome> run(const GrantCommand& command, const core::Directory* directory);

  // Takes in as one revision that grants are gone which have expired, as of now(): what
  // kLoadExpired gave. REQUIRES: there are some.
  void sweep(const PgResult& expired, const Origin& origin);

  bool is_empty() const { return rows_.empty() && kept_.empty(); }
  bool has_revision() const { return !rows_.empty(); }
  std::size_t changes() const { return changes_; }
  const Head& head() const { return head_; }
  // REQUIRES: has_revision()
  RequestId last_request() const { return rows_.back().head.origin.request_id; }

  // The statements that write all of it, but COMMIT.
  std::vector<PgQuery> queries() const;

 private:
  Result<Outcome> run_with_results(const GrantCommand& command, const core::Directory& directory);
  std::vector<core::EntryPtr> entries_of(std::span<const core::CallUsers> calls) const;
  Status check_reach(core::Revision if_revision) const;
  std::optional<core::Decision> refuse_all(const WithResults& asked,
                                           const core::Directory& directory) const;
  core::ChangedCalls changed_after(std::span<const CallId> calls, core::Revision revision) const;
  void keep_answer(const GrantCommand& command, const Outcome& outcome);
  void take_pairs(const PgResult& grants);
  void write(Operation operation, const Origin& origin, std::span<const core::CallUsers> calls,
             const std::vector<core::GrantChange>& changes);
  void end_part(ChangeWriter& writer, Operation operation, const Origin& origin,
                std::uint32_t first_n, bool is_last);
  void add_removals(std::vector<PgQuery>& queries) const;

  const CompanyId company_;
  PgHead head_;
  const Time now_;
  const std::chrono::seconds idempotency_keep_;
  boost::unordered_flat_map<CallId, std::shared_ptr<core::CallEntry>, std::hash<CallId>> entries_;
  struct After {
    std::optional<core::Grant> grant;
    core::Revision revision = 0;
  };
  std::map<std::pair<CallId, UserId>, After> grants_;  // as the batch leaves them
  std::map<CallId, core::Revision> changed_;  // when calls changed last, where that is asked for
  std::vector<core::CallUsers> all_;      // all grants of a call or user, but no more than asked
  std::size_t all_count_ = 0;             // that there are
  std::map<Digest, KeptAnswer> answers_;  // by idempotency key
  std::vector<Digest> kept_;              // those of this batch
  std::vector<PgChangeRow> rows_;
  std::size_t changes_ = 0;
};

}  // namespace earshot::store
