// Usage and keys over PostgreSQL, for those who wait.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "store/pg_session.h"
#include "store/store.h"

namespace earshot::store {

// As Store::load_usage, add_usage and list_keys.
Result<std::vector<DayUsage>> load_usage_over_postgres(PgSession& session, std::uint32_t day);
Result<std::vector<DayUsage>> add_usage_over_postgres(PgSession& session,
                                                      std::span<const DayUsage> more);
Result<std::vector<KeyPtr>> list_keys_over_postgres(PgSession& session,
                                                    std::optional<CompanyId> company);

}  // namespace earshot::store
