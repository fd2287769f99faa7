// The questions about access: check, and the lists of a call and of a user.
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "api/testing.h"
#include "base/text.h"

namespace earshot::api {
namespace {

constexpr const char* kRevision = "x-earshot-revision";
const std::string kCheck = "/earshot/v1/access/check";
const std::string kBasic = "Basic QUNNRTpzM2NyZXQ=";
const std::string kNoCursor =
    "cursor: is not one that was answered to this query, asked with the same parameters but limit";

std::string of_call(const std::string& id, const std::string& query = "") {
  return "/earshot/v1/calls/" + id + "/access" + query;
}
std::string of_user(const std::string& id, const std::string& query = "") {
  return "/earshot/v1/users/" + id + "/access" + query;
}

// "7 31" for a pair.
std::string checks(const std::vector<std::pair<int, int>>& pairs) {
  std::string body = R"({"checks":[)";
  for (const auto& [call, user] : pairs) {
    if (body.back() == '}') body += ',';
    body +=
        R"({"callId":")" + std::to_string(call) + R"(","userId":")" + std::to_string(user) + "\"}";
  }
  return body + "]}";
}

class AccessTest : public ApplicationTest {
 protected:
  AccessTest() {
    put_workspace(10);
    put_profile(20, 10, core::PermissionLevel::report_to_them);
    put_profile(21, 10, core::PermissionLevel::own);
    put_profile(22, 10, core::PermissionLevel::none);
    put_profile(23, 10, core::PermissionLevel::managers_team);
    put_profile(24, 10, core::PermissionLevel::all);
    put_profile(25, 10, core::PermissionLevel::report_to_them, {UserId{141}, UserId{149}});
    put_user(130, 0, 20);
    put_user(131, 130, 20);  // hosts the calls
    put_user(132, 131, 21);  // takes part in 110
    put_user(133, 0, 0);
    put_user(134, 0, 0);
    put_user(135, 0, 21);
    put_user(136, 0, 22);
    put_user(137, 0, 23);
    put_user(138, 134, 23);
    put_user(139, 130, 23);
    put_user(140, 0, 24);
    put_user(141, 0, 25);
    put_user(142, 0, 20);
    put_user(143, 0, 24, false);
    put_user(144, 0, 25);
    put_call(110, 10, false);
    put_call(111, 10, true);
    put_call(112, 99, false);
    put_share(110, 133);
    put_grant(110, 130, {Time{kNow.micros + 1'500'000}, "a \"note\""});
    put_grant(110, 134, {Time{kNow.micros - 1}, ""});
    put_grant(111, 140, {std::nullopt, ""});
  }

  void put_workspace(std::uint64_t id) {
    core::Workspace thing;
    thing.id = WorkspaceId{id};
    store_.apply({CompanyId{1}, false, thing});
  }
  void put_profile(std::uint64_t id, std::uint64_t workspace, core::PermissionLevel level,
                   std::vector<UserId> leads = {}) {
    core::Profile thing;
    thing.id = ProfileId{id};
    thing.workspace = WorkspaceId{workspace};
    thing.level = level;
    thing.team_leads = std::move(leads);
    store_.apply({CompanyId{1}, false, thing});
  }
  void put_user(std::uint64_t id, std::uint64_t manager, std::uint64_t profile,
                bool active = true) {
    core::User thing;
    thing.id = UserId{id};
    thing.manager = UserId{manager};
    thing.active = active;
    if (profile != 0) thing.profiles = {ProfileId{profile}};
    store_.apply({CompanyId{1}, false, thing});
  }
  void put_call(std::uint64_t id, std::uint64_t workspace, bool is_private) {
    core::Call thing;
    thing.id = CallId{id};
    thing.workspace = WorkspaceId{workspace};
    thing.primary_user = UserId{131};
    if (id == 110) thing.parties = {UserId{132}};
    thing.is_private = is_private;
    store_.apply({CompanyId{1}, false, thing});
  }
  void put_share(std::uint64_t call, std::uint64_t user) {
    core::ShareLine line;
    line.call = CallId{call};
    line.user = UserId{user};
    store_.apply({CompanyId{1}, false, line});
  }
  void put_grant(std::uint64_t call, std::uint64_t user, core::Grant grant) {
    core::GrantLine line;
    line.call = CallId{call};
    line.user = UserId{user};
    line.grant = std::move(grant);
    store_.apply({CompanyId{1}, false, line});
  }

