// The store over PostgreSQL: any number of servers on one database, alone, under Patroni or
// sharded by Citus. docs/storage.md describes its tables, docs/operating.md how it is run.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "store/store.h"

namespace earshot::store {

struct PostgresOptions {
  // postgresql://… as libpq reads it; several hosts are tried one after the other.
  std::string url;
  std::string replica_url;            // of read replicas, for reads that carry a revision
  std::size_t connections = 2;        // each thread keeps for reads
  std::size_t write_connections = 8;  // of the server: companies written at the same time
  std::chrono::milliseconds statement_time{3000};  // of one round trip; then the next host
  std::chrono::milliseconds request_time{10000};   // of a request in the store; then unavailable
  // How old the newest sign may be that a server is still the primary; 0: none is asked for.
  std::chrono::milliseconds primary_proof{1000};
  std::size_t queue_commands_max = 16384;  // waiting; more is unavailable. Reads and writes each
  std::size_t batch_commands_max = 4096;   // in one transaction
  std::uint64_t directory_bytes = 256ULL << 20;      // directories of companies, in memory
  std::optional<std::chrono::seconds> retention;     // of changes; absent: all
  std::optional<std::uint64_t> retention_revisions;  // of each company, so many; absent: all
  std::chrono::seconds retention_every{60};
  std::chrono::seconds idempotency_keep{24 * 3600};  // of answers to requests with such a key
  // How often what has expired is taken away, and answers that were kept long enough.
  std::chrono::milliseconds expiry_every{30'000};
  RefusalLimits refusals;
  Clock clock = wall_now;
};

// Whether the place of a store is a database's.
bool is_postgres_url(std::string_view place);

// Opens it, without making anything. Errors: invalid_argument (a URL that cannot be read, a
// database that was not migrated or was by a newer release), unavailable (no server answers).
// Messages never hold a password.
Result<std::unique_ptr<Store>> open_postgres(PostgresOptions options);

struct MigrateReport {
  int from = 0;  // the version found; 0: there was none
  int to = 0;
  bool is_distributed = false;  // over Citus
};

// Brings the tables to this release's version, in one transaction each step; may be repeated, and
// while servers of the release before run. `citus` also distributes them. Waits. Errors as of
// open_postgres; invalid_argument also where Citus was asked for and is not there.
Result<MigrateReport> migrate_postgres(const std::string& url, bool citus);

}  // namespace earshot::store
