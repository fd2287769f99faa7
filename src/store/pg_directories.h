// The directories of companies in memory, each as of one directory_revision: shared by all threads
// of a server, so that each is loaded and kept once. Any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <unordered_set>

#include "core/directory.h"
#include "core/entry.h"
#include "store/pg_wire.h"

namespace earshot::store {

using DirectoryPtr = std::shared_ptr<const core::Directory>;

// Out of the rows of kLoadMembers, kLoadRules and kLoadWorkspaces, or of statements of the same
// columns.
DirectoryPtr read_directory(const PgResult& members, const PgResult& rules,
                            const PgResult& workspaces);

class PgDirectories {
 public:
  // Beyond `bytes_max` those that were used least recently are forgotten; the newest one stays.
  explicit PgDirectories(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}

  // The company's as of this directory_revision; null: it is not known. Of a company without
  // changes (revision 0) it is known to be empty.
  DirectoryPtr find(CompanyId company, core::Revision revision);
  // In place of the company's of another revision. Only what a proved primary told belongs here.
  void put(CompanyId company, core::Revision revision, DirectoryPtr directory);

  // One may load a company's directory at a time. The right to is held by a Claim, and ends with
  // it.
  struct Release {
    PgDirectories* directories;
    CompanyId company;
    void operator()(void*) const { directories->release(company); }
  };
  using Claim = std::unique_ptr<void, Release>;
  // Empty: another has it.
  Claim claim(CompanyId company);
  bool is_claimed(CompanyId company) const;

 private:
  struct Known {
    core::Revision revision = 0;
    DirectoryPtr directory;
    std::uint64_t used = 0;  // when: a count of uses
  };
  void release(CompanyId company);

  const std::uint64_t bytes_max_;
  mutable std::mutex mutex_;
  std::unordered_map<CompanyId, Known> known_;  // guarded by mutex_
  std::uint64_t bytes_ = 0;                     // guarded by mutex_
  std::uint64_t uses_ = 0;                      // guarded by mutex_
  std::unordered_set<CompanyId> being_loaded_;  // guarded by mutex_
};

}  // namespace earshot::store
