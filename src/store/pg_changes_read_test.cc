// The suite about the record of changes, over PostgreSQL; and what is its own: other servers, a
// database that goes and comes back, columns that somebody edits.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <mutex>
#include <thread>

#include "conformance/changes_suite.h"
#include "conformance/places.h"
#include "store/pg_news.h"
#include "store/pg_verify.h"
#include "store/postgres_testing.h"

namespace earshot::test {
namespace {

INSTANTIATE_TEST_SUITE_P(Postgres, ChangesSuite,
                         testing::Values(postgres(
                                             "AsShipped", [](auto&) {}, 200),
                                         postgres(
                                             "WithOneConnection",
                                             [](auto& options) {
                                               options.connections = options.write_connections = 1;
                                               options.batch_commands_max = 2;
                                             },
                                             60)),
                         [](const auto& kind) { return kind.param.name; });

using PostgresChanges = Postgres;

TEST_F(PostgresChanges, WhatAnotherServerCommitsIsToldWithinASecond) {
  const auto one = open(), far = open_far();
  std::atomic<int> told{0};
  const auto watch = far->watch_changes({1}, [&] { ++told; });
  const auto wait = [&](int before) {
    const auto begun = std::chrono::steady_clock::now();
    while (told == before && std::chrono::steady_clock::now() - begun < std::chrono::seconds(20)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_GT(told, before);
    return std::chrono::steady_clock::now() - begun;
  };
  wait(0);  // the first look at it
  for (std::uint64_t call = 1; call <= 4; ++call) {
    const int before = told;
    const auto given = give(*one, {call}, {2});
    ASSERT_TRUE(given.has_value()) << given.error().message;
    EXPECT_LT(wait(before), std::chrono::seconds(1));
    const auto view =
        read_changes_now(*far, changes_behind({1}, {given->revision - 1, std::nullopt}));
    ASSERT_TRUE(view.has_value()) << view.error().message;
    EXPECT_EQ(view->revisions.at(0).revision, given->revision);
  }
  // The connections go, and come back.
  proxy.set_cut(true);
  std::this_thread::sleep_for(std::chrono::milliseconds(700));
  const int before = told;
  ASSERT_TRUE(give(*one, {5}, {2}).has_value());
  proxy.set_cut(false);
  wait(before);
}

// Where nobody watches, nobody asks; who comes then is told all the same.
TEST_F(PostgresChanges, WhoWatchesAfterAPauseIsToldToo) {
  const auto one = open(), far = open_far();
  for (std::uint64_t call = 1; call <= 3; ++call) {
    std::this_thread::sleep_for(2 * store::kNewsEvery);
    std::atomic<int> told{0};
    const auto watch = far->watch_changes({1}, [&] { ++told; });
    for (int i = 0; i < 1000 && told == 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_GT(told, 0) << "the first look at it";
    const int before = told;
    ASSERT_TRUE(give(*one, {call}, {2}).has_value());
    for (int i = 0; i < 1000 && told == before; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_GT(told, before);
  }
}

struct AdmitsNobody final : store::Asker {
  explicit AdmitsNobody(store::KeyPtr its_key) : known(std::move(its_key)) {}
  const store::KeyPtr& key() const override { return known; }
  bool is_admitted_with(const store::KeyPtr&) const override { return false; }
  store::KeyPtr known;
};

TEST_F(PostgresChanges, AKeyThatHasChangedSinceReadsNothing) {
  const auto store = open();
  core::KeyLine line;
  line.key.access_key = "K";
  ASSERT_TRUE(load_now(*store, {{{1}, false, line}}).has_value());
  const store::KeyPtr key = key_now(*store, "K");
  ASSERT_NE(key, nullptr);
  auto stale = std::make_shared<store::KeyEntry>(*key);
  stale->holds_until = 1;
  auto command = changes_behind({1}, {}, 10);
  command.asker = std::make_shared<AdmitsNobody>(stale);
  EXPECT_EQ(read_changes_now(*store, command).error().code, Code::denied);
}

// Whoever reads much of the record: many pages at once hold up neither other reads nor the pages of
// other companies for longer than a batch.
TEST_F(PostgresChanges, PagesLeaveRoomForOtherReads) {
  options.statement_time = std::chrono::seconds(30);
  options.request_time = std::chrono::seconds(60);
  const auto store = open();
  listed(*store, {1});  // it is connected
  const auto other = database.connect();
  store::must(other->begin());
  store::must(other->run_text("LOCK TABLE earshot.changes IN ACCESS EXCLUSIVE MODE"));
  constexpr std::size_t kPages = 200;
  std::mutex mutex;
  std::vector<CompanyId> told;
  const auto ask = [&](CompanyId company) {
    store->read_changes(changes_behind(company, {}, 1), [&, company](const auto&) {
      const std::lock_guard lock(mutex);
      told.push_back(company);
    });
  };
  for (std::size_t i = 0; i < kPages; ++i) ask({1 + i % 8});
  std::promise<bool> read;
  auto is_read = read.get_future();
  store->read({{1}, {{1}}, 0, nullptr}, [&](const auto& view) { read.set_value(bool(view)); });
  EXPECT_EQ(is_read.wait_for(std::chrono::seconds(10)), std::future_status::ready);
  const auto told_now = [&] {
    const std::lock_guard lock(mutex);
    return told.size();
  };
  EXPECT_EQ(told_now(), 0U) << "the pages wait for the table";
  for (std::size_t i = 0; i < kPages; ++i) ask({20});
  ask({21});
  other->roll_back();
  EXPECT_TRUE(is_read.get());
  while (told_now() < 2 * kPages + 1) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const auto of_last = std::ranges::find(told, CompanyId{21});
  EXPECT_GT(std::count(of_last, told.end(), CompanyId{20}), 100);
}

// Of every part, the newest too, every byte of every column; the head's row says what ends it.
TEST_F(PostgresChanges, VerifyFindsEveryByteThatIsAnother) {
  constexpr std::uint64_t kFirst = 21, kCompanies = 10, kRevisions = 3;
  const auto store = open();
  std::vector<core::Record> things, grants, removals;
  for (std::uint64_t id = kFirst; id < kFirst + kCompanies; ++id) {
    const CompanyId company{id};
    core::User user;
    user.id = {2};
    core::Call call;
    call.id = {7};
    call.title = "T";
    things.insert(things.end(), {{company, false, core::Company{company, "C"}},
                                 {company, false, user},
                                 {company, false, call},
                                 {company, false, core::ShareLine{{7}, {2}}}});
    grants.push_back({company, false, core::GrantLine{{7}, {2}, {Time{5}, "n"}}});
    removals.push_back({company, true, core::GrantLine{{7}, {2}, {}}});
  }
  for (const auto& records : {things, grants, removals}) {
    ListSource source(records);
    ASSERT_TRUE(store->load(source, {make_request_id(), "KEY"}).has_value());
  }
  std::vector<store::HeadClaim> heads;
  for (std::uint64_t id = kFirst; id < kFirst + kCompanies; ++id) {
    heads.push_back({{id}, kRevisions, head_of(*store, {id}).hash});
  }
  database.ask("CREATE TABLE earshot.whole AS SELECT * FROM earshot.changes");

  std::vector<std::pair<std::uint64_t, std::string>> all;  // revision, what is set
  const auto size_of = [&](const std::string& what, std::uint64_t revision) {
    return std::stoul(database.ask("SELECT min(length(" + what +
                                   "))::text FROM earshot.changes"
                                   " WHERE company_id > 20 AND revision = " +
                                   std::to_string(revision)));
  };
  for (std::uint64_t revision = 1; revision <= kRevisions; ++revision) {
    for (const std::string column : {"items", "previous_hash"}) {
      for (std::size_t i = 0; i < size_of(column, revision); ++i) {
        const std::string at = std::to_string(i);
        all.emplace_back(revision, column + " = set_byte(" + column + ", " + at + ", get_byte(" +
                                       column + ", " + at + ") # 128)");
      }
    }
    for (const std::string column : {"request_id", "access_key"}) {
      for (std::size_t i = 1; i <= size_of(column, revision); ++i) {
        const std::string at = std::to_string(i);
        all.emplace_back(revision, column + " = overlay(" + column + " placing CASE substr(" +
                                       column + ", " + at +
                                       ", 1) WHEN 'x' THEN 'y' ELSE 'x' END from " + at + ")");
      }
    }
    for (int byte = 0; byte < 8; ++byte) {
      const std::string bit = std::to_string(std::uint64_t{byte == 7 ? 1U : 128U} << (8 * byte));
      for (const std::string column :
           {"company_id", "revision", "first_n", "directory_revision", "items_count"}) {
        all.emplace_back(revision, column + " = " + column + " # " + bit);
      }
      all.emplace_back(revision, "call_ids = ARRAY[7 # " + bit + "::bigint]");
      if (byte < 7) all.emplace_back(revision, "at = at + interval '1 microsecond' * " + bit);
    }
    all.emplace_back(revision, "is_last = NOT is_last");
    all.emplace_back(revision,
                     "operation = CASE operation WHEN 'give' THEN 'sweep' ELSE 'give' END");
  }
  std::size_t found_without = 0;
  for (std::size_t first = 0; first < all.size(); first += kCompanies) {
    std::string damage;
    const std::size_t count = std::min<std::size_t>(kCompanies, all.size() - first);
    for (std::size_t i = 0; i < count; ++i) {
      const auto& [revision, what] = all[first + i];
      damage += "UPDATE earshot.changes SET " + what +
                " WHERE company_id = " + std::to_string(kFirst + i) +
                " AND revision = " + std::to_string(revision) + ";";
    }
    database.ask(damage);
    const auto report = store::must(store::verify_over_postgres(*database.connect(), heads));
    const auto without = store::must(store::verify_over_postgres(*database.connect()));
    for (std::size_t i = 0; i < count; ++i) {
      const std::string name = "company " + std::to_string(kFirst + i) + ":";
      const auto is_told = [&](const store::VerifyReport& said) {
        return std::ranges::any_of(said.faults, [&](const std::string& fault) {
          return fault.find(name) != std::string::npos;
        });
      };
      const auto& [revision, what] = all[first + i];
      EXPECT_TRUE(is_told(report)) << "revision " << revision << ": " << what;
      found_without += is_told(without) ? 1 : 0;
      const bool is_in_hash = what.find("call_ids") == std::string::npos;
      if (revision == kRevisions && is_in_hash) {
        EXPECT_NE(report.heads[i], store::HeadVerdict::extended) << what;
      }
    }
    database.ask(
        "TRUNCATE earshot.changes; INSERT INTO earshot.changes SELECT * FROM earshot.whole");
  }
  EXPECT_EQ(found_without, all.size());
  EXPECT_TRUE(store->verify(heads)->faults.empty());
}

TEST_F(PostgresChanges, AHeadOfWhatCannotBeReadIsContradicted) {
  const auto store = open();
  const store::RecordHead head = head_of(*store, {1});
  const std::vector<store::HeadClaim> heads = {{{1}, head.revision, head.hash}};
  using enum store::HeadVerdict;
  ASSERT_EQ(store->verify(heads)->heads, std::vector{extended});
  database.ask("UPDATE earshot.changes SET request_id = '!' WHERE company_id = 1 AND revision = " +
               std::to_string(head.revision));
  EXPECT_EQ(store->verify(heads)->heads, std::vector{contradicted});
}

TEST_F(PostgresChanges, AHeadIsExtendedWhereAllBehindItIsAsItWas) {
  const auto store = open();
  for (std::uint64_t call = 1; call <= 2; ++call) {
    ASSERT_TRUE(give(*store, {call}, {2}).has_value());
  }
  std::vector<store::HeadClaim> heads = {{{1}, 0, {}}};
  const auto view = read_changes_now(*store, changes_behind({1}, {}));
  ASSERT_TRUE(view.has_value());
  for (const auto& one : view->revisions) {
    heads.push_back({{1}, one.revision, one.hash});
  }
  ASSERT_EQ(heads.size(), 4U);
  using enum store::HeadVerdict;
  EXPECT_EQ(store->verify(heads)->heads, (std::vector{extended, extended, extended, extended}));
  database.ask(
      "CREATE TABLE earshot.whole AS SELECT * FROM earshot.changes;"
      "UPDATE earshot.changes SET access_key = 'OTHER' WHERE company_id = 1 AND revision = 2");
  EXPECT_EQ(store->verify(heads)->heads,
            (std::vector{contradicted, contradicted, contradicted, extended}));
  database.ask(
      "TRUNCATE earshot.changes; INSERT INTO earshot.changes SELECT * FROM earshot.whole;"
      "DELETE FROM earshot.changes WHERE company_id = 1 AND revision = 3");
  EXPECT_EQ(store->verify(heads)->heads, (std::vector{extended, extended, extended, ahead}));
}

// As many as come at once, from few places and from many.
TEST_F(PostgresChanges, ReadersAtOnceAreEachGivenWhatIsBehindTheirPlace) {
  // They are many for a sanitizer, beside other tests.
  options.statement_time = std::chrono::seconds(30);
  options.request_time = std::chrono::seconds(60);
  const auto store = open();
  for (std::uint64_t call = 1; call <= 5; ++call) {
    ASSERT_TRUE(give(*store, {call}, {2}).has_value());
  }
  const store::RecordHead head = head_of(*store, {1});
  const auto statements = [&] {
    double sent = 0;
    for (const auto& figure : store->figures()) {
      if (figure.name == "store_read_statements_total") sent = figure.value;
    }
    return sent;
  };
  const auto read_all = [&](std::uint64_t places) {
    constexpr std::uint64_t kReaders = 400;
    std::vector<std::future<Result<store::ChangesView>>> answers;
    std::vector<std::promise<Result<store::ChangesView>>> promises(kReaders);
    const double before = statements();
    for (std::uint64_t i = 0; i < kReaders; ++i) {
      answers.push_back(promises[i].get_future());
      store->read_changes(
          changes_behind({1}, {i % places, std::nullopt}),
          [&, i](Result<store::ChangesView> view) { promises[i].set_value(std::move(view)); });
    }
    for (std::uint64_t i = 0; i < kReaders; ++i) {
      const auto view = answers[i].get();
      EXPECT_TRUE(view.has_value()) << view.error().message;
      if (view) {
        EXPECT_EQ(view->revisions.at(0).revision, i % places + 1);
        EXPECT_EQ(view->last.revision, head.revision);
      }
    }
    return statements() - before;
  };
  EXPECT_LT(read_all(1), 200) << "those at one place share statements";
  (void)read_all(head.revision);
}

}  // namespace
}  // namespace earshot::test