  std::shared_ptr<Got> check(const std::string& body, const std::string& query = "") {
    return ask({.method = "POST", .path = kCheck + query, .fields = kAuthorized, .body = body});
  }
  std::shared_ptr<Got> get(const std::string& path, Fields more = {}) {
    Request request{.method = "GET", .path = path, .fields = {{"authorization", kBasic}}};
    request.fields.insert(request.fields.end(), more.begin(), more.end());
    return ask(request);
  }
  // Its JSON; it must be 200.
  boost::json::object body_of(const Got& got) {
    expect_envelope(got);
    EXPECT_EQ(got.response->status, 200) << got.response->body;
    return boost::json::parse(got.response->body).as_object();
  }
  std::string head() const {
    return R"({"requestId":"ID","revision":)" + std::to_string(store_.revision()) +
           R"(,"at":"2026-05-28T20:26:40Z",)";
  }

  struct Listed {
    std::string all;  // items of all pages, one after the other
    std::size_t pages = 0;
    std::set<std::string> as_of;
  };
  // Follows the cursors. `path` has a query already.
  Listed list_all(const std::string& path, const std::string& member) {
    Listed listed;
    std::string cursor;
    do {
      const auto body = body_of(*get(path + (cursor.empty() ? "" : "&cursor=" + cursor)));
      const auto& items = body.at(member).as_array();
      for (const auto& item : items) listed.all += boost::json::serialize(item) + "\n";
      const auto& records = body.at("records").as_object();
      EXPECT_EQ(records.at("currentPageSize").to_number<std::size_t>(), items.size());
      const auto* next = records.if_contains("cursor");
      cursor = next == nullptr ? "" : std::string(next->as_string());
      ++listed.pages;
      listed.as_of.insert(boost::json::serialize(body.at("revision")) +
                          boost::json::serialize(body.at("at")));
    } while (!cursor.empty());
    return listed;
  }
  std::string cursor_of(const std::string& path) {
    return std::string(body_of(*get(path)).at("records").at("cursor").as_string());
  }
};

TEST_F(AccessTest, ChecksEachPairInTheOrderAsked) {
  const std::string id = R"({"callId":"110","userId":")";
  const std::string yes = R"(","allowed":true,"ways":[)";
  const std::string no = R"(","allowed":false,"reason":")";
  const std::string seen = R"(","ways":[],"profile":{"profileId":")";
  const std::vector<std::pair<int, std::string>> users = {
      {130, yes + R"({"way":"individual","expiresAt":"2026-05-28T20:26:41.500Z",)"
                  R"("note":"a \"note\""},{"way":"profile","profileId":"20",)"
                  R"("permissionLevel":"report-to-them","chain":["131","130"]}]})"},
      {133, yes + R"({"way":"shared"}]})"},
      {132, yes + R"({"way":"participant"},{"way":"profile","profileId":"21",)"
                  R"("permissionLevel":"own","chain":["132"]}]})"},
      {139, yes + R"({"way":"profile","profileId":"23","permissionLevel":"managers-team",)"
                  R"("chain":["131","130"]}]})"},
      {140, yes + R"({"way":"profile","profileId":"24","permissionLevel":"all","chain":[]}]})"},
      {134, no + R"(grant expired","ways":[],"expiredAt":"2026-05-28T20:26:39.999999Z"})"},
      {135, no + "not a participant" + seen + R"(21","permissionLevel":"own"}})"},
      {136, no + "profile gives no calls" + seen + R"(22","permissionLevel":"none"}})"},
      {137, no + "user has no manager" + seen + R"(23","permissionLevel":"managers-team"}})"},
      {138, no + "no participant reports to the user's manager" + seen +
                R"(23","permissionLevel":"managers-team"}})"},
      {142, no + "no participant reports to the user" + seen +
                R"(20","permissionLevel":"report-to-them"}})"},
      {144, no + "no participant reports to a team lead" + seen +
                R"(25","permissionLevel":"report-to-them","teamLeadIds":["141","149"]}})"},
      {143, no + R"(user inactive","ways":[],"waysIfActive":["profile"]})"},
      {999, no + R"(unknown user","ways":[]})"},
      {231, no + R"(unknown user","ways":[]})"},  // another company's
      {133, yes + R"({"way":"shared"}]})"},       // once more
  };
  std::vector<std::pair<int, int>> pairs;
  std::string expected = head() + R"("results":[)";
  for (const auto& [user, result] : users) {
    if (!pairs.empty()) expected += ',';
    pairs.emplace_back(110, user);
    expected += id + std::to_string(user) + result;
  }
  const std::string other = R"({"callId":")";
  pairs.insert(pairs.begin(), {111, 142});
  pairs.emplace_back(111, 140);
  pairs.emplace_back(112, 140);
  pairs.emplace_back(5, 140);
  pairs.emplace_back(207, 999);
  pairs.emplace_back(107, 133);
  const auto insert = expected.find("[") + 1;
  expected.insert(insert, other + R"(111","userId":"142)" + no + R"(call is private","ways":[]},)");
  expected += "," + other + R"(111","userId":"140)" + yes + R"({"way":"individual"}]},)";
  expected += other + R"(112","userId":"140)" + no + R"(unknown workspace","ways":[]},)";
  expected += other + R"(5","userId":"140)" + no + R"(unknown call","ways":[]},)";
  expected += other + R"(207","userId":"999)" + no + R"(unknown call","ways":[]},)";
  expected += other + R"(107","userId":"133)" + no + R"(unknown workspace","ways":[]}]})";

  const auto got = check(checks(pairs));
  expect_envelope(*got);
  EXPECT_EQ(got->body(), expected);
  EXPECT_EQ(got->field(kRevision), std::to_string(store_.revision()));
  EXPECT_EQ(store_.access_reads.size(), 1u);
}

