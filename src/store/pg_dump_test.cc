#include "store/pg_dump.h"

#include <gtest/gtest.h>

#include "store/pg_load.h"
#include "store/pg_testing.h"

namespace earshot::store {
namespace {

core::Call call_with(std::uint64_t id) {
  core::Call call;
  call.id = {id};
  return call;
}

TEST(DumpOverPostgres, GoesOverPagesOfCallsAndPairs) {
  // Pages are of 500 calls and 20,000 pairs: a call alone has more than one page of these.
  std::vector<core::Record> records = {{{1}, false, core::Company{{1}, "One"}}};
  constexpr std::uint64_t kUsers = 21'000;
  for (std::uint64_t id = 1; id <= kUsers; ++id) {
    core::User user;
    user.id = {id};
    records.push_back({{1}, false, user});
  }
  for (std::uint64_t id = 1; id <= 1003; ++id) {
    records.push_back({{1}, false, call_with(id)});
    const std::uint64_t shares = id == 499 || id == 501 ? kUsers : id % 3;
    for (std::uint64_t user = 1; user <= shares; ++user) {
      records.push_back({{1}, false, core::ShareLine{{id}, {user}}});
    }
    for (std::uint64_t user = 1; user <= id % 2; ++user) {
      records.push_back({{1}, false, core::GrantLine{{id}, {user}, {}}});
    }
  }
  records.push_back({{1}, false, call_with(kIdMax)});
  records.push_back({{1}, false, core::GrantLine{{kIdMax}, {1}, {}}});
  const PgTestDatabase database;
  const auto session = database.connect();
  ListedRecords source(records);
  must(load_over_postgres(*session, source, {make_request_id(), ""}, [] { return Time{1}; }, {}));
  std::size_t next = 0;
  must(dump_over_postgres(*session, [&](const core::Record& record) -> Status {
    EXPECT_TRUE(next < records.size() && record == records[next]) << next;
    ++next;
    return {};
  }));
  EXPECT_EQ(next, records.size());
}

TEST(DumpOverPostgres, IsOfOneMoment) {
  const PgTestDatabase database;
  const auto session = database.connect();
  ListedRecords source({{{1}, false, core::Company{{1}, "One"}},
                        {{2}, false, core::Company{{2}, "Two"}},
                        {{2}, false, call_with(5)}});
  must(load_over_postgres(*session, source, {make_request_id(), ""}, [] { return Time{1}; }, {}));
  std::size_t records = 0;
  must(dump_over_postgres(*session, [&](const core::Record&) -> Status {
    if (records++ == 0) database.ask("DELETE FROM earshot.calls");
    return {};
  }));
  EXPECT_EQ(records, 3U);
  // And leaves the session as it was.
  EXPECT_TRUE(session->begin().has_value());
}

TEST(DumpOverPostgres, EndsWithWhoeverTakesTheRecords) {
  const PgTestDatabase database;
  const auto session = database.connect();
  ListedRecords source({{{1}, false, core::Company{{1}, "One"}}, {{1}, false, call_with(5)}});
  must(load_over_postgres(*session, source, {make_request_id(), ""}, [] { return Time{1}; }, {}));
  const Status dumped = dump_over_postgres(
      *session, [](const core::Record&) -> Status { return not_found("no more room"); });
  ASSERT_FALSE(dumped.has_value());
  EXPECT_EQ(dumped.error().message, "no more room");
}

}  // namespace
}  // namespace earshot::store
