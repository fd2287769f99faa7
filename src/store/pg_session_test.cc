#include "store/pg_session.h"

#include <gtest/gtest.h>

#include "store/pg_testing.h"

namespace earshot::store {
namespace {

constexpr PgStatement kCount = {"count", "SELECT n FROM generate_series(1, $1::bigint) AS n"};
constexpr PgStatement kEcho = {"echo", "SELECT $1::text, length($1::text)::bigint"};
constexpr PgStatement kDivide = {"divide", "SELECT 10 / $1::bigint"};
constexpr PgStatement kSleep = {"sleep", "SELECT true FROM pg_sleep(20)"};

PgParams params_of(std::uint64_t number) { return PgParams().add(number); }

std::unique_ptr<PgSession> connect(PgSessionOptions options = {}) {
  return must(PgSession::open(test_server_url(), std::move(options)));
}

TEST(PgSession, RunsAStatementAgainAndAgain) {
  const auto session = connect();
  for (const std::uint64_t count : {3, 0, 5}) {
    const PgResult result = must(session->run(kCount, params_of(count)));
    ASSERT_EQ(result.rows(), static_cast<int>(count));
    for (int i = 0; i < result.rows(); ++i) EXPECT_EQ(result.number(i, 0), i + 1U);
  }
}

TEST(PgSession, RefusesWithoutParameters) {
  const auto session = connect();
  const auto divided = session->run(kDivide, params_of(0));
  ASSERT_FALSE(divided.has_value());
  EXPECT_EQ(divided.error().code, Code::internal);
  EXPECT_EQ(session->last_sqlstate(), "22012");
  EXPECT_EQ(divided.error().message, "PostgreSQL (22012): division by zero");
  EXPECT_TRUE(session->run(kDivide, params_of(5)).has_value());
}

TEST(PgSession, SendsManyAtOnceAndTakesTheResultsInOrder) {
  const auto session = connect();
  must(session->begin());
  // Far more than what fits into the sockets on the way.
  const std::string large(300'000, 'x');
  std::vector<PgCall> calls;
  for (std::uint64_t i = 0; i < 100; ++i) {
    calls.push_back({&kEcho, PgParams().add_text(large.substr(0, i * 3000))});
  }
  std::size_t taken = 0;
  must(session->run_all(calls, [&](std::size_t call, const PgResult& result) -> Status {
    EXPECT_EQ(call, taken++);
    EXPECT_EQ(result.number(0, 1), call * 3000);
    return {};
  }));
  EXPECT_EQ(taken, 100U);
  EXPECT_EQ(session->commit().outcome, PgEnding::Outcome::committed);
}

TEST(PgSession, OneOfManyThatFailsIsTheErrorOfAll) {
  const auto session = connect();
  must(session->begin());
  std::vector<PgCall> calls = {
      {&kDivide, params_of(1)}, {&kDivide, params_of(0)}, {&kCount, params_of(1)}};
  std::size_t taken = 0;
  const Status all = session->run_all(calls, [&](std::size_t, const PgResult&) -> Status {
    ++taken;
    return {};
  });
  ASSERT_FALSE(all.has_value());
  EXPECT_EQ(session->last_sqlstate(), "22012");
  EXPECT_EQ(taken, 1U);
  EXPECT_EQ(session->commit().outcome, PgEnding::Outcome::rolled_back);
  // The statement that was not prepared any more is when it is used next.
  EXPECT_TRUE(session->run(kCount, params_of(1)).has_value());
}

TEST(PgSession, StreamsRowByRow) {
  const auto session = connect();
  std::uint64_t sum = 0;
  must(session->stream(kCount, params_of(10'000), [&](const PgResult& row) -> Status {
    EXPECT_EQ(row.rows(), 1);
    sum += row.number(0, 0);
    return {};
  }));
  EXPECT_EQ(sum, 50'005'000U);
  const Status stopped = session->stream(
      kCount, params_of(10'000), [](const PgResult&) -> Status { return not_found("enough"); });
  ASSERT_FALSE(stopped.has_value());
  EXPECT_EQ(stopped.error().message, "enough");
  EXPECT_TRUE(session->is_lost());
}

TEST(PgSession, ClosesTheConnectionOfASilentServer) {
  const auto session = connect({.silence_max = std::chrono::milliseconds(200)});
  const auto begun = std::chrono::steady_clock::now();
  const auto slept = session->run(kSleep);
  ASSERT_FALSE(slept.has_value());
  EXPECT_EQ(slept.error().code, Code::unavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(5));
  EXPECT_TRUE(session->is_lost());
  EXPECT_EQ(session->run(kCount, params_of(1)).error().code, Code::unavailable);
}

TEST(PgSession, KnowsThatItsServerWentAway) {
  const auto session = connect();
  const std::string pid =
      PQgetvalue(must(session->run_text("SELECT pg_backend_pid()")).get(), 0, 0);
  must(session->begin());
  run_on_test_server("SELECT pg_terminate_backend(" + pid + ")");
  const auto counted = session->run(kCount, params_of(1));
  ASSERT_FALSE(counted.has_value());
  EXPECT_EQ(counted.error().code, Code::unavailable);
  EXPECT_TRUE(session->is_lost());
  EXPECT_EQ(session->commit().outcome, PgEnding::Outcome::unknown);
}

TEST(PgSession, TriesHostAfterHost) {
  std::string url = test_server_url();
  const std::size_t host =
      url.find('@') == std::string::npos ? url.find("://") + 3 : url.find('@') + 1;
  url.insert(host, "127.0.0.1:1,");  // where nobody listens
  EXPECT_TRUE(PgSession::open(url).has_value());
}

TEST(PgSession, SaysWhyItCannotConnectAndNoPassword) {
  const auto session =
      PgSession::open("postgresql://nobody:s3cret@127.0.0.1:1,127.0.0.1:2/x?connect_timeout=2");
  ASSERT_FALSE(session.has_value());
  EXPECT_EQ(session.error().code, Code::unavailable);
  const std::string& message = session.error().message;
  EXPECT_NE(message.find("127.0.0.1:1"), std::string::npos);
  EXPECT_NE(message.find("127.0.0.1:2"), std::string::npos);
  EXPECT_EQ(message.find("s3cret"), std::string::npos);
  EXPECT_EQ(message.find('\n'), std::string::npos);
  // A server that is there and refuses.
  const auto refused = PgSession::open(with_database(test_server_url(), "no_such_database"));
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().message.find("does not exist"), std::string::npos);
}

TEST(PgSession, AWarningAtCommitMeansThatNobodyKnows) {
  const auto session = connect();
  must(session->begin());
  must(session->run_text(
      "CREATE TEMPORARY TABLE t (n int);"
      "CREATE FUNCTION pg_temp.warn() RETURNS trigger LANGUAGE plpgsql AS"
      " $$ BEGIN RAISE WARNING 'not sure'; RETURN NULL; END $$;"
      "CREATE CONSTRAINT TRIGGER t AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED"
      " FOR EACH ROW EXECUTE FUNCTION pg_temp.warn();"
      "INSERT INTO t VALUES (1)"));
  const PgEnding ending = session->commit();
  EXPECT_EQ(ending.outcome, PgEnding::Outcome::unknown);
  EXPECT_EQ(ending.why, "not sure");
}

TEST(PgSession, SetsWhatItIsAskedTo) {
  const auto session = connect({.settings = {{"enable_seqscan", "off"}, {"work_mem", "1MB"}}});
  EXPECT_STREQ(PQgetvalue(must(session->run_text("SHOW enable_seqscan")).get(), 0, 0), "off");
  EXPECT_STREQ(PQgetvalue(must(session->run_text("SHOW search_path")).get(), 0, 0), "pg_catalog");
  EXPECT_STREQ(PQgetvalue(must(session->run_text("SHOW application_name")).get(), 0, 0), "earshot");
}

}  // namespace
}  // namespace earshot::store
