#include <utility>

#include "store/pg_refusals.h"
#include "store/postgres_store.h"

namespace earshot::store {

// With the one connection that is kept for them.
template <class Task>
auto PostgresStore::with_refusals_session(Task&& task)
    -> decltype(task(std::declval<PgSession&>())) {
  const std::lock_guard lock(refusals_mutex_);
  if (!refusals_session_ || refusals_session_->is_lost()) {
    refusals_session_ =
        TRY(PgSession::open(site_.options.url, {.silence_max = site_.options.statement_time}));
  }
  auto done = task(*refusals_session_);
  if (!done) refusals_session_.reset();
  return done;
}

Status PostgresStore::keep_refusals(std::span<const Refusal> refusals) {
  if (refusals.empty()) return {};
  return with_refusals_session([&](PgSession& session) -> Status {
    return keep_refusals_over_postgres(session, refusals, site_.options.refusals,
                                       site_.options.clock());
  });
}

Result<RefusalsView> PostgresStore::list_refusals(const RefusalsCommand& command) {
  return with_refusals_session([&](PgSession& session) -> Result<RefusalsView> {
    return list_refusals_over_postgres(session, command, site_.options.refusals,
                                       site_.options.clock());
  });
}

// Of operators: over all companies it may take longer than a request, and holds up none that are
// to be kept.
Result<std::vector<CompanyId>> PostgresStore::list_refused_companies() {
  return list_refused_companies_over_postgres(*TRY(open_session()));
}

Status PostgresStore::forget_refusals() const {
  return forget_refusals_over_postgres(*TRY(open_session()), site_.options.refusals,
                                       site_.options.clock());
}

}  // namespace earshot::store
