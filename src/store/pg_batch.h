// What the commands of one transaction over PostgreSQL change: decided one after the other on what
// was loaded under the lock of the company's head, each seeing what those before it changed. Knows
// no connection.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "base/time.h"
#include "core/decide.h"
#include "core/directory.h"
#include "store/company_state.h"
#include "store/pg_changes.h"
#include "store/pg_connection.h"
#include "store/store.h"

namespace earshot::store {

// The calls and pairs that commands name, each once.
struct PgNamed {
  std::vector<std::uint64_t> calls;
  std::vector<std::uint64_t> pair_calls, pair_users;

  void add(const GrantCommand& command);
  void make_distinct();
};

class PgBatch {
 public:
  // `now` is the time of its changes, unless the company's newest is later.
  PgBatch(CompanyId company, const Head& head, Time now)
      : company_(company), head_(head), now_(now) {}

  // What kLoadCalls, kLoadShares and kLoadGrants gave. REQUIRES: before the first run().
  void take_calls(const PgResult& calls);
  void take_shares(const PgResult& shares);
  void take_grants(const PgResult& grants);

  // Decides one command and takes in its changes as one revision. REQUIRES: what it names was
  // loaded; `directory` is there for a give.
  Outcome run(const GrantCommand& command, const core::Directory* directory);

  bool is_empty() const { return rows_.empty(); }
  std::size_t changes() const { return changes_; }
  const Head& head() const { return head_; }
  RequestId last_request() const { return rows_.back().head.origin.request_id; }

  // The statements that write all of it, but COMMIT.
  std::vector<PgQuery> queries() const;

 private:
  void write(const GrantCommand& command, const std::vector<core::GrantChange>& changes);
  void end_part(ChangeWriter& writer, const GrantCommand& command, std::uint32_t first_n,
                bool is_last);

  const CompanyId company_;
  Head head_;
  const Time now_;
  boost::unordered_flat_map<CallId, std::shared_ptr<core::CallEntry>, std::hash<CallId>> entries_;
  struct After {
    std::optional<core::Grant> grant;
    core::Revision revision = 0;
  };
  std::map<std::pair<CallId, UserId>, After> grants_;  // as the batch leaves them
  std::vector<PgChangeRow> rows_;
  std::size_t changes_ = 0;
};

}  // namespace earshot::store
