// Grants with results over PostgreSQL: answers that every server gives again, commits without an
// answer, and the sweep of what has expired. Needs a server: see pg_testing.h.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <thread>
#include <utility>

#include "store/pg_statements.h"
#include "store/postgres_testing.h"

namespace earshot::test {
namespace {

using std::chrono::milliseconds;
using store::must;
using store::PgProxy;
struct PostgresGrants : Postgres {};

store::GrantCommand command_with(store::Operation operation, std::vector<core::CallUsers> calls,
                                 store::WithResults asked) {
  auto command = command_of(operation, {1}, std::move(calls));
  command.with_results = std::make_shared<store::WithResults>(std::move(asked));
  return command;
}
store::IdempotencyKey idempotency_key(std::string_view key, std::string_view request = "body") {
  return {sha256(key), sha256(request)};
}
// Gives under the key.
store::GrantCommand keyed_give(std::string_view key, std::vector<core::CallUsers> calls) {
  store::WithResults asked;
  asked.idempotency_key = idempotency_key(key);
  return command_with(store::Operation::give, std::move(calls), std::move(asked));
}
std::vector<core::PairOutcome> outcomes(const store::Outcome& outcome) {
  std::vector<core::PairOutcome> all;
  for (const core::PairResult& result : outcome.results) all.push_back(result.outcome);
  return all;
}
using Outcomes = std::vector<core::PairOutcome>;

TEST_F(PostgresGrants, AnAnswerIsGivenAgainByEveryServer) {
  const auto one = open(), other = open();
  store::WithResults asked;
  asked.terms = {{Time{wall_now().micros + 3'600'000'000}, "why"}, {}, {}, {}};
  asked.idempotency_key = idempotency_key("k");
  const auto command = command_with(store::Operation::give,
                                    {{{1}, {{1}, {2}}}, {{2}, {{77}}}, {{99}, {{1}}}}, asked);
  ASSERT_TRUE(give(*one, {1}, {2}).has_value());
  const auto first = write_now(*one, command);
  ASSERT_TRUE(first.has_value()) << first.error().message;
  EXPECT_EQ(outcomes(*first),
            (Outcomes{core::PairOutcome::given, core::PairOutcome::already,
                      core::PairOutcome::unknown_user, core::PairOutcome::unknown_call}));
  EXPECT_FALSE(first->repeated);
  // What has happened meanwhile changes nothing about the answer.
  ASSERT_TRUE(write_now(*one, command_of(store::Operation::remove, {1}, {{{1}, {{1}, {2}}}})));
  for (store::Store* const store : {other.get(), one.get()}) {
    auto again = command;
    again.origin.request_id = make_request_id();
    const auto told = write_now(*store, again);
    ASSERT_TRUE(told.has_value()) << told.error().message;
    EXPECT_EQ(told->results, first->results);
    EXPECT_EQ(told->revision, first->revision);
    EXPECT_EQ(told->repeated, command.origin.request_id);
  }
  EXPECT_TRUE(listed(*one, {1}).empty());
  asked.idempotency_key = idempotency_key("k", "another body");
  const auto refused =
      write_now(*other, command_with(store::Operation::give, command.calls, asked));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::invalid_argument);
  expect_sound();
}

TEST_F(PostgresGrants, AnAnswerOfNoChangeIsKeptToo) {
  const auto one = open(), other = open();
  ASSERT_TRUE(give(*one, {1}, {1}).has_value());
  const auto command = keyed_give("k", {{{1}, {{1}}}});
  const auto first = write_now(*one, command);
  ASSERT_TRUE(first.has_value()) << first.error().message;
  EXPECT_EQ(outcomes(*first), Outcomes{core::PairOutcome::already});
  ASSERT_TRUE(write_now(*one, command_of(store::Operation::remove, {1}, {{{1}, {{1}}}})));
  auto again = command;
  again.origin.request_id = make_request_id();
  const auto told = write_now(*other, again);
  ASSERT_TRUE(told.has_value()) << told.error().message;
  EXPECT_EQ(outcomes(*told), Outcomes{core::PairOutcome::already});
  EXPECT_EQ(told->repeated, command.origin.request_id);
  EXPECT_TRUE(listed(*one, {1}).empty());
}

TEST_F(PostgresGrants, ACommitWithoutAnAnswerIsAnsweredAsItWasDecided) {
  const auto store = open_far(), other = open();
  std::uint64_t call = 0;
  for (const auto fate : {PgProxy::Fate::passes_and_answer_is_lost, PgProxy::Fate::is_lost}) {
    for (const bool changes : {true, false}) {
      SCOPED_TRACE(::testing::Message() << static_cast<int>(fate) << changes);
      ++call;
      if (!changes) {
        ASSERT_TRUE(give(*store, {call}, {1}).has_value());
      }
      ASSERT_TRUE(give(*store, {call}, {2}).has_value());
      const std::string before = count_changes();
      proxy.arm(kExecutesCommit, fate);
      const auto command = keyed_give("k" + std::to_string(call), {{{call}, {{1}}}});
      const auto told = write_now(*store, command);
      ASSERT_TRUE(told.has_value()) << told.error().message;
      EXPECT_TRUE(proxy.has_struck());
      EXPECT_EQ(outcomes(*told),
                Outcomes{changes ? core::PairOutcome::given : core::PairOutcome::already});
      EXPECT_FALSE(told->repeated) << "it is its own answer, not one to a request before it";
      EXPECT_EQ(std::stoi(count_changes()) - std::stoi(before), changes ? 1 : 0);
      auto again = command;
      again.origin.request_id = make_request_id();
      const auto repeated = write_now(*other, again);
      ASSERT_TRUE(repeated.has_value()) << repeated.error().message;
      EXPECT_EQ(repeated->results, told->results);
      EXPECT_EQ(repeated->revision, told->revision);
      EXPECT_EQ(repeated->repeated, command.origin.request_id);
    }
  }
  expect_sound();
}

// Whoever was told nothing asks again, and is told what it came to: it is not done twice.
TEST_F(PostgresGrants, WhoWasNotToldInTimeAsksAgainWithTheKey) {
  const auto store = open_far(), other = open();
  ASSERT_TRUE(give(*store, {2}, {2}).has_value());
  const auto command = keyed_give("k", {{{1}, {{1}}}});
  proxy.arm(kExecutesCommit, PgProxy::Fate::passes_and_answer_is_lost);
  proxy.swallow(kExecutesFindRevision);  // what became of it cannot be asked
  const auto told = write_now(*store, command);
  ASSERT_FALSE(told.has_value());
  EXPECT_EQ(told.error().code, Code::unavailable);
  EXPECT_TRUE(proxy.has_struck());
  proxy.set_cut(true);
  std::this_thread::sleep_for(milliseconds(50));
  proxy.swallow("");
  proxy.set_cut(false);
  ASSERT_TRUE(write_now(*other, command_of(store::Operation::remove, {1}, {{{1}, {{1}}}})));
  for (store::Store* const asked : {store.get(), other.get()}) {
    auto again = command;
    again.origin.request_id = make_request_id();
    const auto answer = write_now(*asked, again);
    ASSERT_TRUE(answer.has_value()) << answer.error().message;
    EXPECT_EQ(outcomes(*answer), Outcomes{core::PairOutcome::given});
    EXPECT_EQ(answer->repeated, command.origin.request_id);
  }
  EXPECT_TRUE(listed(*other, {1}).empty());
  EXPECT_EQ(count_changes(), "2");
}

TEST_F(PostgresGrants, ServersThatAreAskedTheSameAtOnceDoItOnce) {
  const auto one = open(), other = open();
  for (int round = 0; round < 20; ++round) {
    const std::string key = std::to_string(round);
    std::vector<std::thread> askers;
    std::atomic<int> first{0}, again{0}, under_way{0};
    for (store::Store* const store : {one.get(), other.get(), one.get(), other.get()}) {
      askers.emplace_back([&, store] {
        const auto told = write_now(*store, keyed_give(key, {{{1}, {{1}}}}));
        if (!told) {
          EXPECT_EQ(told.error().code, Code::conflict) << told.error().message;
          ++under_way;
        } else {
          ++(told->repeated ? again : first);
        }
      });
    }
    for (std::thread& asker : askers) asker.join();
    EXPECT_EQ(first, 1);
    EXPECT_EQ(again + under_way, 3);
  }
  EXPECT_EQ(database.ask("SELECT count(*)::text FROM earshot.kept_answers"), "20");
  EXPECT_EQ(count_changes(), "1");
}

TEST_F(PostgresGrants, AnswersAreKeptForTheirTimeAndThenTakenAway) {
  const Time begin = wall_now();
  std::atomic<std::int64_t> now = begin.micros;
  options.clock = [&] { return Time{now}; };
  const auto store = open();
  const auto command = keyed_give("k", {{{1}, {{1}}}});
  ASSERT_TRUE(write_now(*store, command).has_value());
  const auto ask = [&](store::Store& asked) {
    auto again = command;
    again.origin.request_id = make_request_id();
    return write_now(asked, again)->repeated.has_value();
  };
  const std::int64_t keep = std::chrono::microseconds(options.idempotency_keep).count();
  now = begin.micros + keep;
  EXPECT_TRUE(ask(*store));
  now = begin.micros + keep + 1;
  EXPECT_FALSE(ask(*store)) << "as good as taken away";
  EXPECT_TRUE(ask(*store)) << "and kept anew";
  const auto count = [&] {
    return database.ask("SELECT count(*)::text FROM earshot.kept_answers");
  };
  EXPECT_EQ(count(), "1");
  options.expiry_every = milliseconds(1);
  const auto cleaner = open();
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_EQ(count(), "1") << "its time is not over";
  now += keep + 1;
  for (int i = 0; i < 500 && count() != "0"; ++i) std::this_thread::sleep_for(milliseconds(20));
  EXPECT_EQ(count(), "0");
}

TEST_F(PostgresGrants, ACompanyThatComesBackIsNotToldWhatTheOneBeforeWas) {
  const auto store = open();
  const auto command = keyed_give("k", {{{1}, {{1}}}});
  ASSERT_TRUE(write_now(*store, command).has_value());
  core::User user;
  user.id = {1};
  core::Call call;
  call.id = {1};
  const core::Record company{{1}, false, core::Company{{1}, "One"}};
  auto removed = company;
  removed.remove = true;
  ASSERT_TRUE(load_now(*store, {removed}).has_value());
  ASSERT_TRUE(load_now(*store, {company, {{1}, false, user}, {{1}, false, call}}).has_value());
  auto again = command;
  again.origin.request_id = make_request_id();
  const auto told = write_now(*store, again);
  ASSERT_TRUE(told.has_value()) << told.error().message;
  EXPECT_FALSE(told->repeated);
  EXPECT_EQ(outcomes(*told), Outcomes{core::PairOutcome::given});
}

TEST_F(PostgresGrants, CallsThatChangedElsewhereAreNamed) {
  const auto store = open(), other = open();
  const core::Revision seen = give(*store, {1}, {1})->revision;
  ASSERT_TRUE(give(*other, {2}, {1}).has_value());
  ASSERT_TRUE(load_now(*other, {{{1}, false, core::ShareLine{{4}, {1}}}}).has_value());
  store::WithResults asked;
  asked.if_revision = seen;
  const auto changed = [&](store::GrantCommand command) {
    const auto told = write_now(*store, std::move(command));
    EXPECT_TRUE(told.has_value()) << told.error().message;
    const auto* calls = std::get_if<core::ChangedCalls>(&told->decision);
    return calls ? calls->ids : std::vector<CallId>();
  };
  using Calls = std::vector<CallId>;
  const auto give_all = [&](std::vector<core::CallUsers> calls) {
    return command_with(store::Operation::give, std::move(calls), asked);
  };
  EXPECT_EQ(changed(give_all({{{4}, {{5}}}, {{3}, {{5}}}, {{2}, {{5}}}, {{1}, {{5}}}})),
            (Calls{{4}, {2}}));
  EXPECT_EQ(changed(give_all({{{3}, {{5}}}, {{1}, {{5}}}})), Calls());
  asked.all_of_max = 10;
  asked.all_of = UserId{1};
  EXPECT_EQ(changed(command_with(store::Operation::remove, {}, asked)), (Calls{{1}, {2}}));
  asked.all_of = CallId{2};
  EXPECT_EQ(changed(command_with(store::Operation::remove, {}, asked)), Calls{{2}});
  EXPECT_EQ(listed(*store, {2}).size(), 1U);

  asked.all_of = std::monostate();
  asked.if_revision = 100;
  const auto early = write_now(*store, give_all({{{3}, {{6}}}}));
  EXPECT_EQ(early ? Code{} : early.error().code, Code::not_found);
  database.ask("UPDATE earshot.companies SET horizon = 3 WHERE company_id = 1");
  asked.if_revision = 2;
  const auto gone = write_now(*store, give_all({{{3}, {{6}}}}));
  EXPECT_EQ(gone ? Code{} : gone.error().code, Code::gone);
  asked.if_revision = 3;
  EXPECT_TRUE(write_now(*store, give_all({{{3}, {{6}}}})).has_value());
}

// Whether the planner knows how many there are or not, and however long ago the revision was.
TEST_F(PostgresGrants, CallsThatChangedAreFoundByTheIndexOfTheirChanges) {
  database.ask(
      "INSERT INTO earshot.changes SELECT 7, n, 0, true, now(), 1, 'give', 'x', '',"
      " ARRAY[1 + n / 3], 1, '\\x00', sha256('x') FROM generate_series(1, 60000) n");
  for (const bool is_analyzed : {false, true}) {
    if (is_analyzed) database.ask("ANALYZE earshot.changes");
    const auto session =
        database.connect({.settings = {{"enable_seqscan", "off"},
                                       {"enable_hashjoin", "off"},
                                       {"enable_mergejoin", "off"},
                                       {"plan_cache_mode", "force_generic_plan"}}});
    must(session->run_text("PREPARE find (bigint, bigint, bigint[]) AS " +
                           std::string(store::kFindChangedAfter.text)));
    const auto plan = must(session->run_text("EXPLAIN EXECUTE find (7, 2, '{77, 78}')"));
    std::string lines;
    for (int row = 0; row < plan.rows(); ++row) {
      lines += std::string(PQgetvalue(plan.get(), row, 0)) + "\n";
    }
    EXPECT_NE(lines.find("changes_by_call"), std::string::npos) << lines;
    EXPECT_EQ(lines.find("changes_pkey"), std::string::npos) << lines;
  }
}

// In the order in which they were asked, although many share a transaction.
TEST_F(PostgresGrants, AllGrantsAreThoseOfCommandsThatWentBefore) {
  const auto store = open();
  store::WithResults all;
  all.all_of = UserId{1};
  all.all_of_max = 10;
  std::vector<std::future<Result<store::Outcome>>> answers;
  const auto ask = [&](store::GrantCommand command) {
    auto promise = std::make_shared<std::promise<Result<store::Outcome>>>();
    answers.push_back(promise->get_future());
    store->write(std::move(command), [promise](auto told) { promise->set_value(std::move(told)); });
  };
  for (std::uint64_t call = 1; call <= 9; ++call) {
    ask(command_of(store::Operation::give, {1}, {{{call}, {{1}, {2}}}}));
    if (call % 3 == 0) ask(command_with(store::Operation::remove, {}, all));
  }
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const auto told = answers[i].get();
    ASSERT_TRUE(told.has_value()) << told.error().message;
    if (i % 4 != 3) continue;
    EXPECT_EQ(outcomes(*told), Outcomes(3, core::PairOutcome::removed));
    EXPECT_EQ(told->results.front().call.value, i / 4 * 3 + 1);
  }
  EXPECT_EQ(database.ask("SELECT count(*)::text FROM earshot.grants WHERE user_id = 1"), "0");
  EXPECT_EQ(database.ask("SELECT count(*)::text FROM earshot.grants"), "9");
  expect_sound();
}

TEST_F(PostgresGrants, ServersSweepWhatHasExpiredInTurn) {
  constexpr std::uint64_t kGrants = 2500;
  const Time now = wall_now();
  std::vector<core::Record> records;
  for (std::uint64_t i = 0; i < kGrants; ++i) {
    if (i < kGrants / 9 + 1) {
      core::Call call;
      call.id = {100 + i};
      records.push_back({{1}, false, call});
    }
    records.push_back(
        {{1}, false, core::GrantLine{{100 + i / 9}, {1 + i % 9}, {Time{now.micros - 1}, "gone"}}});
  }
  const Time later{now.micros + 3'600'000'000};
  records.push_back({{1}, false, core::GrantLine{{1}, {1}, {later, ""}}});
  records.push_back({{1}, false, core::GrantLine{{1}, {2}, {}}});
  ASSERT_TRUE(load_now(*open(), records).has_value());
  options.expiry_every = milliseconds(1);
  const auto one = open(), other = open();
  // Others write meanwhile.
  for (std::uint64_t user = 3; user <= 9; ++user) ASSERT_TRUE(give(*one, {1}, {user}).has_value());
  const auto left = [&] { return database.ask("SELECT count(*)::text FROM earshot.grants"); };
  for (int i = 0; i < 500 && left() != "9"; ++i) std::this_thread::sleep_for(milliseconds(20));
  EXPECT_EQ(left(), "9") << "those that hold";
  EXPECT_EQ(database.ask("SELECT sum(items_count)::text FROM earshot.changes"
                         " WHERE operation = 'sweep'"),
            std::to_string(kGrants))
      << "each once";
  EXPECT_EQ(database.ask("SELECT (max(items_count) <= 1000)::text FROM earshot.changes"
                         " WHERE operation = 'sweep'"),
            "true")
      << "some at a time";
  const std::string swept = database.ask("SELECT revision::text FROM earshot.companies");
  std::this_thread::sleep_for(milliseconds(200));
  EXPECT_EQ(database.ask("SELECT revision::text FROM earshot.companies"), swept)
      << "where nothing has expired nothing is written";
  expect_sound();
}

// A grant that has expired gives nothing even where the clock is put back.
TEST_F(PostgresGrants, WritesAreJudgedAtTheTimeOfTheNewestChangeAtLeast) {
  const Time now = wall_now();
  {
    options.clock = [&] { return Time{now.micros + 2'000'000}; };
    ASSERT_TRUE(give(*open(), {1}, {1}).has_value());
  }
  options.clock = [&] { return now; };
  const auto store = open();
  const Time between{now.micros + 1'000'000};
  ASSERT_TRUE(
      load_now(*store, {{{1}, false, core::GrantLine{{2}, {1}, {between, ""}}}}).has_value());
  const auto removed = write_now(*store, command_of(store::Operation::remove, {1}, {{{2}, {{1}}}}));
  EXPECT_TRUE(std::get<0>(removed->decision).empty());
  store::WithResults asked;
  asked.terms = {{between, ""}};
  const auto past = write_now(*store, command_with(store::Operation::give, {{{3}, {{1}}}}, asked));
  EXPECT_TRUE(std::holds_alternative<core::PastExpiries>(past->decision));
  asked = {};
  asked.all_of = UserId{1};
  asked.all_of_max = 10;
  const auto all = write_now(*store, command_with(store::Operation::remove, {}, asked));
  ASSERT_EQ(all->results.size(), 1U) << "the one that is live";
  EXPECT_EQ(all->results[0].call, CallId{1});
}

}  // namespace
}  // namespace earshot::test
