// Answers of servers, and of things that are none; and lines of pairs.
#include "client/answers.h"

#include <gtest/gtest.h>

#include <string>

namespace earshot::client {
namespace {

TEST(Answers, OfChecksHaveTheirReasons) {
  const auto answer = decode_check(R"({"requestId":"r","revision":7,"at":"2026-03-01T10:00:00Z",
    "unknown":[1,{"x":null}],"results":[
    {"callId":"5","userId":"30","allowed":true,"ways":[
      {"way":"individual","expiresAt":"2027-01-01T00:00:00Z","note":"why"},{"way":"shared"},
      {"way":"participant"},
      {"way":"profile","profileId":"20","permissionLevel":"report-to-them","chain":["31","29"],
       "chainLeftOut":3,"leadId":"29"}]},
    {"callId":"6","userId":"30","allowed":false,"reason":"user inactive","ways":[],
     "profile":{"profileId":"21","permissionLevel":"managers-team","teamLeadIds":["8","9"],
                "teamLeadsLeftOut":2},
     "expiredAt":"2026-02-01T00:00:00Z","waysIfActive":["individual","profile"]}]})");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->as_of.revision, 7U);
  EXPECT_EQ(answer->as_of.time, parse_time("2026-03-01T10:00:00Z"));
  ASSERT_EQ(answer->findings.size(), 2U);
  const Finding& yes = answer->findings[0];
  EXPECT_EQ(yes.pair, (Pair{UserId{30}, CallId{5}}));
  EXPECT_TRUE(yes.allowed);
  ASSERT_EQ(yes.ways.size(), 4U);
  EXPECT_EQ(yes.ways[0].name, "individual");
  EXPECT_EQ(yes.ways[0].expires_at, parse_time("2027-01-01T00:00:00Z"));
  EXPECT_EQ(yes.ways[0].note, "why");
  EXPECT_FALSE(yes.ways[1].profile);
  EXPECT_EQ(yes.ways[3].profile, ProfileId{20});
  EXPECT_EQ(yes.ways[3].level, "report-to-them");
  EXPECT_EQ(yes.ways[3].chain, (std::vector{UserId{31}, UserId{29}}));
  EXPECT_EQ(yes.ways[3].left_out, 3U);
  EXPECT_EQ(yes.ways[3].lead, UserId{29});
  const Finding& no = answer->findings[1];
  EXPECT_FALSE(no.allowed);
  EXPECT_EQ(no.reason, "user inactive");
  EXPECT_EQ(no.profile->id, ProfileId{21});
  EXPECT_EQ(no.profile->level, "managers-team");
  EXPECT_EQ(no.profile->team_leads, (std::vector{UserId{8}, UserId{9}}));
  EXPECT_EQ(no.profile->leads_left_out, 2U);
  EXPECT_EQ(no.expired_at, parse_time("2026-02-01T00:00:00Z"));
  EXPECT_EQ(no.ways_if_active, (std::vector<std::string>{"individual", "profile"}));
}

TEST(Answers, OfPagesSayWhetherMoreFollows) {
  const auto call = decode_call_page(
      R"({"revision":7,"at":"2026-03-01T10:00:00Z","users":[
          {"userId":"3","ways":[{"way":"shared"}]}],
          "records":{"currentPageSize":1,"cursor":"abc"}})",
      CallId{5});
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(call->cursor, "abc");
  ASSERT_EQ(call->findings.size(), 1U);
  EXPECT_EQ(call->findings[0].pair, (Pair{UserId{3}, CallId{5}}));
  EXPECT_TRUE(call->findings[0].allowed);
  const auto user = decode_user_page(
      R"({"revision":7,"at":"2026-03-01T10:00:00Z","calls":[{"callId":"6",
          "ways":[{"way":"shared"}]}],"reason":"why not","records":{"currentPageSize":1}})",
      UserId{3});
  ASSERT_TRUE(user) << user.error().message;
  EXPECT_FALSE(user->cursor);
  EXPECT_EQ(user->reason, "why not");
  EXPECT_EQ(user->findings.at(0).pair, (Pair{UserId{3}, CallId{6}}));
}

TEST(Answers, OfChangesAndListsAreThatOfEachPair) {
  const auto grants = decode_grants(
      R"({"requestId":"r","revision":9,"results":[
          {"callId":"5","userId":"3","result":"no effect: shared","ways":["shared"]},
          {"callId":"5","userId":"4","result":"given","expiresAt":"2027-01-01T00:00:00Z",
           "note":"n"}]})");
  ASSERT_TRUE(grants) << grants.error().message;
  EXPECT_EQ(grants->request_id, "r");
  EXPECT_EQ(grants->revision, 9U);
  EXPECT_EQ(grants->results.at(0).ways, std::vector<std::string>{"shared"});
  EXPECT_EQ(grants->results.at(1).pair, (Pair{UserId{4}, CallId{5}}));
  EXPECT_EQ(grants->results.at(1).note, "n");
  EXPECT_EQ(grants->results.at(1).expires_at, parse_time("2027-01-01T00:00:00Z"));
  const auto listed = decode_listed(
      R"({"requestId":"r","callAccessList":[{"callId":"5","users":[{"userId":"3"},{"userId":"4"}]},
          {"callId":"6","users":[]}]})");
  ASSERT_TRUE(listed) << listed.error().message;
  EXPECT_EQ(*listed, (std::vector<Pair>{{UserId{3}, CallId{5}}, {UserId{4}, CallId{5}}}));
}

