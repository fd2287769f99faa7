// The commands as their users see them: what is asked, what is printed, and the exit code.
#include "client/run.h"

#include <gtest/gtest.h>

#include <csignal>

#include "client/testing.h"

namespace earshot::client {
namespace {

using std::chrono::milliseconds;

const Pair kPair{UserId{34}, CallId{5}};

struct Ran {
  ExitCode code = kBroken;
  std::string out, err;
};

Ran run_on(const ScriptedServer& server, Question question, bool as_json = false) {
  Command command;
  command.server = server.server();
  command.server.retries = 1;
  command.question = std::move(question);
  command.as_json = as_json;
  Pipe out, err;
  Output output(out.descriptor()), errors(err.descriptor());
  Ran ran;
  ran.code = run(command, output, errors, [](milliseconds) {});
  ran.out = out.text();
  ran.err = err.text();
  return ran;
}

Pairs pairs(std::vector<Pair> named) {
  Pairs result;
  result.named = std::move(named);
  return result;
}

const std::string kHead = R"({"requestId":"r","revision":7,"at":"2026-03-01T10:00:00Z",)";

std::string checked(const std::string& results) {
  return kHead + R"("results":[)" + results + "]}";
}
std::string yes(const std::string& user, const std::string& call) {
  return R"({"callId":")" + call + R"(","userId":")" + user +
         R"(","allowed":true,"ways":[{"way":"shared"}]})";
}
std::string no(const std::string& user, const std::string& call) {
  return R"({"callId":")" + call + R"(","userId":")" + user +
         R"(","allowed":false,"reason":"call is private","ways":[]})";
}
std::string users(const std::string& items, const std::string& cursor = "") {
  return kHead + R"("callId":"5","users":[)" + items + R"(],"records":{"currentPageSize":0)" +
         (cursor.empty() ? "" : R"(,"cursor":")" + cursor + '"') + "}}";
}
std::string user(const std::string& id) {
  return R"({"userId":")" + id + R"(","ways":[{"way":"shared"}]})";
}
std::string changed(const std::string& results) {
  return R"({"requestId":"r","revision":9,"results":[)" + results + "]}";
}
std::string result(const std::string& user, const std::string& what, const std::string& more = "") {
  return R"({"callId":"5","userId":")" + user + R"(","result":")" + what + "\"" + more + "}";
}

TEST(Check, AsksInBatchesAndSaysNoWhereOneIsNo) {
  ScriptedServer server;
  server.answer(200, checked(yes("34", "5") + "," + no("35", "5")));
  server.answer(200, checked(yes("36", "6")));
  Check check{pairs({kPair, {UserId{35}, CallId{5}}, {UserId{36}, CallId{6}}}), {}};
  check.pairs.batch = 2;
  const auto ran = run_on(server, check);
  EXPECT_EQ(ran.code, kNo) << ran.err;
  EXPECT_EQ(ran.out, "34\t5\tyes\tshared\n35\t5\tno\tcall is private\n36\t6\tyes\tshared\n");
  EXPECT_EQ(ran.err, "");
  const auto said = server.said();
  ASSERT_EQ(said.size(), 2U);
  EXPECT_EQ(said[0].method + " " + said[0].target, "POST /earshot/v1/access/check");
  EXPECT_EQ(said[0].body,
            R"({"checks":[{"callId":"5","userId":"34"},{"callId":"5","userId":"35"}]})");
  EXPECT_EQ(said[1].body, R"({"checks":[{"callId":"6","userId":"36"}]})");
}

TEST(Check, OfPairsThatMayAllIsYesAndAsJsonSaysAll) {
  ScriptedServer server;
  server.answer(200, checked(yes("34", "5")));
  const auto ran = run_on(server, Check{pairs({kPair}), {}}, true);
  EXPECT_EQ(ran.code, kYes);
  EXPECT_EQ(ran.out, R"({"callId":"5","userId":"34","allowed":true,"ways":[{"way":"shared"}],)"
                     R"("revision":7,"at":"2026-03-01T10:00:00Z"})"
                     "\n");
}

