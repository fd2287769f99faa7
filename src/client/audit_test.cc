// The record of changes, refusals and keys as their readers see them.
#include "client/audit.h"

#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>

#include "client/audit_answers.h"
#include "client/run.h"
#include "client/testing.h"

namespace earshot::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

struct Told {
  ExitCode code = kBroken;
  std::string out, err;
  std::vector<milliseconds> pauses;
};

// `on_pause` is called with the number of the pause, from 1.
Told tell(
    const ScriptedServer& server, Question question, bool as_json = false,
    const std::function<void(std::size_t)>& on_pause = [](std::size_t) {}) {
  Command command;
  command.server = server.server();
  command.server.retries = 0;
  command.question = std::move(question);
  command.as_json = as_json;
  Pipe out, err;
  Output output(out.descriptor()), errors(err.descriptor());
  Told told;
  told.code = run(command, output, errors, [&](milliseconds time) {
    told.pauses.push_back(time);
    if (told.pauses.size() > 20) throw std::runtime_error("it does not end");
    on_pause(told.pauses.size());
  });
  told.out = out.text();
  told.err = err.text();
  return told;
}

const std::string kDenied = R"({"requestId":"r","errors":["Access denied"]})";

std::string head(const std::string& revision) {
  return R"({"requestId":"r","revision":)" + revision + R"(,"hash":"00"})";
}
std::string page(const std::string& revisions, const std::string& next, bool is_end,
                 const std::string& oldest = "0") {
  return R"({"requestId":"r","revision":9,"oldest":)" + oldest + R"(,"revisions":[)" + revisions +
         R"(],"next":")" + next + R"(","atEnd":)" + (is_end ? "true" : "false") + "}";
}
std::string revision(const std::string& number, const std::string& changes,
                     const std::string& key = "\"ACME\"", const std::string& operation = "give") {
  return R"({"revision":)" + number + R"(,"time":"2026-03-01T10:00:00Z","operation":")" +
         operation + R"(","requestId":"r","accessKey":)" + key + R"(,"changes":[)" + changes + "]}";
}
std::string put_user(const std::string& n, const std::string& id) {
  return R"({"n":)" + n + R"(,"record":{"kind":"user","userId":")" + id + "\"}}";
}
std::string line(const std::string& revision, const std::string& user) {
  return "2026-03-01T10:00:00Z\t" + revision + "\tACME\tput user " + user + "\n";
}

TEST(Changes, ArePrintedFromTheBeginningThroughAllPages) {
  ScriptedServer server;
  server.answer(200, head("3"));
  server.answer(200, page("", "3", true));
  server.answer(200, page(revision("1", put_user("0", "30") + "," + put_user("1", "31")) + "," +
                              revision("2", put_user("0", "32")),
                          "2.1", false));
  server.answer(200, page("", "2.5", false));
  server.answer(200, page(revision("2", put_user("5", "33")) + "," +
                              revision("3", put_user("0", "34"), "null"),
                          "3", true));
  const auto told = tell(server, ListChanges{});
  EXPECT_EQ(told.code, kYes) << told.err;
  EXPECT_EQ(told.out, line("1", "30") + line("1", "31") + line("2", "32") + line("2", "33") +
                          "2026-03-01T10:00:00Z\t3\toperator\tput user 34\n");
  EXPECT_EQ(told.err, "");
  const auto said = server.said();
  ASSERT_EQ(said.size(), 5U);
  const std::string changes = "/earshot/v1/changes";
  EXPECT_EQ(said[0].target, changes + "/head");
  EXPECT_EQ(said[1].target, changes + "?after=3&limit=1");
  EXPECT_EQ(said[2].target, changes + "?after=0&limit=1000");
  EXPECT_EQ(said[3].target, changes + "?after=2.1&limit=1000");
  EXPECT_EQ(said[4].target, changes + "?after=2.5&limit=1000");
}

