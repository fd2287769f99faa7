// A company as it was, over PostgreSQL: held against the model with its past, and where it ends.
#include "store/pg_past.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "conformance/store_suite.h"
#include "core/explain.h"
#include "random_records.h"
#include "store/pg_retention.h"
#include "store/pg_statements.h"
#include "store/pg_testing.h"
#include "timeline.h"

namespace earshot::test {
namespace {

using store::Moment;
using store::must;
using store::PgTestDatabase;

constexpr CompanyId kCompany{1};
constexpr std::uint64_t kUsers = 9, kCalls = 7;  // one more of each than there are

struct PgPast : testing::Test {
  PgPast() { open(); }

  void open() {
    store.reset();
    options.url = database.url();
    options.clock = [this] { return Time{now}; };
    options.expiry_every = std::chrono::hours(1);  // sweeps would be revisions, too
    store = must(store::open_postgres(options));
  }
  void load(const std::vector<core::Record>& records) {
    for (const core::Record& record : records) ASSERT_TRUE(timeline.now.apply(record));
    const auto loaded = load_now(*store, records);
    ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
    if (loaded->changes > 0) timeline.note(kCompany, Time{now});
  }
  void write(store::Operation operation, const std::vector<core::CallUsers>& calls) {
    const Time at = timeline.judged_now(kCompany, Time{now});
    const auto outcome = write_now(*store, command_of(operation, kCompany, calls));
    ASSERT_TRUE(outcome.has_value()) << outcome.error().message;
    const core::Decision wanted = operation == store::Operation::give
                                      ? timeline.now.give(kCompany, calls, at)
                                      : timeline.now.remove(kCompany, calls, at);
    ASSERT_TRUE(same_decision(outcome->decision, wanted));
    const auto* changes = std::get_if<std::vector<core::GrantChange>>(&wanted);
    if (changes && !changes->empty()) timeline.note(kCompany, Time{now});
    ASSERT_EQ(outcome->revision, timeline.newest(kCompany));
  }
  Result<store::AccessView> access(const Moment& moment, std::vector<core::CallUsers> calls,
                                   bool everybody = false) {
    store::AccessCommand command;
    command.company = kCompany;
    command.calls = std::move(calls);
    command.everybody = everybody;
    command.moment = moment;
    return read_access_now(*store, command);
  }