TEST(Check, CarriesItsMoment) {
  ScriptedServer server;
  const auto at = parse_time("2026-03-01T10:00:00Z");
  for (int i = 0; i < 4; ++i) server.answer(200, checked(yes("34", "5")));
  EXPECT_EQ(run_on(server, Check{pairs({kPair}), {{}, at}}).code, kYes);
  EXPECT_EQ(run_on(server, Check{pairs({kPair}), {7, {}}}).code, kYes);
  EXPECT_EQ(server.said()[0].target, "/earshot/v1/access/check?at=2026-03-01T10:00:00Z");
  EXPECT_EQ(server.said()[1].target, "/earshot/v1/access/check?revision=7");
  // An answer as of another moment is none.
  const auto later = parse_time("2026-03-01T10:00:00.5Z");
  EXPECT_EQ(run_on(server, Check{pairs({kPair}), {{}, later}}).code, kNoAnswer);
  EXPECT_EQ(server.said()[2].target, "/earshot/v1/access/check?at=2026-03-01T10:00:00.500Z");
  EXPECT_EQ(run_on(server, Check{pairs({kPair}), {8, {}}}).code, kNoAnswer);
  server.answer(200, users(user("1")));
  EXPECT_EQ(run_on(server, Who{CallId{5}, {{}, later}}).out, "");
}

TEST(Check, TakesNoAnswerToAnotherQuestion) {
  for (const std::string& body :
       {checked(""), checked(yes("35", "5")), checked(yes("34", "5") + "," + yes("34", "5"))}) {
    ScriptedServer server;
    server.answer(200, body);
    const auto ran = run_on(server, Check{pairs({kPair}), {}});
    EXPECT_EQ(ran.code, kNoAnswer) << body;
    EXPECT_EQ(ran.out, "");
    EXPECT_NE(ran.err.find("not about what was asked"), std::string::npos) << ran.err;
  }
}

TEST(Check, ReadsPairsOfAFileAndAsksNothingWhereOneIsBad) {
  ScriptedServer server;
  server.answer(200, checked(yes("34", "5")));
  const File good("34 5\n");
  Check check;
  check.pairs.file = good.path();
  EXPECT_EQ(run_on(server, check).code, kYes);
  const File bad("34 5\n34\n");
  check.pairs.file = bad.path();
  check.pairs.batch = 1;
  const auto ran = run_on(server, check);
  EXPECT_EQ(ran.code, kMisused);
  EXPECT_NE(ran.err.find(":2: "), std::string::npos) << ran.err;
  EXPECT_EQ(server.said().size(), 1U);
}

TEST(Why, ExplainsInOneRequest) {
  ScriptedServer server;
  server.answer(200, checked(yes("34", "5")));
  server.answer(200, checked(no("34", "5")));
  server.answer(200, checked(no("34", "5")));
  auto ran = run_on(server, Why{kPair, {}});
  EXPECT_EQ(ran.code, kYes);
  EXPECT_TRUE(ran.out.starts_with("Yes: user 34 may hear call 5, in one way.\n")) << ran.out;
  ran = run_on(server, Why{kPair, {}});
  EXPECT_EQ(ran.code, kNo);
  EXPECT_TRUE(ran.out.starts_with("No: user 34 may not hear call 5.\n")) << ran.out;
  EXPECT_NE(ran.out.find("earshot give 34 5"), std::string::npos);
  ran = run_on(server, Why{kPair, {}}, true);
  EXPECT_EQ(ran.code, kNo);
  EXPECT_EQ(ran.out,
            R"({"callId":"5","userId":"34","allowed":false,"ways":[],"reason":"call is private",)"
            R"("revision":7,"at":"2026-03-01T10:00:00Z","alternatives":["an individual grant",)"
            R"("a share","a part in the call, as its host or as a party"]})"
            "\n");
}

TEST(Who, FetchesEveryPageEmptyOnesToo) {
  ScriptedServer server;
  server.answer(200, users(user("1") + "," + user("2"), "c1"));
  server.answer(200, users("", "c2"));
  server.answer(200, users(user("3")));
  const auto ran = run_on(server, Who{CallId{5}, {{}, parse_time("2026-03-01T10:00:00Z")}});
  EXPECT_EQ(ran.code, kYes) << ran.err;
  EXPECT_EQ(ran.out, "1\tshared\n2\tshared\n3\tshared\n");
  const auto said = server.said();
  const std::string first = "/earshot/v1/calls/5/access?limit=1000&at=2026-03-01T10:00:00Z";
  ASSERT_EQ(said.size(), 3U);
  EXPECT_EQ(said[0].target, first);
  EXPECT_EQ(said[1].target, first + "&cursor=c1");
  EXPECT_EQ(said[2].target, first + "&cursor=c2");
}

