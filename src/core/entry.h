// What a store holds of one call, loaded whole: the unit that is read, cached and decided on.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "core/types.h"

namespace earshot::core {

// One committed request of a company that changed something; counted up by one for each company, no
// gaps.
using Revision = std::uint64_t;

// The place of one change in its company's record: the n-th change of a revision.
struct Stamp {
  Revision revision = 0;
  std::uint32_t n = 0;
  friend constexpr auto operator<=>(const Stamp&, const Stamp&) = default;
};

// What the rules need to know of a call.
struct CallFacts {
  WorkspaceId workspace;
  bool is_private = false;
  std::vector<UserId> participants;  // host and internal parties; ascending, distinct
  friend bool operator==(const CallFacts&, const CallFacts&) = default;
};

CallFacts facts_of(const Call& call);

struct ShareRow {
  UserId user;
  Stamp stamp;
};

struct GrantRow {
  UserId user;
  Stamp stamp;
  Time expires_at = kNever;
  bool has_note = false;  // the text stands in CallEntry::notes

  static constexpr Time kNever{INT64_MAX};
};

// One grant put in place or, without `after`, taken away.
struct GrantEdit {
  UserId user;
  std::optional<Grant> after;
  Stamp stamp;
};

// Immutable once it is shared: whoever changes one changes a copy.
struct CallEntry {
  std::optional<CallFacts> call;  // absent: the company has no such call
  Stamp call_stamp;               // of the change that put the call in place
  Stamp newest;                  // of the newest change to anything of this call, removals included
  std::vector<ShareRow> shares;  // ascending by user
  std::vector<GrantRow> grants;  // ascending by user; expired ones too
  // Of the grants that have one; ascending by user.
  std::vector<std::pair<UserId, std::string>> notes;

  const ShareRow* find_share(UserId user) const;
  const GrantRow* find_grant(UserId user) const;  // expired or not
  // The grant as a value. REQUIRES: the row is one of this entry's.
  Grant grant_of(const GrantRow& row) const;

  // Each replaces what is there, or takes it away if it is, and moves `newest` on to the stamp.
  void put_share(UserId user, Stamp stamp);
  void remove_share(UserId user, Stamp stamp);
  void put_grant(UserId user, const Grant& grant, Stamp stamp);
  void remove_grant(UserId user, Stamp stamp);
  // Many at once, in one pass over the rows. REQUIRES: users are ascending and distinct.
  void apply(std::span<const GrantEdit> edits);

  // As a new one, but for the memory of its rows, which it keeps.
  void clear();

  // Bytes of memory that the entry takes, about.
  std::size_t memory_bytes() const;
};

using EntryPtr = std::shared_ptr<const CallEntry>;

// Whether a grant that ends then gives access at this moment: an expired grant is absent in every
// answer.
inline bool is_live(Time expires_at, Time now) { return now < expires_at; }
inline bool is_live(const GrantRow& row, Time now) { return is_live(row.expires_at, now); }

}  // namespace earshot::core
