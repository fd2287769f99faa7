#include "core/directory.h"

#include <algorithm>

namespace earshot::core {
namespace {

template <class Map>
const typename Map::mapped_type* find(const Map& map, typename Map::key_type key) {
  const auto found = map.find(key);
  return found == map.end() ? nullptr : &found->second;
}

// A flat table keeps a byte beside each place for a value.
template <class Map>
std::size_t table_bytes(const Map& map) {
  return map.bucket_count() * (sizeof(typename Map::value_type) + 1);
}

constexpr std::size_t kWorkspaceBytes = 48;  // a node of the set, and its bucket

std::size_t list_bytes(const Directory::Member& member) {
  return member.profiles.capacity() * sizeof(ProfileId);
}
std::size_t list_bytes(const Directory::ProfileRule& rule) {
  return rule.team_leads.capacity() * sizeof(UserId);
}

}  // namespace

const Directory::Member* Directory::find_user(UserId id) const { return find(users_, id); }

const Directory::ProfileRule* Directory::find_profile(ProfileId id) const {
  return find(profiles_, id);
}

bool Directory::has_workspace(WorkspaceId id) const { return workspaces_.contains(id); }

void Directory::put(const User& user) {
  user_ids_.forget();
  Member& member = users_[user.id];
  list_bytes_ -= list_bytes(member);
  member = {user.manager, user.active, user.profiles};
  list_bytes_ += list_bytes(member);
}

void Directory::put(const Profile& profile) {
  ProfileRule& rule = profiles_[profile.id];
  list_bytes_ -= list_bytes(rule);
  rule = {profile.id, profile.workspace, profile.level, profile.team_leads};
  auto& leads = rule.team_leads;
  std::sort(leads.begin(), leads.end());
  leads.erase(std::unique(leads.begin(), leads.end()), leads.end());
  list_bytes_ += list_bytes(rule);
}

void Directory::put(const Workspace& workspace) { workspaces_.insert(workspace.id); }

void Directory::remove(UserId id) {
  if (const Member* const member = find_user(id)) {
    list_bytes_ -= list_bytes(*member);
    users_.erase(id);
    user_ids_.forget();
  }
}

void Directory::remove(ProfileId id) {
  if (const ProfileRule* const rule = find_profile(id)) {
    list_bytes_ -= list_bytes(*rule);
    profiles_.erase(id);
  }
}

void Directory::remove(WorkspaceId id) { workspaces_.erase(id); }

bool Directory::stands_under(UserId x, UserId m) const {
  return any_upwards(x, [m](UserId superior) { return superior == m; });
}

const Directory::ProfileRule* Directory::find_profile_in(const Member& member,
                                                         WorkspaceId workspace) const {
  if (!has_workspace(workspace)) return nullptr;
  for (const ProfileId id : member.profiles) {
    const ProfileRule* const rule = find_profile(id);
    if (rule != nullptr && rule->workspace == workspace) return rule;
  }
  return nullptr;
}

std::size_t Directory::user_count() const { return users_.size(); }

std::span<const UserId> Directory::SortedIds::get(const Users& users) const {
  const std::lock_guard lock(mutex_);
  if (!ids_) {
    ids_.emplace();
    ids_->reserve(users.size());
    for (const auto& [id, member] : users) ids_->push_back(id);
    std::ranges::sort(*ids_);
  }
  return *ids_;
}

std::size_t Directory::memory_bytes() const {
  return sizeof *this + table_bytes(users_) + table_bytes(profiles_) +
         workspaces_.size() * kWorkspaceBytes + list_bytes_ + users_.size() * sizeof(UserId);
}

}  // namespace earshot::core
