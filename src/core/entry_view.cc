#include "core/entry_view.h"

#include <algorithm>
#include <cstddef>

namespace earshot::core {

EntryView::EntryView(const CallEntry& entry) : entry_(&entry), has_call_(entry.call.has_value()) {
  if (!entry.call) return;
  is_private_ = entry.call->is_private;
  workspace_ = entry.call->workspace;
  participants_ = entry.call->participants;
}

EntryView::EntryView(const PackedEntry& entry)
    : packed_(&entry),
      has_call_(entry.has_call()),
      is_private_(entry.is_private()),
      workspace_(entry.workspace()),
      participants_(entry.participants()) {}

bool EntryView::is_shared_with(UserId user) const {
  if (entry_ != nullptr) return entry_->find_share(user) != nullptr;
  return std::ranges::binary_search(packed_->shared(), user);
}

std::optional<Time> EntryView::find_expiry(UserId user) const {
  if (entry_ != nullptr) {
    const GrantRow* const row = entry_->find_grant(user);
    return row == nullptr ? std::nullopt : std::optional(row->expires_at);
  }
  const auto place = packed_->find_granted(user);
  return place ? std::optional(packed_->expires_at(*place)) : std::nullopt;
}

std::optional<Grant> EntryView::find_grant(UserId user) const {
  if (entry_ != nullptr) {
    const GrantRow* const row = entry_->find_grant(user);
    return row == nullptr ? std::nullopt : std::optional(entry_->grant_of(*row));
  }
  const auto place = packed_->find_granted(user);
  if (!place) return std::nullopt;
  Grant grant;
  const Time expires_at = packed_->expires_at(*place);
  if (expires_at != GrantRow::kNever) grant.expires_at = expires_at;
  grant.note = packed_->note_of(user);
  return grant;
}

}  // namespace earshot::core
