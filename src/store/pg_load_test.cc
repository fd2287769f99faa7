#include "store/pg_load.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "model.h"
#include "random_records.h"
#include "store/pg_changes.h"
#include "store/pg_dump.h"
#include "store/pg_testing.h"

namespace earshot::store {
namespace {

using test::Model;

constexpr PgLoadLimits kTiny{.chunk_records = 3, .chunk_bytes = 4096, .removed_rows = 2};

Result<LoadReport> load(PgSession& session, std::vector<core::Record> records, Time now = Time{5},
                        PgLoadLimits limits = {}) {
  ListedRecords source(std::move(records));
  return load_over_postgres(
      session, source, {make_request_id(), "KEY"}, [now] { return now; }, limits);
}

std::vector<core::Record> dump(PgSession& session) {
  std::vector<core::Record> records;
  must(dump_over_postgres(session, [&](const core::Record& record) -> Status {
    records.push_back(record);
    return {};
  }));
  return records;
}

core::Record company_of(std::uint64_t id, std::string name = "One") {
  return {{id}, false, core::Company{{id}, std::move(name)}};
}
core::Record user_of(std::uint64_t id, bool remove = false) {
  core::User user;
  user.id = {id};
  return {{1}, remove, std::move(user)};
}
core::Record call_of(std::uint64_t id, bool remove = false) {
  core::Call call;
  call.id = {id};
  return {{1}, remove, std::move(call)};
}
core::Record share_of(std::uint64_t call, std::uint64_t user) {
  return {{1}, false, core::ShareLine{{call}, {user}}};
}
core::Record grant_of(std::uint64_t call, std::uint64_t user, core::Grant grant = {}) {
  return {{1}, false, core::GrantLine{{call}, {user}, std::move(grant)}};
}
core::Record key_of(std::uint64_t company, const std::string& name) {
  return {{company},
          false,
          core::KeyLine{{name, hash_secret("s"), {"a:b", "c \"d\" \\e"}, Time{77}}, std::nullopt}};
}

// Company 1 with users and calls 1 to 3, each call shared with and given to each user.
std::vector<core::Record> small_company() {
  std::vector<core::Record> records = {company_of(1)};
  for (std::uint64_t i = 1; i <= 3; ++i) records.push_back(user_of(i));
  for (std::uint64_t call = 1; call <= 3; ++call) {
    records.push_back(call_of(call));
    for (std::uint64_t user = 1; user <= 3; ++user) {
      records.push_back(share_of(call, user));
      records.push_back(grant_of(call, user));
    }
  }
  return records;
}

struct Tables : testing::Test {
  PgTestDatabase database;
  std::unique_ptr<PgSession> session = database.connect();

