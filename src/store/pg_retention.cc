#include "store/pg_retention.h"

#include <vector>

#include "store/pg_statements_sync.h"
#include "store/store.h"

namespace earshot::store {
namespace {

constexpr std::uint64_t kCutRevisions = 1000;  // in one transaction: writers wait for it

// Nothing is older than the limit that is none.
Time oldest_of(const RetentionLimits& limits) { return limits.oldest.value_or(Time{}); }

// Cuts some, and moves the horizon. Answers whether that was all.
Result<bool> cut_some(PgSession& session, CompanyId company, const RetentionLimits& limits,
                      core::Revision& horizon) {
  TRY(session.begin());
  const PgResult head = TRY(session.run(kLockHorizon, PgParams().add(company)));
  if (head.rows() == 0) return true;
  const core::Revision newest = head.number(0, 0);
  horizon = head.number(0, 1);
  const bool are_too_many = limits.revisions && newest > *limits.revisions;
  const core::Revision cut_by_count = are_too_many ? newest - *limits.revisions : 0;
  const PgResult found = TRY(session.run(kFindHorizon, PgParams()
                                                           .add(company)
                                                           .add(oldest_of(limits))
                                                           .add(newest)
                                                           .add(horizon)
                                                           .add(kCutRevisions)
                                                           .add(cut_by_count)));
  if (found.rows() == 0 || found.is_null(0, 0)) return true;
  const core::Revision cut = found.number(0, 0);
  // The horizon and what lies before it go as one, so that verify never meets half a cut.
  TRY(session.run(kMoveHorizon, PgParams().add(company).add(cut)));
  TRY(session.run(kCutChanges, PgParams().add(company).add(cut)));
  horizon = cut;
  return false;
}

Status cut_company(PgSession& session, CompanyId company, const RetentionLimits& limits) {
  core::Revision horizon = 0;
  for (bool is_done = false; !is_done;) {
    const Result<bool> cut = cut_some(session, company, limits, horizon);
    if (!cut) {
      session.roll_back();
      return cut.error();
    }
    is_done = *cut;
    const PgEnding ending = session.commit();
    if (ending.outcome != PgEnding::Outcome::committed) {
      return unavailable("cutting the record of changes: " + ending.why);
    }
  }
  // Nobody asks for these any more, so that writers need not wait; what a failure leaves goes next
  // time.
  for (const PgStatement* const cut :
       {&kCutWorkspaceVersions, &kCutProfileVersions, &kCutUserVersions}) {
    TRY(session.run(*cut, PgParams().add(company).add(horizon)));
  }
  return {};
}

}  // namespace

Status apply_retention_over_postgres(PgSession& session, const RetentionLimits& limits) {
  std::vector<CompanyId> companies;
  PgParams params;
  params.add(oldest_of(limits)).add(limits.revisions.value_or(INT64_MAX));
  TRY(session.stream(kListOldCompanies, params, [&](const PgResult& row) -> Status {
    companies.push_back({row.number(0, 0)});
    return {};
  }));
  for (const CompanyId company : companies) TRY(cut_company(session, company, limits));
  return {};
}

}  // namespace earshot::store