  // Every pair, by name and with everybody; then the calls of every user.
  void expect_as_it_was(const Moment& moment, std::uint64_t salt) {
    const auto as_of = timeline.find(kCompany, moment, Time{now});
    for (const bool everybody : {false, true}) {
      std::vector<core::CallUsers> calls;
      for (std::uint64_t call = kCalls; call > 0; --call) {
        calls.push_back({{call}, {}});
        for (std::uint64_t user = 1; user <= kUsers && !everybody; ++user) {
          calls.back().users.push_back({user});
        }
      }
      const auto view = access(moment, calls, everybody);
      ASSERT_EQ(view.has_value(), as_of.has_value()) << (view ? "" : view.error().message);
      if (!view) {
        ASSERT_EQ(view.error().code, as_of.error().code);
        return;
      }
      ASSERT_EQ(view->as_of.revision, as_of->revision);
      ASSERT_EQ(view->as_of.time, as_of->time);
      const Model& then = timeline.at(kCompany, as_of->revision);
      for (std::size_t i = 0; i < calls.size(); ++i) {
        core::CallExplainer explainer(*view->directory, *view->entries[i]);
        for (std::uint64_t user = 1; user <= kUsers; ++user) {
          const auto why = explainer.explain({user}, as_of->time);
          const Told told = then.tell(kCompany, calls[i].call, {user}, as_of->time);
          ASSERT_EQ(why.ways, told.ways) << to_string(calls[i].call) << " " << user << " at "
                                         << as_of->revision << (everybody ? " of all" : "");
          ASSERT_EQ(why.ways_if_active, told.ways_if_active);
          ASSERT_EQ(why.refusal == core::Refusal::none, told.reason.empty());
          ASSERT_EQ(told.grant ? why.grant : told.grant, told.grant);
          ASSERT_EQ(told.chain.empty() ? told.chain : why.profile->chain, told.chain);
        }
      }
    }
    expect_calls_of_user(moment, *as_of, {1 + salt % kUsers},
                         static_cast<core::Ways>(1 + salt / kUsers % core::kAllWays), 1 + salt % 4);
  }
  void expect_calls_of_user(const Moment& moment, const store::AsOf& as_of, UserId user,
                            core::Ways ways, std::size_t calls_max) {
    store::UserCallsCommand command;
    command.company = kCompany;
    command.user = user;
    command.ways = ways;
    command.calls_max = calls_max;
    command.moment = moment;
    std::map<CallId, core::Ways> found, wanted;
    for (bool is_over = false; !is_over;) {
      const auto view = read_user_calls_now(*store, command);
      ASSERT_TRUE(view.has_value()) << view.error().message;
      ASSERT_LE(view->calls.size(), calls_max);
      for (std::size_t i = 0; i < view->calls.size(); ++i) {
        ASSERT_GT(view->calls[i], command.after);
        const auto holding =
            core::ways(*view->directory, view->entries[i]->unpack(), user, as_of.time);
        if ((holding & ways) != 0) {
          ASSERT_TRUE(found.insert({view->calls[i], holding}).second);
        }
      }
      is_over = !view->last;
      if (view->last) command.after = *view->last;
      command.moment = {view->as_of.revision, view->as_of.time};  // as a cursor would
    }
    for (std::uint64_t call = 1; call <= kCalls; ++call) {
      const core::Ways holding =
          timeline.at(kCompany, as_of.revision).ways(kCompany, {call}, user, as_of.time);
      if ((holding & ways) != 0) wanted[{call}] = holding;
    }
    ASSERT_EQ(found, wanted) << "user " << user.value << " ways " << int{ways} << " at "
                             << as_of.revision;
  }