TEST(Who, NeverPassesAPartForTheWhole) {
  ScriptedServer server;
  server.answer(200, users(user("1"), "c1"));
  server.answer(410, R"({"requestId":"r","errors":["History is not kept that far back"]})");
  auto ran = run_on(server, Who{CallId{5}, {}});
  EXPECT_EQ(ran.code, kRefused);
  EXPECT_EQ(ran.out, "1\tshared\n");
  EXPECT_TRUE(ran.err.starts_with("earshot: the list above is not complete\nearshot: http://"))
      << ran.err;

  ScriptedServer endless;
  for (int i = 0; i < 3; ++i) endless.answer(200, users(user("1"), "c1"));
  ran = run_on(endless, Who{CallId{5}, {}});
  EXPECT_EQ(ran.code, kNoAnswer);
  EXPECT_EQ(endless.said().size(), 2U) << "the cursor did not move";
  EXPECT_NE(ran.err.find("not complete"), std::string::npos);

  ScriptedServer unknown;
  unknown.answer(404, R"({"requestId":"r","errors":["Call ID 5 was not found"]})");
  ran = run_on(unknown, Who{CallId{5}, {}});
  EXPECT_EQ(ran.code, kRefused);
  EXPECT_EQ(ran.err.find("not complete"), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("Call ID 5 was not found"), std::string::npos) << ran.err;
}

TEST(Who, PrintsAPageBeforeItAsksForTheNext) {
  ScriptedServer server;
  server.answer(200, users(user("1"), "c1"));
  server.answer(503, "");
  server.answer(200, users(user("2")));
  Command command;
  command.server = server.server();
  command.question = Who{CallId{5}, {}};
  Pipe out, err;
  Output output(out.descriptor()), errors(err.descriptor());
  std::string so_far;
  // Nothing is there but the pause to look in between.
  const auto code = run(command, output, errors, [&](milliseconds) { so_far = out.text(); });
  EXPECT_EQ(code, kYes);
  EXPECT_EQ(so_far, "1\tshared\n");
  EXPECT_EQ(out.text(), "2\tshared\n");
}

TEST(ListCalls, NarrowsByWayAndSaysWhyThereIsNothing) {
  ScriptedServer server;
  server.answer(200, kHead + R"("userId":"34","calls":[{"callId":"5","ways":[{"way":"shared"}]}],
      "records":{"currentPageSize":1}})");
  server.answer(200, kHead + R"("userId":"34","calls":[],"reason":"user inactive",
      "records":{"currentPageSize":0}})");
  auto ran = run_on(server, ListCalls{UserId{34}, {"shared", "profile"}, {7, {}}}, true);
  EXPECT_EQ(ran.code, kYes) << ran.err;
  EXPECT_EQ(ran.out, R"({"callId":"5","userId":"34","allowed":true,"ways":[{"way":"shared"}],)"
                     R"("revision":7,"at":"2026-03-01T10:00:00Z"})"
                     "\n");
  EXPECT_EQ(server.said().at(0).target,
            "/earshot/v1/users/34/access?limit=1000&way=shared&way=profile&revision=7");
  ran = run_on(server, ListCalls{UserId{34}, {}, {}});
  EXPECT_EQ(ran.code, kYes);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "earshot: they hear nothing: user inactive\n");
}

TEST(ListGrants, AsksAsGongsApiDoes) {
  ScriptedServer server;
  const std::string answer =
      R"({"requestId":"r","callAccessList":[{"callId":"5","users":[{"userId":"3"},{"userId":"4"}]},
          {"callId":"6","users":[]}]})";
  server.answer(200, answer);
  server.answer(200, answer);
  const ListGrants list{{CallId{5}, CallId{6}}};
  EXPECT_EQ(run_on(server, list).out, "3\t5\n4\t5\n");
  EXPECT_EQ(run_on(server, list, true).out,
            "{\"callId\":\"5\",\"userId\":\"3\"}\n{\"callId\":\"5\",\"userId\":\"4\"}\n");
  EXPECT_EQ(server.said()[0].method + " " + server.said()[0].target, "POST /v2/calls/users-access");
  EXPECT_EQ(server.said()[0].body, R"({"filter":{"callIds":["5","6"]}})");
}

