// Whether what a store over PostgreSQL holds is sound in itself.
#pragma once

#include <span>

#include "base/result.h"
#include "store/pg_session.h"
#include "store/store.h"

namespace earshot::store {

// As Store::verify, each company as of one moment.
Result<VerifyReport> verify_over_postgres(PgSession& session,
                                          std::span<const HeadClaim> heads = {});

}  // namespace earshot::store
