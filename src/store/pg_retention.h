// Retention over PostgreSQL: what is older than asked for, or more than that, leaves the record of
// changes.
#pragma once

#include "base/result.h"
#include "store/pg_session.h"
#include "store/retention_limits.h"

namespace earshot::store {

// Takes from the record of each company what the limits do not leave. In steps, each a transaction
// that writers of the company wait for. Any number of servers may do so at the same time.
Status apply_retention_over_postgres(PgSession& session, const RetentionLimits& limits);

}  // namespace earshot::store
