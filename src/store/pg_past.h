// Reads of a company as it was at an older revision: what stands now, with the changes since
// undone. In steps, each bounded in memory; what they cost grows with what is asked for and with
// what has changed in it since. (Calls that a user had are looked for in all that was changed
// since.)
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "core/decide.h"
#include "store/kept_past.h"
#include "store/pg_reads.h"
#include "store/store.h"

namespace earshot::store {

// As of a store's command, of which it has the members' meanings.
struct PastCommand {
  CompanyId company;
  std::vector<core::CallUsers> calls;
  bool everybody = false;
  // Where calls that are read with everybody are kept for the next page; null otherwise. It
  // outlives the read.
  PastEntries* kept = nullptr;
  // In place of calls, those that a user may have had.
  struct OfUser {
    UserId user;
    core::Ways ways = core::kAllWays;
    CallId after;
    std::size_t calls_max = 0;
  };
  std::optional<OfUser> user;
  Moment moment;
  core::Revision at_least = 0;
  AskerPtr asker;
};

struct PastView {
  AsOf as_of;
  DirectoryPtr directory;
  std::vector<core::CallUsers> calls;
  std::vector<core::PackedEntryPtr> entries;
  std::optional<CallId> last;  // of a user's calls: looked at up to here, and more may follow
};

// REQUIRES: the moment is not now; `clock` outlives it.
PgReadPtr make_past_read(const Clock& clock, PastCommand command,
                         std::function<void(Result<PastView>)> done);

}  // namespace earshot::store
