#include "store/pg_schema.h"

#include <gtest/gtest.h>

#include <future>

#include "store/pg_testing.h"

namespace earshot::store {
namespace {

int newest() { return migrations().back().version; }

TEST(Migrations, AreNumberedWithoutGaps) {
  int expected = 1;
  for (const Migration& migration : migrations()) {
    EXPECT_EQ(migration.version, expected++) << migration.name;
    EXPECT_FALSE(migration.sql.empty());
  }
}

TEST(MigratePostgres, MakesTheTablesOnce) {
  const PgTestDatabase database(PgTestDatabase::Tables::none);
  const auto first = migrate_postgres(database.url(), false);
  ASSERT_TRUE(first.has_value()) << first.error().message;
  EXPECT_EQ(first->from, 0);
  EXPECT_EQ(first->to, newest());
  EXPECT_FALSE(first->is_distributed);
  const auto again = migrate_postgres(database.url(), false);
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(again->from, newest());
  EXPECT_EQ(again->to, newest());
  EXPECT_EQ(database.ask("SELECT count(*) FROM earshot.schema_versions"), std::to_string(newest()));
  EXPECT_EQ(database.ask("SELECT release FROM earshot.schema_versions"), EARSHOT_VERSION);
  EXPECT_EQ(database.ask("SELECT count(*) FROM earshot.load_lock"), "1");
}

TEST(MigratePostgres, GoesOnFromTheReleaseBefore) {
  const PgTestDatabase database(PgTestDatabase::Tables::none);
  database.ask(
      "CREATE SCHEMA earshot;"
      "CREATE TABLE earshot.schema_versions (version integer NOT NULL CHECK (version > 0),"
      " name text NOT NULL, applied_at timestamptz NOT NULL, release text NOT NULL,"
      " PRIMARY KEY (version));" +
      std::string(migrations()[0].sql) +
      "INSERT INTO earshot.schema_versions VALUES (1, 'tables', now(), '0.4');"
      "INSERT INTO earshot.companies (company_id, revision, directory_revision, changed_at, hash,"
      " name) VALUES (1, 7, 5, now(), sha256('x'), 'One')");
  const auto report = migrate_postgres(database.url(), false);
  ASSERT_TRUE(report.has_value()) << report.error().message;
  EXPECT_EQ(report->from, 1);
  EXPECT_EQ(report->to, newest());
  EXPECT_EQ(database.ask("SELECT versions_from || ' ' || versions_to FROM earshot.companies"),
            "0 0")
      << "what the directory was before is not known";
  // The statement of a server of the release before.
  database.ask(
      "UPDATE earshot.companies SET revision = 8, changed_at = now() WHERE company_id = 1");
  EXPECT_EQ(database.ask("SELECT length(secret) FROM earshot.cursor_keys"), "32");
}

TEST(MigratePostgres, MakesAnIndexAnewThatWasCutOff) {
  const PgTestDatabase database;
  const std::string find =
      "SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
      " WHERE c.relname = 'changes_by_call'";
  ASSERT_EQ(database.ask(find), "t");
  // One that could not be made stays, and is not used.
  database.ask("DROP INDEX earshot.changes_by_call");
  database.ask(
      "INSERT INTO earshot.changes SELECT 1, n, 0, true, now(), 0, 'give', 'x', '', '{}', 0, '',"
      " sha256('x') FROM generate_series(1, 2) n");
  EXPECT_FALSE(database.connect()->run_text(
      "CREATE UNIQUE INDEX CONCURRENTLY changes_by_call ON earshot.changes (company_id)"));
  ASSERT_EQ(database.ask(find), "f");
  must(migrate_postgres(database.url(), false));
  EXPECT_EQ(database.ask(find), "t");
  database.ask("DROP INDEX earshot.changes_by_call");
  must(migrate_postgres(database.url(), false));
  EXPECT_EQ(database.ask(find), "t");
}

TEST(MigratePostgres, TakesTurnsWithAnother) {
  const PgTestDatabase database(PgTestDatabase::Tables::none);
  std::vector<std::future<Result<MigrateReport>>> runs;
  for (int i = 0; i < 4; ++i) {
    runs.push_back(
        std::async(std::launch::async, [&] { return migrate_postgres(database.url(), false); }));
  }
  for (auto& run : runs) {
    const auto report = run.get();
    ASSERT_TRUE(report.has_value()) << report.error().message;
    EXPECT_EQ(report->to, newest());
  }
  EXPECT_EQ(database.ask("SELECT count(*) FROM earshot.schema_versions"), std::to_string(newest()));
}

TEST(MigratePostgres, RefusesCitusWhereItIsNot) {
  const PgTestDatabase database(PgTestDatabase::Tables::none);
  const auto report = migrate_postgres(database.url(), true);
  ASSERT_FALSE(report.has_value());
  EXPECT_EQ(report.error().code, Code::invalid_argument);
  EXPECT_NE(report.error().message.find("CREATE EXTENSION citus"), std::string::npos);
}

TEST(MigratePostgres, RefusesANewerDatabase) {
  const PgTestDatabase database;
  database.ask("INSERT INTO earshot.schema_versions VALUES (99, 'x', now(), '9')");
  const auto report = migrate_postgres(database.url(), false);
  ASSERT_FALSE(report.has_value());
  EXPECT_EQ(report.error().code, Code::invalid_argument);
  EXPECT_NE(report.error().message.find("upgrade earshot"), std::string::npos);
  EXPECT_EQ(report.error().message.find('\n'), std::string::npos);
}

TEST(MigratePostgres, RefusesAnotherEncoding) {
  const PgTestDatabase other(PgTestDatabase::Tables::none);
  const std::string name = "earshot_test_latin_" + std::to_string(::getpid());
  run_on_test_server("CREATE DATABASE " + name +
                     " TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
  const auto report = migrate_postgres(with_database(test_server_url(), name), false);
  run_on_test_server("DROP DATABASE " + name);
  ASSERT_FALSE(report.has_value());
  EXPECT_EQ(report.error().code, Code::invalid_argument);
}

TEST(CheckSchema, SaysToMigrate) {
  const PgTestDatabase database(PgTestDatabase::Tables::none);
  const auto state = check_schema(*database.connect());
  ASSERT_FALSE(state.has_value());
  EXPECT_EQ(state.error().code, Code::invalid_argument);
  EXPECT_NE(state.error().message.find("run: earshot migrate --store"), std::string::npos);
}

TEST(CheckSchema, TakesOurVersionAndNoNewerOne) {
  const PgTestDatabase database;
  const auto session = database.connect();
  const auto state = check_schema(*session);
  ASSERT_TRUE(state.has_value()) << state.error().message;
  EXPECT_EQ(state->version, newest());
  EXPECT_FALSE(state->is_distributed);
  must(session->run_text("INSERT INTO earshot.schema_versions VALUES (99, 'x', now(), '9')"));
  const auto newer = check_schema(*session);
  ASSERT_FALSE(newer.has_value());
  EXPECT_NE(newer.error().message.find("newer release"), std::string::npos);
}

}  // namespace
}  // namespace earshot::store