TEST_F(AccessTest, ListsWhoMayHearACall) {
  const std::string everybody =
      R"({"userId":"130","ways":[{"way":"individual","expiresAt":"2026-05-28T20:26:41.500Z",)"
      R"("note":"a \"note\""},{"way":"profile","profileId":"20",)"
      R"("permissionLevel":"report-to-them","chain":["131","130"]}]},)"
      R"({"userId":"131","ways":[{"way":"participant"},{"way":"profile","profileId":"20",)"
      R"("permissionLevel":"report-to-them","chain":["131"]}]},)"
      R"({"userId":"132","ways":[{"way":"participant"},{"way":"profile","profileId":"21",)"
      R"("permissionLevel":"own","chain":["132"]}]},)"
      R"({"userId":"133","ways":[{"way":"shared"}]},)"
      R"({"userId":"139","ways":[{"way":"profile","profileId":"23",)"
      R"("permissionLevel":"managers-team","chain":["131","130"]}]},)"
      R"({"userId":"140","ways":[{"way":"profile","profileId":"24","permissionLevel":"all",)"
      R"("chain":[]}]})";
  const auto got = get(of_call("110"));
  expect_envelope(*got);
  EXPECT_EQ(got->body(), head() + R"("callId":"110","users":[)" + everybody +
                             R"(],"records":{"currentPageSize":6}})");
  EXPECT_EQ(got->field(kRevision), std::to_string(store_.revision()));

  const Listed whole = list_all(of_call("110", "?limit=1000"), "users");
  EXPECT_EQ(whole.pages, 1u);
  for (const int limit : {1, 2, 3, 5, 6, 7}) {
    const Listed paged = list_all(of_call("110", "?limit=" + std::to_string(limit)), "users");
    EXPECT_EQ(paged.all, whole.all) << limit;
    EXPECT_EQ(paged.as_of, whole.as_of) << limit;
    EXPECT_GE(paged.pages * limit, 6u);
  }
  const auto nobody = body_of(*get(of_call("107")));
  EXPECT_EQ(boost::json::serialize(nobody.at("users")),
            R"([{"userId":"131","ways":[{"way":"participant"}]}])");
}