TEST(Changes, OfEachKindAreToldInWords) {
  const std::string of_pair = R"(,"callId":"5","userId":"34")";
  const struct {
    std::string change, operation, by, text;
  } rows[] = {
      {R"("record":{"kind":"grant")" + of_pair + R"(},"before":null)", "give", "ACME",
       "gave 34 the call 5"},
      {R"("record":{"kind":"grant")" + of_pair +
           R"(,"expiresAt":"2099-01-01T00:00:00Z","note":"a\u001b[31m\nb"},"before":null)",
       "give", "ACME", "gave 34 the call 5, until 2099-01-01T00:00:00Z, noting \"a?[31m b\""},
      {R"("record":{"kind":"grant")" + of_pair + R"(},"before":{"kind":"grant")" + of_pair + "}",
       "give", "ACME", "gave 34 the call 5 anew"},
      {R"("record":{"kind":"grant")" + of_pair + R"(,"remove":true},"before":{"kind":"grant")" +
           of_pair + "}",
       "remove", "ACME", "took the call 5 from 34"},
      {R"("record":{"kind":"grant")" + of_pair + R"(,"remove":true},"before":{"kind":"grant")" +
           of_pair + R"(,"expiresAt":"2026-01-01T00:00:00Z"})",
       "sweep", "sweep", "took the call 5 from 34, which was until 2026-01-01T00:00:00Z"},
      {R"("record":{"kind":"grant")" + of_pair + R"(,"remove":true},"before":null,"deadSince":7)",
       "sweep", "sweep", "took the call 5 from 34, which gave no access since revision 7"},
      {R"("record":{"kind":"share")" + of_pair + "}", "records", "ACME", "shared call 5 with 34"},
      {R"("record":{"kind":"share")" + of_pair + R"(,"remove":true},"deadSince":0)", "records",
       "ACME", "ended the share of call 5 with 34"},
      {R"("record":{"kind":"call","callId":"5","title":"In\u001btro"},"before":null)", "records",
       "ACME", "put call 5 \"In?tro\""},
      {R"("record":{"kind":"call","callId":"5","remove":true})", "records", "ACME",
       "removed call 5"},
      {R"("record":{"kind":"user","userId":"34","emailAddress":"nina@acme.test"})", "records",
       "ACME", "put user 34 \"nina@acme.test\""},
      {R"("record":{"kind":"workspace","workspaceId":"10","name":"Sales"})", "records", "ACME",
       "put workspace 10 \"Sales\""},
      {R"("record":{"kind":"profile","profileId":"20","remove":true})", "records", "ACME",
       "removed profile 20"},
      {R"("record":{"kind":"company","companyId":"1","name":"Acme"})", "records", "ACME",
       "put company 1 \"Acme\""},
      {R"("record":{"kind":"key","accessKey":"A","scopes":["a:b","c:d"],)"
       R"("expiresAt":"2099-01-01T00:00:00Z"})",
       "records", "ACME", "put key A for a:b c:d, until 2099-01-01T00:00:00Z"},
      {R"("record":{"kind":"key","accessKey":"A","remove":true})", "records", "ACME",
       "removed key A"},
  };
  for (const auto& row : rows) {
    ScriptedServer server;
    const std::string key = row.by == "ACME" ? "\"ACME\"" : "null";
    server.answer(
        200, page(revision("1", R"({"n":0,)" + row.change + "}", key, row.operation), "1", true));
    const auto told = tell(server, ListChanges{.after = Position{}});
    EXPECT_EQ(told.out, "2026-03-01T10:00:00Z\t1\t" + row.by + "\t" + row.text + "\n") << told.err;
  }
}

TEST(Changes, AsJsonAreWhatTheServerSent) {
  ScriptedServer server;
  const std::string first =
      R"({"revision":8,"time":"2026-03-01T10:00:00Z","operation":"give","accessKey":"ACME",)"
      R"("changes":[{"n":3,"record":{"kind":"grant","callId":"5","userId":"34",)"
      R"("note":"a\u001b\"b\" é"},"before":null,"of a later release":[15,{}]}],"complete":false})";
  server.answer(200, page(first + "," + revision("9", put_user("0", "1")), "9", true));
  ListChanges list{.after = Position{8, 3}};
  list.call = CallId{5};
  list.user = UserId{34};
  const auto told = tell(server, list, true);
  EXPECT_EQ(told.code, kYes) << told.err;
  EXPECT_EQ(told.out.substr(0, told.out.find('\n')), first);
  EXPECT_EQ(told.out, first + "\n" + revision("9", put_user("0", "1")) + "\n");
  EXPECT_EQ(server.said().at(0).target,
            "/earshot/v1/changes?after=8.3&limit=1000&callId=5&userId=34");
}

