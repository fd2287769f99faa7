// Reads of a company on their way through a PgReader: what each kind asks the database, and what it
// makes of the answer. Of one thread.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/time.h"
#include "store/kept_past.h"
#include "store/pg_connection.h"
#include "store/pg_directories.h"
#include "store/store.h"

namespace earshot::store {

// Calls of the reads that share a statement; a read of more is alone.
inline constexpr std::size_t kCallsTogetherMax = 512;

class PgRead;
using PgReadPtr = std::unique_ptr<PgRead>;

class PgRead {
 public:
  // Reads of one kind and company can share statements, but for those that are alone.
  enum class Kind { calls, access, changes, alone };

  PgRead(Kind its_kind, CompanyId its_company, core::Revision its_at_least, AskerPtr its_asker)
      : kind(its_kind), company(its_company), at_least(its_at_least), asker(std::move(its_asker)) {}
  virtual ~PgRead() = default;
  PgRead(const PgRead&) = delete;
  PgRead& operator=(const PgRead&) = delete;

  const Kind kind;
  const CompanyId company;
  core::Revision at_least;  // what it is answered is of this revision or a later one
  const AskerPtr asker;     // null: nobody has to be asked again

  // A directory: as it is, and then of this revision, or as it was at an earlier one.
  struct DirectoryWish {
    bool is_past = false;
    core::Revision revision = 0;
  };

  // The reader's own.
  SteadyTime deadline;
  bool from_primary = false;  // the replicas had their chance
  DirectoryWish wish;         // that it waits for
  PgDirectories::Claim loads_directory;

  virtual std::size_t calls() const { return 0; }  // that it asks for
  // Whether what this other one of its kind and company is answered serves it, too.
  virtual bool asks_the_same(const PgRead& other) const {
    static_cast<void>(other);
    return false;
  }
  // The statements for all of these, which are of this kind. The last of them begins with revision
  // and directory_revision, and has no row where the company is not known.
  virtual std::vector<PgQuery> queries(std::span<const PgReadPtr> all) const = 0;
  // Takes what they came to, for all of these.
  virtual void take(std::span<const PgReadPtr> all, std::span<const PgResult> results) = 0;

  // Which directory it needs and does not have; `now` is the directory_revision of what it was
  // answered last.
  virtual std::optional<DirectoryWish> wishes_directory(core::Revision now) const {
    static_cast<void>(now);
    return std::nullopt;
  }
  virtual void take_directory(const DirectoryPtr& directory) { static_cast<void>(directory); }
  // Whether that was all; else it goes on with other statements.
  virtual bool is_complete() const { return true; }

  // Ends it, once: with what it took, or with the error.
  virtual void answer(Status status) = 0;
};

// `clock` and `kept`, for calls of the past, outlive them.
PgReadPtr make_calls_read(ReadCommand command, Store::ReadDone done);
PgReadPtr make_access_read(const Clock& clock, PastEntries& kept, AccessCommand command,
                           Store::AccessDone done);
PgReadPtr make_user_calls_read(const Clock& clock, UserCallsCommand command,
                               Store::UserCallsDone done);

}  // namespace earshot::store