TEST_F(AccessTest, ListsWhatAUserMayHear) {
  const auto got = get(of_user("140"));
  expect_envelope(*got);
  EXPECT_EQ(got->body(), head() +
                             R"("userId":"140","calls":[{"callId":"110","ways":[{"way":"profile",)"
                             R"("profileId":"24","permissionLevel":"all","chain":[]}]},)"
                             R"({"callId":"111","ways":[{"way":"individual"}]}],)"
                             R"("records":{"currentPageSize":2}})");
  const auto calls = [&](const std::string& user, const std::string& query) {
    std::string ids;
    const auto body = body_of(*get(of_user(user, query)));
    for (const auto& item : body.at("calls").as_array())
      ids += std::string(item.at("callId").as_string()) + ",";
    return ids;
  };
  EXPECT_EQ(calls("131", ""), "107,108,109,110,111,112,");
  EXPECT_EQ(calls("131", "?way=profile"), "110,");
  EXPECT_EQ(calls("131", "?way=individual"), "");
  EXPECT_EQ(calls("131", "?way=individual,participant"), "107,108,109,110,111,112,");
  EXPECT_EQ(calls("130", "?way=individual"), "110,");
  EXPECT_EQ(calls("133", "?way=individual&way=shared"), "110,");

  const Listed whole = list_all(of_user("131", "?limit=100"), "calls");
  for (const int limit : {1, 2, 4}) {
    const Listed paged = list_all(of_user("131", "?limit=" + std::to_string(limit)), "calls");
    EXPECT_EQ(paged.all, whole.all) << limit;
    EXPECT_EQ(paged.as_of, whole.as_of) << limit;
  }
  EXPECT_EQ(get(of_user("143"))->body(),
            head() + R"("userId":"143","reason":"user inactive","calls":[],)"
                     R"("records":{"currentPageSize":0}})");
}

TEST_F(AccessTest, PagesStayAtTheMomentOfTheFirst) {
  const Listed before = list_all(of_call("110", "?limit=100"), "users");
  std::string cursor = cursor_of(of_call("110", "?limit=2"));
  store_.now = Time{kNow.micros + 60'000'000};
  put_share(110, 144);
  const auto body = body_of(*get(of_call("110", "?cursor=" + cursor)));
  EXPECT_EQ(boost::json::serialize(body.at("revision")) + boost::json::serialize(body.at("at")),
            *before.as_of.begin());
  EXPECT_EQ(body.at("users").as_array().size(), 4u);
  const Listed now = list_all(of_call("110", "?limit=2"), "users");
  EXPECT_NE(now.all.find(R"("144")"), std::string::npos);
  EXPECT_EQ(now.all.find("individual"), std::string::npos) << "it has expired";
}

TEST_F(AccessTest, AnswersOfThePast) {
  const core::Revision before = store_.revision();
  store_.now = Time{kNow.micros + 10'000'000};
  put_share(110, 144);
  store_.now = Time{kNow.micros + 20'000'000};
  const auto allowed = [&](const std::string& query) {
    const auto body = body_of(*check(checks({{110, 144}, {110, 130}}), query));
    const auto& results = body.at("results").as_array();
    return boost::json::serialize(body.at("revision")) + " " +
           std::string(body.at("at").as_string()) + " " +
           boost::json::serialize(results[0].at("allowed")) + " " +
           std::to_string(results[1].at("ways").as_array().size());
  };
  const std::string old = std::to_string(before);
  const std::string young = std::to_string(before + 1);
  EXPECT_EQ(allowed(""), young + " 2026-05-28T20:27:00Z true 1");
  EXPECT_EQ(allowed("?revision=" + old), old + " 2026-05-28T20:26:40Z false 2");
  EXPECT_EQ(allowed("?revision=" + young), young + " 2026-05-28T20:26:50Z true 1");
  EXPECT_EQ(allowed("?at=2026-05-28T20:26:41Z"), old + " 2026-05-28T20:26:41Z false 2");
  EXPECT_EQ(allowed("?at=2026-05-28T20:26:49.999999Z"),
            old + " 2026-05-28T20:26:49.999999Z false 1");
  EXPECT_EQ(allowed("?at=2026-05-28T22:26:50%2B02:00"), young + " 2026-05-28T20:26:50Z true 1");
  EXPECT_EQ(list_all(of_call("110", "?limit=2&revision=" + old), "users").as_of,
            std::set<std::string>{old + "\"2026-05-28T20:26:40Z\""});
  EXPECT_EQ(list_all(of_user("131", "?limit=2&at=2026-05-28T20:26:45Z"), "calls").as_of,
            std::set<std::string>{old + "\"2026-05-28T20:26:45Z\""});

  for (const std::string& path : {of_call("110"), of_user("131")}) {
    for (const std::string& query : {"?revision=" + std::to_string(before + 2),
                                     std::string("?at=2026-05-28T20:27:00.000001Z")}) {
      const auto got = get(path + query);
      expect_envelope(*got);
      EXPECT_EQ(got->response->status, 400);
      EXPECT_EQ(got->errors().at(0), "Bad request");
      EXPECT_FALSE(got->errors().at(1).empty());
    }
  }
  EXPECT_EQ(check(checks({{110, 144}}), "?revision=999999")->response->status, 400);

  store_.oldest_kept = before + 1;
  for (const std::string& query : {"?revision=" + old, std::string("?at=2026-05-28T20:26:41Z")}) {
    for (const auto& got : {check(checks({{110, 144}}), query), get(of_call("110", query)),
                            get(of_user("131", query))}) {
      expect_envelope(*got);
      EXPECT_EQ(got->response->status, 410);
      EXPECT_EQ(got->errors(), (std::vector<std::string>{"History is not kept that far back",
                                                         "revision " + young + " is the oldest"}));
    }
  }
}

