// What the rules ask of a call's entry, in whichever of its forms it is. Nothing is copied.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "base/ids.h"
#include "base/time.h"
#include "core/entry.h"
#include "core/packed_entry.h"

namespace earshot::core {

// Good as long as the entry, which must stay as it is. Cheap to copy.
class EntryView {
 public:
  // Meant to convert: whoever asks the rules has one or the other.
  EntryView(const CallEntry& entry);    // NOLINT(google-explicit-constructor)
  EntryView(const PackedEntry& entry);  // NOLINT(google-explicit-constructor)

  // Of an entry without a call the next three are empty.
  bool has_call() const { return has_call_; }
  WorkspaceId workspace() const { return workspace_; }
  bool is_private() const { return is_private_; }
  std::span<const UserId> participants() const { return participants_; }  // ascending

  bool is_shared_with(UserId user) const;
  // When the user's grant ends, be it over or not (GrantRow::kNever); nothing without a grant.
  std::optional<Time> find_expiry(UserId user) const;
  // The user's grant as a value, expired or not.
  std::optional<Grant> find_grant(UserId user) const;

 private:
  const CallEntry* entry_ = nullptr;  // or else:
  const PackedEntry* packed_ = nullptr;
  bool has_call_ = false;
  bool is_private_ = false;
  WorkspaceId workspace_;
  std::span<const UserId> participants_;
};

}  // namespace earshot::core