TEST(Changes, ThatAreTheLastBeginWhereTheRecordDoesAtTheEarliest) {
  const struct {
    std::optional<std::uint64_t> last;
    std::string newest, oldest, after, err;
  } rows[] = {
      {2, "9", "0", "7", ""},
      {0, "9", "0", "9", ""},
      {20, "9", "0", "0", ""},
      {20, "9", "6", "6", "earshot: revisions up to 6 are not kept any more"},
      {{}, "9", "6", "6", "earshot: revisions up to 6 are not kept any more"},
      {2, "9", "6", "7", ""},
      {{}, "0", "0", "0", ""},
  };
  for (const auto& row : rows) {
    ScriptedServer server;
    server.answer(200, head(row.newest));
    server.answer(200, page("", row.newest, true, row.oldest));
    server.answer(200, page("", "9", true, row.oldest));
    const auto told = tell(server, ListChanges{.last = row.last});
    EXPECT_EQ(told.code, kYes) << told.err;
    EXPECT_EQ(server.said().at(2).target, "/earshot/v1/changes?after=" + row.after + "&limit=1000");
    EXPECT_TRUE(told.err.starts_with(row.err) && told.err.empty() == row.err.empty()) << told.err;
  }
}

TEST(Changes, ThatWereCutOffAreRefusedInTheServersWords) {
  ScriptedServer server;
  server.answer(410, R"({"requestId":"r","errors":["History is not kept that far back",)"
                     R"("after: the oldest that is kept is 6"]})");
  const auto told = tell(server, ListChanges{.after = Position{3, {}}});
  EXPECT_EQ(told.code, kRefused);
  EXPECT_NE(told.err.find("the oldest that is kept is 6"), std::string::npos) << told.err;
}

TEST(Changes, AreNeverPrintedTwiceNorPassedOverInSilence) {
  const Position after{8, 3};
  for (const std::string& body : {
           page(revision("7", put_user("0", "30")), "9", true),
           page(revision("8", put_user("2", "30")), "9", true),
           page(revision("9", put_user("1", "30") + "," + put_user("1", "30")), "9", true),
           page(revision("9", put_user("0", "30")) + "," + revision("8", put_user("7", "30")), "9",
                true),
           page(revision("9", put_user("1", "30")), "9.1", false),
           page("", "8.2", true),
           page("", "8.3", false),
           page("", "x", true),
       }) {
    ScriptedServer server;
    server.answer(200, body);
    const auto told = tell(server, ListChanges{.after = after});
    EXPECT_EQ(told.code, kNoAnswer) << body;
    EXPECT_EQ(told.out, "") << body;
    EXPECT_EQ(server.said().size(), 1U);
  }
}