TEST_F(AccessTest, RefusesCursorsThatAreNotItsOwn) {
  const std::string of_call_110 = cursor_of(of_call("110", "?limit=1"));
  const std::string of_user_131 = cursor_of(of_user("131", "?limit=1"));
  const std::string then = "revision=" + std::to_string(store_.revision());
  const std::string before_then = "revision=" + std::to_string(store_.revision() - 1);
  const std::string of_past = cursor_of(of_call("110", "?limit=1&" + then));
  const std::string of_ways = cursor_of(of_user("131", "?limit=1&way=participant"));
  // The same ids in another company.
  for (const std::uint64_t user : {131, 132}) {
    core::User person;
    person.id = UserId{user};
    store_.apply({CompanyId{2}, false, person});
  }
  core::Call call;
  call.id = CallId{110};
  call.primary_user = UserId{131};
  call.parties = {UserId{132}};
  store_.apply({CompanyId{2}, false, call});
  const auto other = ask({.method = "GET",
                          .path = of_call("110", "?limit=1"),
                          .fields = {{"authorization", "Basic T1RIRVI6czNjcmV0"}}});
  const auto of_other_company = std::string(body_of(*other).at("records").at("cursor").as_string());

  EXPECT_EQ(get(of_call("110", "?cursor=" + of_call_110))->response->status, 200);
  EXPECT_EQ(get(of_call("110", "?limit=7&cursor=" + of_call_110))->response->status, 200);
  EXPECT_EQ(get(of_user("131", "?way=participant&cursor=" + of_ways))->response->status, 200);
  EXPECT_EQ(get(of_call("110", "?" + then + "&cursor=" + of_past))->response->status, 200);
  std::string forged = of_call_110;
  forged[30] = forged[30] == '0' ? '1' : '0';
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"nothing", of_call("110", "?cursor=")},
      {"a word", of_call("110", "?cursor=next")},
      {"zeros", of_call("110", "?cursor=" + std::string(80, '0'))},
      {"very long", of_call("110", "?cursor=" + std::string(8000, '0'))},
      {"forged", of_call("110", "?cursor=" + forged)},
      {"truncated", of_call("110", "?cursor=" + of_call_110.substr(0, 78))},
      {"lengthened", of_call("110", "?cursor=" + of_call_110 + "00")},
      {"another call's", of_call("111", "?cursor=" + of_call_110)},
      {"a call's for a user", of_user("110", "?cursor=" + of_call_110)},
      {"a user's for a call", of_call("131", "?cursor=" + of_user_131)},
      {"another user's", of_user("130", "?cursor=" + of_user_131)},
      {"other ways", of_user("131", "?way=participant&cursor=" + of_user_131)},
      {"no ways", of_user("131", "?cursor=" + of_ways)},
      {"now's for the past", of_call("110", "?" + then + "&cursor=" + of_call_110)},
      {"the past's for now", of_call("110", "?cursor=" + of_past)},
      {"another past's", of_call("110", "?" + before_then + "&cursor=" + of_past)},
      {"another company's", of_call("110", "?cursor=" + of_other_company)},
  };
  store_.access_reads.clear();
  store_.user_reads.clear();
  for (const auto& [name, path] : cases) {
    const auto got = get(path);
    expect_envelope(*got);
    EXPECT_EQ(got->response->status, 400) << name;
    EXPECT_EQ(got->errors(), (std::vector<std::string>{"Bad request", kNoCursor})) << name;
  }
  EXPECT_TRUE(store_.access_reads.empty() && store_.user_reads.empty());

  store_.oldest_kept = store_.revision();
  const auto stale = get(of_call("110", "?cursor=" + of_call_110));
  expect_envelope(*stale);
  EXPECT_EQ(stale->response->status, 410);
  EXPECT_EQ(stale->errors().at(0), "History is not kept that far back");
}

