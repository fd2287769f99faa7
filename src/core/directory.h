// A company's people as the rules see them: users, managers, profiles, workspaces. In memory, of
// one company at one revision. Names and addresses are not here; they stay in the store.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <concepts>
#include <cstddef>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_set>
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
    ProfileId id;
    WorkspaceId workspace;
    PermissionLevel level = PermissionLevel::none;
    std::vector<UserId> team_leads;  // ascending, distinct
  };

  // The member and rule found are good until the next change.
  const Member* find_user(UserId id) const;
  const ProfileRule* find_profile(ProfileId id) const;
  bool has_workspace(WorkspaceId id) const;

  // Replaces the whole thing.
  void put(const User& user);
  void put(const Profile& profile);
  void put(const Workspace& workspace);
  // Removing what is not there does nothing. References to it stay and mean nothing until it is
  // back.
  void remove(UserId id);
  void remove(ProfileId id);
  void remove(WorkspaceId id);

  // Whether following managers from x zero or more times, through users that exist, each at most
  // once, reaches m. So a user stands under itself, members of a cycle stand under each other, and
  // nobody stands under a user who does not exist.
  bool stands_under(UserId x, UserId m) const;

  // Whether `holds` is true of x or of somebody above x, asked upwards until it is; those of a
  // cycle may be asked twice. Somebody who does not exist ends the way. Costs the length of the
  // chain, without allocation.
  template <std::predicate<UserId> Predicate>
  bool any_upwards(UserId x, Predicate&& holds) const {
    // Brent's way to find a cycle: a mark that moves ahead at powers of two. When the walk meets it
    // again, all of the cycle was seen.
    UserId mark;
    std::size_t steps = 0;
    std::size_t steps_to_move = 1;
    for (;;) {
      const Member* const member = find_user(x);
      if (member == nullptr) return false;
      if (holds(x)) return true;
      if (++steps == steps_to_move) {
        steps_to_move *= 2;
        mark = x;
      }
      x = member->manager;
      if (x == mark) return false;
    }
  }

  // The profile that counts for the user in this workspace: the first of the user's profiles that
  // has a record and belongs to it; null where there is none, or where the workspace has no record.
  const ProfileRule* find_profile_in(const Member& member, WorkspaceId workspace) const;

  std::size_t user_count() const;
  // Every user's id, ascending. Good until the next change. They are sorted when first asked for;
  // any thread may be the first, while nobody changes the directory.
  std::span<const UserId> user_ids() const { return user_ids_.get(users_); }
  std::size_t memory_bytes() const;  // about; costs nothing

 private:
  // Flat: a walk up the tree of managers looks up each of them.
  using Users = boost::unordered_flat_map<UserId, Member, std::hash<UserId>>;

  // A copy begins without: whoever copies a directory means to change it.
  class SortedIds {
   public:
    SortedIds() = default;
    SortedIds(const SortedIds&) noexcept {}
    SortedIds& operator=(const SortedIds&) noexcept {
      forget();
      return *this;
    }
    std::span<const UserId> get(const Users& users) const;
    void forget() noexcept { ids_.reset(); }

   private:
    mutable std::mutex mutex_;
    mutable std::optional<std::vector<UserId>> ids_;
  };

  Users users_;
  boost::unordered_flat_map<ProfileId, ProfileRule, std::hash<ProfileId>> profiles_;
  std::unordered_set<WorkspaceId> workspaces_;
  std::size_t list_bytes_ = 0;  // of the lists in members and rules
  SortedIds user_ids_;
};

}  // namespace earshot::core
