// Retention over PostgreSQL: what is older than asked for leaves the record of changes.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "store/pg_session.h"

namespace earshot::store {

// Takes from the record of each company the revisions from before `oldest`, but never its newest.
// Any number of servers may do so at the same time.
Status apply_retention_over_postgres(PgSession& session, Time oldest);

}  // namespace earshot::store
