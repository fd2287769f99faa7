// The store over PostgreSQL: the suite of every store, and what is its own - other servers beside
// it, a network that fails, a database that goes and comes back. Needs a server: see pg_testing.h.
#include "store/postgres.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <future>
#include <thread>

#include "base/loop.h"
#include "conformance/grants_suite.h"
#include "conformance/places.h"
#include "conformance/store_suite.h"
#include "store/postgres_testing.h"

namespace earshot::test {
namespace {

using std::chrono::milliseconds;
using store::PgProxy;
using store::PgTestDatabase;

INSTANTIATE_TEST_SUITE_P(
    Postgres, StoreSuite,
    testing::Values(postgres(
                        "AsShipped", [](auto&) {}, 250),
                    postgres(
                        "WithOneConnection",
                        [](auto& options) {
                          options.connections = options.write_connections = 1;
                          options.batch_commands_max = 2;
                        },
                        100),
                    postgres(
                        "WithoutProof",
                        [](auto& options) { options.primary_proof = milliseconds(0); }, 100)),
    [](const auto& kind) { return kind.param.name; });

INSTANTIATE_TEST_SUITE_P(Postgres, GrantsSuite,
                         testing::Values(postgres(
                                             "AsShipped", [](auto&) {}, 300),
                                         postgres(
                                             "WithOneConnection",
                                             [](auto& options) {
                                               options.connections = options.write_connections = 1;
                                               options.batch_commands_max = 2;
                                             },
                                             300)),
                         [](const auto& kind) { return kind.param.name; });

// Lets a request through as long as the scopes of its key are what they were.
struct Admits final : store::Asker {
  const store::KeyPtr& key() const override { return known; }
  bool is_admitted_with(const store::KeyPtr& now) const override {
    ++asked;
    return now && now->key.scopes == known->key.scopes;
  }
  store::KeyPtr known;
  mutable std::atomic<int> asked{0};
};

store::AccessCommand access_of(std::vector<core::CallUsers> calls, bool everybody = false) {
  store::AccessCommand command;
  command.company = {1};
  command.calls = std::move(calls);
  command.everybody = everybody;
  return command;
}

TEST_F(Postgres, WhatOneServerAnsweredTheOthersSee) {
  const auto one = open(), other = open(), third = open();
  for (std::uint64_t user = 1; user <= 9; ++user) {
    const auto given = give(*one, {1}, {user});
    ASSERT_TRUE(given.has_value()) << given.error().message;
    EXPECT_EQ(listed(*other, {1}).size(), user);
    const auto again = give(*third, {1}, {user});
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(again->revision, given->revision) << "the same again changes nothing";
  }
}

TEST_F(Postgres, ServersThatWriteAtOnceLeaveOneRecord) {
  const auto one = open(), other = open();
  std::vector<std::thread> writers;
  std::atomic<int> failures{0};
  for (store::Store* const store : {one.get(), other.get()}) {
    for (int thread = 0; thread < 2; ++thread) {
      writers.emplace_back([store, thread, &failures] {
        for (int i = 0; i < 40; ++i) {
          const CallId call{1 + static_cast<std::uint64_t>(i + thread) % 4};
          const auto operation = i % 2 == 0 ? store::Operation::give : store::Operation::remove;
          if (!write_now(*store, command_of(operation, {1}, {{call, {{1}, {2}}}}))) ++failures;
        }
      });
    }
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(failures, 0);
  expect_sound();
}

TEST_F(Postgres, ACommitWithoutAnAnswerIsFoundAndNotRepeated) {
  const auto store = open_far();
  ASSERT_TRUE(give(*store, {1}, {1}).has_value());
  proxy.arm(kExecutesCommit, PgProxy::Fate::passes_and_answer_is_lost);
  const auto given = give(*store, {2}, {2});
  ASSERT_TRUE(given.has_value()) << given.error().message;
  EXPECT_EQ(std::get<0>(given->decision).size(), 1U) << "its own outcome, not that of a repetition";
  EXPECT_TRUE(proxy.has_struck());
  EXPECT_EQ(count_changes(), "2");
  EXPECT_EQ(listed(*store, {2}), std::vector<UserId>{{2}});
  expect_sound();
}

TEST_F(Postgres, ACommitThatDidNotArriveIsRepeated) {
  const auto store = open_far();
  ASSERT_TRUE(give(*store, {1}, {1}).has_value());
  proxy.arm(kExecutesCommit, PgProxy::Fate::is_lost);
  const auto given = give(*store, {2}, {2});
  ASSERT_TRUE(given.has_value()) << given.error().message;
  EXPECT_TRUE(proxy.has_struck());
  EXPECT_EQ(count_changes(), "2");
  expect_sound();
}

TEST_F(Postgres, ReadsComeBackByThemselvesWhenTheirConnectionIsLost) {
  const auto store = open_far();
  ASSERT_TRUE(give(*store, {1}, {1}).has_value());
  proxy.arm("read_calls", PgProxy::Fate::is_lost);
  EXPECT_EQ(listed(*store, {1}), std::vector<UserId>{{1}});
  EXPECT_TRUE(proxy.has_struck());
}

TEST_F(Postgres, WithoutADatabaseEverythingIsUnavailableInTimeAndComesBack) {
  const auto store = open_far();
  ASSERT_TRUE(give(*store, {1}, {1}).has_value());
  for (const bool freezes : {false, true}) {
    freezes ? proxy.set_frozen(true) : proxy.set_cut(true);
    const auto begun = std::chrono::steady_clock::now();
    const auto given = give(*store, {3}, {3});
    const auto view = read_now(*store, {1}, {{1}});
    const auto key = look_up_now(*store, "NONE");
    const auto took = std::chrono::steady_clock::now() - begun;
    for (const Code code : {given ? Code{} : given.error().code, view ? Code{} : view.error().code,
                            key ? Code{} : key.error().code}) {
      EXPECT_EQ(code, Code::unavailable);
    }
    EXPECT_LT(took, 3 * (options.request_time + options.statement_time) + milliseconds(500));
    const auto is_told = [&] { return !store->health().writable; };
    for (int i = 0; i < 100 && !is_told(); ++i) std::this_thread::sleep_for(milliseconds(50));
    EXPECT_TRUE(is_told());
    EXPECT_FALSE(store->health().reason.empty());
    freezes ? proxy.set_frozen(false) : proxy.set_cut(false);
    const auto again = give(*store, {3}, {4});
    ASSERT_TRUE(again.has_value()) << again.error().message;
    for (int i = 0; i < 100 && is_told(); ++i) std::this_thread::sleep_for(milliseconds(50));
    EXPECT_FALSE(is_told()) << store->health().reason;
  }
  expect_sound();
}

TEST_F(Postgres, MoreThanMayWaitIsRefusedAtOnce) {
  options.queue_commands_max = 20;
  const auto store = open_far();
  ASSERT_TRUE(give(*store, {1}, {1}).has_value());
  proxy.set_frozen(true);
  std::atomic<int> refused{0}, answered{0};
  for (int i = 0; i < 50; ++i) {
    store->read({{1}, {{1}}, 0, nullptr}, [&](const auto& view) {
      if (!view && view.error().message.find("too many") != std::string::npos) ++refused;
      ++answered;
    });
    store->write(command_of(store::Operation::give, {1}, {{{2}, {{1}}}}), [&](const auto& given) {
      if (!given && given.error().message.find("too many") != std::string::npos) ++refused;
      ++answered;
    });
  }
  for (int i = 0; i < 20 && refused < 60; ++i) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_EQ(refused, 60);
  for (int i = 0; i < 100 && answered < 100; ++i) std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(answered, 100) << "each is answered once its time is over";
  proxy.set_frozen(false);
}

TEST_F(Postgres, WhatRequestsLoadWaitsForOtherLoadsInTimeAndOperatorsGoOn) {
  const auto store = open();
  const auto other = database.connect();
  store::must(other->begin());
  store::must(other->run_text("SELECT 1 FROM earshot.load_lock FOR UPDATE"));
  const auto load = [&](std::uint64_t id, const std::string& access_key) {
    core::User user;
    user.id = {id};
    const std::vector<core::Record> records = {{{1}, false, user}};
    ListSource source(records);
    return store->load(source, {make_request_id(), access_key});
  };
  auto operators = std::async(std::launch::async, [&] { return load(20, ""); });
  const auto begun = std::chrono::steady_clock::now();
  const auto refused = [&] {
    const auto loaded = load(21, "KEY");
    ASSERT_FALSE(loaded.has_value());
    EXPECT_EQ(loaded.error().code, Code::unavailable);
    EXPECT_NE(loaded.error().message.find("another load is under way"), std::string::npos);
  };
  refused();
  const auto first = std::chrono::steady_clock::now() - begun;
  EXPECT_GE(first, options.request_time);
  // Those behind it have waited as long.
  for (int i = 0; i < 3; ++i) refused();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, first + 2 * options.request_time);
  EXPECT_EQ(operators.wait_for(milliseconds(0)), std::future_status::timeout);
  other->roll_back();
  EXPECT_TRUE(operators.get().has_value());
  EXPECT_TRUE(load(21, "KEY").has_value());
}

TEST_F(Postgres, AServerThatCannotCommitIsNotBelieved) {
  const auto store = open_far();
  ASSERT_TRUE(give(*store, {1}, {1}).has_value());
  EXPECT_EQ(listed(*store, {1}).size(), 1U);
  // As a primary whose standby has become the primary: it answers reads as if all were well.
  proxy.swallow(kExecutesCommit);
  std::this_thread::sleep_for(options.primary_proof + milliseconds(200));
  const auto view = read_now(*store, {1}, {{1}});
  EXPECT_EQ(view ? Code{} : view.error().code, Code::unavailable);
  proxy.swallow("");
  EXPECT_EQ(listed(*store, {1}).size(), 1U);
}

TEST_F(Postgres, AKeyIsLookedUpInTimeWhileAnotherThreadProvesThePrimary) {
  const auto store = open_far();
  const auto one = LoopThread::start(), other = LoopThread::start();  // they end first
  const auto look_up_on = [&store](LoopThread& thread) {
    auto promise = std::make_shared<std::promise<Result<store::KeyPtr>>>();
    auto answer = promise->get_future();
    thread.loop().post([&store, promise] {
      store->look_up_key("ACME", [promise](auto key) { promise->set_value(std::move(key)); });
    });
    return answer;
  };
  for (const auto* thread : {&one, &other}) EXPECT_TRUE(look_up_on(***thread).get().has_value());
  proxy.swallow(kExecutesCommit);
  std::this_thread::sleep_for(options.primary_proof + milliseconds(100));
  auto first = look_up_on(**one);
  std::this_thread::sleep_for(milliseconds(10));
  auto second = look_up_on(**other);
  for (auto* const answer : {&first, &second}) {
    ASSERT_EQ(answer->wait_for(options.request_time * 2), std::future_status::ready);
    EXPECT_EQ(answer->get().error().code, Code::unavailable);
  }
  proxy.swallow("");
  EXPECT_TRUE(look_up_on(**other).get().has_value());
}

TEST_F(Postgres, AKeyChangedElsewhereIsAskedForAgain) {
  const auto store = open(), other = open();
  core::KeyLine line;
  line.key.access_key = "ACME";
  line.key.scopes = {"earshot:audit:read"};
  ASSERT_TRUE(load_now(*store, {{{1}, false, line}}).has_value());
  const auto once = std::make_shared<Admits>();
  once->known = *look_up_now(*store, "ACME");
  const auto ask = [&] { return read_now(*store, store::ReadCommand{{1}, {{1}}, 0, once}); };
  EXPECT_TRUE(ask().has_value());
  EXPECT_EQ(once->asked, 0) << "nothing of the directory changed since";
  line.key.scopes.clear();
  ASSERT_TRUE(load_now(*other, {{{1}, false, line}}).has_value());
  const auto read = ask();
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().code, Code::denied);
  auto command = command_of(store::Operation::give, {1}, {{{1}, {{1}}}});
  command.asker = once;
  const auto given = write_now(*store, command);
  ASSERT_FALSE(given.has_value());
  EXPECT_EQ(given.error().code, Code::denied);
  EXPECT_EQ(count_changes(), "0");
}

// A copy of the database as it was stands in for a replica that is behind.
TEST_F(Postgres, AReplicaAnswersWhatItHasAndThePrimaryTheRest) {
  core::KeyLine line;
  line.key.access_key = "ACME";
  core::Revision old = 0;
  {
    const auto store = open();
    ASSERT_TRUE(load_now(*store, {{{1}, false, line}}).has_value());
    old = give(*store, {1}, {1})->revision;
  }
  const std::string source = options.url.substr(options.url.rfind('/') + 1);
  const std::string name = source.substr(0, source.find('?')) + "_replica";
  store::run_on_test_server("CREATE DATABASE " + name + " TEMPLATE " +
                            name.substr(0, name.size() - std::string("_replica").size()));
  options.replica_url = store::with_database(options.url, name);
  {
    const auto store = open();
    const core::Revision newest = give(*store, {1}, {2})->revision;
    const auto asker = std::make_shared<Admits>();
    asker->known = *look_up_now(*store, "ACME");
    const auto ask = [&](core::Revision at_least) {
      return read_now(*store, store::ReadCommand{{1}, {{1}}, at_least, asker});
    };
    // The primary answers until the replica is connected, and when a proof was late.
    const auto is_of_replica = [&] { return ask(old)->entries[0]->granted().size() == 1; };
    bool answered = is_of_replica();
    for (int i = 0; i < 500 && !answered; ++i) {
      std::this_thread::sleep_for(milliseconds(20));
      answered = is_of_replica();
    }
    EXPECT_TRUE(answered);
    EXPECT_EQ(ask(newest)->entries[0]->granted().size(), 2U) << "of the primary";
    EXPECT_EQ(ask(0)->entries[0]->granted().size(), 2U)
        << "a read that names none is the primary's";
    // The replica does not know of the newest revision that it is not the one in force then.
    const auto hears_at = [&](store::Moment moment) {
      store::AccessCommand command{.company = {1},
                                   .calls = {{{1}, {{2}}}},
                                   .everybody = false,
                                   .moment = moment,
                                   .at_least = old,
                                   .asker = asker};
      const auto view = read_access_now(*store, command);
      EXPECT_TRUE(view.has_value()) << (view ? "" : view.error().message);
      return view && view->entries[0]->granted().size() == 1;
    };
    EXPECT_TRUE(hears_at({.revision = newest, .at = {}}));
    EXPECT_TRUE(hears_at({.revision = {}, .at = wall_now()}));
    // The replica still knows the key.
    ASSERT_TRUE(load_now(*store, {{{1}, true, line}}).has_value());
    const auto denied = ask(old);
    EXPECT_EQ(denied ? Code{} : denied.error().code, Code::denied);
  }
  store::drop_test_database(name);
}

TEST_F(Postgres, ADirectoryChangedElsewhereDecides) {
  const auto store = open(), other = open();
  ASSERT_TRUE(give(*store, {1}, {1}).has_value());
  core::User user;
  user.id = {2};
  ASSERT_TRUE(load_now(*other, {{{1}, true, user}}).has_value());
  const auto given = give(*store, {1}, {2});
  ASSERT_TRUE(given.has_value());
  EXPECT_TRUE(std::holds_alternative<core::UnknownUsers>(given->decision));
}

// As far as the named user is concerned.
TEST_F(Postgres, AccessToCallsIsReadWithItsTerms) {
  const auto store = open();
  core::Call call;
  call.id = {20};
  call.workspace = {3};
  call.primary_user = {5};
  call.parties = {{4}, {5}};
  call.is_private = true;
  ASSERT_TRUE(load_now(*store, {{{1}, false, call},
                                {{1}, false, core::GrantLine{{20}, {1}, {Time{5'000}, "why"}}},
                                {{1}, false, core::GrantLine{{20}, {2}, {}}},
                                {{1}, false, core::ShareLine{{20}, {3}}}})
                  .has_value());
  for (const bool everybody : {false, true}) {
    const auto view = read_access_now(
        *store, access_of({{{20}, {{1}, {2}, {3}}}, {{99}, {{1}}}, {{2}, {{1}}}}, everybody));
    ASSERT_TRUE(view.has_value()) << view.error().message;
    ASSERT_EQ(view->entries.size(), 3U);
    const core::CallEntry entry = view->entries[0]->unpack();
    ASSERT_TRUE(entry.call);
    EXPECT_EQ(*entry.call, core::facts_of(call));
    ASSERT_NE(entry.find_grant({1}), nullptr);
    EXPECT_EQ(entry.grant_of(*entry.find_grant({1})), (core::Grant{Time{5'000}, "why"}));
    EXPECT_EQ(entry.grant_of(*entry.find_grant({2})), core::Grant{});
    EXPECT_NE(entry.find_share({3}), nullptr);
    EXPECT_EQ(entry.find_share({2}), nullptr);
    EXPECT_FALSE(view->entries[1]->has_call());
    EXPECT_TRUE(view->entries[2]->has_call());
    EXPECT_EQ(view->directory->user_count(), 9U);
    EXPECT_EQ(view->as_of.revision, read_now(*store, {1}, {})->revision);
  }
  const auto one = read_access_now(*store, access_of({{{20}, {{2}}}}));
  EXPECT_EQ(one->entries[0]->granted().size(), 1U) << "of others nothing is read";
  auto command = access_of({{{20}, {{2}}}});
  command.company = {7};
  const auto nowhere = read_access_now(*store, command);
  ASSERT_TRUE(nowhere.has_value());
  EXPECT_EQ(nowhere->as_of.revision, 0U);
  EXPECT_FALSE(nowhere->entries[0]->has_call());
  EXPECT_EQ(nowhere->directory->user_count(), 0U);
}

TEST_F(Postgres, AccessIsReadOfOneMomentWhileTheDirectoryChangesElsewhere) {
  const auto store = open(), other = open();
  std::atomic<bool> over{false};
  // User 1 and the grant on call 1 come and go together, and so do user 2 and that on call 2.
  std::thread changer([&] {
    for (std::uint64_t round = 0; !over; ++round) {
      core::User user;
      user.id = {round % 2 + 1};
      const CallId call{user.id.value};
      EXPECT_TRUE(load_now(*other, {{{1}, true, user}}).has_value());
      EXPECT_TRUE(
          load_now(*other, {{{1}, false, user}, {{1}, false, core::GrantLine{call, user.id, {}}}})
              .has_value());
    }
  });
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  std::vector<std::thread> readers;
  std::atomic<int> torn{0}, reads{0}, failed{0}, without{0};
  for (int reader = 0; reader < 3; ++reader) {
    readers.emplace_back([&] {
      while (std::chrono::steady_clock::now() < end) {
        const auto view = read_access_now(*store, access_of({{{1}, {{1}}}, {{2}, {{2}}}}));
        if (!view) {
          ++failed;
          continue;
        }
        ++reads;
        for (const std::uint64_t id : {1, 2}) {
          const bool is_there = view->directory->find_user({id}) != nullptr;
          const bool has_grant = !view->entries[id - 1]->granted().empty();
          if (has_grant && !is_there) ++torn;
          if (!is_there) ++without;
        }
      }
    });
  }
  for (std::thread& reader : readers) reader.join();
  over = true;
  changer.join();
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(failed, 0);
  EXPECT_GT(reads, 20);
  EXPECT_GT(without, 0) << "the readers saw none of the changes";
}

TEST_F(Postgres, ManyAccessReadsShareStatements) {
  const auto store = open();
  ASSERT_TRUE(give(*store, {1}, {1}).has_value());
  ASSERT_TRUE(read_access_now(*store, access_of({{{1}, {{1}}}})).has_value());
  constexpr int kReads = 200;
  std::vector<std::future<Result<store::AccessView>>> answers;
  for (int i = 0; i < kReads; ++i) {
    auto promise = std::make_shared<std::promise<Result<store::AccessView>>>();
    answers.push_back(promise->get_future());
    const UserId user{static_cast<std::uint64_t>(i) % 9 + 1};
    store->read_access(access_of({{{1}, {user}}}),
                       [promise](auto view) { promise->set_value(std::move(view)); });
  }
  for (int i = 0; i < kReads; ++i) {
    const auto view = answers[static_cast<std::size_t>(i)].get();
    ASSERT_TRUE(view.has_value()) << view.error().message;
    const UserId user{static_cast<std::uint64_t>(i) % 9 + 1};
    EXPECT_EQ(view->entries[0]->unpack().find_grant(user) != nullptr, user.value == 1);
  }
  double statements = 0;
  for (const auto& figure : store->figures()) {
    if (figure.name == "store_read_statements_total") statements = figure.value;
  }
  EXPECT_LT(statements, kReads / 2);
}

TEST_F(Postgres, TheCallsOfAUserComeInPages) {
  const auto store = open();
  for (const std::uint64_t call : {2, 4, 6}) ASSERT_TRUE(give(*store, {call}, {1}).has_value());
  ASSERT_TRUE(load_now(*store, {{{1}, false, core::ShareLine{{5}, {1}}},
                                {{1}, false, core::ShareLine{{6}, {1}}},
                                {{1}, false, core::ShareLine{{7}, {2}}}})
                  .has_value());
  const auto pages = [&](core::Ways ways, std::size_t calls_max) {
    std::vector<std::vector<std::uint64_t>> all;
    store::UserCallsCommand command;
    command.company = {1};
    command.user = {1};
    command.ways = ways;
    command.calls_max = calls_max;
    for (;;) {
      const auto view = read_user_calls_now(*store, command);
      EXPECT_TRUE(view.has_value()) << view.error().message;
      std::vector<std::uint64_t> page;
      for (std::size_t i = 0; i < view->calls.size(); ++i) {
        page.push_back(view->calls[i].value);
        const core::CallEntry entry = view->entries[i]->unpack();
        EXPECT_TRUE(entry.call);
        EXPECT_EQ(entry.grants.size(), page.back() % 2 == 0 && page.back() < 8 ? 1U : 0U);
        EXPECT_EQ(entry.shares.size(), page.back() == 5 || page.back() == 6 ? 1U : 0U);
      }
      all.push_back(page);
      EXPECT_NE(view->directory->find_user({1}), nullptr);
      if (!view->last) return all;
      command.after = *view->last;
    }
  };
  using Pages = std::vector<std::vector<std::uint64_t>>;
  const auto individual = static_cast<core::Ways>(core::Way::individual);
  const auto shared = static_cast<core::Ways>(core::Way::shared);
  EXPECT_EQ(pages(individual, 10), (Pages{{2, 4, 6}}));
  EXPECT_EQ(pages(individual, 2), (Pages{{2, 4}, {6}}));
  EXPECT_EQ(pages(shared, 10), (Pages{{5, 6}}));
  EXPECT_EQ(pages(individual | shared, 3), (Pages{{2, 4, 5}, {6}}));
  EXPECT_EQ(pages(individual | shared, 4), (Pages{{2, 4, 5, 6}, {}}));
  EXPECT_EQ(pages(core::kAllWays, 4), (Pages{{1, 2, 3, 4}, {5, 6, 7, 8}, {9}}));
}

TEST_F(Postgres, CursorsAreSignedWithTheSameSecretEverywhere) {
  const auto store = open(), other = open();
  EXPECT_EQ(store->cursor_secret(), other->cursor_secret());
  EXPECT_NE(store->cursor_secret(), Digest{});
  const PgTestDatabase another(PgTestDatabase::Tables::none);
  store::must(store::migrate_postgres(another.url(), false));
  store::PostgresOptions there = options;
  there.url = another.url();
  EXPECT_NE(store::must(store::open_postgres(there))->cursor_secret(), store->cursor_secret());
}

// Neither a clock that is behind nor one that was put back revives what has expired.
TEST_F(Postgres, AccessIsJudgedAtTheTimeOfTheNewestChangeAtLeast) {
  const Time later{wall_now().micros + 3'600'000'000};
  options.clock = [&] { return later; };
  const auto ahead = open();
  ASSERT_TRUE(give(*ahead, {1}, {1}).has_value());
  options.clock = wall_now;
  const auto store = open();
  EXPECT_EQ(read_access_now(*store, access_of({{{1}, {{1}}}}))->as_of.time, later);
  store::UserCallsCommand command;
  command.company = {1};
  EXPECT_EQ(read_user_calls_now(*store, command)->as_of.time, later);
}

TEST_F(Postgres, CommitsAreSyncedWhateverTheDatabaseSays) {
  database.ask(
      "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() ||"
      " ' SET synchronous_commit = off'; END $$");
  // A grant that tells how the session that wrote it commits.
  database.ask(
      "ALTER TABLE earshot.grants ADD CHECK"
      " (current_setting('synchronous_commit') = 'on')");
  const auto given = give(*open(), {1}, {1});
  EXPECT_TRUE(given.has_value()) << given.error().message;
}

TEST_F(Postgres, ACommandThatCannotBeCarriedOutFailsAlone) {
  database.ask("ALTER TABLE earshot.grants ADD CHECK (user_id <> 7)");
  const auto store = open();
  std::vector<std::future<Result<store::Outcome>>> answers;
  for (std::uint64_t user = 1; user <= 9; ++user) {
    auto promise = std::make_shared<std::promise<Result<store::Outcome>>>();
    answers.push_back(promise->get_future());
    store->write(command_of(store::Operation::give, {1}, {{{1}, {{user}}}}),
                 [promise](auto outcome) { promise->set_value(std::move(outcome)); });
  }
  for (std::uint64_t user = 1; user <= 9; ++user) {
    const auto outcome = answers[user - 1].get();
    EXPECT_EQ(outcome.has_value(), user != 7) << user;
    if (!outcome) {
      EXPECT_EQ(outcome.error().code, Code::internal);
    }
  }
  expect_sound();
}

TEST_F(Postgres, NothingIsOpenedThatCannotBeUsed) {
  const auto refusal = [](const std::string& url) {
    store::PostgresOptions bad;
    bad.url = url;
    const auto opened = store::open_postgres(bad);
    return opened ? "opened" : opened.error().message;
  };
  const PgTestDatabase empty(PgTestDatabase::Tables::none);
  EXPECT_NE(refusal(empty.url()).find("earshot migrate"), std::string::npos);
  EXPECT_EQ(refusal("postgresql://user:geheim@127.0.0.1:1/x").find("geheim"), std::string::npos);
}

}  // namespace
}  // namespace earshot::test
