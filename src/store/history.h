// A company as it was at an older revision, made from the embedded store's rows and its record of
// changes. What it costs grows with what is asked for, and with what has changed since in the calls
// asked for; not with the age of the store.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "core/decide.h"
#include "core/directory.h"
#include "core/packed_entry.h"
#include "store/codec.h"
#include "store/company_state.h"
#include "store/kept_past.h"
#include "store/rewind.h"
#include "store/rocks.h"
#include "store/snapshot.h"
#include "store/store.h"

namespace earshot::store {

using DirectoryPtr = std::shared_ptr<const core::Directory>;

// Whole directories, by the revision that made them.
using PastDirectories = KeptPast<std::pair<CompanyId, core::Revision>, DirectoryPtr>;

// So many calls are read whole at a time where few of each one's rows are wanted: what changed them
// together is decoded once for all of them, and memory holds no more of them.
inline constexpr std::size_t kWholeCallsMax = 64;

// One question about the past: all answers are of one revision and from one snapshot. It may wait
// for the disk. Not thread-safe.
class Past {
 public:
  // Finds the moment. `now` is the time of the clock. Errors: gone, invalid_argument (see
  // Store::read_access), internal. REQUIRES: the moment is not now; rocks and company outlive this.
  static Result<std::unique_ptr<Past>> open(Rocks& rocks, const CompanyState& company,
                                            const Moment& moment, Time now);

  AsOf as_of() const { return as_of_; }
  // The newest revision up to then that changed the directory or a key.
  core::Revision directory_revision() const { return directory_revision_; }

  // The calls, in the order asked; none is null. Errors: also gone, where a release that kept no
  // history of access has since taken away rows of one that were dead, or may have been.
  Result<std::vector<core::PackedEntryPtr>> entries(std::span<const CallId> calls);

  // The same, each with the call's own record and the rows of the users asked about alone. Only the
  // first of the calls, one at least, where those take so many reads: of rows and of changes,
  // whoever's they are. It is looked at between kWholeCallsMax calls.
  Result<std::vector<core::PackedEntryPtr>> entries_of(std::span<const core::CallUsers> asked,
                                                       std::uint64_t reads_max);

  // As much of the directory as decides about these users of these calls: the users, those above
  // them by one, the participants and all above them, the users' profiles, the calls' workspaces.
  Result<DirectoryPtr> directory_of(std::span<const UserId> users,
                                    std::span<const core::PackedEntryPtr> calls);
  Result<DirectoryPtr> whole_directory();

  // Calls in the order of their ids, and how far was looked: not at more than so many rows, or
  // calls. Others may be among them.
  struct Found {
    std::vector<CallId> calls;
    std::optional<CallId> last;  // absent: to the end
  };
  // All in which the user had a share or a grant.
  Result<Found> find_calls_of(UserId user, CallId after, std::size_t rows_max);
  // All that were there.
  Result<Found> find_calls(CallId after, std::size_t calls_max);

  // To be asked at the end: whether retention has left all that was read. Error: gone.
  Status confirm() const;

 private:
  struct Pending;

  Past(Rocks& rocks, const CompanyState& company);

  Status find_moment(const Moment& moment, Time now);
  Status go_to(core::Revision revision);
  // What the record says of a revision. REQUIRES: it is newer than the horizon, and there.
  Result<ChangeHead> read_head(core::Revision revision);
  Result<core::Revision> find_revision_at(Time time);
  // Always an error: for whoever asks for what is kept no longer.
  Status refuse();

  Result<std::vector<core::EntryPtr>> read_whole(std::span<const CallId> calls);
  Result<core::EntryPtr> read_rows(rocksdb::Iterator& rows, CallId call);
  Status rewind(std::vector<Pending>& pending);

  // The body of a thing as it was.
  Result<std::optional<std::string>> find_body(ThingKind kind, std::uint64_t id);
  // The newest removal of the company up to the revision: things older than it were dead.
  Result<core::Stamp> find_company_removal();

  Rocks& rocks_;
  const CompanyId company_;
  const core::Revision published_;
  // Looked at before the snapshot is taken: whatever is not swept in it is here.
  const RemovalsPtr removals_;
  const Snapshot snapshot_;
  const std::unique_ptr<rocksdb::Iterator> changes_;
  std::unique_ptr<rocksdb::Iterator> directory_;
  Horizon horizon_;
  core::Revision unmarked_to_ =
      0;  // up to there, what was swept does not say since when it was dead
  AsOf as_of_;
  core::Revision directory_revision_ = 0;
  std::optional<core::Stamp> company_removal_;
  std::uint64_t reads_ = 0;  // rows of calls, and changes
};

}  // namespace earshot::store