TEST_F(AccessTest, TellsUnknownCallsAndUsers) {
  for (const std::string id : {"999", "207", "9223372036854775807"}) {
    const auto call = get(of_call(id));
    expect_envelope(*call);
    EXPECT_EQ(call->response->status, 404);
    EXPECT_EQ(call->errors(), std::vector<std::string>{"Call ID " + id + " was not found"});
    const auto user = get(of_user(id));
    expect_envelope(*user);
    EXPECT_EQ(user->response->status, 404);
    EXPECT_EQ(user->errors(), std::vector<std::string>{"User ID " + id + " was not found"});
  }
}

struct PathCase {
  std::string method;
  std::string path;
  int status;
  std::vector<std::string> errors;
  std::string allow{};
};

TEST_F(AccessTest, RefusesHeads) {
  const std::string no_id = "must be a number from 1 to 9223372036854775807 without leading zeros";
  const auto bad = [](std::string detail) {
    return std::vector<std::string>{"Bad request", std::move(detail)};
  };
  const std::vector<std::string> unknown = {"Not Found"};
  const std::vector<std::string> method = {"Method Not Allowed"};
  std::vector<PathCase> cases;
  for (const std::string path :
       {"/earshot/v1", "/earshot/v1/", "/earshot/v1/access", "/earshot/v1/access/check/",
        "/earshot/v1/Access/check", "/earshot/v2/access/check", "/earshot/v1/calls",
        "/earshot/v1/calls/110/access/", "/earshot/v1/calls//access",
        "/earshot/v1/calls/1/1/access", "/earshot/v1/calls/%31/access",
        "/earshot/v1/calls/1%2F1/access", "/earshot/v1/calls/./access",
        "/earshot/v1/calls/../access", "/earshot/v1/calls/1%00/access", "//earshot/v1/access/check",
        "/earshot/v1/users", "/earshot/v1/users//access", "/earshot/v1/users/110/calls"}) {
    for (const std::string verb : {"GET", "POST"}) cases.push_back({verb, path, 404, unknown});
  }
  for (const std::string verb : {"GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"}) {
    cases.push_back({verb, kCheck, 405, method, "POST"});
  }
  for (const std::string verb : {"HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get"}) {
    cases.push_back({verb, of_call("110"), 405, method, "GET"});
    cases.push_back({verb, of_user("x"), 405, method, "GET"});
  }
  for (const std::string id : {"0", "01", "-1", "+1", "abc", "1a", "110,111", "{callId}",
                               "9223372036854775808", "10000000000000000000"}) {
    cases.push_back({"GET", of_call(id), 400, bad("callId: " + no_id)});
    cases.push_back({"GET", of_user(id), 400, bad("userId: " + no_id)});
  }
  cases.push_back({"GET", of_call("110", "?way=shared"), 400,
                   bad("query: the parameters are limit, cursor, at, revision")});
  cases.push_back({"GET", of_user("131", "?ways=shared"), 400,
                   bad("query: the parameters are limit, cursor, at, revision, way")});
  cases.push_back({"GET", of_user("131", "?way=all"), 400,
                   bad("way: must be individual, shared, participant or profile")});
  for (const std::string limit : {"0", "1001", "", "x", "-5", "1.0"}) {
    cases.push_back({"GET", of_call("110", "?limit=" + limit), 400,
                     bad("limit: must be a number from 1 to 1000")});
  }
  cases.push_back(
      {"GET", of_call("110", "?limit=5&limit=5"), 400, bad("limit: is given more than once")});
  cases.push_back({"GET", of_call("110", "?at=2026-03-01T10:00:00Z&revision=1"), 400,
                   bad("at, revision: only one of the two may be given")});
  cases.push_back(
      {"POST", kCheck + "?limit=5", 400, bad("query: the parameters are at, revision")});
  cases.push_back({"POST", kCheck + "?at=now", 400,
                   bad("at: must be a time like 2026-03-01T10:00:00Z (RFC 3339)")});
  for (const PathCase& item : cases) {
    Request request{.method = item.method, .path = item.path, .fields = kAuthorized};
    request.body = "{";
    const auto got = ask(request);
    expect_envelope(*got);
    EXPECT_EQ(got->response->status, item.status) << item.method << ' ' << item.path;
    EXPECT_EQ(got->errors(), item.errors) << item.method << ' ' << item.path;
    EXPECT_EQ(got->field("allow"), item.allow) << item.method << ' ' << item.path;
    EXPECT_FALSE(got->response->close);
  }
  EXPECT_TRUE(store_.access_reads.empty() && store_.user_reads.empty());
}

