// Databases for tests, on the server that EARSHOT_TEST_POSTGRES names: a URL whose user may create
// databases. tools/with_postgres.py starts one. Where a migrated database cannot be copied, as over
// Citus, EARSHOT_TEST_DATABASE names one that all tests of a store use in turn, emptied by each.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "store/pg_session.h"
#include "store/postgres.h"
#include "store/store.h"

namespace earshot::store {

// The URL of another database of the same server.
inline std::string with_database(const std::string& url, const std::string& database) {
  const std::size_t authority = url.find("://") + 3;
  const std::size_t end = std::min(url.find_first_of("/?", authority), url.size());
  const std::size_t question = std::min(url.find('?', authority), url.size());
  return url.substr(0, end) + "/" + database + url.substr(question);
}

inline std::string test_server_url() {
  const char* url = std::getenv("EARSHOT_TEST_POSTGRES");
  if (!url) {
    throw std::runtime_error(
        "EARSHOT_TEST_POSTGRES names no PostgreSQL server: run this under "
        "tools/with_postgres.py");
  }
  return url;
}

// A value that there must be; a test ends where it is not.
template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}
inline void must(Status status) {
  if (!status) throw std::runtime_error(status.error().message);
}

inline void run_on_test_server(const std::string& sql) {
  must(must(PgSession::open(test_server_url()))->run_text(sql));
}

// With whoever is connected. An autovacuum worker belongs to nobody, so FORCE may not end it; it
// goes by itself.
inline void drop_test_database(const std::string& name) {
  const std::string drop = "DROP DATABASE " + name + " WITH (FORCE)";
  for (int i = 0; i < 50; ++i) {
    if (must(PgSession::open(test_server_url()))->run_text(drop)) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  run_on_test_server(drop);
}

// Made once in a process, for the others to be copied from.
class PgTemplate {
 public:
  static const std::string& name() {
    static const PgTemplate made;
    return made.name_;
  }
  PgTemplate(const PgTemplate&) = delete;
  PgTemplate& operator=(const PgTemplate&) = delete;

 private:
  PgTemplate() {
    run_on_test_server("CREATE DATABASE " + name_ + " TEMPLATE template0 ENCODING 'UTF8'");
    must(migrate_postgres(with_database(test_server_url(), name_), false));
  }
  ~PgTemplate() { drop_test_database(name_); }

  const std::string name_ = "earshot_test_" + std::to_string(::getpid());
};

inline const char* test_database_url() { return std::getenv("EARSHOT_TEST_DATABASE"); }

// A database of a test's own, with migrated tables. Dropped at its end, with whoever is connected.
class PgTestDatabase {
 public:
  enum class Tables { migrated, none };
  explicit PgTestDatabase(Tables tables = Tables::migrated) {
    if (test_database_url()) {
      if (tables == Tables::none) throw std::runtime_error("EARSHOT_TEST_DATABASE is migrated");
      ask("TRUNCATE earshot.companies, earshot.workspaces, earshot.profiles, earshot.users,"
          " earshot.calls, earshot.shares, earshot.grants, earshot.changes, earshot.usage,"
          " earshot.proofs, earshot.keys, earshot.workspace_versions, earshot.profile_versions,"
          " earshot.user_versions, earshot.kept_answers, earshot.refusals, earshot.key_uses");
      return;
    }
    static std::atomic<int> count{0};
    name_ = "earshot_test_" + std::to_string(::getpid()) + "_" + std::to_string(++count);
    run_on_test_server(
        "CREATE DATABASE " + name_ + " TEMPLATE " +
        (tables == Tables::migrated ? PgTemplate::name() : "template0 ENCODING 'UTF8'"));
    // As if it had been migrated for itself.
    if (tables == Tables::migrated) {
      ask("UPDATE earshot.cursor_keys SET secret = sha256(gen_random_uuid()::text::bytea)");
    }
  }
  ~PgTestDatabase() {
    if (!name_.empty()) drop_test_database(name_);
  }
  PgTestDatabase(const PgTestDatabase&) = delete;
  PgTestDatabase& operator=(const PgTestDatabase&) = delete;

  std::string url() const {
    return name_.empty() ? test_database_url() : with_database(test_server_url(), name_);
  }
  std::unique_ptr<PgSession> connect(const PgSessionOptions& options = {}) const {
    return must(PgSession::open(url(), options));
  }
  // Statements by hand, as an operator (or an intruder) gives them; the last one's first column.
  std::string ask(const std::string& sql) const {
    const PgResult result = must(connect()->run_text(sql));
    return result.rows() == 0 ? std::string() : std::string(PQgetvalue(result.get(), 0, 0));
  }

 private:
  std::string name_;  // empty: the one that is used in turn
};

// Records out of a list, that may end with an error.
class ListedRecords final : public RecordSource {
 public:
  explicit ListedRecords(std::vector<core::Record> records, std::optional<Error> end = std::nullopt)
      : records_(std::move(records)), end_(std::move(end)) {}
  Result<const core::Record*> next() override {
    if (next_ < records_.size()) return &records_[next_++];
    if (end_) return *end_;
    return nullptr;
  }
  std::string position() const override { return "list:" + std::to_string(next_); }

 private:
  std::vector<core::Record> records_;
  std::optional<Error> end_;
  std::size_t next_ = 0;
};

}  // namespace earshot::store
