#include "store/pg_usage.h"

#include <gtest/gtest.h>

#include <thread>

#include "store/pg_load.h"
#include "store/pg_testing.h"

namespace earshot::store {
namespace {

constexpr std::uint32_t kDay = 20'000;

TEST(PgUsage, AddsUpOverServersAndDays) {
  const PgTestDatabase database;
  const auto one = database.connect(), other = database.connect();
  EXPECT_EQ(must(load_usage_over_postgres(*one, kDay)).size(), 0U);
  EXPECT_EQ(must(add_usage_over_postgres(*one, {})).size(), 0U);
  const std::vector<DayUsage> more = {{{7}, kDay, 5}, {{3}, kDay, 1}, {{7}, kDay + 1, 2}};
  auto sums = must(add_usage_over_postgres(*one, more));
  ASSERT_EQ(sums.size(), 3U);
  EXPECT_EQ(sums[0].requests, 5U);
  sums = must(add_usage_over_postgres(*other, more));
  ASSERT_EQ(sums.size(), 3U);
  EXPECT_EQ(sums[0].company, CompanyId{7});
  EXPECT_EQ(sums[0].requests, 10U);
  EXPECT_EQ(sums[1].company, CompanyId{3});
  EXPECT_EQ(sums[1].requests, 2U);
  EXPECT_EQ(sums[2].day, kDay + 1);
  EXPECT_EQ(sums[2].requests, 4U);
  const auto kept = must(load_usage_over_postgres(*one, kDay));
  ASSERT_EQ(kept.size(), 2U);
  EXPECT_EQ(kept[0].company, CompanyId{3});
  EXPECT_EQ(kept[1].requests, 10U);
}

TEST(PgUsage, ServersThatAddAtTheSameTimeLoseNothing) {
  const PgTestDatabase database;
  std::vector<std::thread> servers;
  for (int server = 0; server < 4; ++server) {
    servers.emplace_back([&, server] {
      const auto session = database.connect();
      // In another order each: it must not matter.
      std::vector<DayUsage> more = {{{1}, kDay, 1}, {{2}, kDay, 1}, {{3}, kDay, 1}};
      std::rotate(more.begin(), more.begin() + server % 3, more.end());
      for (int i = 0; i < 50; ++i) {
        const auto sums = add_usage_over_postgres(*session, more);
        EXPECT_TRUE(sums.has_value()) << sums.error().message;
      }
    });
  }
  for (std::thread& server : servers) server.join();
  for (const DayUsage& one : must(load_usage_over_postgres(*database.connect(), kDay))) {
    EXPECT_EQ(one.requests, 200U);
  }
}

TEST(PgUsage, ACompanyMayBeNamedTwice) {
  const PgTestDatabase database;
  const auto session = database.connect();
  const std::vector<DayUsage> more = {{{7}, kDay, 5}, {{7}, kDay, 1}};
  const auto sums = must(add_usage_over_postgres(*session, more));
  EXPECT_EQ(sums[1].requests, 6U);
}

TEST(ListKeysOverPostgres, IsSortedByCompanyAndByte) {
  const PgTestDatabase database;
  const auto session = database.connect();
  std::vector<core::Record> records;
  for (const std::uint64_t company : {2, 1}) {
    records.push_back({{company}, false, core::Company{{company}, "C"}});
    for (const std::string name : {"b", "B", "a_", "a"}) {
      core::Key key{name + std::to_string(company), hash_secret("x"), {"s,{}\"\\", ""}, Time{9}};
      records.push_back({{company}, false, core::KeyLine{key, std::nullopt}});
    }
  }
  ListedRecords source(records);
  must(load_over_postgres(*session, source, {make_request_id(), ""}, [] { return Time{1}; }, {}));
  const auto all = must(list_keys_over_postgres(*session, std::nullopt));
  std::string names;
  for (const KeyPtr& key : all) names += key->key.access_key + " ";
  EXPECT_EQ(names, "B1 a1 a_1 b1 B2 a2 a_2 b2 ");
  const auto some = must(list_keys_over_postgres(*session, CompanyId{2}));
  ASSERT_EQ(some.size(), 4U);
  EXPECT_EQ(some[0]->company, CompanyId{2});
  EXPECT_EQ(some[3]->key, std::get<core::KeyLine>(records[1].thing).key);
}

}  // namespace
}  // namespace earshot::store