  PgTestDatabase database;
  store::PostgresOptions options;
  std::atomic<std::int64_t> now{1'772'359'200'000'000};
  std::unique_ptr<store::Store> store;
  Timeline timeline;
};

TEST_F(PgPast, IsWhatTheModelKept) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("EARSHOT_SEED=" + std::to_string(seed));
  RandomRecords random(seed);
  load({{kCompany, false, core::Company{kCompany, "One"}}});
  const auto expect_some = [&] {
    const core::Revision newest = timeline.newest(kCompany);
    Moment moment;
    const auto dice = random.below(10);
    if (dice < 6) moment.revision = random.below(newest + 2);
    if (dice > 3) {
      const core::Revision near = random.below(newest + 1);
      const std::int64_t at = near == 0 ? now.load() : timeline.time_of(kCompany, near).micros;
      moment.at = Time{at + static_cast<std::int64_t>(random.below(7)) - 3};
    }
    expect_as_it_was(moment, random.below(1000));
  };
  for (int round = 0; round < 40; ++round) {
    for (int step = 0; step < 4; ++step) {
      now += static_cast<std::int64_t>(random.below(5)) - 1;  // back, too
      if (random.percent(60)) {
        // A load that is good, of this company.
        std::vector<core::Record> records;
        Model tried = timeline.now;
        for (auto count = 1 + random.below(6); count > 0; --count) {
          core::Record record = random.next();
          record.company = kCompany;
          if (auto* company = std::get_if<core::Company>(&record.thing)) company->id = kCompany;
          if (tried.apply(record)) records.push_back(std::move(record));
        }
        load(records);
      } else {
        std::set<CallId> named;
        for (auto count = random.below(4); count > 0; --count) named.insert(random.call_id());
        std::vector<core::CallUsers> calls;
        for (const CallId call : named) {
          std::set<UserId> users;
          for (auto count = random.below(4); count > 0; --count) users.insert(random.user_id());
          calls.push_back({call, {users.begin(), users.end()}});
        }
        write(random.percent(50) ? store::Operation::give : store::Operation::remove, calls);
      }
      if (HasFatalFailure()) return;
    }
    expect_some();
    if (HasFatalFailure()) return;
    if (round % 16 == 15) open();
  }
  for (core::Revision revision = 0; revision <= timeline.newest(kCompany); revision += 3) {
    expect_as_it_was({revision, std::nullopt}, random.below(1000));
    if (HasFatalFailure()) return;
  }
  const auto verified = store->verify();
  ASSERT_TRUE(verified.has_value()) << verified.error().message;
  EXPECT_TRUE(verified->faults.empty()) << verified->faults[0];
}

std::vector<core::Record> small_company() {
  std::vector<core::Record> records = {{kCompany, false, core::Company{kCompany, "One"}}};
  for (std::uint64_t id = 1; id <= 3; ++id) {
    core::User user;
    user.id = {id};
    records.push_back({kCompany, false, user});
    core::Call call;
    call.id = {id};
    records.push_back({kCompany, false, call});
  }
  return records;
}

TEST_F(PgPast, SaysSinceWhenItIsKept) {
  load(small_company());
  const Time first{now};
  now += 10;
  write(store::Operation::give, {{{1}, {{1}}}});
  const Time second{now};
  now += 10;
  write(store::Operation::remove, {{{1}, {{1}}}});
  now += 10;
  must(store::apply_retention_over_postgres(*database.connect(), {Time{now}, {}}));
  const std::vector<core::CallUsers> one = {{{1}, {{1}}}};
  const auto refused = access({1, std::nullopt}, one);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::gone);
  EXPECT_EQ(refused.error().message,
            "history is kept from revision 2 of " + format_time(second) + " on");
  EXPECT_EQ(access({std::nullopt, first}, one).error().code, Code::gone);
  EXPECT_EQ(access({0, std::nullopt}, one).error().code, Code::gone);
  const auto kept = access({2, std::nullopt}, one);
  ASSERT_TRUE(kept.has_value()) << kept.error().message;
  EXPECT_EQ(kept->entries[0]->granted().size(), 1U);
  EXPECT_EQ(kept->as_of.time, second);
  EXPECT_EQ(access({std::nullopt, second}, one)->as_of.revision, 2U);
  EXPECT_EQ(access({2, first}, one)->as_of.time, first) << "a page judged at a time of its own";
  EXPECT_EQ(access({4, std::nullopt}, one).error().code, Code::invalid_argument);
  EXPECT_EQ(access({std::nullopt, Time{now + 1}}, one).error().code, Code::invalid_argument);
  EXPECT_EQ(access({std::nullopt, Time{now}}, one)->as_of.revision, 3U);

  // A server of the release before moves the horizon alone.
  database.ask("UPDATE earshot.companies SET horizon_known = 0");
  const auto older = access({2, std::nullopt}, one);
  ASSERT_FALSE(older.has_value());
  EXPECT_EQ(older.error().message.substr(0, 34), "history is kept from revision 3 of");
  EXPECT_TRUE(access({3, std::nullopt}, one).has_value());
}

// What the directory was is not known from before the first load that keeps versions; where it has
// not changed since, it is known.
TEST_F(PgPast, OfADirectoryThatWasLoadedBeforeVersionsWereKept) {
  load(small_company());
  write(store::Operation::give, {{{1}, {{1}}}});
  core::User user;
  user.id = {1};
  user.manager = {2};
  load({{kCompany, false, user}});
  database.ask("UPDATE earshot.companies SET versions_to = 1; DELETE FROM earshot.user_versions");
  write(store::Operation::give, {{{1}, {{2}}}});
  const std::vector<core::CallUsers> one = {{{1}, {{1}}}};
  const auto refused = access({2, std::nullopt}, one);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::gone);
  EXPECT_EQ(refused.error().message.substr(0, 34), "history is kept from revision 3 of");
  EXPECT_TRUE(access({0, std::nullopt}, one).has_value()) << "nothing was there";
  EXPECT_TRUE(access({3, std::nullopt}, one).has_value());
  user.manager = {3};
  load({{kCompany, false, user}});
  EXPECT_EQ(access({2, std::nullopt}, one).error().code, Code::gone);
  const auto view = access({3, std::nullopt}, one);
  ASSERT_TRUE(view.has_value()) << view.error().message;
  EXPECT_EQ(view->directory->find_user({1})->manager, UserId{2});
}

