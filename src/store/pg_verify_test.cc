#include "store/pg_verify.h"

#include <gtest/gtest.h>

#include "random_records.h"
#include "store/pg_load.h"
#include "store/pg_retention.h"
#include "store/pg_testing.h"

namespace earshot::store {
namespace {

struct PgVerify : testing::Test {
  PgTestDatabase database;
  std::unique_ptr<PgSession> session = database.connect();

  Status load(std::vector<core::Record> records, Time now) {
    ListedRecords source(std::move(records));
    TRY(load_over_postgres(*session, source, {make_request_id(), "KEY"}, [now] { return now; },
                           {}));
    return {};
  }
  // Company 1 with one of each, in three revisions.
  void load_one_of_each() {
    core::User user;
    user.id = {2};
    core::Call call;
    call.id = {9};
    must(load({{{1}, false, core::Company{{1}, "One"}},
               {{1}, false, core::KeyLine{{"K", hash_secret("s"), {}, std::nullopt}, std::nullopt}},
               {{1}, false, core::Workspace{{10}, "Sales"}},
               {{1}, false, core::Profile{{20}, {10}, "P", core::PermissionLevel::all, {}}},
               {{1}, false, user}},
              Time{1'000'000}));
    must(load({{{1}, false, call}, {{1}, false, core::ShareLine{{9}, {2}}}}, Time{2'000'000}));
    must(load({{{1}, false, core::GrantLine{{9}, {2}, {Time{5'000'000}, "note"}}}},
              Time{3'000'000}));
  }
  std::string faults() {
    const VerifyReport report = must(verify_over_postgres(*database.connect()));
    std::string all;
    for (const std::string& fault : report.faults) all += fault + "\n";
    return all;
  }
};

TEST_F(PgVerify, FindsARandomHistorySoundAndCountsIt) {
  const std::uint64_t seed = test::test_seed();
  SCOPED_TRACE("EARSHOT_SEED=" + std::to_string(seed));
  test::RandomRecords random(seed);
  for (int step = 0; step < 150; ++step) {
    std::vector<core::Record> records;
    for (auto count = 1 + random.below(3); count > 0; --count) records.push_back(random.next());
    const Status loaded = load(std::move(records), Time{step});  // a bad one leaves nothing
    ASSERT_TRUE(loaded || loaded.error().code == Code::invalid_argument);
  }
  EXPECT_EQ(faults(), "");
  const VerifyReport report = must(verify_over_postgres(*session));
  EXPECT_EQ(std::to_string(report.grants), database.ask("SELECT count(*) FROM earshot.grants"));
  EXPECT_EQ(std::to_string(report.shares), database.ask("SELECT count(*) FROM earshot.shares"));
  EXPECT_EQ(std::to_string(report.calls), database.ask("SELECT count(*) FROM earshot.calls"));
  EXPECT_EQ(std::to_string(report.changes),
            database.ask("SELECT sum(items_count) FROM earshot.changes"));
  EXPECT_EQ(std::to_string(report.companies),
            database.ask("SELECT count(name) FROM earshot.companies"));
}

TEST_F(PgVerify, FindsWhatWasChangedByHand) {
  load_one_of_each();
  ASSERT_EQ(faults(), "");
  const struct {
    const char* tampering;
    const char* fault;  // in the text of one
  } cases[] = {
      {"UPDATE earshot.changes SET items = set_byte(items, 9, get_byte(items, 9) # 1)"
       " WHERE revision = 2",
       "does not hold the hash of the part before it"},
      {"UPDATE earshot.changes SET items = set_byte(items, 3, get_byte(items, 3) # 1)"
       " WHERE revision = 3",
       "is not what the record of changes ends with"},
      {"UPDATE earshot.changes SET items = '' WHERE revision = 2", "cannot be decoded"},
      {"UPDATE earshot.changes SET access_key = 'OTHER' WHERE revision = 1",
       "does not hold the hash"},
      {"UPDATE earshot.changes SET request_id = 'x y' WHERE revision = 1", "cannot be read"},
      {"UPDATE earshot.changes SET call_ids = '{}' WHERE revision = 3", "names other calls"},
      {"UPDATE earshot.changes SET at = at + interval '1 hour' WHERE revision = 2",
       "is older than the one before it"},
      {"DELETE FROM earshot.changes WHERE revision = 2", "something is missing"},
      {"DELETE FROM earshot.changes WHERE revision = 1", "retention cut only up to revision 0"},
      {"DELETE FROM earshot.changes WHERE revision = 3", "says revision 3"},
      {"UPDATE earshot.changes SET is_last = false WHERE revision = 3", "lacks its last part"},
      {"UPDATE earshot.grants SET note = 'mine'", "are not what the record of changes comes to"},
      {"UPDATE earshot.grants SET expires_at = NULL", "are not what the record of changes"},
      {"UPDATE earshot.grants SET revision = 77", "carries revision 77, the record ends at 3"},
      {"DELETE FROM earshot.shares", "are not what the record of changes comes to"},
      {"INSERT INTO earshot.grants (company_id, call_id, user_id, revision) VALUES (1, 9, 3, 3)",
       "user 3 has a row, and the user is not there"},
      {"INSERT INTO earshot.shares (company_id, call_id, user_id, revision) VALUES (1, 99, 2, 3)",
       "call 99, user 2 has a row, and the call is not there"},
      {"UPDATE earshot.calls SET is_private = true", "are not what the record of changes"},
      {"UPDATE earshot.users SET active = false", "user 2 is not what the record"},
      {"UPDATE earshot.profiles SET permission_level = 'none'", "profile 20 is not what the"},
      {"DELETE FROM earshot.workspaces", "workspace 10 is not there, and the record"},
      {"UPDATE earshot.keys SET scopes = '{admin}'", "access key K is not what the record"},
      {"UPDATE earshot.keys SET company_id = 5", "it has rows in keys, and none in companies"},
      {"UPDATE earshot.companies SET name = 'Two'", "the company 1 is not what the record"},
      {"UPDATE earshot.companies SET name = NULL", "is of a company that is not there"},
      {"UPDATE earshot.companies SET hash = sha256('x')", "is not what the record of changes ends"},
      {"UPDATE earshot.companies SET directory_revision = 2", "is not what the record of changes"},
      {"UPDATE earshot.companies SET changed_at = changed_at + interval '1 second'",
       "is not what the record of changes ends"},
      {"DELETE FROM earshot.companies", "it has rows in changes, and none in companies"},
  };
  // Each alone: what a case does is put back after it.
  for (const std::string table : {"companies", "keys", "workspaces", "profiles", "users", "calls",
                                  "shares", "grants", "changes"}) {
    database.ask("CREATE TABLE public." + table + " AS TABLE earshot." + table);
  }
  for (const auto& c : cases) {
    database.ask(c.tampering);
    EXPECT_NE(faults().find(c.fault), std::string::npos)
        << c.tampering << "\nexpected: " << c.fault << "\ngot: " << faults();
    for (const std::string table : {"companies", "keys", "workspaces", "profiles", "users", "calls",
                                    "shares", "grants", "changes"}) {
      database.ask("DELETE FROM earshot." + table + "; INSERT INTO earshot." + table +
                   " TABLE public." + table);
    }
    ASSERT_EQ(faults(), "") << "after " << c.tampering;
  }
}

TEST_F(PgVerify, FindsVersionsChangedByHand) {
  load_one_of_each();
  core::User user;
  user.id = {2};
  user.manager = {7};
  must(load({{{1}, false, user}, {{1}, true, core::Workspace{{10}, ""}}}, Time{4'000'000}));
  must(load({{{1}, true, user},
             {{1}, false, core::Profile{{20}, {10}, "P", core::PermissionLevel::own, {{2}}}}},
            Time{5'000'000}));
  user.active = false;
  must(load({{{1}, false, user}}, Time{6'000'000}));
  ASSERT_EQ(database.ask("SELECT string_agg(revision || '-' || until_revision, ' ' ORDER BY"
                         " revision) FROM earshot.user_versions"),
            "1-4 4-5");
  ASSERT_EQ(faults(), "");
  const std::string wrong = "what the directory was is not what the record";
  const std::string overlap = "when it was another";
  const struct {
    const char* tampering;
    std::string fault;
  } cases[] = {
      {"UPDATE earshot.user_versions SET manager_id = 8 WHERE revision = 4", wrong},
      {"UPDATE earshot.user_versions SET active = false WHERE revision = 1", wrong},
      {"DELETE FROM earshot.user_versions WHERE revision = 1", wrong},
      {"UPDATE earshot.user_versions SET until_revision = 5 WHERE revision = 1", overlap},
      {"UPDATE earshot.user_versions SET until_revision = 7 WHERE revision = 4", overlap},
      {"UPDATE earshot.profile_versions SET permission_level = 'none'", wrong},
      {"UPDATE earshot.profile_versions SET team_lead_ids = '{1}'", wrong},
      {"UPDATE earshot.profile_versions SET until_revision = 6", overlap},
      {"UPDATE earshot.workspace_versions SET revision = 2", wrong},
      {"DELETE FROM earshot.workspace_versions", wrong},
      {"INSERT INTO earshot.workspace_versions VALUES (1, 11, 2, 3)", wrong},
      {"INSERT INTO earshot.workspace_versions VALUES (1, 11, 2, 30)", overlap},
      {"INSERT INTO earshot.workspace_versions VALUES (5, 1, 2, 3)",
       "it has rows in workspace_versions, and none in companies"},
  };
  const std::vector<std::string> tables = {"workspace_versions", "profile_versions",
                                           "user_versions"};
  for (const std::string& table : tables) {
    database.ask("CREATE TABLE public." + table + " AS TABLE earshot." + table);
  }
  for (const auto& c : cases) {
    database.ask(c.tampering);
    EXPECT_NE(faults().find(c.fault), std::string::npos)
        << c.tampering << "\nexpected: " << c.fault << "\ngot: " << faults();
    for (const std::string& table : tables) {
      database.ask("DELETE FROM earshot." + table + "; INSERT INTO earshot." + table +
                   " TABLE public." + table);
    }
    ASSERT_EQ(faults(), "") << "after " << c.tampering;
  }
  // Of what was before a load that kept no versions nothing is known.
  database.ask("DELETE FROM earshot.user_versions; UPDATE earshot.companies SET versions_to = 5");
  EXPECT_EQ(faults(), "");
}

TEST_F(PgVerify, ListsABoundedNumberOfFaults) {
  load_one_of_each();
  database.ask(
      "INSERT INTO earshot.grants (company_id, call_id, user_id, revision)"
      " SELECT 1, n, n, 1 FROM generate_series(100, 400) n");
  EXPECT_EQ(must(verify_over_postgres(*session)).faults.size(), kVerifyFaultsMax);
}

// --- retention, which verify must agree with

TEST_F(PgVerify, RetentionCutsWhatIsOldAndTheNewestStays) {
  load_one_of_each();
  must(apply_retention_over_postgres(*session, {Time{2'000'000}, {}}));
  EXPECT_EQ(database.ask("SELECT min(revision) FROM earshot.changes"), "2");
  EXPECT_EQ(database.ask("SELECT horizon FROM earshot.companies"), "1");
  EXPECT_EQ(faults(), "");
  must(apply_retention_over_postgres(*session, {Time{9'000'000}, {}}));
  EXPECT_EQ(database.ask("SELECT min(revision) FROM earshot.changes"), "3");
  EXPECT_EQ(database.ask("SELECT horizon FROM earshot.companies"), "2");
  EXPECT_EQ(faults(), "");
  must(apply_retention_over_postgres(*session, {Time{9'000'000}, {}}));
  EXPECT_EQ(database.ask("SELECT count(*) FROM earshot.changes"), "1");
  must(load({{{1}, false, core::Company{{1}, "Two"}}}, Time{4'000'000}));
  EXPECT_EQ(faults(), "");
  // More than was cut is missing.
  database.ask("UPDATE earshot.companies SET horizon = 1");
  EXPECT_NE(faults().find("retention cut only up to revision 1"), std::string::npos);
}

TEST_F(PgVerify, RetentionKeepsTheVersionsInForceAtTheHorizon) {
  load_one_of_each();
  core::User user;
  user.id = {2};
  for (const std::int64_t second : {4, 5, 6}) {
    user.manager.value = static_cast<std::uint64_t>(second);
    must(load({{{1}, false, user}}, Time{second * 1'000'000}));
  }
  const auto versions = [&] {
    return database.ask(
        "SELECT string_agg(revision || '-' || until_revision, ' ' ORDER BY revision)"
        " FROM earshot.user_versions");
  };
  ASSERT_EQ(versions(), "1-4 4-5 5-6");
  must(apply_retention_over_postgres(*session, {Time{4'000'000}, {}}));
  EXPECT_EQ(versions(), "1-4 4-5 5-6") << "the first is in force at the horizon, revision 3";
  EXPECT_EQ(faults(), "");
  must(apply_retention_over_postgres(*session, {Time{5'000'000}, {}}));
  EXPECT_EQ(versions(), "4-5 5-6");
  EXPECT_EQ(faults(), "");
  must(apply_retention_over_postgres(*session, {Time{9'000'000}, {}}));
  EXPECT_EQ(versions(), "5-6");
  EXPECT_EQ(faults(), "");
}

TEST_F(PgVerify, RetentionCutsTheVersionsOfEveryKind) {
  load_one_of_each();
  core::User user;
  user.id = {2};
  for (const std::int64_t second : {4, 5}) {
    const std::string name = "Of " + std::to_string(second);
    user.first_name = name;
    must(load({{{1}, false, core::Workspace{{10}, name}},
               {{1}, false, core::Profile{{20}, {10}, name, core::PermissionLevel::all, {}}},
               {{1}, false, user}},
              Time{second * 1'000'000}));
  }
  const auto versions = [&](const std::string& kind) {
    return database.ask("SELECT string_agg(revision::text, ' ' ORDER BY revision) FROM earshot." +
                        kind + "_versions");
  };
  for (const std::string kind : {"workspace", "profile", "user"}) ASSERT_EQ(versions(kind), "1 4");
  must(apply_retention_over_postgres(*session, {{}, 1}));
  for (const std::string kind : {"workspace", "profile", "user"}) EXPECT_EQ(versions(kind), "4");
  EXPECT_EQ(faults(), "");
}

TEST_F(PgVerify, RetentionCutsALongRecordInSteps) {
  load_one_of_each();
  // As many revisions as two steps do not cut.
  database.ask(
      "INSERT INTO earshot.changes SELECT 1, n, 0, true, at, 1, operation, request_id, access_key,"
      " call_ids, items_count, items, previous_hash"
      " FROM earshot.changes, generate_series(4, 2500) n WHERE revision = 3;"
      "UPDATE earshot.companies SET revision = 2500");
  must(apply_retention_over_postgres(*session, {Time{9'000'000}, {}}));
  EXPECT_EQ(database.ask("SELECT string_agg(revision::text, ' ') FROM earshot.changes"), "2500");
  EXPECT_EQ(database.ask("SELECT horizon FROM earshot.companies"), "2499");
}

TEST_F(PgVerify, FindsAnswersThatNobodyWasGiven) {
  load_one_of_each();
  const auto keep = [&](const std::string& company, const std::string& revision,
                        const std::string& request_id, const std::string& results) {
    database.ask("DELETE FROM earshot.kept_answers; INSERT INTO earshot.kept_answers VALUES (" +
                 company + ", sha256('k'), sha256('r'), now(), '" + request_id + "', " + revision +
                 ", '\\x" + results + "')");
    return faults();
  };
  EXPECT_EQ(keep("1", "3", "abc", "0100"), "");
  for (const std::string& found :
       {keep("1", "4", "abc", "0100"), keep("1", "3", "abc", "00"), keep("1", "3", "NO", "0100")}) {
    EXPECT_NE(found.find("answer"), std::string::npos) << found;
  }
  EXPECT_NE(keep("8", "3", "abc", "0100").find("company 8"), std::string::npos);
}

}  // namespace
}  // namespace earshot::store
