// The records of a store over PostgreSQL.
#pragma once

#include <functional>

#include "base/result.h"
#include "core/record.h"
#include "store/pg_session.h"

namespace earshot::store {

// As Store::dump: all as of one moment, in bounded memory.
Status dump_over_postgres(PgSession& session,
                          const std::function<Status(const core::Record&)>& take);

}  // namespace earshot::store