// More than is asked for at once: parts by number and by bytes.
TEST_F(PgPast, OfACallWithMoreChangesThanAreReadAtOnce) {
  load(small_company());
  write(store::Operation::give, {{{1}, {{1}}}});
  // The grant goes and comes back, as often as two lists hold; some parts are large.
  store::ChangeWriter remove, give;
  remove.add(store::GrantChanged{{1}, {}, {1}, core::Grant{}, std::nullopt});
  give.add(store::GrantChanged{{1}, {}, {1}, std::nullopt, core::Grant{}});
  const auto hex = [](const std::string& bytes) {
    std::string text;
    for (const char c : bytes) {
      for (const int half : {c >> 4 & 15, c & 15}) text += "0123456789abcdef"[half];
    }
    return "decode('" + text + "', 'hex')";
  };
  store::ChangeWriter large;
  for (std::uint64_t call = 100; call < 8000; ++call) {
    large.add(store::GrantChanged{{call}, {}, {1}, std::nullopt, core::Grant{Time{1}, "a note"}});
  }
  large.add(store::GrantChanged{{1}, {}, {1}, std::nullopt, core::Grant{}});
  const store::ChangeItems large_items = large.take_items();
  const auto times = std::to_string(45'000);
  database.ask(
      "INSERT INTO earshot.changes SELECT 1, n, 0, true, now(), 1, 'give', 'x', '', '{1}', 1,"
      " CASE WHEN n % 2 = 1 THEN " +
      hex(remove.take_items().bytes) + " ELSE " + hex(give.take_items().bytes) +
      " END, sha256('x') FROM generate_series(3, " + times +
      ") n;"
      "UPDATE earshot.changes SET items_count = " +
      std::to_string(large_items.count) + ", items = " + hex(large_items.bytes) +
      " WHERE revision % 5000 = 0;"
      "UPDATE earshot.companies SET revision = " +
      times);
  for (const core::Revision revision : {2, 3, 25'000, 45'000}) {
    const auto view = access({revision, std::nullopt}, {{{1}, {{1}}}, {{2}, {{1}}}});
    ASSERT_TRUE(view.has_value()) << view.error().message;
    // As many changes as were undone.
    const bool was_there = revision == 45'000 || revision % 2 == 0;
    EXPECT_EQ(view->entries[0]->granted().size(), was_there ? 1U : 0U) << revision;
    EXPECT_EQ(view->entries[1]->granted().size(), 0U);
  }
}

// However many companies there are, and whether the planner knows of it or not.
TEST_F(PgPast, TheChangesOfACallAreFoundByTheirIndex) {
  for (const bool is_analyzed : {false, true}) {
    for (const std::uint64_t companies : {1, 300}) {
      database.ask("TRUNCATE earshot.changes");
      database.ask(
          "INSERT INTO earshot.changes SELECT 1 + n % " + std::to_string(companies) +
          ", n, 0, true, now(), 1, 'give', 'x', '', ARRAY[1 + n / 3], 1, '\\x00', sha256('x')"
          " FROM generate_series(1, 60000) n");
      if (is_analyzed) database.ask("ANALYZE earshot.changes");
      const auto session =
          database.connect({.settings = {{"enable_seqscan", "off"},
                                         {"enable_hashjoin", "off"},
                                         {"enable_mergejoin", "off"},
                                         {"plan_cache_mode", "force_custom_plan"}}});
      const std::string text = store::kListChangesOfCalls.text;
      must(session->run_text("PREPARE list AS " + text));
      const auto plan = must(session->run_text(
          "EXPLAIN EXECUTE list (1, '{77}', 2, 60000, 60001, 0, 20000, 4000000)"));
      std::string lines;
      for (int row = 0; row < plan.rows(); ++row) {
        lines += std::string(PQgetvalue(plan.get(), row, 0)) + "\n";
      }
      EXPECT_NE(lines.find("changes_by_call"), std::string::npos) << lines;
      EXPECT_EQ(lines.find("changes_pkey"), std::string::npos) << lines;
    }
  }
}

}  // namespace
}  // namespace earshot::test
