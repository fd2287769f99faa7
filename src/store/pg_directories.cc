#include "store/pg_directories.h"

#include <algorithm>
#include <utility>

namespace earshot::store {
namespace {

core::PermissionLevel level_of(std::string_view text) {
  using core::PermissionLevel;
  if (text == "all") return PermissionLevel::all;
  if (text == "managers-team") return PermissionLevel::managers_team;
  if (text == "report-to-them") return PermissionLevel::report_to_them;
  if (text == "own") return PermissionLevel::own;
  return PermissionLevel::none;
}

}  // namespace

DirectoryPtr read_directory(const PgResult& members, const PgResult& rules,
                            const PgResult& workspaces) {
  auto directory = std::make_shared<core::Directory>();
  for (int row = 0; row < workspaces.rows(); ++row) {
    directory->put(core::Workspace{{workspaces.number(row, 0)}, {}});
  }
  for (int row = 0; row < rules.rows(); ++row) {
    core::Profile profile;
    profile.id = {rules.number(row, 0)};
    profile.workspace = {rules.id(row, 1)};
    profile.level = level_of(rules.text(row, 2));
    for (const std::uint64_t lead : rules.numbers(row, 3)) profile.team_leads.push_back({lead});
    directory->put(profile);
  }
  for (int row = 0; row < members.rows(); ++row) {
    core::User user;
    user.id = {members.number(row, 0)};
    user.manager = {members.id(row, 1)};
    user.active = members.boolean(row, 2);
    for (const std::uint64_t id : members.numbers(row, 3)) user.profiles.push_back({id});
    directory->put(user);
  }
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
  const std::lock_guard lock(mutex_);
  Known& known = known_[company];
  if (known.directory) bytes_ -= known.directory->memory_bytes();
  bytes_ += directory->memory_bytes();
  known = {revision, std::move(directory), ++uses_};
  while (bytes_ > bytes_max_ && known_.size() > 1) {
    const auto oldest =
        std::ranges::min_element(known_, {}, [](const auto& one) { return one.second.used; });
    bytes_ -= oldest->second.directory->memory_bytes();
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
