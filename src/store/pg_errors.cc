#include "store/pg_errors.h"

namespace earshot::store {

PgFault classify_sqlstate(std::string_view sqlstate) {
  if (sqlstate.empty() || sqlstate == "40003") return PgFault::lost;
  // Shutting down or starting up; a connection behind it; a primary no more; thrown out.
  if (sqlstate.starts_with("57P") || sqlstate.starts_with("08") || sqlstate == "25006" ||
      sqlstate == "25P03") {
    return PgFault::not_committed;
  }
  if (sqlstate == "40001" || sqlstate == "40P01" || sqlstate == "55P03") {
    return PgFault::retry_at_once;
  }
  if (sqlstate == "XX000") return PgFault::shard_moved;
  if (sqlstate == "57014" || sqlstate.starts_with("53")) return PgFault::overloaded;
  return PgFault::ours;
}

Error from_sqlstate(std::string_view sqlstate, const std::string& message) {
  std::string said = "PostgreSQL";
  if (!sqlstate.empty()) said += " (" + std::string(sqlstate) + ")";
  said += ": " + message;
  if (classify_sqlstate(sqlstate) == PgFault::ours) return internal(std::move(said));
  return unavailable(std::move(said));
}

}  // namespace earshot::store