TEST(Give, TellsWhatBecameOfEachPair) {
  ScriptedServer server;
  server.answer(200, changed(result("34", "given",
                                    R"(,"expiresAt":"2027-01-01T00:00:00Z","note":"a\u001bb")") +
                             "," + result("35", "no effect: shared", R"(,"ways":["shared"])")));
  ChangeGrants give;
  give.pairs = pairs({kPair, {UserId{35}, CallId{5}}});
  give.expires_at = parse_time("2027-01-01T00:00:00Z");
  give.note =
      "a\x1b"
      "b";
  const auto ran = run_on(server, give);
  EXPECT_EQ(ran.code, kYes) << ran.err;
  EXPECT_EQ(ran.out, "34\t5\tgiven\t2027-01-01T00:00:00Z\ta?b\n35\t5\tno effect: shared\t\t\n");
  const auto said = server.said();
  EXPECT_EQ(said.at(0).method + " " + said[0].target, "PUT /earshot/v1/grants");
  EXPECT_EQ(said[0].body,
            R"({"grants":[{"callId":"5","userId":"34","expiresAt":"2027-01-01T00:00:00Z",)"
            R"("note":"a\u001bb"},{"callId":"5","userId":"35","expiresAt":"2027-01-01T00:00:00Z",)"
            R"("note":"a\u001bb"}]})");
  EXPECT_EQ(said[0].field("idempotency-key").size(), 22U) << "made up";
}

TEST(Give, SaysNoWhereAnIdIsUnknown) {
  for (const std::string what : {"unknown call", "unknown user"}) {
    ScriptedServer server;
    server.answer(200, changed(result("34", "given") + "," + result("35", what)));
    ChangeGrants give;
    give.pairs = pairs({kPair, {UserId{35}, CallId{5}}});
    EXPECT_EQ(run_on(server, give).code, kNo);
  }
  ScriptedServer server;
  server.answer(200, changed(result("34", "not found")));
  ChangeGrants remove;
  remove.gives = false;
  remove.pairs = pairs({kPair});
  EXPECT_EQ(run_on(server, remove).code, kYes) << "it is as it was to be";
  EXPECT_EQ(server.said().at(0).method, "DELETE");
}

TEST(Give, RepeatsWithTheSameKeyAndAnotherForEachRequest) {
  ScriptedServer server;
  server.answer(503, "");
  server.answer(200, changed(result("34", "given")));
  server.answer(200, changed(result("35", "given")));
  ChangeGrants give;
  give.pairs = pairs({kPair, {UserId{35}, CallId{5}}});
  give.pairs.batch = 1;
  EXPECT_EQ(run_on(server, give).code, kYes);
  const auto said = server.said();
  ASSERT_EQ(said.size(), 3U);
  const auto key = said[0].field("idempotency-key");
  EXPECT_EQ(key.size(), 22U + 2U);
  EXPECT_TRUE(key.ends_with(".1"));
  EXPECT_EQ(said[1].field("idempotency-key"), key);
  EXPECT_EQ(said[2].field("idempotency-key"), key.substr(0, 22) + ".2");
}

TEST(Give, PutsOnlySoManyLongNotesIntoARequest) {
  ScriptedServer server;
  std::vector<Pair> many(2000, kPair);
  ChangeGrants give;
  give.pairs = pairs(many);
  give.note = std::string(1024, 'x');
  give.if_revision = 1;
  const auto ran = run_on(server, give);
  EXPECT_EQ(ran.code, kMisused);
  EXPECT_NE(ran.err.find("2000 pairs, and at most 1270 go into one"), std::string::npos) << ran.err;
}

TEST(Give, KeepsTheKeyThatItWasGivenAndSaysWhenItWasAnsweredBefore) {
  ScriptedServer server;
  http::FieldLines replayed;
  replayed.add("idempotent-replayed", "true");
  server.answer(200, changed(result("34", "given")), replayed);
  ChangeGrants give;
  give.pairs = pairs({kPair});
  give.idempotency_key = "mine";
  const auto ran = run_on(server, give, true);
  EXPECT_EQ(ran.code, kYes);
  EXPECT_EQ(server.said().at(0).field("idempotency-key"), "mine");
  EXPECT_EQ(ran.out, R"({"callId":"5","userId":"34","result":"given","revision":9,"requestId":"r"})"
                     "\n");
  EXPECT_EQ(ran.err, "earshot: answered before; nothing was done again\n");
}

TEST(Give, OfADryRunHasNoKeyAndSaysSo) {
  ScriptedServer server;
  server.answer(200, changed(result("34", "given")));
  ChangeGrants give;
  give.pairs = pairs({kPair});
  give.dry_run = true;
  give.if_revision = 7;
  const auto ran = run_on(server, give, true);
  EXPECT_EQ(ran.code, kYes);
  EXPECT_EQ(server.said().at(0).field("idempotency-key"), "");
  EXPECT_EQ(server.said().at(0).body,
            R"({"grants":[{"callId":"5","userId":"34"}],"dryRun":true,"ifRevision":7})");
  EXPECT_EQ(ran.out, R"({"callId":"5","userId":"34","result":"given","dryRun":true,"revision":9,)"
                     R"("requestId":"r"})"
                     "\n");
}

