// What goes over PostgreSQL because its time is over: grants that have expired, and answers that
// were kept for their idempotency keys. Any number of servers may do so at the same time.
#pragma once

#include <chrono>

#include "base/result.h"
#include "base/time.h"
#include "store/pg_session.h"

namespace earshot::store {

// Takes away grants that have expired, as changes of operation `sweep`: of each company some at a
// time, so that its writers need not wait for long.
Status sweep_expired_over_postgres(PgSession& session, const Clock& clock);

// Takes away answers that were kept for longer than `keep`.
Status forget_answers_over_postgres(PgSession& session, std::chrono::seconds keep, Time now);

}  // namespace earshot::store