TEST_F(AccessTest, ChecksInTheOrderOfTheContract) {
  const auto first = [&](const Request& request) { return ask(request)->errors().at(0); };
  const std::string missing = "You don't have permission to use 'earshot:access:read' in your app.";
  Request list{.method = "GET", .path = of_call("x", "?limit=0")};
  EXPECT_EQ(first(list), "Access denied");
  list.fields = {{"authorization", "Basic UkVBRDpzM2NyZXQ="}};
  EXPECT_EQ(first(list), missing);
  list.fields = {{"authorization", kBasic}, {kRevision, "x"}};
  EXPECT_EQ(ask(list)->errors().at(1),
            "x-earshot-revision: must be a number from 0 to 9223372036854775807");
  list.fields.pop_back();
  EXPECT_EQ(ask(list)->errors().at(1).substr(0, 8), "callId: ");
  list.path = of_call("999", "?limit=0");
  EXPECT_EQ(ask(list)->errors().at(1), "limit: must be a number from 1 to 1000");
  list.path = of_call("999");
  EXPECT_EQ(first(list), "Call ID 999 was not found");

  make({.limits = {.nesting_max = 64, .ids_max = 9, .checks_max = 1}});
  Request question{.method = "POST", .path = kCheck + "?at=x", .body = "{"};
  question.is_too_long = true;
  EXPECT_EQ(first(question), "Access denied");
  question.fields = {{"authorization", "Basic UkVBRDpzM2NyZXQ="}};
  EXPECT_EQ(first(question), missing);
  question.fields = {{"authorization", kBasic}, {kRevision, "x"}};
  EXPECT_EQ(first(question), "Payload Too Large");
  question.is_too_long = false;
  EXPECT_EQ(first(question), "Unsupported Media Type");
  question.fields = {kAuthorized[0], kAuthorized[1], {kRevision, "x"}};
  EXPECT_EQ(first(question), "Bad request");
  question.fields.pop_back();
  EXPECT_EQ(ask(question)->errors().at(1).substr(0, 4), "at: ");
  question.path = kCheck + "?revision=99999";
  EXPECT_EQ(first(question), kBadJson);
  question.body = checks({{110, 131}, {110, 131}});
  EXPECT_EQ(ask(question)->errors(),
            (std::vector<std::string>{"Too many ids", "at most 1 checks in one request"}));
  question.body = checks({{110, 131}});
  EXPECT_EQ(first(question), "Bad request");
  question.path = kCheck;
  EXPECT_EQ(ask(question)->response->status, 200);
}

TEST_F(AccessTest, TakesABodyWhereNoneIsNeeded) {
  Request request{.method = "GET", .path = of_call("110"), .fields = {{"authorization", kBasic}}};
  request.body = "no JSON";
  EXPECT_EQ(ask(request)->response->status, 200);
  request.fields.emplace_back("content-type", "text/plain");
  request.fields.emplace_back("content-encoding", "gzip");
  EXPECT_EQ(ask(request)->response->status, 200);
}

