#include "store/pg_usage.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "store/pg_rows.h"
#include "store/pg_statements_sync.h"

namespace earshot::store {
namespace {

// A statement for each company, so that each reaches one shard; all of them or none.
Status add_some(PgSession& session, std::span<const DayUsage> more,
                const std::vector<std::size_t>& order, std::vector<DayUsage>& sums) {
  std::vector<PgCall> calls;
  for (const std::size_t place : order) {
    PgParams params;
    params.add(more[place].company).add_day(more[place].day).add(more[place].requests);
    calls.push_back({&kAddUsage, std::move(params)});
  }
  // Counts are worth no wait for a disk or a standby: a failover may forget the newest.
  TRY(session.run_text("BEGIN; SET LOCAL synchronous_commit = off"));
  Status added = session.run_all(calls, [&](std::size_t call, const PgResult& result) -> Status {
    ASSERT(result.rows() == 1);
    sums[order[call]].requests = result.number(0, 0);
    return {};
  });
  if (!added) {
    session.roll_back();
    return added;
  }
  const PgEnding ending = session.commit();
  if (ending.outcome == PgEnding::Outcome::committed) return {};
  return unavailable("adding to the usage: " + ending.why);
}

}  // namespace

Result<std::vector<DayUsage>> load_usage_over_postgres(PgSession& session, std::uint32_t day) {
  std::vector<DayUsage> usage;
  TRY(session.stream(kListUsage, PgParams().add_day(day), [&](const PgResult& row) -> Status {
    usage.push_back({{row.number(0, 0)}, day, row.number(0, 1)});
    return {};
  }));
  return usage;
}

Result<std::vector<DayUsage>> add_usage_over_postgres(PgSession& session,
                                                      std::span<const DayUsage> more) {
  std::vector<DayUsage> sums(more.begin(), more.end());
  // Every server in the same order: rows that are locked crosswise would be a deadlock.
  std::vector<std::size_t> order(more.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, {},
                    [&](std::size_t i) { return std::pair(more[i].company, more[i].day); });
  if (!order.empty()) TRY(add_some(session, more, order, sums));
  return sums;
}

Result<std::vector<KeyPtr>> list_keys_over_postgres(PgSession& session,
                                                    std::optional<CompanyId> company) {
  std::vector<KeyPtr> keys;
  const auto take = [&](const PgResult& row) -> Status {
    keys.push_back(std::make_shared<KeyEntry>(
        KeyEntry{{row.number(0, 0)}, TRY(read_key(row, 0, 1)), row.number(0, 6)}));
    return {};
  };
  if (company) {
    TRY(session.stream(kListKeysOfCompany, PgParams().add(*company), take));
  } else {
    TRY(session.stream(kListKeys, {}, take));
  }
  return keys;
}

}  // namespace earshot::store
