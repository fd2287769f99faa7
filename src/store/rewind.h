// A call's past: takes its entry back to what it was after an older revision, by undoing what
// changed since. Pure; where the changes are found is the store's matter.
#pragma once

#include <map>
#include <optional>

#include "core/entry.h"
#include "store/change_record.h"

namespace earshot::store {

class Rewind {
 public:
  explicit Rewind(core::Revision to) : to_(to) {}

  // Undoes one change. REQUIRES: all are of one call and newer than the revision; they come newest
  // first, and none is left out. Changes to the directory and to keys are passed over.
  void undo(const Change& change);

  // Puts back what the changes took away, and takes away what they put. REQUIRES: the entry is as
  // after the newest change, without rows that are dead at the revision. The stamps of what is put
  // back are not known, nor is `newest`: they are zero.
  void apply_to(core::CallEntry& entry) const;

 private:
  // Whether what stood there before a change was there for readers of the revision.
  bool was_alive(core::Revision dead_since) const { return dead_since == 0 || dead_since > to_; }

  const core::Revision to_;
  // As of the revision; what no change touched is not here.
  std::map<UserId, std::optional<core::Grant>> grants_;
  std::map<UserId, bool> shares_;
  std::optional<std::optional<core::CallFacts>> call_;
};

}  // namespace earshot::store