TEST(Give, UnlessChangedSinceIsForOneRequest) {
  ScriptedServer server;
  ChangeGrants give;
  give.pairs = pairs({kPair, {UserId{35}, CallId{5}}});
  give.pairs.batch = 1;
  give.if_revision = 7;
  const auto ran = run_on(server, give);
  EXPECT_EQ(ran.code, kMisused);
  EXPECT_NE(ran.err.find("--if-revision"), std::string::npos) << ran.err;
  EXPECT_TRUE(server.said().empty());
}

TEST(Give, WhoseOutcomeIsUnknownSaysHowToLearnIt) {
  ScriptedServer server;
  server.answer(200, changed(result("34", "given")));
  server.answer(503, "");
  server.answer(503, "");
  ChangeGrants give;
  give.pairs = pairs({kPair, {UserId{35}, CallId{5}}});
  give.pairs.batch = 1;
  const auto ran = run_on(server, give);
  EXPECT_EQ(ran.code, kNoAnswer);
  EXPECT_EQ(ran.out, "34\t5\tgiven\t\t\n") << "what was done is told";
  const auto key = server.said().at(0).field("idempotency-key");
  EXPECT_NE(ran.err.find("--idempotency-key " + key.substr(0, 22) + " "), std::string::npos)
      << ran.err;
  EXPECT_NE(ran.err.find("1 of 2 pairs"), std::string::npos) << ran.err;

  ScriptedServer refusing;
  refusing.answer(422, R"({"requestId":"r","errors":["This key was used for another request"]})");
  const auto refused = run_on(refusing, give);
  EXPECT_EQ(refused.code, kRefused);
  EXPECT_EQ(refused.err.find("--idempotency-key"), std::string::npos) << refused.err;
}

TEST(Remove, TakesAllOfAUserOrACall) {
  ScriptedServer server;
  server.answer(200, changed(result("34", "removed") + "," + result("34", "removed")));
  server.answer(200, changed(""));
  ChangeGrants remove;
  remove.gives = false;
  remove.all_of_user = UserId{34};
  auto ran = run_on(server, remove);
  EXPECT_EQ(ran.code, kYes) << ran.err;
  EXPECT_EQ(ran.out, "34\t5\tremoved\t\t\n34\t5\tremoved\t\t\n");
  remove.all_of_user.reset();
  remove.all_of_call = CallId{5};
  ran = run_on(server, remove);
  EXPECT_EQ(ran.code, kYes) << ran.err;
  EXPECT_EQ(server.said()[0].body, R"({"allOf":{"userId":"34"}})");
  EXPECT_EQ(server.said()[1].body, R"({"allOf":{"callId":"5"}})");
}

TEST(Run, SaysThatNobodyListens) {
  Command command;
  {
    ScriptedServer gone;
    command.server = gone.server();
  }
  ChangeGrants give;
  give.pairs = pairs({kPair});
  command.question = give;
  Pipe out, err;
  Output output(out.descriptor()), errors(err.descriptor());
  EXPECT_EQ(run(command, output, errors, [](milliseconds) {}), kNoAnswer);
  const auto text = err.text();
  EXPECT_TRUE(text.starts_with("earshot: http://127.0.0.1:")) << text;
  EXPECT_EQ(text.find("idempotency"), std::string::npos) << "nothing was sent: " << text;
  EXPECT_EQ(text.find("s3cret"), std::string::npos);
}

TEST(Run, ThatCannotWriteIsNoNo) {
  ScriptedServer server;
  server.answer(200, checked(yes("34", "5")));
  Command command;
  command.server = server.server();
  command.question = Check{pairs({kPair}), {}};
  std::signal(SIGPIPE, SIG_IGN);
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  ::close(ends[0]);
  Pipe err;
  Output output(ends[1]), errors(err.descriptor());
  EXPECT_EQ(run(command, output, errors, [](milliseconds) {}), kBroken);
  ::close(ends[1]);
  EXPECT_NE(err.text().find("cannot write the output"), std::string::npos);
}

TEST(Run, OnATerminalSaysThatThereIsNobody) {
  ScriptedServer server;
  server.answer(200, users(""));
  Command command;
  command.server = server.server();
  command.question = Who{CallId{5}, {}};
  Terminal terminal;
  Output output(terminal.descriptor()), errors(terminal.descriptor());
  EXPECT_EQ(run(command, output, errors, [](milliseconds) {}), kYes);
  EXPECT_EQ(terminal.text(), "nobody\n");
}

}  // namespace
}  // namespace earshot::client