TEST(Answers, ThatAreNoneAreNotTakenForEmptyOnes) {
  const std::string bad[] = {
      "",
      "<html>",
      "[]",
      "{}",
      R"({"revision":7,"at":"2026-03-01T10:00:00Z"})",
      R"({"revision":-7,"at":"2026-03-01T10:00:00Z","results":[],"users":[],"calls":[]})",
      R"({"revision":7,"at":"today","results":[],"users":[],"calls":[],"records":{}})",
      R"({"requestId":"r","revision":7,"at":"2026-03-01T10:00:00Z","results":[{}],"users":[{}],
          "calls":[{}],"records":{},"callAccessList":[{}]})",
      R"({"requestId":"r","revision":7,"at":"2026-03-01T10:00:00Z","results":[1],"users":[1],
          "calls":[1],"records":{},"callAccessList":[1]})",
      R"({"requestId":"r","revision":7,"at":"2026-03-01T10:00:00Z","results":{},"users":{},
          "calls":{},"records":{},"callAccessList":{}})",
      // Allowed without a way, refused without a reason, an id that is a number.
      R"({"revision":7,"at":"2026-03-01T10:00:00Z","results":[
          {"callId":"5","userId":"3","allowed":true,"ways":[]}]})",
      R"({"revision":7,"at":"2026-03-01T10:00:00Z","results":[
          {"callId":"5","userId":"3","allowed":false,"ways":[]}]})",
      R"({"requestId":"r","revision":7,"at":"2026-03-01T10:00:00Z","results":[
          {"callId":5,"userId":"3","allowed":false,"ways":[],"reason":"r","result":"given"}]})",
  };
  for (const auto& body : bad) {
    EXPECT_FALSE(decode_check(body)) << body;
    EXPECT_FALSE(decode_call_page(body, CallId{5})) << body;
    EXPECT_FALSE(decode_user_page(body, UserId{3})) << body;
    EXPECT_FALSE(decode_grants(body)) << body;
    const auto listed = decode_listed(body);
    ASSERT_FALSE(listed) << body;
    EXPECT_EQ(listed.error().code, Code::unavailable) << body;
  }
  EXPECT_FALSE(
      decode_call_page(R"({"revision":7,"at":"2026-03-01T10:00:00Z","users":[]})", CallId{5}))
      << "whether more follows must be said";
}

TEST(Answers, ThatRefuseAreTakenFromEarshotOnly) {
  const auto problem = decode_problem(R"({"requestId":"r","errors":["Too many ids","limit 3"]})");
  EXPECT_EQ(problem.request_id, "r");
  EXPECT_EQ(problem.errors, (std::vector<std::string>{"Too many ids", "limit 3"}));
  for (const std::string body : {"", "<html>", "{}", R"({"errors":"x"})", R"({"errors":[1]})"}) {
    EXPECT_TRUE(decode_problem(body).errors.empty()) << body;
  }
}

TEST(PairLines, AreTwoIdsOrAnObject) {
  const Pair pair{UserId{34}, CallId{7782342274025937895}};
  for (const std::string line : {
           "34 7782342274025937895",
           "34\t7782342274025937895",
           "34   7782342274025937895",
           "34,7782342274025937895",
           "34 , 7782342274025937895",
           R"({"callId":"7782342274025937895","userId":"34"})",
           R"({"userId":"34","callId":"7782342274025937895","ways":[{"way":"shared"}],"at":null})",
       }) {
    const auto parsed = parse_pair(line);
    ASSERT_TRUE(parsed) << line << ": " << parsed.error().message;
    EXPECT_EQ(*parsed, pair) << line;
  }
  for (const std::string line : {"34", "34 5 6", "34 05", "0 5", "-34 5", "a b", "34,,5", ",34,5",
                                 "34;5", "{}", "{", R"({"userId":34,"callId":"5"})",
                                 R"({"userId":"34"})", R"({"userId":"34","callId":"5"} x)"}) {
    const auto parsed = parse_pair(line);
    ASSERT_FALSE(parsed) << line;
    EXPECT_EQ(parsed.error().code, Code::invalid_argument) << line;
  }
}

}  // namespace
}  // namespace earshot::client
