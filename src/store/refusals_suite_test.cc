// What every store does with refusals: see conformance/store_suite.h.
#include <barrier>

#include "conformance/places.h"
#include "store/embedded_store.h"
#include "store/failing_env_testing.h"
#include "store/pg_refusals.h"

namespace earshot::test {
namespace {

store::Refusal refusal_of(CompanyId company, std::int64_t micros, std::string detail) {
  return {.company = company,
          .time = Time{micros},
          .reason = "scope",
          .operation = "listKeys",
          .access_key = company.value == 0 ? "" : "KEY",
          .remote_address = "192.0.2.7",
          .request_id = make_request_id(),
          .detail = std::move(detail),
          .requests = 3};
}

std::vector<std::string> details_of(const std::vector<store::KeptRefusal>& refusals) {
  std::vector<std::string> details;
  for (const store::KeptRefusal& one : refusals) details.push_back(one.refusal.detail);
  return details;
}

using Texts = std::vector<std::string>;

}  // namespace

class RefusalsSuite : public StoreSuite {
 protected:
  void load_company(CompanyId company) {
    core::Key key;
    key.access_key = "KEY" + to_string(company);
    key.scopes = {"a:b"};
    core::KeyLine line{key, {}};
    ASSERT_TRUE(
        load_now(store(), {{company, false, core::Company{company, "One"}}, {company, false, line}})
            .has_value());
  }
  store::RefusalsView list(CompanyId company, std::uint64_t before = 0, std::size_t max = 1000) {
    auto view = store().list_refusals({company, before, max});
    EXPECT_TRUE(view.has_value()) << view.error().message;
    return view ? std::move(*view) : store::RefusalsView{};
  }
  std::vector<CompanyId> list_companies() {
    auto companies = store().list_refused_companies();
    EXPECT_TRUE(companies.has_value()) << companies.error().message;
    return companies ? std::move(*companies) : std::vector<CompanyId>();
  }
  void keep(std::vector<store::Refusal> refusals) {
    const Status kept = store().keep_refusals(refusals);
    ASSERT_TRUE(kept.has_value()) << kept.error().message;
  }
};

TEST_P(RefusalsSuite, AreListedNewestFirstInPages) {
  load_company({1});
  EXPECT_TRUE(list({1}).refusals.empty());
  EXPECT_TRUE(list({1}).is_end);
  const store::Refusal first = refusal_of({1}, now_, "a");
  keep({first, refusal_of({0}, now_, "of nobody"), refusal_of({1}, now_, "b")});
  keep({refusal_of({1}, now_, "c")});
  const store::RefusalsView all = list({1});
  EXPECT_EQ(details_of(all.refusals), (Texts{"c", "b", "a"}));
  EXPECT_TRUE(all.is_end);
  const store::Refusal& last = all.refusals.back().refusal;
  EXPECT_EQ(last.company, first.company);
  EXPECT_EQ(last.time, first.time);
  EXPECT_EQ(last.reason, first.reason);
  EXPECT_EQ(last.operation, first.operation);
  EXPECT_EQ(last.access_key, first.access_key);
  EXPECT_EQ(last.remote_address, first.remote_address);
  EXPECT_EQ(last.request_id, first.request_id);
  EXPECT_EQ(last.requests, 3U);
  const store::RefusalsView page = list({1}, 0, 2);
  EXPECT_EQ(details_of(page.refusals), (Texts{"c", "b"}));
  EXPECT_FALSE(page.is_end);
  const store::RefusalsView rest = list({1}, page.refusals.back().number, 2);
  EXPECT_EQ(details_of(rest.refusals), (Texts{"a"}));
  EXPECT_TRUE(rest.is_end);
  EXPECT_EQ(details_of(list({0}).refusals), (Texts{"of nobody"}));
  open();
  EXPECT_EQ(details_of(list({1}).refusals), (Texts{"c", "b", "a"}));
  keep({refusal_of({1}, now_, "d")});
  EXPECT_EQ(details_of(list({1}).refusals), (Texts{"d", "c", "b", "a"}));
  EXPECT_GT(list({1}).refusals[0].number, all.refusals[0].number);
  expect_sound();
}

TEST_P(RefusalsSuite, OfEachCompanyTheNewestStayWhateverTheOthersHave) {
  place_->refusals.per_company = 5;
  open();
  load_company({1});
  load_company({2});
  keep({refusal_of({2}, now_, "of another")});
  std::vector<store::Refusal> flood;
  for (int i = 1; i <= 2000; ++i) {
    flood.push_back(refusal_of({1}, now_, std::to_string(i)));
    flood.push_back(refusal_of({0}, now_, std::to_string(i)));
  }
  keep(flood);
  keep({flood[0], flood[2]});
  EXPECT_EQ(details_of(list({1}).refusals), (Texts{"2", "1", "2000", "1999", "1998"}));
  EXPECT_EQ(details_of(list({0}).refusals), (Texts{"2000", "1999", "1998", "1997", "1996"}));
  EXPECT_EQ(details_of(list({2}).refusals), (Texts{"of another"}));
  open();
  keep({flood[4]});
  EXPECT_EQ(details_of(list({1}).refusals), (Texts{"3", "2", "1", "2000", "1999"}));
}

TEST_P(RefusalsSuite, WhatAnybodyMayCausePushesOutNothingElse) {
  place_->refusals.per_company = 7;
  open();
  load_company({1});
  const auto of_stranger = [this](CompanyId company, int i) {
    store::Refusal one = refusal_of(company, now_, std::to_string(i));
    one.reason = i % 4 == 0 ? "not_kept" : "credentials";
    return one;
  };
  keep({of_stranger({1}, 1), refusal_of({1}, now_, "own"), of_stranger({1}, 2)});
  for (int i = 3; i < 30; i += 3) {
    for (const CompanyId company : {CompanyId{1}, CompanyId{0}}) {
      keep({of_stranger(company, i), of_stranger(company, i + 1), of_stranger(company, i + 2)});
    }
  }
  EXPECT_EQ(details_of(list({1}).refusals), (Texts{"29", "28", "27", "own"}));
  // Those of no company are all of that kind.
  EXPECT_EQ(details_of(list({0}).refusals), (Texts{"29", "28", "27", "26", "25", "24", "23"}));
  keep({refusal_of({1}, now_, "own 2")});
  open();
  keep({of_stranger({1}, 30)});
  EXPECT_EQ(details_of(list({1}).refusals), (Texts{"30", "own 2", "29", "28", "own"}));
  // Pages go over what is gone in between.
  const store::RefusalsView page = list({1}, 0, 4);
  EXPECT_FALSE(page.is_end);
  const store::RefusalsView rest = list({1}, page.refusals.back().number, 4);
  EXPECT_EQ(details_of(rest.refusals), (Texts{"own"}));
  EXPECT_TRUE(rest.is_end);
  // The company's own may have all, and then the oldest go, whichever they are.
  keep({refusal_of({1}, now_, "own 3"), refusal_of({1}, now_, "own 4"),
        refusal_of({1}, now_, "own 5"), refusal_of({1}, now_, "own 6")});
  EXPECT_EQ(details_of(list({1}).refusals),
            (Texts{"own 6", "own 5", "own 4", "own 3", "30", "own 2", "29"}));
  expect_sound();
}

TEST_P(RefusalsSuite, WhereOneIsKeptItIsTheNewest) {
  place_->refusals.per_company = 1;
  open();
  load_company({1});
  store::Refusal of_stranger = refusal_of({1}, now_, "stranger");
  of_stranger.reason = "credentials";
  for (int i = 0; i < 2; ++i) {
    keep({refusal_of({1}, now_, "own")});
    EXPECT_EQ(details_of(list({1}).refusals), (Texts{"own"}));
    keep({of_stranger});
    EXPECT_EQ(details_of(list({1}).refusals), (Texts{"stranger"}));
  }
}

TEST_P(RefusalsSuite, OldOnesAreNotShown) {
  place_->refusals.keep = std::chrono::seconds(10);
  open();
  load_company({1});
  keep({refusal_of({1}, now_, "old"), refusal_of({1}, now_ + 1, "less old")});
  now_ += 10'000'001;
  EXPECT_EQ(details_of(list({1}).refusals), (Texts{"less old"}));
  now_ += 1;
  EXPECT_TRUE(list({1}).refusals.empty());
  EXPECT_TRUE(list({1}).is_end);
}

TEST_P(RefusalsSuite, GoWithTheirCompany) {
  load_company({1});
  load_company({2});
  keep({refusal_of({1}, now_, "a"), refusal_of({2}, now_, "b")});
  const std::uint64_t before = list({1}).refusals[0].number;
  const core::Record gone{{1}, true, core::Company{{1}, ""}};
  ASSERT_TRUE(load_now(store(), {gone}).has_value());
  // A late one finds no company any more.
  keep({refusal_of({1}, now_, "late")});
  for (int i = 0; i < 500 && !list({1}).refusals.empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_TRUE(list({1}).refusals.empty());
  keep({refusal_of({1}, now_, "later still")});
  EXPECT_TRUE(list({1}).refusals.empty());
  load_company({1});
  EXPECT_TRUE(list({1}).refusals.empty());
  EXPECT_EQ(details_of(list({2}).refusals), (Texts{"b"}));
  // A reader's place is behind a number: none is given again.
  open();
  now_ += 1'000'000;
  keep({refusal_of({1}, now_, "c")});
  EXPECT_EQ(details_of(list({1}).refusals), (Texts{"c"}));
  EXPECT_GT(list({1}).refusals[0].number, before);
}

// Whoever holds the last one could remove it and with it the traces.
TEST_P(RefusalsSuite, AreKeptOfACompanyWithoutKeys) {
  ASSERT_TRUE(load_now(store(), {{{1}, false, core::Company{{1}, "One"}}}).has_value());
  keep({refusal_of({1}, now_, "a")});
  EXPECT_EQ(details_of(list({1}).refusals), (Texts{"a"}));
  EXPECT_EQ(list_companies(), (std::vector<CompanyId>{{1}}));
}

TEST_P(RefusalsSuite, OfWhomThereAreAnyIsListed) {
  EXPECT_EQ(list_companies(), std::vector<CompanyId>());
  const CompanyId last{INT64_MAX};
  for (const CompanyId company : {CompanyId{1}, CompanyId{2}, last}) load_company(company);
  keep({refusal_of(last, now_, "a"), refusal_of({0}, now_, "b"), refusal_of({2}, now_, "c")});
  keep({refusal_of({2}, now_, "d")});
  EXPECT_EQ(list_companies(), (std::vector<CompanyId>{{0}, {2}, last}));
}

TEST_P(RefusalsSuite, ManyMayBringThemAtOnce) {
  load_company({1});
  constexpr int kThreads = 4, kTimes = 20;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([this] {
      for (int j = 0; j < kTimes; ++j)
        keep({refusal_of({1}, now_, "x"), refusal_of({0}, now_, "y")});
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(list({1}).refusals.size(), std::size_t{kThreads * kTimes});
  EXPECT_EQ(list({0}).refusals.size(), std::size_t{kThreads * kTimes});
}

INSTANTIATE_TEST_SUITE_P(Embedded, RefusalsSuite,
                         testing::Values(embedded("AsShipped", [](auto&) {})),
                         [](const auto& kind) { return kind.param.name; });
INSTANTIATE_TEST_SUITE_P(Postgres, RefusalsSuite,
                         testing::Values(postgres(
                             "AsShipped", [](auto&) {}, 0)),
                         [](const auto& kind) { return kind.param.name; });

// Those of every company, and more than go at once.
TEST(EmbeddedRefusals, OldOnesGoFromTheDisk) {
  EmbeddedPlace place;
  place.refusals.keep = std::chrono::seconds(10);
  place.retention_revisions = 1'000'000;  // upkeep all the time
  std::atomic<std::int64_t> now{1'772'359'200'000'000};
  const auto clock = [&now] { return Time{now}; };
  auto store = place.open(clock);
  std::vector<core::Record> records;
  for (std::uint64_t id = 1; id <= 2; ++id) {
    core::KeyLine line;
    line.key.access_key = "K" + std::to_string(id);
    records.insert(records.end(), {{{id}, false, core::Company{{id}, "C"}}, {{id}, false, line}});
  }
  ASSERT_TRUE(load_now(*store, records).has_value());
  const auto keep = [&](CompanyId company, std::size_t count, const std::string& detail) {
    const std::vector<store::Refusal> some(count, refusal_of(company, now, detail));
    ASSERT_TRUE(store->keep_refusals(some).has_value());
  };
  keep({0}, 1, "old");
  keep({1}, 2500, "old");
  keep({2}, 1, "old");
  now += 5'000'000;
  keep({0}, 1, "new");
  keep({2}, 2, "new");
  now += 6'000'000;
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  store.reset();
  place.refusals.keep = std::chrono::hours(1);
  store = place.open(clock);
  const auto left = [&](CompanyId company) {
    const auto view = store->list_refusals({company, 0, 10});
    EXPECT_TRUE(view.has_value());
    return view ? details_of(view->refusals) : Texts();
  };
  EXPECT_EQ(left({0}), (Texts{"new"}));
  EXPECT_EQ(left({1}), Texts());
  EXPECT_EQ(left({2}), (Texts{"new", "new"}));
}

TEST(EmbeddedRefusals, NothingIsWrittenWhileTheDiskIsNearlyFull) {
  EmbeddedPlace place;
  place.options.free_bytes_min = ~std::uint64_t{0};
  const auto store = place.open([] { return Time{1}; });
  const auto kept = store->keep_refusals(std::vector{refusal_of({0}, 1, "x")});
  ASSERT_FALSE(kept.has_value());
  EXPECT_EQ(kept.error().code, Code::unavailable);
  EXPECT_TRUE(store->list_refusals({{0}, 0, 10})->refusals.empty());
}

// Nor when keys were used.
TEST(EmbeddedRefusals, WaitForNoDisk) {
  FailingEnv env;
  const TemporaryDirectory directory;
  store::EmbeddedOptions options;
  options.directory = directory.path() + "/store";
  options.free_bytes_min = 0;
  const auto store = *store::open_embedded_on(options, &env);
  core::KeyLine line;
  line.key.access_key = "K";
  ASSERT_TRUE(load_now(*store, {{{1}, false, core::Company{{1}, "One"}}, {{1}, false, line}}));
  env.fail_sync = true;
  const std::int64_t now = wall_now().micros;
  EXPECT_TRUE(store->keep_refusals(std::vector{refusal_of({1}, now, "x")}).has_value());
  const std::vector<store::KeyUse> uses = {{{1}, "K", Time{5}}};
  EXPECT_TRUE(store->note_key_uses(uses).has_value());
  EXPECT_EQ(store->list_refusals({{1}, 0, 10})->refusals.size(), 1U);
  EXPECT_EQ(store->list_key_uses({1})->size(), 1U);
  EXPECT_FALSE(load_now(*store, {{{1}, true, line}}).has_value()) << "others do wait";
}

// A row tells how the session that wrote it commits.
TEST(PgRefusals, WaitForNoDisk) {
  PostgresPlace place;
  const auto store = place.open(wall_now);
  core::KeyLine line;
  line.key.access_key = "K";
  ASSERT_TRUE(load_now(*store, {{{1}, false, core::Company{{1}, "One"}}, {{1}, false, line}}));
  for (const std::string table : {"refusals", "key_uses"}) {
    place.database.ask("ALTER TABLE earshot." + table +
                       " ADD CHECK (current_setting('synchronous_commit') = 'off')");
  }
  const std::int64_t now = wall_now().micros;
  EXPECT_TRUE(store->keep_refusals(std::vector{refusal_of({1}, now, "x")}).has_value());
  const std::vector<store::KeyUse> uses = {{{1}, "K", Time{5}}};
  EXPECT_TRUE(store->note_key_uses(uses).has_value());
}

// Kept while the company went, by a server that did not see it yet.
TEST(PgRefusals, ThoseOfCompaniesThatAreGoneGoInTime) {
  PostgresPlace place;
  const auto store = place.open([] { return Time{1'000'000'000}; });
  for (const bool remove : {false, true}) {
    ASSERT_TRUE(load_now(*store, {{{7}, remove, core::Company{{7}, "Seven"}}}).has_value());
    ASSERT_TRUE(load_now(*store, {{{8}, false, core::Company{{8}, "Eight"}}}).has_value());
  }
  for (const std::string company : {"7", "8", "0"}) {
    place.database.ask("INSERT INTO earshot.refusals VALUES (" + company +
                       ", 1, now(), 'scope', '', '', '', '', 'x', 1)");
  }
  const auto session = place.database.connect();
  ASSERT_TRUE(store::forget_refusals_over_postgres(*session, {}, Time{1'000'000'000}).has_value());
  EXPECT_EQ(place.database.ask("SELECT string_agg(company_id::text, ',' ORDER BY company_id)"
                               " FROM earshot.refusals"),
            "0,8");
}

// The same connection tells the limits of the day.
TEST(PgKeyUses, WaitForNoLoadThatRevokesKeys) {
  PostgresPlace place;
  const auto store = place.open([] { return Time{1'000'000'000}; });
  core::KeyLine line;
  line.key.access_key = "K";
  ASSERT_TRUE(load_now(*store, {{{1}, false, core::Company{{1}, "One"}}, {{1}, false, line}}));
  const std::vector<store::KeyUse> before = {{{1}, "K", Time{5}}}, later = {{{1}, "K", Time{6}}};
  ASSERT_TRUE(store->note_key_uses(before).has_value());
  const auto load = place.database.connect();
  store::must(load->run_text("BEGIN; DELETE FROM earshot.key_uses WHERE company_id = 1"));
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_FALSE(store->note_key_uses(later).has_value());
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(2));
  load->roll_back();
  EXPECT_TRUE(store->note_key_uses(later).has_value());
  EXPECT_EQ(store->list_key_uses({1})->at(0).at, Time{6});
}

// A table of very many takes longer than a request may.
TEST(PgRefusals, OfWhomThereAreAnyIsListedHoweverLongThatTakes) {
  PostgresPlace place;
  place.options.statement_time = std::chrono::milliseconds(300);
  const auto store = place.open(wall_now);
  const std::vector<store::Refusal> some = {refusal_of({0}, wall_now().micros, "a")};
  ASSERT_TRUE(store->keep_refusals(some).has_value());
  const auto other = place.database.connect();
  store::must(other->run_text("BEGIN; LOCK TABLE earshot.refusals IN ACCESS EXCLUSIVE MODE"));
  auto listed = std::async(std::launch::async, [&] { return store->list_refused_companies(); });
  EXPECT_EQ(listed.wait_for(std::chrono::seconds(1)), std::future_status::timeout);
  other->roll_back();
  const auto companies = listed.get();
  ASSERT_TRUE(companies.has_value()) << companies.error().message;
  EXPECT_EQ(*companies, (std::vector<CompanyId>{{0}}));
}

TEST(PgRefusals, OldOnesGoFromTheDatabase) {
  PostgresPlace place;
  const auto store = place.open([] { return Time{1'000'000'000}; });
  ASSERT_TRUE(store
                  ->keep_refusals(std::vector{refusal_of({0}, 999'000'000, "old"),
                                              refusal_of({0}, 1'000'000'000, "new")})
                  .has_value());
  const auto session = place.database.connect();
  const store::RefusalLimits limits{.keep = std::chrono::seconds(1)};
  ASSERT_TRUE(
      store::forget_refusals_over_postgres(*session, limits, Time{1'000'500'000}).has_value());
  EXPECT_EQ(place.database.ask("SELECT string_agg(detail, ',') FROM earshot.refusals"), "new");
}

// While this one writes, another commits all numbers that it may choose from.
TEST(PgRefusals, ANumberThatAnotherServerTookIsNoReasonToLoseARefusal) {
  PostgresPlace place;
  const auto store = place.open(wall_now);
  const std::vector<store::Refusal> first = {refusal_of({0}, wall_now().micros, "first")};
  const std::vector<store::Refusal> last = {refusal_of({0}, wall_now().micros, "last")};
  ASSERT_TRUE(store->keep_refusals(first).has_value());
  const auto other = place.database.connect();
  store::must(other->run_text(
      "BEGIN; INSERT INTO earshot.refusals (company_id, number, at, reason, operation, access_key,"
      " remote_address, request_id, detail, requests) SELECT company_id, number + n, at, reason,"
      " operation, access_key, remote_address, request_id, 'of another', requests"
      " FROM earshot.refusals, generate_series(1, 1000) AS n"));
  auto kept = std::async(std::launch::async, [&] { return store->keep_refusals(last); });
  const auto waits = [&] {
    return place.database.ask(
               "SELECT count(*)::text FROM pg_stat_activity WHERE"
               " datname = current_database() AND wait_event_type = 'Lock'") != "0";
  };
  for (int i = 0; i < 300 && !waits(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  store::must(other->run_text("COMMIT"));
  const Status done = kept.get();
  EXPECT_TRUE(done.has_value()) << done.error().message;
  EXPECT_EQ(details_of(store->list_refusals({{0}, 0, 2})->refusals), (Texts{"last", "of another"}));
}

TEST(PgRefusals, WaitForNobodyWhoDeletesTheSame) {
  PostgresPlace place;
  const auto store = place.open(wall_now);
  const std::vector<store::Refusal> both = {refusal_of({0}, 1, "a"), refusal_of({0}, 1, "b")};
  ASSERT_TRUE(store->keep_refusals(both).has_value());
  const auto other = place.database.connect();
  store::must(other->run_text("BEGIN; DELETE FROM earshot.refusals WHERE detail = 'a'"));
  const auto session = place.database.connect({.silence_max = std::chrono::seconds(5)});
  const Status kept =
      store::keep_refusals_over_postgres(*session, both, {.per_company = 1}, wall_now());
  EXPECT_TRUE(kept.has_value()) << kept.error().message;
  other->roll_back();
  EXPECT_EQ(place.database.ask("SELECT string_agg(detail, ',' ORDER BY number)"
                               " FROM earshot.refusals"),
            "a,b");
}

// They begin behind the same last one, and delete the same.
TEST(PgRefusals, ManyServersKeepTheirsAtTheSameMoment) {
  constexpr std::size_t kServers = 16, kTimes = 20, kAtOnce = 3, kMax = 400;
  PostgresPlace place;
  place.refusals.per_company = kMax;
  const auto store = place.open(wall_now);
  ASSERT_TRUE(load_now(*store, {{{1}, false, core::Company{{1}, "One"}}}).has_value());
  std::barrier moment(kServers);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kServers; ++i) {
    threads.emplace_back([&, i] {
      const auto session = place.database.connect();
      for (std::size_t j = 0; j < kTimes; ++j) {
        const std::int64_t now = wall_now().micros;
        std::vector<store::Refusal> refusals(kAtOnce, refusal_of({1}, now, "x"));
        if (i % 2 == 0) refusals[0].reason = "credentials";
        refusals.push_back(refusal_of({0}, now, "of nobody"));
        moment.arrive_and_wait();
        const Status kept =
            store::keep_refusals_over_postgres(*session, refusals, place.refusals, Time{now});
        EXPECT_TRUE(kept.has_value()) << kept.error().message;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  // What servers that ran at the same time did not see of each other goes with the next.
  ASSERT_TRUE(store->keep_refusals(std::vector{refusal_of({1}, 1, "last")}).has_value());
  const std::string count = "SELECT count(*) FROM earshot.refusals WHERE company_id = ";
  EXPECT_EQ(place.database.ask(count + "1"), std::to_string(kMax));
  EXPECT_EQ(place.database.ask(count + "0"), std::to_string(kServers * kTimes));
}

}  // namespace earshot::test