  // What the record of changes says, in order: the n-th change of a revision of a company.
  std::vector<Change> changes(std::uint64_t company, std::uint64_t revision) {
    static constexpr PgStatement kParts = {
        "parts",
        "SELECT revision, first_n, is_last, at, directory_revision, operation, request_id,"
        " access_key, call_ids, items_count, items, previous_hash FROM earshot.changes"
        " WHERE company_id = $1::bigint AND revision = $2::bigint ORDER BY first_n"};
    const PgResult parts = must(session->run(kParts, PgParams().add(company).add(revision)));
    std::vector<Change> all;
    for (int row = 0; row < parts.rows(); ++row) {
      const auto read = read_change_row({company}, parts, row);
      EXPECT_TRUE(read);
      auto part = decode_change(read->value());
      EXPECT_TRUE(part);
      for (Change& change : part->changes) all.push_back(std::move(change));
    }
    return all;
  }
  std::string head(const std::string& columns) {
    return database.ask("SELECT concat_ws(' ', " + columns +
                        ") FROM earshot.companies WHERE company_id = 1");
  }
};
using PgLoad = Tables;

TEST_F(PgLoad, KeepsWhatThingsWereUntilWhen) {
  const auto versions = [&] {
    return database.ask(
        "SELECT string_agg(what, ' ' ORDER BY what) FROM ("
        "SELECT 'w' || workspace_id || ':' || revision || '-' || until_revision AS what"
        " FROM earshot.workspace_versions UNION ALL "
        "SELECT 'p' || profile_id || ':' || revision || '-' || until_revision || permission_level"
        " || team_lead_ids::text FROM earshot.profile_versions UNION ALL "
        "SELECT 'u' || user_id || ':' || revision || '-' || until_revision || active || "
        "coalesce(manager_id::text, '')"
        " || profile_ids::text FROM earshot.user_versions) o");
  };
  core::User user{{2}, "a@x", "A", "B", {7}, true, {{20}, {21}}};
  core::Profile profile{{20}, {10}, "P", core::PermissionLevel::own, {{3}, {1}}};
  const core::Workspace workspace{{10}, "Sales"};
  must(load(*session, {company_of(1), {{1}, false, user}}, Time{5}, kTiny));
  must(load(*session, {{{1}, false, profile}, {{1}, false, workspace}}, Time{5}, kTiny));
  EXPECT_EQ(versions(), "") << "what is there is no version yet";
  EXPECT_EQ(head("versions_from, versions_to"), "0 2");
  user.active = false;
  // Twice in one load, and in two of its chunks.
  must(load(*session,
            {{{1}, false, user}, user_of(3), user_of(4), user_of(5), user_of(2, true), user_of(2)},
            Time{5}, kTiny));
  EXPECT_EQ(versions(), "u2:1-3true7{20,21}");
  EXPECT_EQ(head("versions_from, versions_to"), "0 3");
  must(load(*session, {{{1}, true, profile}, {{1}, false, user}}, Time{5}, kTiny));
  EXPECT_EQ(versions(), "p20:2-4own{3,1} u2:1-3true7{20,21} u2:3-4true{}");
  must(load(*session, {{{1}, true, core::Company{{1}, ""}}, company_of(1), {{1}, false, user}},
            Time{5}, kTiny));
  EXPECT_EQ(versions(),
            "p20:2-4own{3,1} u2:1-3true7{20,21} u2:3-4true{} u2:4-5false7{20,21} u3:3-5true{} "
            "u4:3-5true{}"
            " u5:3-5true{} w10:2-5");
  EXPECT_EQ(head("versions_from, versions_to"), "0 5");
}

TEST_F(PgLoad, KnowsThatALoadBeforeItKeptNoVersions) {
  must(load(*session, small_company()));
  must(load(*session, {user_of(4)}));
  EXPECT_EQ(head("versions_from, versions_to"), "0 2");
  // As the release before wrote it.
  database.ask(
      "UPDATE earshot.companies SET revision = 3, directory_revision = 3, hash = sha256('x')");
  must(load(*session, {user_of(5)}));
  EXPECT_EQ(head("versions_from, versions_to"), "3 4");
  must(load(*session, {user_of(6)}));
  EXPECT_EQ(head("versions_from, versions_to"), "3 5");
  // Grants leave it as it is.
  must(load(*session, {grant_of(1, 6)}));
  EXPECT_EQ(head("versions_from, versions_to"), "3 5");
}

TEST_F(PgLoad, PutsEverythingAndDumpsIt) {
  std::vector<core::Record> records = {company_of(1), key_of(1, "KEY\"1"), key_of(1, "KEY2")};
  records.push_back({{1}, false, core::Workspace{{10}, "Sales"}});
  core::Profile profile{{20}, {10}, "Managers", core::PermissionLevel::managers_team, {{3}, {1}}};
  records.push_back({{1}, false, profile});
  core::User user{{2}, "a@x", "A", "\"B\"\\", {7}, false, {{20}, {21}}};
  records.push_back({{1}, false, user});
  core::Call call{{9}, {10}, "Tïtle", "2026-03-01T10:00:00Z", {2}, {{5}, {4}}, true};
  records.push_back({{1}, false, call});
  records.push_back(share_of(9, 2));
  records.push_back(grant_of(9, 2, {Time{1'700'000'000'000'001}, "a note"}));
  records.push_back(company_of(2, ""));
  const auto report = load(*session, records);
  ASSERT_TRUE(report.has_value()) << report.error().message;
  EXPECT_EQ(report->records, records.size());
  EXPECT_EQ(report->changes, records.size());
  EXPECT_EQ(dump(*session), records);
  EXPECT_EQ(head("revision, directory_revision, extract(epoch from changed_at)"), "1 1 0.000005");
}

TEST_F(PgLoad, TheSameAgainChangesNothing) {
  must(load(*session, small_company()));
  for (const PgLoadLimits& limits : {PgLoadLimits{}, kTiny}) {
    const auto again = load(*session, small_company(), Time{6}, limits);
    ASSERT_TRUE(again.has_value()) << again.error().message;
    EXPECT_EQ(again->changes, 0U);
    EXPECT_EQ(again->records, small_company().size());
  }
  EXPECT_EQ(head("revision"), "1");
}

TEST_F(PgLoad, MakesOneRevisionOfEachCompanyThatChanged) {
  must(load(*session, {company_of(1), company_of(2), company_of(3)}));
  must(load(*session, {user_of(1), {{2}, false, core::Workspace{{1}, "x"}}, company_of(3)}));
  EXPECT_EQ(database.ask("SELECT string_agg(revision::text, ' ' ORDER BY company_id)"
                         " FROM earshot.companies"),
            "2 2 1");
}

TEST_F(PgLoad, OnlyChangesToTheDirectoryMoveItsRevision) {
  must(load(*session, small_company()));
  must(load(*session, {call_of(7)}));
  EXPECT_EQ(head("revision, directory_revision"), "2 1");
  must(load(*session, {key_of(1, "K")}));
  EXPECT_EQ(head("revision, directory_revision"), "3 3");
}

TEST_F(PgLoad, TimesNeverGoBack) {
  must(load(*session, {company_of(1)}, Time{9'000'000}));
  must(load(*session, {company_of(1, "Two")}, Time{4'000'000}));
  EXPECT_EQ(head("extract(epoch from changed_at)::int"), "9");
  EXPECT_EQ(database.ask("SELECT min(extract(epoch from at))::int FROM earshot.changes"), "9");
}

TEST_F(PgLoad, ReportsTheFirstBadRecordAndAppliesNone) {
  must(load(*session, {company_of(1)}));
  const Error later = unavailable("the source failed");
  for (const PgLoadLimits& limits : {PgLoadLimits{}, kTiny}) {
    ListedRecords source({user_of(1), user_of(2), grant_of(8, 1), share_of(9, 9)}, later);
    const auto report = load_over_postgres(
        *session, source, {make_request_id(), ""}, [] { return Time{6}; }, limits);
    ASSERT_FALSE(report.has_value());
    EXPECT_EQ(report.error().code, Code::invalid_argument);
    EXPECT_EQ(report.error().message, "list:3: call 8 is not there: put it first");
    ListedRecords cut_off({user_of(1), user_of(2)}, later);
    const auto cut = load_over_postgres(
        *session, cut_off, {make_request_id(), ""}, [] { return Time{6}; }, limits);
    ASSERT_FALSE(cut.has_value());
    EXPECT_EQ(cut.error().code, Code::unavailable);
  }
  EXPECT_EQ(dump(*session), std::vector<core::Record>{company_of(1)});
  EXPECT_EQ(head("revision"), "1");
}

TEST_F(PgLoad, WithPatienceWaitsForOthersOnlySoLong) {
  must(load(*session, small_company()));
  const auto other = database.connect();
  const auto load_for = [&](PgLoadPatience patience) {
    ListedRecords source({user_of(9)});
    return load_over_postgres(
        *session, source, {make_request_id(), "K"}, [] { return Time{6}; }, {}, patience);
  };
  const std::chrono::milliseconds little(50), much(60'000);
  const struct {
    const char* taken;
    PgLoadPatience patience;
    const char* says;
  } rows[] = {
      {"SELECT 1 FROM earshot.load_lock FOR UPDATE", {little, much}, "another load is under way"},
      {"SELECT 1 FROM earshot.companies FOR UPDATE", {much, little}, "(55P03)"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.taken);
    must(other->begin());
    must(other->run_text(row.taken));
    const auto begun = std::chrono::steady_clock::now();
    const auto refused = load_for(row.patience);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, Code::unavailable);
    EXPECT_NE(refused.error().message.find("none of the records was applied"), std::string::npos);
    EXPECT_NE(refused.error().message.find(row.says), std::string::npos) << refused.error().message;
    EXPECT_LT(std::chrono::steady_clock::now() - begun, much / 2);
    other->roll_back();
  }
  EXPECT_EQ(head("revision"), "1");
  EXPECT_EQ(must(load_for({little, much})).changes, 1U);
}

TEST_F(PgLoad, LeavesNothingOfACompanyThatWasOnlyAskedFor) {
  must(load(*session, {user_of(1, true), company_of(2)}));
  EXPECT_EQ(head("revision"), "");
}

TEST_F(PgLoad, AnAccessKeyBelongsToOneCompany) {
  must(load(*session, {company_of(1), key_of(1, "K"), company_of(2)}));
  const auto taken = load(*session, {key_of(2, "K")});
  ASSERT_FALSE(taken.has_value());
  EXPECT_EQ(taken.error().code, Code::invalid_argument);
  core::Record removal = key_of(1, "K");
  removal.remove = true;
  must(load(*session, {removal, key_of(2, "K")}));
  EXPECT_EQ(database.ask("SELECT company_id FROM earshot.keys"), "2");
}

TEST_F(PgLoad, RemovingAUserTakesItsRowsAlongInTheSameRevision) {
  must(load(*session, small_company()));
  const auto report = load(*session, {user_of(2, true), user_of(2)}, Time{6}, kTiny);
  ASSERT_TRUE(report.has_value()) << report.error().message;
  EXPECT_EQ(report->changes, 8U);  // the user, three shares, three grants, the user again
  EXPECT_EQ(database.ask("SELECT count(*) FROM earshot.shares WHERE user_id = 2"), "0");
  EXPECT_EQ(database.ask("SELECT count(*) FROM earshot.grants"), "6");
  const auto made = changes(1, 2);
  ASSERT_EQ(made.size(), 8U);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto& share = std::get<ShareChanged>(made[1 + i]);
    EXPECT_EQ(share.call, CallId{i + 1});
    EXPECT_TRUE(share.before && !share.after);
    const auto& grant = std::get<GrantChanged>(made[4 + i]);
    EXPECT_EQ(grant.call, CallId{i + 1});
    EXPECT_TRUE(grant.before && !grant.after);
  }
}

TEST_F(PgLoad, RemovingACallTakesItsRowsAlong) {
  must(load(*session, small_company()));
  EXPECT_EQ(must(load(*session, {call_of(2, true)}, Time{6}, kTiny)).changes, 7U);
  EXPECT_EQ(database.ask("SELECT count(*) FROM earshot.grants WHERE call_id = 2"), "0");
  EXPECT_EQ(database.ask("SELECT call_ids FROM earshot.changes WHERE revision = 2"), "{2}");
  EXPECT_EQ(must(load(*session, {call_of(2, true)})).changes, 0U);
}

TEST_F(PgLoad, RemovingACompanyTakesEverythingAlongAndKeepsTheRecord) {
  std::vector<core::Record> records = small_company();
  records.push_back(key_of(1, "K1"));
  records.push_back(key_of(1, "K2"));
  records.push_back({{1}, false, core::Workspace{{10}, "Sales"}});
  records.push_back({{1}, false, core::Profile{{20}, {10}, "P", core::PermissionLevel::all, {}}});
  must(load(*session, records));
  must(load(*session, {company_of(2)}));
  core::Record removal = company_of(1);
  removal.remove = true;
  const auto report = load(*session, {removal}, Time{6}, kTiny);
  ASSERT_TRUE(report.has_value()) << report.error().message;
  EXPECT_EQ(report->changes, records.size());
  for (const std::string table :
       {"workspaces", "profiles", "users", "calls", "shares", "grants", "keys"}) {
    EXPECT_EQ(database.ask("SELECT count(*) FROM earshot." + table), "0") << table;
  }
  EXPECT_EQ(head("revision, directory_revision, coalesce(name, '-')"), "2 2 -");
  const auto made = changes(1, 2);
  ASSERT_EQ(made.size(), records.size());
  EXPECT_EQ(std::get<KeyChanged>(made[0]).access_key, "K1");
  EXPECT_EQ(std::get<ThingChanged>(made[2]).kind, ThingKind::company);
  // And it can come back, in the same load too.
  must(load(*session, {company_of(1), removal, company_of(1, "New"), user_of(1)}));
  EXPECT_EQ(dump(*session), (std::vector{company_of(1, "New"), user_of(1), company_of(2)}));
}

TEST_F(PgLoad, SplitsALargeRevisionIntoParts) {
  std::vector<core::Record> records = {company_of(1)};
  const std::string name(4000, 'x');
  for (std::uint64_t i = 1; i <= 300; ++i) {
    core::User user;
    user.id = {i};
    user.first_name = name;
    records.push_back({{1}, false, user});
  }
  must(load(*session, records));
  EXPECT_EQ(database.ask("SELECT count(*) FROM earshot.changes"), "5");
  EXPECT_EQ(database.ask("SELECT max(length(items)) < 300000 FROM earshot.changes"), "t");
  EXPECT_EQ(database.ask("SELECT string_agg(is_last::text, ' ' ORDER BY first_n)"
                         " FROM earshot.changes"),
            "false false false false true");
  EXPECT_EQ(changes(1, 1).size(), 301U);
}

TEST_F(PgLoad, RandomHistoriesComeToTheModel) {
  const std::uint64_t seed = test::test_seed();
  SCOPED_TRACE("EARSHOT_SEED=" + std::to_string(seed));
  test::RandomRecords random(seed);
  Model model;
  int bad = 0, good = 0;
  for (int step = 0; step < 150; ++step) {
    Model tried = model;
    std::vector<core::Record> records;
    bool is_good = true;
    for (auto count = 1 + random.below(12); count > 0; --count) {
      const core::Record record = random.next();
      Model next = tried;
      const bool applies = next.apply(record).has_value();
      // Most are good, so that the loads come to something.
      if (!applies && random.percent(90)) continue;
      is_good = is_good && applies;
      if (is_good) tried = std::move(next);
      records.push_back(record);
    }
    const auto loaded =
        load(*session, records, Time{step}, random.percent(50) ? kTiny : PgLoadLimits{});
    ASSERT_EQ(loaded.has_value(), is_good) << (loaded ? "" : loaded.error().message);
    if (is_good) model = std::move(tried);
    ++(is_good ? good : bad);
    if (step % 10 == 9) {
      ASSERT_EQ(dump(*session), model.dump()) << "step " << step;
    }
  }
  EXPECT_GT(good, 50);
  EXPECT_GT(bad, 5);
}

TEST_F(PgLoad, LoadsTakeTurns) {
  must(load(*session, {company_of(1)}));
  constexpr std::uint64_t kLoaders = 4, kLoads = 10;
  std::vector<std::thread> loaders;
  for (std::uint64_t loader = 0; loader < kLoaders; ++loader) {
    loaders.emplace_back([&, loader] {
      const auto own = database.connect();
      for (std::uint64_t i = 0; i < kLoads; ++i) {
        const auto report = load(*own, {user_of(1 + loader * kLoads + i)});
        EXPECT_TRUE(report.has_value()) << report.error().message;
      }
    });
  }
  for (std::thread& loader : loaders) loader.join();
  EXPECT_EQ(head("revision"), std::to_string(1 + kLoaders * kLoads));
  EXPECT_EQ(dump(*session).size(), 1 + kLoaders * kLoads);
}

// Where the connection ends while a load is under way.
class BreakingSource final : public RecordSource {
 public:
  explicit BreakingSource(std::function<void()> breaks) : breaks_(std::move(breaks)) {}
  Result<const core::Record*> next() override {
    if (++given_ == 10) breaks_();
    record_ = given_ == 1 ? company_of(1) : user_of(given_);
    return given_ > 20 ? nullptr : &record_;
  }
  std::string position() const override { return std::to_string(given_); }

 private:
  std::function<void()> breaks_;
  std::uint64_t given_ = 0;
  core::Record record_;
};

TEST_F(PgLoad, ALostConnectionLeavesNothing) {
  const std::string pid =
      PQgetvalue(must(session->run_text("SELECT pg_backend_pid()")).get(), 0, 0);
  BreakingSource source([&] { run_on_test_server("SELECT pg_terminate_backend(" + pid + ")"); });
  const auto report = load_over_postgres(
      *session, source, {make_request_id(), ""}, [] { return Time{6}; }, kTiny);
  ASSERT_FALSE(report.has_value());
  EXPECT_EQ(report.error().code, Code::unavailable);
  EXPECT_TRUE(report.error().message.starts_with("none of the records was applied"))
      << report.error().message;
  EXPECT_EQ(dump(*database.connect()), std::vector<core::Record>{});
}

TEST_F(PgLoad, AConnectionLostAtTheCommitMeansThatNobodyKnows) {
  // A check that waits until the commit, and then ends the connection.
  must(session->run_text(
      "CREATE FUNCTION public.end_it() RETURNS trigger LANGUAGE plpgsql AS"
      " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;"
      "CREATE CONSTRAINT TRIGGER end_it AFTER INSERT ON earshot.users DEFERRABLE INITIALLY DEFERRED"
      " FOR EACH ROW EXECUTE FUNCTION public.end_it()"));
  const auto report = load(*session, {company_of(1), user_of(1)});
  ASSERT_FALSE(report.has_value());
  EXPECT_EQ(report.error().code, Code::unavailable);
  EXPECT_TRUE(report.error().message.starts_with("it is not known whether"))
      << report.error().message;
}

}  // namespace
}  // namespace earshot::store
