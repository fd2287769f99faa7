// Applying records over PostgreSQL.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

#include "base/result.h"
#include "base/time.h"
#include "store/pg_session.h"
#include "store/store.h"

namespace earshot::store {

// How many records are read ahead, to be worked on with a few statements.
struct PgLoadLimits {
  std::size_t chunk_records = 4096;
  std::size_t chunk_bytes = 4 << 20;
  std::size_t removed_rows = 5000;  // that go in one statement, with what a removal takes along
};

// How long a load waits for others: for its turn among loads, and then for each row.
struct PgLoadPatience {
  std::chrono::milliseconds turn, row;
};

// As Store::load: one transaction, and one revision for each company that changes. Loads take turns
// over all servers. Also unavailable: whether the records were applied is not known, or they were
// not, since somebody else was in the way; loading them again is safe in both cases. The revisions
// are of the time that `clock` says when the records end. Without `patience` it waits for others as
// long as they take.
Result<LoadReport> load_over_postgres(PgSession& session, RecordSource& source,
                                      const Origin& origin, const Clock& clock,
                                      PgLoadLimits limits = {},
                                      std::optional<PgLoadPatience> patience = {});

}  // namespace earshot::store
