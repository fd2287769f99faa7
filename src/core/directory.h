// A company's people as the rules see them: users, managers, profiles, workspaces. In memory, of one company at
// one revision. Names and addresses are not here; they stay in the store.
#pragma once

#include <cstddef>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "core/types.h"

namespace earshot::core {

class Directory {
 public:
  struct Member {
    UserId manager;
    bool active = true;
    std::vector<ProfileId> profiles;  // as given: the order counts
  };
  struct ProfileRule {
    WorkspaceId workspace;
    PermissionLevel level = PermissionLevel::none;
    std::vector<UserId> team_leads;
  };

  const Member* find_user(UserId id) const;
  const ProfileRule* find_profile(ProfileId id) const;
  bool has_workspace(WorkspaceId id) const;

  // Replaces the whole thing.
  void put(const User& user);
  void put(const Profile& profile);
  void put(const Workspace& workspace);
  // Removing what is not there does nothing. References to it stay and mean nothing until it is back.
  void remove(UserId id);
  void remove(ProfileId id);
  void remove(WorkspaceId id);

  // Whether following managers from x zero or more times, through users that exist, each at most once, reaches m.
  // So a user stands under itself, members of a cycle stand under each other, and nobody stands under a user
  // who does not exist.
  bool stands_under(UserId x, UserId m) const;

  // The profile that counts for the user in this workspace: the first of the user's profiles that has a record
  // and belongs to it; null where there is none, or where the workspace has no record.
  const ProfileRule* find_profile_in(const Member& member, WorkspaceId workspace) const;

  std::size_t user_count() const;
  std::size_t memory_bytes() const;

 private:
  std::unordered_map<UserId, Member> users_;
  std::unordered_map<ProfileId, ProfileRule> profiles_;
  std::unordered_map<WorkspaceId, bool> workspaces_;
};

}  // namespace earshot::core