TEST_F(AccessTest, IsAsOfTheRevisionItAsksForOrALaterOne) {
  const std::string newest = std::to_string(store_.revision());
  const std::string ahead = std::to_string(store_.revision() + 1);
  const auto with = [&](std::string method, std::string path, std::string revision,
                        std::string body) {
    Fields fields = kAuthorized;
    fields.emplace_back(kRevision, std::move(revision));
    return ask({.method = std::move(method),
                .path = std::move(path),
                .fields = std::move(fields),
                .body = std::move(body)});
  };
  const auto each = [&](const std::string& revision) {
    return std::vector{with("POST", kCheck, revision, checks({{110, 131}})),
                       with("GET", of_call("110"), revision, ""),
                       with("GET", of_user("131"), revision, "")};
  };
  for (const auto& got : each(newest)) {
    EXPECT_EQ(got->response->status, 200);
    EXPECT_EQ(got->field(kRevision), newest);
  }
  for (const auto& got : each(ahead)) {
    expect_envelope(*got);
    EXPECT_EQ(got->response->status, 503);
    EXPECT_EQ(got->field("retry-after"), "1");
  }
  for (const auto& got : each("-1")) {
    EXPECT_EQ(got->errors(),
              (std::vector<std::string>{"Bad request",
                                        "x-earshot-revision: must be a number from 0 to "
                                        "9223372036854775807"}));
  }
}

TEST_F(AccessTest, AnswersFailuresOfTheStore) {
  const auto each = [&] {
    return std::vector{check(checks({{110, 131}})), get(of_call("110")), get(of_user("131"))};
  };
  store_.failure = unavailable("the queue of /var/lib/secret is full");
  for (const auto& got : each()) {
    expect_envelope(*got);
    EXPECT_EQ(got->errors(), std::vector<std::string>{"Service Unavailable"});
  }
  store_.failure = internal("disk /dev/sda");
  for (const auto& got : each()) {
    expect_envelope(*got);
    EXPECT_EQ(got->errors(), std::vector<std::string>{"Internal server error occurred"});
  }
  store_.failure.reset();
  store_.is_deferred = true;
  const auto waiting = each();
  for (const auto& got : waiting) EXPECT_FALSE(got->response);
  store_.answer_deferred();
  for (const auto& got : waiting) body_of(*got);
}

TEST_F(AccessTest, ARevokedKeyLearnsNothing) {
  store_.is_one_of_many = true;
  store_.remember("ACME");
  revoke_key(CompanyId{1}, "ACME");
  store_.look_ups.clear();
  for (const auto& got :
       {check(checks({{110, 131}})), check("{"), get(of_call("110")), get(of_call("x")),
        get(of_call("110", "?cursor=x")), get(of_user("131", "?x=1")), get(of_user("131"))}) {
    expect_envelope(*got);
    EXPECT_EQ(got->errors(), std::vector<std::string>{"Access denied"});
  }
  put_key(CompanyId{1}, "ACME", {"earshot:access:read"});
  store_.remembered.clear();
  store_.are_look_ups_deferred = true;
  const auto list = get(of_call("110"));
  const auto answered = check(checks({{110, 131}}));
  EXPECT_FALSE(list->response || answered->response);
  store_.answer_look_ups();
  body_of(*list);
  body_of(*answered);
}

TEST_F(AccessTest, StreamsLongAnswers) {
  std::vector<std::pair<int, int>> pairs;
  for (int i = 0; i < 3000; ++i) pairs.emplace_back(110, 130 + i % 16);
  const auto whole = check(checks(pairs));
  EXPECT_FALSE(whole->is_stream);
  expect_envelope(*whole);
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{1000}, std::size_t{300'000}}) {
    make({.answer_bytes_whole = bytes});
    const auto got = std::make_shared<Got>();
    got->is_slow = true;
    ask({.method = "POST", .path = kCheck, .fields = kAuthorized, .body = checks(pairs)}, got);
    got->drain();
    EXPECT_TRUE(got->is_stream && got->is_ended);
    EXPECT_EQ(got->body(), whole->body());
    const auto page = get(of_call("110"));
    EXPECT_EQ(page->is_stream, bytes < 1000);
    expect_envelope(*page);
  }
}

}  // namespace
}  // namespace earshot::api
