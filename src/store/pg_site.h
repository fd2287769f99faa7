// What all parts of the store over PostgreSQL share: options, the keys and servers that are known,
// figures. Any thread.
#pragma once

#include <atomic>
#include <boost/unordered/unordered_flat_map.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "store/change_watchers.h"
#include "store/kept_past.h"
#include "store/pg_directories.h"
#include "store/pg_proof.h"
#include "store/pg_url.h"
#include "store/pg_wire.h"
#include "store/postgres.h"

namespace earshot::store {

// The access keys that were asked for, each with up to when it is known to hold.
class PgKeys {
 public:
  KeyPtr find(std::string_view access_key) const;
  // In place of what was known before; null: there is no such key.
  void put(const std::string& access_key, KeyPtr key);

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  mutable std::shared_mutex mutex_;
  boost::unordered_flat_map<std::string, KeyPtr, Hash, std::equal_to<>> keys_;
};

struct PgSite {
  PgSite(PostgresOptions its_options, std::vector<PgTarget> its_targets,
         std::vector<PgTarget> its_replicas, bool is_distributed)
      : options(std::move(its_options)),
        targets(std::move(its_targets)),
        replicas(std::move(its_replicas)),
        proofs(is_distributed),
        directories(options.directory_bytes),
        past_directories(options.directory_bytes / 4) {}

  std::chrono::milliseconds lock_time() const { return options.statement_time * 4 / 5; }

  const PostgresOptions options;
  const std::vector<PgTarget> targets;
  const std::vector<PgTarget> replicas;
  PgProofs proofs;
  PgKeys keys;
  PgDirectories directories;
  PgDirectories past_directories;  // of earlier revisions; of a company the one asked for last
  PastEntries past_entries{kPastEntriesBytes};
  const std::shared_ptr<ChangeWatchers> watchers = std::make_shared<ChangeWatchers>();

  struct Counters {
    std::atomic<std::uint64_t> transactions{0}, changes{0}, unknown_outcomes{0}, retries{0},
        read_statements{0}, reads{0}, key_look_ups{0}, proofs{0}, replica_reads{0};
    std::atomic<std::int64_t> reads_waiting{0}, writes_waiting{0};
  };
  Counters counters;
};

// The key in a row of kFindKey's result, known to hold until this revision of the company's
// directory at least, if it is the company's. REQUIRES: there is a row.
KeyPtr read_key(const PgResult& result, std::string access_key, CompanyId company,
                core::Revision directory);

// As an error of the store, for what could not be helped in time.
inline Error database_unavailable(const std::string& reason) {
  return unavailable(reason.empty() ? "the database does not answer"
                                    : "the database does not answer: " + reason);
}

}  // namespace earshot::store