TEST(Follow, BeginsWithTheLastWaitsAndGoesOnWhereItWas) {
  ScriptedServer server;
  server.answer(200, head("12"));
  server.answer(200, page("", "12", true));
  server.answer(200, page(revision("12", put_user("0", "30")), "12", true));
  server.answer(200, page(revision("13", put_user("0", "31")), "13.1", false));
  server.answer(503, "", {});
  // What follows is added while it waits.
  const auto told = tell(server, ListChanges{.follows = true}, false, [&](std::size_t pauses) {
    if (pauses < 3) return server.answer(502, "<html>");
    if (pauses > 3) return;
    server.answer(200, page(revision("13", put_user("1", "32")), "13", true));
    server.answer(503, "");
    server.answer(401, kDenied);
  });
  EXPECT_EQ(told.code, kRefused);
  EXPECT_EQ(told.out, line("12", "30") + line("13", "31") + line("13", "32"));
  const auto said = server.said();
  ASSERT_EQ(said.size(), 10U);
  const std::string changes = "/earshot/v1/changes?after=";
  EXPECT_EQ(said[2].target, changes + "2&limit=1000");
  EXPECT_EQ(said[3].target, changes + "12&limit=1000&wait=25");
  for (std::size_t i = 4; i < 8; ++i) EXPECT_EQ(said[i].target, changes + "13.1&limit=1000");
  EXPECT_EQ(said[8].target, changes + "13&limit=1000&wait=25");
  EXPECT_EQ(said[9].target, said[8].target);
  // Once for each time that it was away.
  std::size_t times = 0;
  for (auto at = told.err.find("goes on behind"); at != std::string::npos;
       at = told.err.find("goes on behind", at + 1)) {
    ++times;
  }
  EXPECT_EQ(times, 2U) << told.err;
  EXPECT_NE(told.err.find("goes on behind 13.1 when"), std::string::npos) << told.err;
  EXPECT_NE(told.err.find("Access denied"), std::string::npos) << told.err;
  EXPECT_EQ(told.pauses, std::vector<milliseconds>(4, milliseconds(2'000)));
}

TEST(Follow, StaysAwayAsLongAsItIsAskedTo) {
  ScriptedServer server;
  http::FieldLines later;
  later.add("retry-after", "30");
  server.answer(200, page(revision("1", put_user("0", "30")), "1", true));
  server.answer(429, R"({"requestId":"r","errors":["API request limit exceeded"]})", later);
  server.answer(403, kDenied);
  const auto told = tell(server, ListChanges{.after = Position{}, .follows = true});
  EXPECT_EQ(told.code, kRefused);
  EXPECT_EQ(told.pauses, std::vector{milliseconds(30'000)});
}

TEST(Follow, DoesNotHurryAServerThatDoesNotHold) {
  ScriptedServer server;
  for (int i = 0; i < 3; ++i) server.answer(200, page("", "1", true));
  server.answer(403, kDenied);
  const auto told = tell(server, ListChanges{.after = Position{1, {}}, .follows = true});
  EXPECT_EQ(told.pauses, std::vector<milliseconds>(3, milliseconds(1'000)));
}

TEST(Follow, OfAServerThatNeverAnsweredEnds) {
  ScriptedServer server;
  server.answer(503, "");
  const auto told = tell(server, ListChanges{.follows = true});
  EXPECT_EQ(told.code, kNoAnswer);
  EXPECT_EQ(told.err.find("goes on"), std::string::npos) << told.err;
  EXPECT_TRUE(told.pauses.empty());
}

TEST(Follow, HasTimeForTheServerToHoldItsAnswer) {
  ScriptedServer server;
  server.answer(200, page("", "1", true));
  server.answer(200, page(revision("2", put_user("0", "30")), "2", true), {}, milliseconds(700));
  server.answer(401, kDenied);
  Command command;
  command.server = server.server();
  command.server.timeout = milliseconds(400);
  command.server.retries = 0;
  command.question = ListChanges{.after = Position{1, {}}, .follows = true};
  Pipe out, err;
  Output output(out.descriptor()), errors(err.descriptor());
  EXPECT_EQ(run(command, output, errors, [](milliseconds) {}), kRefused);
  EXPECT_EQ(out.text(), line("2", "30"));
  EXPECT_EQ(err.text().find("timed out"), std::string::npos);
}

TEST(Follow, EndsQuietlyWhenNobodyReadsOn) {
  ScriptedServer server;
  server.answer(200, page("", "1", true));
  server.answer(200, page("", "1", true), {}, milliseconds(4'000));
  Command command;
  command.server = server.server();
  command.question = ListChanges{.after = Position{1, {}}, .follows = true};
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  Pipe err;
  Output output(ends[1]), errors(err.descriptor());
  const auto began = steady_clock::now();
  // The reader goes between two questions, so that the second finds nobody.
  EXPECT_EQ(run(command, output, errors, [&](milliseconds) { ::close(ends[0]); }), kYes);
  EXPECT_LT(steady_clock::now() - began, milliseconds(3'500));
  EXPECT_EQ(err.text(), "");
  ::close(ends[1]);
}

TEST(Keys, AreListedWithoutSecrets) {
  ScriptedServer server;
  const std::string first =
      R"({"accessKey":"ACME","scopes":["a:b","c:d"],"expiresAt":"2099-01-01T00:00:00Z",)"
      R"("lastUsed":"2026-03-01T10:00:00Z"})";
  const std::string second = R"({"accessKey":"NEW","scopes":[]})";
  const std::string body = R"({"requestId":"r","keys":[)" + first + "," + second + "]}";
  server.answer(200, body);
  server.answer(200, body);
  EXPECT_EQ(tell(server, ListKeys{}).out,
            "ACME\ta:b c:d\t2099-01-01T00:00:00Z\t2026-03-01T10:00:00Z\nNEW\t\tnever\tnever\n");
  EXPECT_EQ(tell(server, ListKeys{}, true).out, first + "\n" + second + "\n");
  EXPECT_EQ(server.said().at(0).method + " " + server.said()[0].target, "GET /earshot/v1/keys");
}

const std::string kMade =
    R"({"requestId":"r","revision":9,"key":{"accessKey":"NEW","secret":"s3cret","scopes":["a:b"]})";

TEST(Keys, AreMadeAndShownOnceAsAKeyFileHoldsThem) {
  ScriptedServer server;
  server.answer(200, kMade + "}");
  server.answer(200, kMade + "}");
  CreateKey create{.scopes = {"a:b", "c:d"}};
  create.expires_at = parse_time("2099-01-01T00:00:00Z");
  const auto told = tell(server, create);
  EXPECT_EQ(told.code, kYes);
  EXPECT_EQ(told.out, "NEW:s3cret\n");
  EXPECT_EQ(told.err, "");
  EXPECT_EQ(server.said().at(0).method + " " + server.said()[0].target, "POST /earshot/v1/keys");
  EXPECT_EQ(server.said()[0].body,
            R"({"scopes":["a:b","c:d"],"expiresAt":"2099-01-01T00:00:00Z"})");
  EXPECT_EQ(tell(server, create, true).out, kMade + "}\n");
}

TEST(Keys, ThatAreRotatedSayUntilWhenTheOldOneGoesOn) {
  ScriptedServer server;
  server.answer(200,
                kMade + R"(,"replaced":{"accessKey":"OLD","expiresAt":"2026-03-02T10:00:00Z"}})");
  const auto told =
      tell(server, CreateKey{.replaces = "OLD", .overlap = std::chrono::seconds(3600)});
  EXPECT_EQ(told.out, "NEW:s3cret\n");
  EXPECT_EQ(told.err, "earshot: the key OLD ends 2026-03-02T10:00:00Z\n");
  EXPECT_EQ(server.said().at(0).body, R"({"replaces":"OLD","overlapSeconds":3600})");
}

TEST(Keys, AreAskedForOnceUnlessNothingWasDone) {
  const struct {
    int status;
    std::size_t asked;
    ExitCode code;
  } rows[] = {{503, 1, kNoAnswer}, {502, 1, kNoAnswer}, {429, 2, kYes}, {403, 1, kRefused}};
  for (const auto& row : rows) {
    ScriptedServer server;
    server.answer(row.status, row.status == 502 ? "<html>" : kDenied);
    server.answer(200, kMade + "}");
    Command command;
    command.server = server.server();
    command.question = CreateKey{.scopes = {"a:b"}};
    Pipe out, err;
    Output output(out.descriptor()), errors(err.descriptor());
    EXPECT_EQ(run(command, output, errors, [](milliseconds) {}), row.code) << row.status;
    EXPECT_EQ(server.said().size(), row.asked) << row.status;
    const bool is_unknown = row.code == kNoAnswer;
    EXPECT_EQ(err.text().find("Whether a key was made is not known") != std::string::npos,
              is_unknown)
        << row.status;
  }
}

TEST(Keys, WhoseSecretCannotBeWrittenAreNamed) {
  ScriptedServer server;
  server.answer(200, kMade + "}");
  server.answer(200, R"({"requestId":"r"})");
  Command command;
  command.server = server.server();
  command.question = CreateKey{.scopes = {"a:b"}};
  const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  Pipe err;
  Output output(full), errors(err.descriptor());
  EXPECT_EQ(run(command, output, errors, [](milliseconds) {}), kBroken);
  EXPECT_NE(err.text().find("The key NEW was made and its secret is lost"), std::string::npos);
  ::close(full);
  const auto told = tell(server, command.question);
  EXPECT_EQ(told.code, kNoAnswer);
  EXPECT_NE(told.err.find("Whether a key was made is not known"), std::string::npos) << told.err;
}

TEST(Keys, AreRevokedByName) {
  ScriptedServer server;
  server.answer(200, R"({"requestId":"r","revision":10})");
  server.answer(404, R"({"requestId":"r","errors":["Key was not found"]})");
  server.answer(503, kDenied);
  const auto told = tell(server, RevokeKey{"OLD"});
  EXPECT_EQ(told.code, kYes);
  EXPECT_EQ(told.out, "revoked OLD\n");
  EXPECT_EQ(server.said().at(0).method + " " + server.said()[0].target, "DELETE /earshot/v1/keys");
  EXPECT_EQ(server.said()[0].body, R"({"accessKey":"OLD"})");
  EXPECT_EQ(tell(server, RevokeKey{"OLD"}).code, kRefused);
  const auto lost = tell(server, RevokeKey{"OLD"});
  EXPECT_EQ(lost.code, kNoAnswer);
  EXPECT_NE(lost.err.find("Whether OLD was revoked is not known"), std::string::npos) << lost.err;
}

std::string refused(const std::string& detail) {
  return R"({"time":"2026-03-01T10:00:00Z","reason":"scope","operation":"give_grants",)"
         R"("accessKey":"ACME","remoteAddress":"192.0.2.1","requestId":"r","detail":")" +
         detail + R"(","requests":3})";
}
std::string refusals(const std::string& items, const std::string& cursor = "") {
  return R"({"requestId":"r","refusals":[)" + items + "]" +
         (cursor.empty() ? "" : R"(,"cursor":")" + cursor + '"') + "}";
}
std::string refusal_line(const std::string& detail) {
  return "2026-03-01T10:00:00Z\tscope\tgive_grants\tACME\t192.0.2.1\t3\t" + detail + "\n";
}

TEST(Refusals, AreListedThroughAllPages) {
  ScriptedServer server;
  server.answer(200, refusals(refused("a\\u001bb") + "," + refused("c"), "c1"));
  server.answer(200, refusals(R"({"time":"t","reason":"credentials","requests":1})"));
  const auto told = tell(server, ListRefusals{});
  EXPECT_EQ(told.code, kYes) << told.err;
  EXPECT_EQ(told.out, refusal_line("a?b") + refusal_line("c") + "t\tcredentials\t\t\t\t1\t\n");
  EXPECT_EQ(server.said().at(0).target, "/earshot/v1/refusals?limit=1000");
  EXPECT_EQ(server.said().at(1).target, "/earshot/v1/refusals?limit=1000&cursor=c1");
}

TEST(Refusals, EndAtTheLimit) {
  ScriptedServer server;
  server.answer(200, refusals(refused("a") + "," + refused("b"), "c1"));
  server.answer(200, refusals(refused("c"), "c2"));
  const auto told = tell(server, ListRefusals{3}, true);
  EXPECT_EQ(told.code, kYes) << told.err;
  EXPECT_EQ(told.out, refused("a") + "\n" + refused("b") + "\n" + refused("c") + "\n");
  const auto said = server.said();
  ASSERT_EQ(said.size(), 2U);
  EXPECT_EQ(said[0].target, "/earshot/v1/refusals?limit=3");
  EXPECT_EQ(said[1].target, "/earshot/v1/refusals?limit=1&cursor=c1");
}

TEST(Refusals, AreNeverCutInSilence) {
  ScriptedServer server;
  server.answer(200, refusals(refused("a"), "c1"));
  server.answer(200, refusals(refused("b"), "c1"));
  const auto told = tell(server, ListRefusals{});
  EXPECT_EQ(told.code, kNoAnswer);
  EXPECT_EQ(told.out, refusal_line("a"));
  EXPECT_NE(told.err.find("the list above is not complete"), std::string::npos) << told.err;
}

TEST(Position, IsWrittenInOneWayOnly) {
  EXPECT_EQ(parse_position("0"), Position{});
  EXPECT_EQ(parse_position("7"), (Position{7, {}}));
  EXPECT_EQ(parse_position("7.1000"), (Position{7, 1000}));
  EXPECT_EQ(parse_position("7.4294967295"), (Position{7, 4294967295}));
  for (const std::string text :
       {"", "07", "7.", "7.0", "7.01", ".1", "0.1", "7.1.1", "-1", "7 ", "7.4294967296"}) {
    EXPECT_FALSE(parse_position(text)) << text;
  }
  EXPECT_EQ(to_string(Position{7, 1000}), "7.1000");
  EXPECT_EQ(to_string(Position{}), "0");
}

}  // namespace
}  // namespace earshot::client
