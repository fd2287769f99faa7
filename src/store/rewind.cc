#include "store/rewind.h"

#include <algorithm>
#include <vector>

namespace earshot::store {

void Rewind::undo(const Change& change) {
  // Of several changes to one row the oldest comes last, and what was before it counts.
  if (const auto* grant = std::get_if<GrantChanged>(&change)) {
    auto& before = grants_[grant->user];
    before.reset();
    if (was_alive(grant->dead_since)) before = grant->before;
  } else if (const auto* share = std::get_if<ShareChanged>(&change)) {
    shares_[share->user] = share->before && was_alive(share->dead_since);
  } else if (const auto* call = std::get_if<CallChanged>(&change)) {
    auto& before = call_.emplace();
    if (call->before && was_alive(call->dead_since)) before = core::facts_of(*call->before);
  }
}

void Rewind::apply_to(core::CallEntry& entry) const {
  if (call_) {
    entry.call = *call_;
    entry.call_stamp = {};
  }
  if (!shares_.empty()) {
    std::erase_if(entry.shares, [&](const auto& row) { return shares_.contains(row.user); });
    for (const auto& [user, was_there] : shares_) {
      if (was_there) entry.shares.push_back({user, {}});
    }
    std::ranges::sort(entry.shares, {}, &core::ShareRow::user);
  }
  std::vector<core::GrantEdit> edits;
  edits.reserve(grants_.size());
  for (const auto& [user, grant] : grants_) edits.push_back({user, grant, {}});
  if (!edits.empty()) entry.apply(edits);
  if (call_ || !shares_.empty() || !edits.empty()) entry.newest = {};
}

}  // namespace earshot::store
