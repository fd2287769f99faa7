// The record of changes as readers are told it: what each revision of a company changed, in the
// order in which the revisions were committed. How the record is kept is change_record.h's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "core/entry.h"
#include "core/record.h"

namespace earshot::store {

class Asker;

// What a request did, as the record of changes names it.
enum class Operation : std::uint8_t { give = 1, remove = 2, records = 3, sweep = 4 };

// Who asked, as the record of changes keeps it.
struct Origin {
  RequestId request_id;
  std::string access_key;  // empty: the operator, by a command or at start; or a sweep
};

// Up to where a reader has come: behind the whole revision, or behind its first `changes` changes.
// Ordered as the record is.
struct ChangesPosition {
  core::Revision revision = 0;
  std::optional<std::uint32_t> changes;  // absent: all; else 1 at least
  friend bool operator==(const ChangesPosition&, const ChangesPosition&) = default;
};

// What one change leaves, as a record that can be applied: it puts the thing in place, or removes
// it. Applied in their order to an empty store, the changes of a company make what it has.
struct RecordedChange {
  std::uint32_t n = 0;  // its number in the revision, from 0
  core::Record record;
  // Of a call, share or grant: what was there. Things of the directory and keys do not say.
  std::optional<core::Record> before;
  // Of a share or grant that gave no access any more, since its user, call or company was removed
  // by this earlier revision; else 0.
  core::Revision dead_since = 0;
};

// A revision, or what of it a page holds.
struct RecordedRevision {
  core::Revision revision = 0;
  Time time;
  core::Revision directory_revision = 0;
  Operation operation = Operation::give;
  Origin origin;
  std::vector<RecordedChange> changes;  // ascending by number; those that were asked for
  bool is_complete = false;             // nothing that was asked for follows behind these
  Digest hash{};  // where complete: of its last part, which the next one holds
};

// Where the record of a company ends and, after retention, begins.
struct RecordHead {
  core::Revision revision = 0;  // the newest; 0: the company was never named
  Time time;                    // of it
  Digest hash{};                // of its last part; zeros where there is none
  core::Revision horizon = 0;   // up to here retention has cut the record off; 0: it is whole
};

// Which changes to read.
struct ChangesCommand {
  CompanyId company;
  ChangesPosition after;  // only what is behind it
  // Where given: only what a revision changed of this call (its record, shares and grants), or of
  // this user (their record, shares and grants). Of both: their share and grant alone.
  std::optional<CallId> call;
  std::optional<UserId> user;
  // How many to give at most; 0: none, only the head is read, whatever `after`.
  std::size_t changes_max = 0;
  std::shared_ptr<const Asker> asker;
};

// Whole changes of the record, none left out between `after` and `last`, all of one snapshot.
// Revisions of which nothing was asked for are not among them. A page may be short, or empty, and
// not be the last: so much of the record is looked at, whatever it finds.
struct ChangesView {
  RecordHead head;  // of the snapshot
  std::vector<RecordedRevision> revisions;
  ChangesPosition last;  // looked at up to here; `after`, or later
  bool is_end = false;   // that is the head
};

// A head as it was given out earlier, to be found again in the record.
struct HeadClaim {
  CompanyId company;
  core::Revision revision = 0;
  Digest hash{};
};

// What the record says of one.
enum class HeadVerdict : std::uint8_t {
  extended,      // it is the end of that revision, and the record goes on from there unbroken
  cut_off,       // retention has cut that revision off, so that nobody can tell
  contradicted,  // the revision is another one
  ahead,         // the record ends before that revision
};

// Told of news; ends when it is destroyed, after which nothing is called any more. Not to be
// destroyed from within a call.
class ChangesWatch {
 public:
  virtual ~ChangesWatch() = default;
};

}  // namespace earshot::store
