// Signs that a server is still the primary. A primary whose agent is frozen does not know that
// another was made one in its place, and goes on answering reads; but it cannot commit any more,
// since nobody confirms its commits. So a commit is a proof: the server was the primary at some
// moment after the commit was sent.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "base/ids.h"

namespace earshot::store {

// Of one server process: started again, it begins without a proof, since what it had committed
// when it went down may not have been confirmed. Any thread.
class PgProof {
 public:
  using Moment = std::chrono::steady_clock::time_point;

  PgProof(std::string server, bool is_by_company)
      : server_(std::move(server)), is_by_company_(is_by_company) {}

  const std::string& server() const { return server_; }
  // Whether the tables are distributed: then a commit proves nothing but its own company's shard.
  bool is_by_company() const { return is_by_company_; }

  // A commit that was sent then has succeeded.
  void proved(CompanyId company, Moment sent);
  // Since when the server is known to have been the primary; Moment::min(): never.
  Moment proved_since(CompanyId company) const;
  // Whether the caller is to prove it now: nobody is at it that began after `since`.
  bool begin(CompanyId company, Moment now, Moment since);

 private:
  struct Known {
    Moment since = Moment::min();
    Moment begun = Moment::min();
  };
  CompanyId key_of(CompanyId company) const { return is_by_company_ ? company : CompanyId{}; }

  const std::string server_;
  const bool is_by_company_;
  mutable std::mutex mutex_;
  std::unordered_map<CompanyId, Known> known_;  // guarded by mutex_
};

// The servers that are known of. Any thread.
class PgProofs {
 public:
  explicit PgProofs(bool is_by_company) : is_by_company_(is_by_company) {}
  std::shared_ptr<PgProof> of(const std::string& server);

 private:
  const bool is_by_company_;
  std::mutex mutex_;
  std::unordered_map<std::string, std::weak_ptr<PgProof>> servers_;  // guarded by mutex_
};

}  // namespace earshot::store
