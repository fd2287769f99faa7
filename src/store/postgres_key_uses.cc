// When keys were used last, over PostgreSQL: written now and then, for many at once.
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "store/pg_statements_sync.h"
#include "store/postgres_store.h"

namespace earshot::store {
namespace {

Status note_over_postgres(PgSession& session, std::span<const KeyUse> uses) {
  std::map<CompanyId, std::map<std::string, Time>> latest;
  for (const KeyUse& use : uses) {
    Time& at = latest[use.company].try_emplace(use.access_key, use.at).first->second;
    at = std::max(at, use.at);
  }
  std::vector<PgCall> calls;
  for (const auto& [company, of_keys] : latest) {
    std::vector<std::string> access_keys;
    std::vector<std::optional<Time>> times;
    for (const auto& [access_key, at] : of_keys) {
      access_keys.push_back(access_key);
      times.emplace_back(at);
    }
    PgParams params;
    params.add(company).add_texts(std::span<const std::string>(access_keys)).add_times(times);
    calls.push_back({&kNoteKeyUses, std::move(params)});
    calls.push_back({&kForgetKeyUses, std::move(PgParams().add(company))});
  }
  // Worth no wait for a disk or a standby; nor for a load that revokes keys, since the limits of
  // the day are told over the same connection. What was not noted now is noted next time.
  TRY(session.run_text(
      "BEGIN; SET LOCAL synchronous_commit = off; SET LOCAL lock_timeout = '200ms'"));
  if (Status noted = session.run_all(calls); !noted) {
    session.roll_back();
    return noted;
  }
  const PgEnding ending = session.commit();
  if (ending.outcome == PgEnding::Outcome::committed) return {};
  return unavailable("noting the use of keys: " + ending.why);
}

}  // namespace

Status PostgresStore::note_key_uses(std::span<const KeyUse> uses) {
  if (uses.empty()) return {};
  const std::lock_guard lock(usage_mutex_);
  Status noted = note_over_postgres(*TRY(usage_session()), uses);
  if (!noted) usage_session_.reset();
  return noted;
}

Result<std::vector<KeyUse>> PostgresStore::list_key_uses(CompanyId company) {
  std::vector<KeyUse> uses;
  TRY(TRY(open_session(site_.options.request_time))
          ->stream(kListKeyUses, PgParams().add(company), [&](const PgResult& row) -> Status {
            uses.push_back({company, std::string(row.text(0, 0)), row.timestamp(0, 1)});
            return {};
          }));
  return uses;
}

}  // namespace earshot::store
