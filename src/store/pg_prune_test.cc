// Stands in for a database that is distributed by company: the same tables, hash-partitioned. A
// statement that is planned without its parameters and still looks at one partition alone would
// reach one shard.
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>
#include <span>

#include "store/pg_statements.h"
#include "store/pg_statements_sync.h"
#include "store/pg_testing.h"

namespace earshot::store {
namespace {

constexpr int kPartitions = 8;

// The partitions that a plan reads; what was pruned is not in it. (An UPDATE or DELETE names all
// partitions that its rows could come from before it reads any.)
std::set<std::string> tables_in(const std::string& plan) {
  std::set<std::string> tables;
  const std::regex pattern("Scan[A-Za-z_0-9 ]* on ([a-z_]+_p[0-9])");
  for (std::sregex_iterator match(plan.begin(), plan.end(), pattern), end; match != end; ++match) {
    tables.insert((*match)[1]);
  }
  return tables;
}

struct Pruning : testing::Test {
  PgTestDatabase database;
  std::unique_ptr<PgSession> session;

  void SetUp() override {
    std::string sql;
    for (const std::string table :
         {"companies", "workspaces", "profiles", "users", "calls", "shares", "grants", "changes",
          "usage", "proofs", "workspace_versions", "profile_versions", "user_versions",
          "kept_answers", "refusals", "key_uses"}) {
      sql += "ALTER TABLE earshot." + table + " RENAME TO old;CREATE TABLE earshot." + table +
             " (LIKE earshot.old INCLUDING ALL) PARTITION BY HASH (company_id);"
             "DROP TABLE earshot.old;";
      for (int i = 0; i < kPartitions; ++i) {
        sql += "CREATE TABLE earshot." + table + "_p" + std::to_string(i) +
               " PARTITION OF earshot." + table + " FOR VALUES WITH (MODULUS " +
               std::to_string(kPartitions) + ", REMAINDER " + std::to_string(i) + ");";
      }
    }
    database.ask(sql);
    session = database.connect(
        {.settings = {{"plan_cache_mode", "force_generic_plan"}, {"enable_seqscan", "off"}}});
  }

  // The plan, executed for company 1 where that says what was pruned at run time.
  std::string plan_of(const PgStatement& statement) {
    const std::string name = statement.name;
    must(session->run_text("PREPARE " + name + " AS " + statement.text));
    const PgResult types = must(session->run_text(
        "SELECT coalesce(string_agg(format('%s', CASE WHEN t::text LIKE '%[]' THEN"
        " format('''{}''::%s', t) WHEN t = 'bytea'::regtype THEN 'sha256(''x'')'"
        " WHEN t = 'timestamptz'::regtype THEN 'now()' WHEN t = 'date'::regtype THEN"
        " '''2026-01-01''' WHEN t = 'boolean'::regtype THEN 'true' ELSE '1' END), ', ' ORDER BY "
        "place), '')"
        " FROM pg_prepared_statements, unnest(parameter_types) WITH ORDINALITY AS x(t, place)"
        " WHERE name = '" +
        name + "'"));
    const std::string values = PQgetvalue(types.get(), 0, 0);
    const PgResult lines = must(session->run_text("EXPLAIN (COSTS off) EXECUTE " + name +
                                                  (values.empty() ? "" : " (" + values + ")")));
    std::string plan;
    for (int row = 0; row < lines.rows(); ++row) {
      plan += std::string(PQgetvalue(lines.get(), row, 0)) + "\n";
    }
    return plan;
  }

  // Whether each table is looked at in one partition, and all tables in the same one. An INSERT
  // names none: its rows find their partition, and all have the company's id.
  void expect_pruned(std::span<const PgStatement* const> statements) {
    for (const PgStatement* statement : statements) {
      const std::string text = statement->text;
      if (text.find("earshot.") == std::string::npos) continue;  // BEGIN and the like
      const std::string plan = plan_of(*statement);
      const auto tables = tables_in(plan);
      std::set<std::string> numbers;
      for (const std::string& table : tables) numbers.insert(table.substr(table.size() - 1));
      const bool only_inserts = text.find("INSERT INTO") != std::string::npos;
      EXPECT_TRUE(numbers.size() == 1 || (only_inserts && numbers.empty()))
          << statement->name << ": " << numbers.size() << " partitions\n"
          << plan;
      EXPECT_NE(text.find("$1::bigint"), std::string::npos) << statement->name;
    }
  }
};

TEST_F(Pruning, StatementsOfRequestsReachOneShard) {
  std::vector<const PgStatement*> of_companies;
  for (const PgStatement* statement : kRequestStatements) {
    // Keys are on every server; and all companies that somebody watches are asked about at once.
    if (statement == &kFindKey || statement == &kFindRevisions) continue;
    of_companies.push_back(statement);
  }
  expect_pruned(of_companies);
}

TEST_F(Pruning, StatementsOfThoseWhoWaitReachOneShard) { expect_pruned(kCompanyStatements); }

TEST_F(Pruning, SeesAStatementThatReachesAllShards) {
  EXPECT_EQ(tables_in(plan_of(kListUsage)).size(), static_cast<std::size_t>(kPartitions));
  EXPECT_EQ(tables_in(plan_of({"one",
                               "SELECT name FROM earshot.companies"
                               " WHERE company_id = $1::bigint"}))
                .size(),
            1U);
}

TEST(Statements, HaveNamesOfTheirOwnAndKeepToWhatCitusDoes) {
  std::map<std::string, const PgStatement*> names;
  const auto check = [&](std::span<const PgStatement* const> statements) {
    for (const PgStatement* statement : statements) {
      const auto [known, is_new] = names.emplace(statement->name, statement);
      EXPECT_TRUE(is_new || known->second == statement) << statement->name;
      for (const char* avoided : {"ctid", "MERGE", "TRIGGER", "nextval", "advisory", "LISTEN",
                                  "NOTIFY", "xmax", "SAVEPOINT"}) {
        EXPECT_EQ(std::string(statement->text).find(avoided), std::string::npos)
            << statement->name << ": " << avoided;
      }
    }
  };
  check(kRequestStatements);
  check(kCompanyStatements);
  check(kReferenceStatements);
  check(kWholeStoreStatements);
  EXPECT_GT(names.size(), 70U);
}

}  // namespace
}  // namespace earshot::store
