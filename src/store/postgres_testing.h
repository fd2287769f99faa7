// The place of tests of what is PostgreSQL's own: a database with a small company, and stores over
// it, near or by way of a network that fails.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "conformance/store_suite.h"
#include "store/pg_proxy_testing.h"
#include "store/pg_testing.h"
#include "store/postgres.h"

namespace earshot::test {

// On the wire, where it is carried out; where it is prepared, other bytes stand around the name.
inline const std::string kExecutesCommit("\0commit\0", 8);
inline const std::string kExecutesFindRevision("\0find_revision\0", 15);

struct Postgres : testing::Test {
  Postgres() : proxy(database.url()) {
    options.url = database.url();
    options.statement_time = std::chrono::milliseconds(400);
    options.request_time = std::chrono::milliseconds(1500);
    options.primary_proof = std::chrono::milliseconds(200);
    options.expiry_every = std::chrono::hours(24);
    const auto store = open();
    std::vector<core::Record> records = {{{1}, false, core::Company{{1}, "One"}}};
    for (std::uint64_t i = 1; i <= 9; ++i) {
      core::User user;
      user.id = {i};
      records.push_back({{1}, false, user});
      core::Call call;
      call.id = {i};
      records.push_back({{1}, false, call});
    }
    EXPECT_TRUE(load_now(*store, records).has_value());
  }
  std::unique_ptr<store::Store> open() { return store::must(store::open_postgres(options)); }
  // By way of the proxy.
  std::unique_ptr<store::Store> open_far() {
    store::PostgresOptions far = options;
    far.url = proxy.route(options.url);
    return store::must(store::open_postgres(far));
  }
  static Result<store::Outcome> give(store::Store& store, CallId call, UserId user) {
    return write_now(store, command_of(store::Operation::give, {1}, {{call, {user}}}));
  }
  static std::vector<UserId> listed(store::Store& store, CallId call) {
    const auto view = read_now(store, {1}, {call});
    EXPECT_TRUE(view.has_value()) << view.error().message;
    return view ? live_users(*view->entries[0], wall_now()) : std::vector<UserId>();
  }
  std::string count_changes() const {
    return database.ask("SELECT count(*)::text FROM earshot.changes WHERE operation = 'give'");
  }
  void expect_sound() {
    const auto report = open()->verify();
    ASSERT_TRUE(report.has_value()) << report.error().message;
    EXPECT_TRUE(report->faults.empty()) << report->faults[0];
  }

  store::PgTestDatabase database;
  store::PgProxy proxy;
  store::PostgresOptions options;
};

}  // namespace earshot::test
