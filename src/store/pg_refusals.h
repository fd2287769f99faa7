// Refusals that are kept over PostgreSQL, for those who wait.
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "store/pg_session.h"
#include "store/store.h"

namespace earshot::store {

// As Store::keep_refusals. Any number of servers may do so at the same time.
Status keep_refusals_over_postgres(PgSession& session, std::span<const Refusal> refusals,
                                   const RefusalLimits& limits, Time now);

// As Store::list_refusals, of those that are not older than `limits` says.
Result<RefusalsView> list_refusals_over_postgres(PgSession& session, const RefusalsCommand& command,
                                                 const RefusalLimits& limits, Time now);

// As Store::list_refused_companies.
Result<std::vector<CompanyId>> list_refused_companies_over_postgres(PgSession& session);

// Deletes those that were kept long enough, of all companies, and all of companies that are gone.
Status forget_refusals_over_postgres(PgSession& session, const RefusalLimits& limits, Time now);

}  // namespace earshot::store
