#include "store/pg_refusals.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>
#include <vector>

#include "base/random.h"
#include "store/pg_statements_sync.h"
#include "store/refusal_bounds.h"

namespace earshot::store {
namespace {

constexpr int kRefusalTries = 5;  // where other servers take the same numbers
// So many numbers for each one may be left out before them, so that servers that begin behind the
// same last one seldom take the same.
constexpr std::uint64_t kRefusalGap = 1000;
constexpr std::string_view kUniqueViolation = "23505";

using RefusalsByCompany = std::map<CompanyId, std::vector<const Refusal*>>;

std::uint64_t choose_gap(std::size_t refusals) {
  std::array<std::uint8_t, 4> bytes{};
  fill_random(bytes);
  std::uint64_t random = 0;
  for (const std::uint8_t byte : bytes) random = random << 8 | byte;
  return random % (kRefusalGap * refusals);
}

PgCall insertion_of(CompanyId company, std::uint64_t last_number,
                    const std::vector<const Refusal*>& refusals) {
  last_number += choose_gap(refusals.size());
  std::vector<std::uint64_t> numbers, requests;
  std::vector<std::optional<Time>> times;
  std::vector<std::string> reasons, operations, access_keys, addresses, ids, details;
  for (const Refusal* const one : refusals) {
    numbers.push_back(++last_number);
    requests.push_back(one->requests);
    times.emplace_back(one->time);
    reasons.push_back(one->reason);
    operations.push_back(one->operation);
    access_keys.push_back(one->access_key);
    addresses.push_back(one->remote_address);
    ids.emplace_back(format_request_id(one->request_id).view());
    details.push_back(one->detail);
  }
  PgParams params;
  params.add(company).add_numbers(numbers).add_times(times);
  params.add_texts(std::span<const std::string>(reasons));
  params.add_texts(std::span<const std::string>(operations));
  params.add_texts(std::span<const std::string>(access_keys));
  params.add_texts(std::span<const std::string>(addresses));
  params.add_texts(std::span<const std::string>(ids));
  params.add_texts(std::span<const std::string>(details));
  params.add_numbers(requests);
  return {&kPutRefusals, std::move(params)};
}

// In one transaction, companies in their order, so that no two servers wait for each other.
Status keep_in_transaction(PgSession& session, const RefusalsByCompany& by_company,
                           const RefusalLimits& limits, Time now) {
  std::vector<PgCall> finds, changes;
  std::vector<CompanyId> companies;
  for (const auto& [company, refusals] : by_company) {
    companies.push_back(company);
    finds.push_back({&kFindLastRefusal, PgParams().add(company)});
    finds.push_back({&kFindCompany, PgParams().add(company)});
  }
  std::vector<std::uint64_t> last(companies.size());
  std::vector<bool> is_there(companies.size());
  TRY(session.run_all(finds, [&](std::size_t call, const PgResult& result) -> Status {
    const std::size_t place = call / 2;
    if (call % 2 == 0) {
      // Numbers that were given before are not given again, even if none is left.
      const auto least = static_cast<std::uint64_t>(std::max<std::int64_t>(now.micros, 1));
      last[place] = result.rows() == 0 ? least : result.number(0, 0);
    } else {
      is_there[place] = companies[place].value == 0 || (result.rows() > 0 && !result.is_null(0, 0));
    }
    return {};
  }));
  for (std::size_t i = 0; i < companies.size(); ++i) {
    // One that was removed meanwhile is to leave nothing behind.
    if (!is_there[i]) continue;
    const CompanyId company = companies[i];
    changes.push_back(insertion_of(company, last[i], by_company.at(company)));
    changes.push_back({&kTrimRefusalsOfAnybody,
                       PgParams().add(company).add(refusals_of_anybody_max(company, limits))});
    changes.push_back({&kTrimRefusals, PgParams().add(company).add(limits.per_company)});
  }
  return changes.empty() ? Status() : session.run_all(changes);
}

// What a statement lists that gives a company a row.
Result<std::vector<CompanyId>> list_companies(PgSession& session, const PgStatement& statement,
                                              const PgParams& params = {}) {
  std::vector<CompanyId> companies;
  TRY(session.stream(statement, params, [&](const PgResult& row) -> Status {
    companies.push_back({row.number(0, 0)});
    return {};
  }));
  return companies;
}

}  // namespace

Status keep_refusals_over_postgres(PgSession& session, std::span<const Refusal> refusals,
                                   const RefusalLimits& limits, Time now) {
  RefusalsByCompany by_company;
  for (const Refusal& one : refusals) by_company[one.company].push_back(&one);
  if (by_company.empty()) return {};
  for (int tries = 1;; ++tries) {
    // They are worth no wait for a disk or a standby: a failover may forget the newest.
    TRY(session.run_text("BEGIN; SET LOCAL synchronous_commit = off"));
    Status kept = keep_in_transaction(session, by_company, limits, now);
    if (!kept) {
      const bool is_taken = session.last_sqlstate() == kUniqueViolation;
      session.roll_back();
      if (is_taken && tries < kRefusalTries) continue;
      return kept;
    }
    const PgEnding ending = session.commit();
    if (ending.outcome == PgEnding::Outcome::committed) return {};
    return unavailable("keeping refusals: " + ending.why);
  }
}

Result<RefusalsView> list_refusals_over_postgres(PgSession& session, const RefusalsCommand& command,
                                                 const RefusalLimits& limits, Time now) {
  constexpr std::uint64_t kBehindAll = INT64_MAX;
  RefusalsView view{{}, true};
  const std::uint64_t before = command.before == 0 ? kBehindAll : command.before;
  const PgResult rows = TRY(session.run(kListRefusals, PgParams()
                                                           .add(command.company)
                                                           .add(before)
                                                           .add(limits.oldest(now))
                                                           .add(command.refusals_max + 1)));
  for (int row = 0; row < rows.rows(); ++row) {
    if (view.refusals.size() == command.refusals_max) {
      view.is_end = false;
      break;
    }
    const auto id = parse_request_id(rows.text(row, 6));
    view.refusals.push_back({rows.number(row, 0),
                             {.company = command.company,
                              .time = rows.timestamp(row, 1),
                              .reason = std::string(rows.text(row, 2)),
                              .operation = std::string(rows.text(row, 3)),
                              .access_key = std::string(rows.text(row, 4)),
                              .remote_address = std::string(rows.text(row, 5)),
                              .request_id = id.value_or(RequestId{}),
                              .detail = std::string(rows.text(row, 7)),
                              .requests = rows.number(row, 8)}});
  }
  return view;
}

Result<std::vector<CompanyId>> list_refused_companies_over_postgres(PgSession& session) {
  return list_companies(session, kListRefusedCompanies);
}

Status forget_refusals_over_postgres(PgSession& session, const RefusalLimits& limits, Time now) {
  const Time oldest = limits.oldest(now);
  const auto companies = TRY(list_companies(session, kListOldRefusals, PgParams().add(oldest)));
  for (const CompanyId company : companies) {
    TRY(session.run(kForgetOldRefusals, PgParams().add(company).add(oldest)));
  }
  // A transaction that removed the company may not have seen those of one at the same time.
  const auto gone = TRY(list_companies(session, kListRefusalsOfNobody));
  for (const CompanyId company : gone) {
    TRY(session.run(kForgetRefusalsOfCompany, PgParams().add(company)));
  }
  return {};
}

}  // namespace earshot::store
