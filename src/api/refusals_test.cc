// Refused requests: which are kept, of whom, and how many at most; and their list.
#include <algorithm>
#include <atomic>
#include <future>
#include <span>
#include <thread>

#include "api/cursor.h"
#include "api/refusal_log.h"
#include "api/testing.h"
#include "store/refusal_bounds.h"

namespace earshot::api {
namespace {

store::Refusal refusal_from(std::uint64_t company, std::string address, std::int64_t micros = 5) {
  store::Refusal refusal;
  refusal.company = {company};
  refusal.time = {micros};
  refusal.reason = "scope";
  refusal.access_key = company == 0 ? "" : "KEY";
  refusal.remote_address = std::move(address);
  refusal.detail = std::to_string(micros);
  return refusal;
}

std::uint64_t sum_of(const std::vector<store::Refusal>& refusals) {
  std::uint64_t sum = 0;
  for (const store::Refusal& one : refusals) sum += one.requests;
  return sum;
}

TEST(RefusalCollector, TellsAlikeOnesOnce) {
  RefusalCollector collector;
  collector.add(refusal_from(1, "a", 8));
  collector.add(refusal_from(1, "a", 7));
  collector.add(refusal_from(1, "b", 9));
  collector.add(refusal_from(2, "a", 9));
  auto other = refusal_from(1, "a", 10);
  other.operation = "listKeys";
  collector.add(other);
  const auto taken = collector.take();
  ASSERT_EQ(taken.size(), 4U);
  EXPECT_EQ(taken[0].requests, 2U);
  EXPECT_EQ(taken[0].time, Time{7});
  EXPECT_EQ(taken[0].detail, "7");
  EXPECT_EQ(taken[1].remote_address, "b");
  EXPECT_EQ(taken[2].operation, "listKeys");
  EXPECT_EQ(taken[3].company, CompanyId{2});
  EXPECT_TRUE(collector.take().empty());
  EXPECT_EQ(collector.dropped(), 0U);
}

TEST(RefusalCollector, OfACompanyOnlySoManyAreKeptAndTheRestIsCounted) {
  RefusalCollector collector;
  constexpr std::size_t kMore = 10;
  for (std::size_t i = 0; i < kRefusalsOfCompanyMax + kMore; ++i) {
    collector.add(refusal_from(1, std::to_string(i)));
  }
  collector.add(refusal_from(1, "0"));  // like one that is there
  const auto taken = collector.take();
  ASSERT_EQ(taken.size(), kRefusalsOfCompanyMax + 1);
  EXPECT_EQ(taken.back().reason, kNotKept);
  EXPECT_EQ(taken.back().requests, kMore);
  EXPECT_EQ(sum_of(taken), kRefusalsOfCompanyMax + kMore + 1);
  EXPECT_EQ(collector.dropped(), kMore);
}

// Who knows no more than the name of an access key leaves room for what the company's keys do.
TEST(RefusalCollector, WrongSecretsPushNothingElseOut) {
  RefusalCollector collector;
  auto wrong = refusal_from(1, "a");
  wrong.reason = "credentials";
  for (const char* const operation : {"listKeys", "getCall", "getUser"}) {
    wrong.operation = operation;
    collector.add(wrong);
  }
  constexpr std::size_t kMore = 10;
  for (std::size_t i = 1; i < kRefusalsOfCredentialsMax + kMore; ++i) {
    wrong.remote_address = std::to_string(i);
    collector.add(wrong);
  }
  for (std::size_t i = kRefusalsOfCredentialsMax; i < kRefusalsOfCompanyMax; ++i) {
    collector.add(refusal_from(1, std::to_string(i)));
  }
  const auto taken = collector.take();
  ASSERT_EQ(taken.size(), kRefusalsOfCompanyMax + 1);
  EXPECT_EQ(std::ranges::count(taken, "credentials", &store::Refusal::reason),
            static_cast<std::ptrdiff_t>(kRefusalsOfCredentialsMax));
  EXPECT_EQ(taken.back().reason, kNotKept);
  EXPECT_EQ(taken.back().requests, kMore);
  const auto alike = std::ranges::find(taken, "a", &store::Refusal::remote_address);
  ASSERT_NE(alike, taken.end());
  EXPECT_EQ(alike->requests, 3U) << "one row, whatever was asked for";
}

// Strangers, and companies with very many, leave room for one that has few.
TEST(Refusals, AnybodyMayCauseThoseForCredentialsAndTheirCount) {
  EXPECT_TRUE(store::may_anybody_cause(reason_name(Reason::credentials)));
  EXPECT_TRUE(store::may_anybody_cause(kNotKept));
  EXPECT_FALSE(store::may_anybody_cause(reason_name(Reason::scope)));
  EXPECT_FALSE(store::may_anybody_cause(reason_name(Reason::unknown_calls)));
}

TEST(RefusalCollector, NobodyPushesOutAnother) {
  RefusalCollector collector;
  constexpr std::uint64_t kLoud = 200;
  for (std::uint64_t company = 0; company < kLoud; ++company) {
    for (std::size_t i = 0; i < 2 * kRefusalsOfCompanyMax; ++i) {
      collector.add(refusal_from(company, std::to_string(i)));
    }
  }
  collector.add(refusal_from(1000, "a"));
  collector.add(refusal_from(1000, "b"));
  const auto taken = collector.take();
  EXPECT_EQ(std::ranges::count(taken, CompanyId{1000}, &store::Refusal::company), 2);
  EXPECT_LE(taken.size(), kRefusalsMax + (kLoud + 1) * (kRefusalsSure + 1));
  EXPECT_EQ(sum_of(taken), kLoud * 2 * kRefusalsOfCompanyMax + 2);
}

TEST(RefusalCollector, CountsTheCompaniesThatAreTooMany) {
  RefusalCollector collector;
  for (std::uint64_t id = 0; id < kRefusalCompaniesMax + 3; ++id) {
    collector.add(refusal_from(id, "a"));
  }
  EXPECT_EQ(collector.take().size(), kRefusalCompaniesMax);
  EXPECT_EQ(collector.dropped(), 3U);
}

// Each thread has its own part, and together they bring no more than one would.
TEST(RefusalCollector, ThreadsTogetherKeepNoMoreOfACompany) {
  RefusalCollector collector;
  constexpr std::size_t kThreads = 8;
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (std::size_t n = 0; n < kRefusalsOfCompanyMax; ++n) {
        collector.add(refusal_from(1, std::to_string(i * kRefusalsOfCompanyMax + n)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto taken = collector.take();
  ASSERT_EQ(taken.size(), kRefusalsOfCompanyMax + 1);
  EXPECT_EQ(taken.back().reason, kNotKept);
  EXPECT_EQ(sum_of(taken), kThreads * kRefusalsOfCompanyMax);
  EXPECT_EQ(collector.dropped(), (kThreads - 1) * kRefusalsOfCompanyMax);
}

TEST(RefusalCollector, LosesNoneBetweenThreads) {
  RefusalCollector collector;
  constexpr std::uint64_t kThreads = 4, kEach = 20'000;
  std::atomic<std::uint64_t> running{kThreads};
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (std::uint64_t n = 0; n < kEach; ++n) {
        collector.add(refusal_from(n % 3, std::to_string(i * n % 50)));
      }
      --running;
    });
  }
  std::uint64_t told = 0;
  while (running > 0) told += sum_of(collector.take());
  for (std::thread& thread : threads) thread.join();
  told += sum_of(collector.take());
  // What only came together in take() is in the count alone, or told by kNotKept and in both.
  EXPECT_EQ(told, kThreads * kEach);
}

class RefusalsTest : public ApplicationTest {
 protected:
  // What was brought to the store by now.
  const std::vector<store::KeptRefusal>& kept() {
    application_->end_refusals();
    return store_.refusals;
  }
  static Fields with_key(const std::string& authorization) {
    return {{"Authorization", authorization}, {"Content-Type", "application/json"}};
  }
};

TEST_F(RefusalsTest, AreKeptOfTheCompanyThatTheyConcern) {
  const std::string key_of_acme = "Basic QUNNRTp3cm9uZw==";             // ACME:wrong
  const std::string no_key = "Basic c3VwZXJzZWNyZXQ6c3VwZXJzZWNyZXQ=";  // supersecret:supersecret
  const std::string without_scopes = "Basic Tk9ORTpzM2NyZXQ=";          // NONE:s3cret
  struct Case {
    std::string name;
    Request request;
    std::string reason;  // empty: nothing is kept
    std::uint64_t company = 0;
    std::string access_key{}, detail{};
  };
  const Case cases[] = {
      {"wrong secret",
       {.fields = with_key(key_of_acme), .body = list("\"107\"")},
       "credentials",
       1,
       "ACME",
       "another secret than the key's"},
      {"unknown key",
       {.fields = with_key(no_key), .body = list("\"107\"")},
       "credentials",
       0,
       "",
       "Access denied"},
      {"no credentials", {.body = list("\"107\"")}, "credentials", 0, "", "Access denied"},
      {"missing scope",
       {.fields = with_key(without_scopes), .body = list("\"107\"")},
       "scope",
       1,
       "NONE",
       "You don't have permission to use 'api:call-user-access:read' in your app."},
      {"another company's call",
       {.method = "PUT", .fields = kAuthorized, .body = access("207", "\"131\"")},
       "unknown_calls",
       1,
       "ACME",
       "callIds not found: 207"},
      {"another company's user",
       {.method = "PUT", .fields = kAuthorized, .body = access("107", "\"231\"")},
       "unknown_users",
       1,
       "ACME",
       "userIds not found: 231"},
      {"another company's call in the path",
       {.method = "GET", .path = "/earshot/v1/calls/207/access", .fields = kAuthorized},
       "unknown_calls",
       1,
       "ACME",
       "Call ID 207 was not found"},
      {"bad JSON", {.fields = kAuthorized, .body = "{"}, ""},
      {"unknown path", {.path = "/secrets", .fields = with_key(no_key)}, ""},
      {"wrong method", {.method = "TRACE", .fields = with_key(no_key)}, ""},
      {"answered", {.fields = kAuthorized, .body = list("\"107\"")}, ""},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.name);
    store_.refusals.clear();
    make({});
    const auto got = ask(one.request);
    const auto& refusals = kept();
    if (one.reason.empty()) {
      EXPECT_TRUE(refusals.empty());
      continue;
    }
    ASSERT_EQ(refusals.size(), 1U);
    const store::Refusal& refusal = refusals[0].refusal;
    EXPECT_EQ(refusal.reason, one.reason);
    EXPECT_EQ(refusal.company, CompanyId{one.company});
    EXPECT_EQ(refusal.access_key, one.access_key);
    EXPECT_EQ(refusal.detail, one.detail);
    EXPECT_EQ(refusal.time, kNow);
    EXPECT_EQ(refusal.remote_address, "127.0.0.1");
    EXPECT_EQ(format_request_id(refusal.request_id).view(), got->field("x-traceid"));
    EXPECT_EQ(refusal.requests, 1U);
  }
}

TEST_F(RefusalsTest, ALongDetailIsCutShort) {
  std::string users;
  for (int i = 10; i < 50; ++i) {
    users +=
        (users.empty() ? "\"" : ",\"") + std::string("90000000000000") + std::to_string(i) + "\"";
  }
  const auto got = ask({.method = "PUT", .fields = kAuthorized, .body = access("107", users)});
  ASSERT_GT(got->errors().at(1).size(), kRefusalDetailBytesMax);
  ASSERT_EQ(kept().size(), 1U);
  const std::string& detail = kept()[0].refusal.detail;
  EXPECT_EQ(detail.size(), kRefusalDetailBytesMax);
  EXPECT_TRUE(detail.starts_with("userIds not found: 9000000000000010,")) << detail;
  EXPECT_TRUE(detail.ends_with("...")) << detail;
}

TEST_F(RefusalsTest, AreKeptOfACompanyThatIsOverItsRate) {
  make({}, {.per_second = 1, .per_day = 0});
  for (int i = 0; i < 5; ++i) ask("POST", list("\"107\""));
  ASSERT_EQ(kept().size(), 1U);
  EXPECT_EQ(kept()[0].refusal.reason, "rate_per_second");
  EXPECT_EQ(kept()[0].refusal.requests, 4U);
}

TEST_F(RefusalsTest, AreKeptOfRecordsForAnotherCompany) {
  put_key(CompanyId{1}, "BOSS", {"earshot:directory:write", "earshot:keys:write"});
  const Fields boss = {{"Authorization", "Basic Qk9TUzpzM2NyZXQ="},  // BOSS:s3cret
                       {"Content-Type", "application/x-ndjson"}};
  const std::string line =
      R"({"kind":"key","accessKey":"OTHER","secret":"a-secret-of-twenty-chars","scopes":["earshot:keys:write"]})";
  const auto got =
      ask({.method = "POST", .path = "/earshot/v1/directory", .fields = boss, .body = line + "\n"});
  ASSERT_TRUE(application_->finish_waiting(std::chrono::seconds(30)));
  ASSERT_EQ(got->response->status, 400) << got->response->body;
  ASSERT_EQ(kept().size(), 1U);
  EXPECT_EQ(kept()[0].refusal.reason, "records");
  EXPECT_EQ(kept()[0].refusal.company, CompanyId{1});
  EXPECT_EQ(kept()[0].refusal.detail, got->errors().at(1));
}

TEST_F(RefusalsTest, AreListedToTheirCompanyInPages) {
  put_key(CompanyId{1}, "AUDIT", {"earshot:audit:read"});
  for (std::uint64_t i = 1; i <= 3; ++i) {
    store_.refusals.push_back({i, refusal_from(1, "10.0.0." + std::to_string(i))});
  }
  store_.refusals.push_back({4, refusal_from(2, "of another")});
  store_.refusals.push_back({5, refusal_from(0, "of nobody")});
  const auto get = [&](const std::string& query, std::string authorization) {
    make({});
    const auto got = ask({.method = "GET",
                          .path = "/earshot/v1/refusals" + query,
                          .fields = {{"Authorization", std::move(authorization)}}});
    application_->end_refusals();
    return got;
  };
  const std::string audit = "Basic QVVESVQ6czNjcmV0";  // AUDIT:s3cret
  const auto whole = get("", audit);
  ASSERT_EQ(whole->response->status, 200) << whole->response->body;
  expect_envelope(*whole);
  const auto addresses_of = [](const Got& got) {
    std::string text;
    const auto body = boost::json::parse(got.response->body);
    for (const auto& one : body.as_object().at("refusals").as_array()) {
      text += std::string(one.at("remoteAddress").as_string()) + " ";
    }
    return text;
  };
  EXPECT_EQ(addresses_of(*whole), "10.0.0.3 10.0.0.2 10.0.0.1 ");
  EXPECT_EQ(boost::json::parse(whole->response->body).as_object().if_contains("cursor"), nullptr);
  const auto page = get("?limit=2", audit);
  EXPECT_EQ(addresses_of(*page), "10.0.0.3 10.0.0.2 ");
  const auto body = boost::json::parse(page->response->body);
  const std::string cursor(body.as_object().at("cursor").as_string());
  EXPECT_EQ(addresses_of(*get("?cursor=" + cursor, audit)), "10.0.0.1 ");
  EXPECT_EQ(get("?cursor=" + cursor.substr(1) + "0", audit)->response->status, 400);
  // Nor one of another company, or of another list.
  put_key(CompanyId{2}, "AUDIT2", {"earshot:audit:read"});
  const std::string audit2 = "Basic QVVESVQyOnMzY3JldA==";  // AUDIT2:s3cret
  EXPECT_EQ(addresses_of(*get("", audit2)), "of another ");
  EXPECT_EQ(get("?cursor=" + cursor, audit2)->response->status, 400);
  const PagedQuery calls{.company = CompanyId{1}, .operation = "listCallAccess"};
  EXPECT_EQ(get("?cursor=" + encode_cursor(store_.cursor_secret(), calls, {0, {}, 2}), audit)
                ->response->status,
            400);
  EXPECT_EQ(get("?after=2", audit)->response->status, 400);
  EXPECT_EQ(get("", "Basic QUNNRTpzM2NyZXQ=")->response->status, 401);
  store_.failure = unavailable("not now");
  EXPECT_EQ(get("", audit)->response->status, 503);
}

TEST_F(RefusalsTest, AreNotReadWithAKeyThatWasRevokedElsewhere) {
  put_key(CompanyId{1}, "AUDIT", {"earshot:audit:read"});
  store_.refusals.push_back({1, refusal_from(1, "10.0.0.1")});
  store_.is_one_of_many = true;
  store_.remember("AUDIT");
  revoke_key(CompanyId{1}, "AUDIT");
  const auto got = ask({.method = "GET",
                        .path = "/earshot/v1/refusals",
                        .fields = {{"Authorization", "Basic QVVESVQ6czNjcmV0"}}});  // AUDIT:s3cret
  application_->end_refusals();
  ASSERT_TRUE(got->response);
  EXPECT_EQ(got->response->status, 401);
}

TEST_F(RefusalsTest, AreUnavailableWhereNothingMoreIsTaken) {
  put_key(CompanyId{1}, "AUDIT", {"earshot:audit:read"});
  application_->end_refusals();
  const auto got = ask({.method = "GET",
                        .path = "/earshot/v1/refusals",
                        .fields = {{"Authorization", "Basic QVVESVQ6czNjcmV0"}}});  // AUDIT:s3cret
  ASSERT_TRUE(got->response);
  EXPECT_EQ(got->response->status, 503);
  EXPECT_EQ(got->field("retry-after"), "1");
}

TEST_F(RefusalsTest, SayWhichKeyHadExpired) {
  core::KeyLine line;
  line.key = {"OLD", hash_secret("s3cret"), {"earshot:audit:read"}, kNow};
  store_.apply({CompanyId{1}, false, line});
  ask({.fields = with_key("Basic T0xEOnMzY3JldA=="), .body = list("\"107\"")});  // OLD:s3cret
  ASSERT_EQ(kept().size(), 1U);
  EXPECT_EQ(kept()[0].refusal.company, CompanyId{1});
  EXPECT_EQ(kept()[0].refusal.access_key, "OLD");
  EXPECT_EQ(kept()[0].refusal.detail, "the key has expired");
}

TEST_F(RefusalsTest, AreNotReadForAClientThatHasGone) {
  put_key(CompanyId{1}, "AUDIT", {"earshot:audit:read"});
  const auto got = std::make_shared<Got>();
  got->is_gone = true;
  ask({.method = "GET",
       .path = "/earshot/v1/refusals",
       .fields = {{"Authorization", "Basic QVVESVQ6czNjcmV0"}}},  // AUDIT:s3cret
      got);
  application_->end_refusals();
  EXPECT_EQ(got->answers, 0);
}

// A store that does not answer until it is let go.
class HangingStore final : public test::ModelStore {
 public:
  std::promise<void> goes_on;
  std::atomic<bool> is_asked{false};
  Status keep_refusals(std::span<const store::Refusal>) override {
    if (!is_asked.exchange(true)) goes_on.get_future().wait();
    return unavailable("it took too long");
  }
};

TEST(RefusalLog, AStoreThatHangsHoldsUpNobodyWhoIsRefused) {
  HangingStore store;
  RefusalLog refusals(store, std::chrono::milliseconds(1));
  refusals.collector().add(refusal_from(1, "a"));
  while (!store.is_asked) std::this_thread::yield();
  for (int i = 0; i < 10'000; ++i) refusals.collector().add(refusal_from(1, "b"));
  std::size_t taken = 0;
  while (refusals.submit([] {})) ++taken;
  EXPECT_EQ(taken, RefusalLog::kTasksMax);
  EXPECT_FALSE(refusals.stop(std::chrono::milliseconds(10)));
  store.goes_on.set_value();
  refusals.end();
  EXPECT_EQ(refusals.collector().dropped(), 10'001U);
}

}  // namespace
}  // namespace earshot::api
