#include "store/pg_schema.h"

#include <array>
#include <chrono>
#include <thread>

#include "store/pg_statements_sync.h"

namespace earshot::store {
namespace {

constexpr int kShards = 128;  // more cannot be had later without moving all rows
constexpr int kTries = 10;
constexpr std::chrono::milliseconds kPause{500};
constexpr std::chrono::minutes kSilenceMax{60};  // an index over many rows takes its time

// Distributed by company, beside earshot.companies.
constexpr std::array kCompanyTables = {
    "workspaces",       "profiles",      "users",        "calls",    "shares",
    "grants",           "changes",       "usage",        "proofs",   "workspace_versions",
    "profile_versions", "user_versions", "kept_answers", "refusals", "key_uses"};
// On every node.
constexpr std::array kReferenceTables = {"keys", "load_lock", "cursor_keys", "schema_versions"};

// Over tables that may have many rows: made behind the migrations and outside of a transaction,
// while servers go on reading and writing.
struct LargeIndex {
  const char* name;
  const char* over;  // what follows ON
};
constexpr std::array kLargeIndexes = {
    // A call's history. Without a list of what is pending, which every look-up would have to read.
    LargeIndex{"changes_by_call", "earshot.changes USING gin (call_ids) WITH (fastupdate = off)"},
    // What is to be swept. Grants that do not expire are not in it.
    LargeIndex{"grants_by_expiry",
               "earshot.grants (company_id, expires_at) WHERE expires_at IS NOT NULL"},
};

constexpr const char* kMakeVersions =
    "CREATE SCHEMA IF NOT EXISTS earshot;"
    "CREATE TABLE IF NOT EXISTS earshot.schema_versions ("
    " version integer NOT NULL CHECK (version > 0),"
    " name text NOT NULL,"
    " applied_at timestamptz NOT NULL,"
    " release text NOT NULL,"
    " PRIMARY KEY (version));"
    "COMMENT ON TABLE earshot.schema_versions IS"
    " 'The migrations that made these tables, and the release that ran each'";

// Readers are not held up by this lock; another migration is, until this one's end.
constexpr const char* kTakeTurn =
    "LOCK TABLE earshot.schema_versions IN SHARE ROW EXCLUSIVE MODE NOWAIT";
constexpr std::chrono::minutes kTurnTime{10};
constexpr std::chrono::milliseconds kTurnPause{100};

// A statement that waits for a table's lock makes everybody behind it wait too, readers included:
// rather than queue behind a long transaction it gives up, and tries again.
constexpr const char* kGiveUpSoon = "SET LOCAL lock_timeout = '3s'";

Result<int> find_version(PgSession& session) {
  if (!TRY(session.run(kHasVersions)).boolean(0, 0)) return 0;
  return static_cast<int>(TRY(session.run(kFindVersion)).number(0, 0));
}

Result<bool> is_distributed(PgSession& session, std::string_view table) {
  if (!TRY(session.run(kHasCitusTables)).boolean(0, 0)) return false;
  PgParams params;
  params.add_text("earshot." + std::string(table));
  return TRY(session.run(kIsDistributed, params)).boolean(0, 0);
}

Error too_new(const PgSession& session, int version) {
  return invalid_argument(session.place() + " was migrated by a newer release, to version " +
                          std::to_string(version) + "; this one knows version " +
                          std::to_string(migrations().back().version) + ": upgrade earshot");
}

// Makes the table of versions. Two that make it at the same time get in each other's way.
Status make_versions(PgSession& session) {
  for (int tries = 1;; ++tries) {
    if (TRY(session.run(kHasVersions)).boolean(0, 0)) return {};
    const auto made = session.run_text(kMakeVersions);
    if (made) return {};
    const std::string& state = session.last_sqlstate();
    const bool was_raced = state == "23505" || state == "42P06" || state == "42P07";
    if (!was_raced || tries == kTries) return made.error();
    std::this_thread::sleep_for(kPause);
  }
}

// Begins a transaction in which no other migration does anything. Between two tries there is none:
// a statement that waits for the lock may have a snapshot of the catalog, and whoever has the lock
// makes indexes, which wait for all snapshots.
Status begin_turn(PgSession& session) {
  const auto until = std::chrono::steady_clock::now() + kTurnTime;
  for (;;) {
    TRY(session.begin());
    const auto taken = session.run_text(kTakeTurn);
    if (taken) return {};
    const bool was_in_the_way = session.last_sqlstate() == "55P03";
    session.roll_back();
    if (!was_in_the_way || std::chrono::steady_clock::now() >= until) return taken.error();
    std::this_thread::sleep_for(kTurnPause);
  }
}

// Applies the migration that follows the version found, in the transaction that is open. Answers
// the version that the database is at then.
Result<int> migrate_in_transaction(PgSession& session) {
  const int version = TRY(find_version(session));
  if (version > migrations().back().version) return too_new(session, version);
  if (version == migrations().back().version) return version;
  const Migration& next = migrations()[static_cast<std::size_t>(version)];
  TRY(session.run_text(kGiveUpSoon));
  if (TRY(is_distributed(session, "companies"))) {
    TRY(session.run_text("SET LOCAL citus.multi_shard_modify_mode = 'sequential'"));
  }
  TRY(session.run_text(std::string(next.sql)));
  PgParams params;
  params.add(static_cast<std::uint64_t>(next.version)).add_text(next.name);
  params.add_text(EARSHOT_VERSION);
  TRY(session.run(kAddVersion, params));
  return next.version;
}

// One step, or none where the database is at our version.
Result<int> migrate_once(PgSession& session) {
  for (int tries = 1;; ++tries) {
    TRY(begin_turn(session));
    Result<int> version = migrate_in_transaction(session);
    if (version) {
      const PgEnding ending = session.commit();
      if (ending.outcome == PgEnding::Outcome::committed) return version;
      return unavailable("the migration to version " + std::to_string(*version) +
                         (ending.outcome == PgEnding::Outcome::unknown
                              ? " may have happened or not: run it again: "
                              : " did not happen: ") +
                         ending.why);
    }
    const bool was_in_the_way = session.last_sqlstate() == "55P03";
    session.roll_back();
    if (!was_in_the_way) return version.error();
    if (tries == kTries) {
      return unavailable(
          "the migration waited for long transactions in vain: run it again when they are over");
    }
    std::this_thread::sleep_for(kPause);
  }
}

Status check_citus(PgSession& session) {
  if (TRY(session.run(kHasCitus)).boolean(0, 0)) return {};
  return invalid_argument(
      "the extension citus is not in " + session.place() +
      ": install it on every node, then run CREATE EXTENSION citus as a superuser");
}

// Whether it is there and whole. Making it may have been cut off: then it is there, and no use.
Result<bool> has_index(PgSession& session, const LargeIndex& index) {
  PgParams params;
  params.add_text("earshot." + std::string(index.name));
  return TRY(session.run(kHasIndex, params)).boolean(0, 0);
}

Status make_indexes(PgSession& session, const std::string& url) {
  const PgSessionOptions patient{.silence_max = kSilenceMax};
  for (const LargeIndex& index : kLargeIndexes) {
    if (TRY(has_index(session, index))) continue;
    const auto maker = TRY(PgSession::open(url, patient));
    // Two that make the same index would wait for each other for good.
    TRY(begin_turn(session));
    if (!TRY(has_index(*maker, index))) {
      TRY(maker->run_text("DROP INDEX CONCURRENTLY IF EXISTS earshot." + std::string(index.name)));
      TRY(maker->run_text("CREATE INDEX CONCURRENTLY " + std::string(index.name) + " ON " +
                          index.over));
    }
    session.roll_back();
  }
  return {};
}

// Each table on its own, outside of a transaction: what is done stays done, and a run that was cut
// off is taken up by the next.
Status distribute(PgSession& session) {
  TRY(check_citus(session));
  if (!TRY(is_distributed(session, "companies"))) {
    TRY(
        session.run_text("SELECT create_distributed_table('earshot.companies', 'company_id',"
                         " colocate_with => 'none', shard_count => " +
                         std::to_string(kShards) + ")"));
  }
  for (const std::string table : kCompanyTables) {
    if (TRY(is_distributed(session, table))) continue;
    TRY(session.run_text("SELECT create_distributed_table('earshot." + table +
                         "', 'company_id', colocate_with => 'earshot.companies')"));
  }
  for (const std::string table : kReferenceTables) {
    if (TRY(is_distributed(session, table))) continue;
    TRY(session.run_text("SELECT create_reference_table('earshot." + table + "')"));
  }
  return {};
}

}  // namespace

Result<SchemaState> check_schema(PgSession& session) {
  SchemaState state;
  state.version = TRY(find_version(session));
  if (state.version > migrations().back().version) return too_new(session, state.version);
  if (state.version < migrations().back().version) {
    return invalid_argument(
        session.place() +
        (state.version == 0 ? " has no tables of earshot yet" : " has tables of an older release") +
        "; run: earshot migrate --store postgresql://…");
  }
  state.is_distributed = TRY(is_distributed(session, "companies"));
  return state;
}

Result<MigrateReport> migrate_postgres(const std::string& url, bool citus) {
  PgSessionOptions options;
  options.silence_max = kSilenceMax;
  const auto session = TRY(PgSession::open(url, options));
  if (!TRY(session->run(kIsUtf8)).boolean(0, 0)) {
    return invalid_argument("the database of " + session->place() +
                            " is not one of UTF-8: make it with ENCODING 'UTF8'");
  }
  MigrateReport report;
  report.from = TRY(find_version(*session));
  if (report.from > migrations().back().version) return too_new(*session, report.from);
  if (citus) TRY(check_citus(*session));
  TRY(make_versions(*session));
  while (report.to < migrations().back().version) report.to = TRY(migrate_once(*session));
  // New tables of a database that was distributed before are, too.
  if (citus || TRY(is_distributed(*session, "companies"))) TRY(distribute(*session));
  TRY(make_indexes(*session, url));
  report.is_distributed = TRY(is_distributed(*session, "companies"));
  return report;
}

}  // namespace earshot::store
