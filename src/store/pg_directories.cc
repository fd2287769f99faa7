#include "store/pg_directories.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "store/pg_rows.h"

namespace earshot::store {
DirectoryPtr read_directory(const PgResult& members, const PgResult& rules,
                            const PgResult& workspaces) {
  auto directory = std::make_shared<core::Directory>();
  for (int row = 0; row < workspaces.rows(); ++row) {
    directory->put(core::Workspace{{workspaces.number(row, 0)}, {}});
  }
  for (int row = 0; row < rules.rows(); ++row) directory->put(read_rule(rules, row));
  for (int row = 0; row < members.rows(); ++row) directory->put(read_member(members, row));
  return directory;
}

DirectoryPtr PgDirectories::find(CompanyId company, core::Revision revision) {
  static const DirectoryPtr empty = std::make_shared<const core::Directory>();
  if (revision == 0) return empty;
  const std::lock_guard lock(mutex_);
  const auto found = known_.find(company);
  if (found == known_.end() || found->second.revision != revision) return nullptr;
  found->second.used = ++uses_;
  return found->second.directory;
}

void PgDirectories::put(CompanyId company, core::Revision revision, DirectoryPtr directory) {
  std::vector<DirectoryPtr> forgotten;  // to go when nobody waits for the lock
  const std::lock_guard lock(mutex_);
  Known& known = known_[company];
  if (known.directory) {
    bytes_ -= known.directory->memory_bytes();
    forgotten.push_back(std::move(known.directory));
  }
  bytes_ += directory->memory_bytes();
  known = {revision, std::move(directory), ++uses_};
  while (bytes_ > bytes_max_ && known_.size() > 1) {
    const auto oldest =
        std::ranges::min_element(known_, {}, [](const auto& one) { return one.second.used; });
    bytes_ -= oldest->second.directory->memory_bytes();
    forgotten.push_back(std::move(oldest->second.directory));
    known_.erase(oldest);
  }
}

PgDirectories::Claim PgDirectories::claim(CompanyId company) {
  const std::lock_guard lock(mutex_);
  const bool is_free = being_loaded_.insert(company).second;
  return Claim(is_free ? this : nullptr, Release{this, company});
}

bool PgDirectories::is_claimed(CompanyId company) const {
  const std::lock_guard lock(mutex_);
  return being_loaded_.contains(company);
}

void PgDirectories::release(CompanyId company) {
  const std::lock_guard lock(mutex_);
  being_loaded_.erase(company);
}

}  // namespace earshot::store
