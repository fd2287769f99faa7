#include "store/pg_expiry.h"

#include <vector>

#include "base/random.h"
#include "store/pg_batch.h"
#include "store/pg_statements_sync.h"

namespace earshot::store {
namespace {

constexpr std::uint64_t kExpiredAtOnce = 1000;    // grants of one revision: writers wait for it
constexpr std::uint64_t kForgottenAtOnce = 1000;  // answers of one statement

Result<std::vector<CompanyId>> list_companies(PgSession& session, const PgStatement& statement,
                                              Time time) {
  std::vector<CompanyId> companies;
  TRY(session.stream(statement, PgParams().add(time), [&](const PgResult& row) -> Status {
    companies.push_back({row.number(0, 0)});
    return {};
  }));
  return companies;
}

// Writes one revision, in the transaction that is open, unless nothing has expired. Answers whether
// that was all.
Result<bool> sweep_some(PgSession& session, CompanyId company, Time now) {
  const PgHead head = read_head(TRY(session.run(kLockHead, PgParams().add(company))));
  PgBatch batch(company, head, now, {});
  const PgResult expired =
      TRY(session.run(kLoadExpired, PgParams().add(company).add(batch.now()).add(kExpiredAtOnce)));
  // Another server may have been at it.
  if (expired.rows() == 0) return true;
  batch.sweep(expired, {make_request_id(), {}});
  std::vector<PgCall> calls;
  for (PgQuery& query : batch.queries())
    calls.push_back({query.statement, std::move(query.params)});
  TRY(session.run_all(calls));
  return static_cast<std::uint64_t>(expired.rows()) < kExpiredAtOnce;
}

Status sweep_company(PgSession& session, CompanyId company, const Clock& clock) {
  for (bool is_done = false; !is_done;) {
    TRY(session.begin());
    const Result<bool> swept = sweep_some(session, company, clock());
    if (!swept) {
      session.roll_back();
      return swept.error();
    }
    is_done = *swept;
    const PgEnding ending = session.commit();
    // Where nobody knows, the next time sees what is left.
    if (ending.outcome != PgEnding::Outcome::committed) {
      return unavailable("sweeping grants that have expired: " + ending.why);
    }
  }
  return {};
}

}  // namespace

Status sweep_expired_over_postgres(PgSession& session, const Clock& clock) {
  for (const CompanyId company : TRY(list_companies(session, kListExpired, clock()))) {
    TRY(sweep_company(session, company, clock));
  }
  return {};
}

Status forget_answers_over_postgres(PgSession& session, std::chrono::seconds keep, Time now) {
  const Time oldest{now.micros - std::chrono::microseconds(keep).count()};
  for (const CompanyId company : TRY(list_companies(session, kListForgotten, oldest))) {
    for (bool is_done = false; !is_done;) {
      const PgResult forgotten = TRY(
          session.run(kForgetAnswers, PgParams().add(company).add(oldest).add(kForgottenAtOnce)));
      is_done = static_cast<std::uint64_t>(forgotten.rows()) < kForgottenAtOnce;
    }
  }
  return {};
}

}  // namespace earshot::store
