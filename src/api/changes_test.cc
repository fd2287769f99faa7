// Changes as pages, waits and streams, over the model store.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "api/changes_testing.h"
#include "api/query.h"
#include "base/text.h"
#include "http/server.h"

namespace earshot::api {
namespace {

TEST_F(ChangesTest, AnswersAPage) {
  add_revision();
  auto& second = add_revision(2);
  second.operation = store::Operation::remove;
  second.origin.access_key.clear();
  second.changes[0].before = second.changes[0].record;
  second.changes[0].record.remove = true;
  second.changes[1].dead_since = 1;
  core::User user;
  user.id = UserId{5};
  second.changes[1].record.thing = user;
  const auto got = get("");
  expect_envelope(*got);
  EXPECT_EQ(got->response->status, 200);
  EXPECT_EQ(got->field("x-earshot-revision"), "2");
  const std::string hash1 = to_hex(store_.recorded[0].hash), hash2 = to_hex(second.hash);
  EXPECT_EQ(
      got->body(),
      R"({"requestId":"ID","revision":2,"oldest":0,"revisions":[)"
      R"({"revision":1,"time":"2026-05-28T20:26:40Z","operation":"give","requestId":"0",)"
      R"("accessKey":"ACME","directoryRevision":1,"changes":[)"
      R"({"n":0,"record":{"kind":"grant","callId":"107","userId":"1000"},"before":null}],)"
      R"("complete":true,"hash":")" +
          hash1 +
          R"("},{"revision":2,"time":"2026-05-28T20:26:40Z","operation":"remove","requestId":"0",)"
          R"("accessKey":null,"directoryRevision":1,"changes":[)"
          R"({"n":0,"record":{"kind":"grant","callId":"107","userId":"1000","remove":true},)"
          R"("before":{"kind":"grant","callId":"107","userId":"1000"}},)"
          R"({"n":1,"record":{"kind":"user","userId":"5"},"deadSince":1}],"complete":true,"hash":")" +
          hash2 + R"("}],"next":"2","atEnd":true})");
}

TEST_F(ChangesTest, PagesGoOnWithinARevision) {
  add_revision(5);
  add_revision(1);
  std::vector<std::string> seen, next = {"0"};
  for (bool is_end = false; !is_end;) {
    const auto got = get("?limit=2&after=" + next.back());
    const auto body = json::parse(got->response->body).as_object();
    for (const auto& revision : body.at("revisions").as_array()) {
      const auto& members = revision.as_object();
      EXPECT_EQ(members.at("complete").as_bool(), members.contains("hash"));
      for (const auto& change : members.at("changes").as_array()) {
        seen.push_back(json::serialize(members.at("revision")) + "." +
                       json::serialize(change.as_object().at("n")));
      }
    }
    next.emplace_back(body.at("next").as_string());
    is_end = body.at("atEnd").as_bool();
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"1.0", "1.1", "1.2", "1.3", "1.4", "2.0"}));
  EXPECT_EQ(next, (std::vector<std::string>{"0", "1.2", "1.4", "2"}));
}

TEST_F(ChangesTest, LongPagesLeaveInPieces) {
  add_revision(900);
  const std::string whole = get("?limit=1000")->body();
  make_driven({}, 1000);
  const auto got = get("?limit=1000");
  EXPECT_TRUE(got->is_stream);
  EXPECT_TRUE(got->is_ended);
  EXPECT_EQ(got->body(), whole);
}

TEST_F(ChangesTest, RefusesWhatIsNoPositionOrParameter) {
  add_revision();
  add_revision();
  store_.horizon = 1;
  struct Case {
    std::string query;
    Fields fields;
    int status;
    std::string error;
  };
  const std::string position = std::string(kNoPosition);
  const Fields events = {{"Accept", "text/html, Text/Event-Stream;q=0.5"}};
  const auto from = [&](const std::string& id) {
    return Fields{{"Accept", "text/event-stream"}, {"Last-Event-ID", id}};
  };
  const std::vector<Case> cases = {
      {"?after=", {}, 400, "after: " + position},
      {"?after=01", {}, 400, "after: " + position},
      {"?after=-1", {}, 400, "after: " + position},
      {"?after=0.1", {}, 400, "after: " + position},
      {"?after=1.0", {}, 400, "after: " + position},
      {"?after=1.", {}, 400, "after: " + position},
      {"?after=1.4294967296", {}, 400, "after: " + position},
      {"?after=9223372036854775808", {}, 400, "after: " + position},
      {"?after=3", {}, 400, "after: not there yet"},
      {"?after=0", {}, 410, "revision 1 is the oldest"},
      {"?callId=0", {}, 400, "callId: " + std::string(kNoId)},
      {"?userId=x", {}, 400, "userId: " + std::string(kNoId)},
      {"?wait=61", {}, 400, "wait: must be a number of seconds from 0 to 60"},
      {"?limit=1001", {}, 400, "limit: must be a number from 1 to 1000"},
      {"?cursor=x", {}, 400, "query: the parameters are limit, after, callId, userId, wait"},
      {"?wait=1", events, 400, "wait: is for pages, not for text/event-stream"},
      {"?limit=1", events, 400, "limit: is for pages, not for text/event-stream"},
      {"", from("7.x"), 400, "last-event-id: " + position},
      {"", from("3"), 400, "last-event-id: not there yet"},
      {"?after=2", from("0"), 410, "revision 1 is the oldest"},
      {"",
       {{"Accept", "text/event-stream"}, {"Last-Event-ID", "1"}, {"last-event-id", "1"}},
       400,
       "last-event-id: is given more than once"},
  };
  for (const Case& item : cases) {
    const auto got = get(item.query, item.fields);
    expect_envelope(*got);
    EXPECT_EQ(got->response->status, item.status) << item.query;
    EXPECT_EQ(got->errors().back(), item.error) << item.query;
    EXPECT_EQ(application_->feed().count(), 0U) << item.query;
  }
  EXPECT_EQ(get("?after=2", {{"Accept", "text/event-stream;q=0"}})->response->status, 200);
  EXPECT_EQ(get("?after=2", {{"Accept", "*/*"}, {"Last-Event-ID", "x"}})->response->status, 200);
  EXPECT_FALSE(get("?after=2", {{"Accept", "*/*"}})->is_stream);
}

TEST_F(ChangesTest, PassesFiltersOn) {
  get("?callId=107&userId=132&limit=7&after=0");
  const auto& command = store_.changes_reads.back();
  EXPECT_EQ(command.company, CompanyId{1});
  EXPECT_EQ(command.call, CallId{107});
  EXPECT_EQ(command.user, UserId{132});
  EXPECT_EQ(command.changes_max, 7U);
}

TEST_F(ChangesTest, ShowsHashesOnlyToThoseWhoMayMakeKeys) {
  auto& revision = add_revision();
  core::KeyLine line;
  line.key = {"NEW", hash_secret("x"), {"a:b"}, std::nullopt};
  revision.changes[0].record.thing = line;
  const std::string hash = R"("secretHash":"sha256:)";
  for (const auto& [query, fields] :
       {std::pair<std::string, Fields>{"", {}}, std::pair<std::string, Fields>{"?wait=1", {}},
        std::pair<std::string, Fields>{"", {{"Accept", "text/event-stream"}}}}) {
    EXPECT_EQ(get(query, fields)->response->body.find("secretHash"), std::string::npos) << query;
    EXPECT_NE(get(query, fields, kAdmin)->response->body.find(hash), std::string::npos) << query;
  }
  // A stream does not go on showing them to a key that has lost the scope.
  const auto admin = stream("?after=1", {}, kAdmin);
  put_key(CompanyId{1}, "ADMIN", {"earshot:audit:read"});
  add_revision().changes[0].record.thing = line;
  tell();
  EXPECT_NE(admin->response->body.find("NEW"), std::string::npos);
  EXPECT_EQ(admin->response->body.find("secretHash"), std::string::npos);
}

TEST_F(ChangesTest, WaitsForAChange) {
  add_revision();
  EXPECT_EQ(get("?wait=10")->response->status, 200) << "there is something";
  const auto got = get("?wait=10&after=1");
  EXPECT_FALSE(got->response);
  pass(milliseconds(9900));
  EXPECT_FALSE(got->response);
  tell();  // without need
  EXPECT_FALSE(got->response);
  add_revision();
  pass(milliseconds(60));
  tell();
  ASSERT_TRUE(got->response);
  EXPECT_NE(got->body().find(R"("revision":2,"time")"), std::string::npos) << got->body();
  EXPECT_EQ(application_->feed().count(), 0U);
}

TEST_F(ChangesTest, AnswersAnEmptyPageWhenTheTimeIsOver) {
  add_revision();
  const auto got = get("?wait=10&after=1");
  pass(milliseconds(9999));
  EXPECT_FALSE(got->response);
  pass(milliseconds(1));
  ASSERT_TRUE(got->response);
  EXPECT_EQ(got->body(),
            R"({"requestId":"ID","revision":1,"oldest":0,"revisions":[],"next":"1","atEnd":true})");
  EXPECT_EQ(application_->feed().count(), 0U);
}

TEST_F(ChangesTest, AWaitEndsWithItsKeyAndWithTheServer) {
  const auto revoked = get("?wait=10", {}, kAdmin);
  revoke_key(CompanyId{1}, "ADMIN");
  add_revision();
  tell();
  ASSERT_TRUE(revoked->response);
  EXPECT_EQ(revoked->response->status, 401);
  const auto got = get("?wait=10&after=1");
  EXPECT_FALSE(got->response);
  application_->end_streams();
  ASSERT_TRUE(got->response);
  EXPECT_EQ(got->response->status, 200);
  EXPECT_EQ(get("?wait=10&after=1")->response->status, 200) << "a new one waits no more";
}

TEST_F(ChangesTest, StreamsWhatIsThereAndWhatComes) {
  add_revision();
  const auto got = stream();
  ASSERT_TRUE(got->is_stream);
  EXPECT_EQ(got->field("content-type"), "text/event-stream");
  EXPECT_EQ(got->field("cache-control"), "no-store");
  EXPECT_EQ(got->field("x-accel-buffering"), "no");
  EXPECT_EQ(got->field("x-earshot-revision"), "1");
  EXPECT_TRUE(got->response->body.starts_with("retry: 1000\n\nid: 1\nevent: revision\ndata: {"));
  add_revision();
  tell();
  const auto events = read_events(got->response->body);
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[1].id, "2");
  EXPECT_EQ(events[1].name, "revision");
  const auto page = json::parse(get("")->response->body).as_object();
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(json::parse(events[i].data), page.at("revisions").as_array()[i]);
  }
  EXPECT_FALSE(got->is_ended);
}

TEST_F(ChangesTest, AStreamGoesOnFromEveryIdWithoutGapOrRepetition) {
  add_revision(3);
  add_revision(2500);
  add_revision(1);
  std::vector<std::string> ids = {"0"};
  const auto read_from = [&](const std::string& id) {
    const auto got = stream("?after=0", {{"Last-Event-ID", id}});
    std::set<std::pair<std::uint64_t, std::uint64_t>> seen;
    std::size_t count = 0;
    for (const Event& event : read_events(got->response->body)) {
      if (id == "0") ids.push_back(event.id);
      EXPECT_LT(event.data.size(), (128U << 10) + 1000);
      const auto data = json::parse(event.data).as_object();
      const auto& changes = data.at("changes").as_array();
      if (!data.at("complete").as_bool()) {
        const auto last = changes.back().as_object().at("n").to_number<std::uint32_t>();
        EXPECT_EQ(parse_position(event.id)->changes, last + 1);
      }
      for (const auto& change : changes) {
        ++count;
        seen.emplace(data.at("revision").to_number<std::uint64_t>(),
                     change.as_object().at("n").to_number<std::uint64_t>());
      }
    }
    EXPECT_EQ(seen.size(), count) << "something came twice";
    got->client_left();
    return count;
  };
  EXPECT_EQ(read_from("0"), 2504U);
  EXPECT_GT(ids.size(), 4U) << "the long revision comes in several";
  EXPECT_EQ(ids.back(), "3");
  for (const std::string& id : std::vector<std::string>(ids)) {
    const auto position = *parse_position(id);
    std::size_t before = position.changes.value_or(0);
    for (core::Revision i = 1; i < position.revision + (position.changes ? 0 : 1); ++i) {
      before += store_.recorded[i - 1].changes.size();
    }
    EXPECT_EQ(read_from(id), 2504 - before) << id;
  }
  EXPECT_EQ(read_from("2.17"), 2504U - 20) << "a position between";
}

TEST_F(ChangesTest, LongRecordsMakeShortEvents) {
  core::GrantLine line;
  line.call = CallId{107};
  line.user = UserId{132};
  line.grant.note = std::string(1024, 'n');
  for (auto& change : add_revision(1000).changes) change.record.thing = line;
  const auto got = std::make_shared<Got>();
  got->is_slow = true;
  stream("", {}, kAudit, got);
  EXPECT_LT(got->response->body.size(), (128U << 10) + 2000);
  got->drain();
  const auto events = read_events(got->response->body);
  EXPECT_GT(events.size(), 8U);
  EXPECT_EQ(events.back().id, "1");
}

TEST_F(ChangesTest, ReadersOfTheSameShareAPage) {
  add_revision();
  std::vector<std::shared_ptr<Got>> all;
  for (int i = 0; i < 50; ++i) all.push_back(stream());
  const auto other = stream("?callId=107");
  add_revision();
  store_.changes_reads.clear();
  tell();
  EXPECT_EQ(store_.changes_reads.size(), 2U);
  for (const auto& got : all) {
    EXPECT_EQ(got->response->body, all[0]->response->body);
    EXPECT_EQ(read_events(got->response->body).size(), 2U);
  }
  // Nor does what they found then keep them from what comes later.
  add_revision();
  pass(milliseconds(100));
  tell();
  EXPECT_EQ(read_events(all[49]->response->body).size(), 3U);
  EXPECT_EQ(read_events(other->response->body).size(), 3U);
}

TEST_F(ChangesTest, ReadersThatComeWhileAPageIsReadWaitForIt) {
  add_revision();
  store_.is_deferred = true;
  const auto first = stream(), second = stream();
  EXPECT_EQ(store_.changes_reads.size(), 1U);
  store_.answer_deferred();
  EXPECT_EQ(read_events(first->response->body).size(), 1U);
  EXPECT_EQ(read_events(second->response->body).size(), 1U);
}

TEST_F(ChangesTest, NewsIsToldAtOnceAndThenSeldom) {
  FeedOptions options;
  options.news_interval_per_reader = std::chrono::microseconds(0);
  make_driven(options);
  const auto got = stream();
  store_.changes_reads.clear();
  for (int i = 0; i < 100; ++i) {
    add_revision();
    now_ += milliseconds(1);
    tell();
  }
  pass(milliseconds(50));
  EXPECT_EQ(read_events(got->response->body).size(), 100U);
  EXPECT_GE(store_.changes_reads.size(), 2U);
  EXPECT_LE(store_.changes_reads.size(), 4U);
}

TEST_F(ChangesTest, AReaderThatTakesNothingHasOnePageUnderWayAndIsCutOff) {
  const auto got = std::make_shared<Got>();
  got->is_slow = true;
  add_revision();
  stream("", {}, kAudit, got);
  EXPECT_EQ(got->pieces, 1U);
  for (int i = 0; i < 30; ++i) {
    add_revision();
    pass(milliseconds(600));
    tell();
  }
  EXPECT_EQ(got->pieces, 1U);
  pass(seconds(1));
  EXPECT_FALSE(got->is_ended);
  pass(seconds(1));
  EXPECT_TRUE(got->is_ended);
  EXPECT_TRUE(got->response->body.ends_with(
      "event: end\ndata: {\"reason\":\"slow\",\"message\":\"what was sent was not taken in "
      "time\",\"after\":\"1\"}\n\n"))
      << got->response->body;
  EXPECT_EQ(read_events(got->response->body).back().id, "1") << "the end moves no position";
  EXPECT_EQ(application_->feed().count(), 0U);
  got->drain();
  EXPECT_EQ(got->pieces, 2U);
}

TEST_F(ChangesTest, AReaderThatTakesSlowlyGetsAll) {
  const auto got = std::make_shared<Got>();
  got->is_slow = true;
  stream("", {}, kAudit, got);
  for (int i = 0; i < 10; ++i) {
    add_revision();
    tell();
    pass(seconds(19));
    got->drain();
  }
  EXPECT_FALSE(got->is_ended);
  EXPECT_EQ(read_events(got->response->body).size(), 10U);
}

TEST_F(ChangesTest, AReaderThatLeavesIsForgotten) {
  const auto got = stream();
  EXPECT_EQ(application_->feed().count(), 1U);
  got->client_left();
  EXPECT_EQ(application_->feed().count(), 0U);
  add_revision();
  tell();
  EXPECT_EQ(got->pieces, 1U);
  // Also while its page is read.
  store_.is_deferred = true;
  const auto other = stream();
  store_.answer_deferred();
  add_revision();
  pass(milliseconds(100));
  tell();
  other->client_left();
  store_.answer_deferred();
  EXPECT_EQ(application_->feed().count(), 0U);
}

TEST_F(ChangesTest, BeatsWhenNothingHappens) {
  const auto got = stream("?callId=999");
  pass(milliseconds(14'999));
  EXPECT_EQ(got->response->body, "retry: 1000\n\n");
  pass(milliseconds(1));
  EXPECT_EQ(got->response->body, "retry: 1000\n\n:\n\n");
  // A filter that passes over changes moves the position all the same.
  add_revision();
  tell();
  EXPECT_EQ(got->response->body, "retry: 1000\n\n:\n\n");
  pass(seconds(15));
  EXPECT_EQ(got->response->body, "retry: 1000\n\n:\n\n:\nid: 1\n\n");
}

TEST_F(ChangesTest, AStreamEndsWithItsKey) {
  const std::string denied =
      "event: end\ndata: {\"reason\":\"denied\",\"message\":\"the key lets this reader through no "
      "more\",\"after\":\"0\"}\n\n";
  const auto idle = stream();
  const auto busy = stream("", {}, kAdmin);
  revoke_key(CompanyId{1}, "ADMIN");
  add_revision();
  tell();
  EXPECT_EQ(busy->response->body, "retry: 1000\n\n" + denied) << "nothing is shown any more";
  EXPECT_TRUE(busy->is_ended);
  EXPECT_EQ(read_events(idle->response->body).size(), 1U);
  revoke_key(CompanyId{1}, "AUDIT");
  pass(seconds(15));
  EXPECT_TRUE(idle->is_ended);
  EXPECT_EQ(read_events(idle->response->body).back().name, "end");
}

TEST_F(ChangesTest, OfManyServersEachReaderIsAskedForItsKey) {
  store_.is_one_of_many = true;
  store_.remember("AUDIT");
  store_.remember("ADMIN");
  put_key(CompanyId{1}, "ADMIN", {"earshot:audit:read"});
  store_.remember("ADMIN");
  const auto stays = stream(), goes = stream("", {}, kAdmin);
  ASSERT_TRUE(stays->is_stream && goes->is_stream);
  revoke_key(CompanyId{1}, "ADMIN");  // through another server; memory does not know
  add_revision().directory_revision = store_.revision();
  tell();
  EXPECT_EQ(read_events(stays->response->body).back().name, "revision");
  EXPECT_EQ(read_events(goes->response->body).size(), 1U);
  EXPECT_EQ(read_events(goes->response->body).back().name, "end");
}

TEST_F(ChangesTest, AStreamSaysWhyItEnds) {
  add_revision();
  const auto reason_after = [&](auto happens) {
    const auto got = stream("?after=1");
    happens();
    pass(milliseconds(100));
    tell();
    EXPECT_TRUE(got->is_ended);
    const auto last = read_events(got->response->body).back();
    EXPECT_EQ(last.name, "end");
    const auto data = json::parse(last.data).as_object();
    return std::string(data.at("reason").as_string()) + ": " +
           std::string(data.at("message").as_string());
  };
  EXPECT_EQ(reason_after([&] { store_.failure = unavailable("the disk is full"); }),
            "unavailable: the changes cannot be read now");
  store_.failure.reset();
  EXPECT_EQ(reason_after([&] { store_.failure = internal("a secret"); }),
            "unavailable: the changes cannot be read now");
  store_.failure.reset();
  EXPECT_EQ(reason_after([&] { store_.horizon = 7; }), "gone: revision 7 is the oldest");
  store_.horizon = 0;
  EXPECT_EQ(reason_after([&] { application_->end_streams(); }),
            "draining: the server is about to stop");
  const auto late = stream("?after=1");
  EXPECT_TRUE(late->is_ended) << "a new one too";
  const std::string metrics =
      ask({.method = "GET", .path = "/metrics", .is_admin = true})->response->body;
  for (const std::string line :
       {"earshot_streams 0", "earshot_streams_ended_total{reason=\"unavailable\"} 2",
        "earshot_streams_ended_total{reason=\"gone\"} 1",
        "earshot_streams_ended_total{reason=\"draining\"} 2"}) {
    EXPECT_NE(metrics.find(line), std::string::npos) << line;
  }
}

TEST_F(ChangesTest, TooManyReadersAreToldToComeAgain) {
  FeedOptions options;
  options.streams_max = 3;
  make_driven(options);
  put_key(CompanyId{2}, "OTHER", {"earshot:audit:read"});
  const auto refuses = [&](std::string_view key, const std::string& why) {
    for (const auto& got : {stream("", {}, key), get("?wait=10", {}, key)}) {
      expect_envelope(*got);
      EXPECT_EQ(got->response->status, 503);
      EXPECT_EQ(got->field("retry-after"), "1");
      EXPECT_EQ(got->errors()[1], why);
    }
  };
  const auto first = stream(), second = get("?wait=10");
  refuses(kAudit, "at most 2 readers of one company wait for changes at once");
  const auto others = stream("", {}, kOther);
  EXPECT_TRUE(others->is_stream) << "another company finds room";
  refuses(kOther, "at most 3 readers wait for changes at once");
  EXPECT_EQ(get("")->response->status, 200) << "who does not wait is served";
  first->client_left();
  EXPECT_TRUE(stream()->is_stream);
}

TEST_F(ChangesTest, AWaitWhoseClientHasLeftGivesItsPlaceFree) {
  const auto got = get("?wait=60"), stays = get("?wait=60");
  got->is_client_here = false;
  pass(milliseconds(999));
  EXPECT_EQ(application_->feed().count(), 2U);
  pass(milliseconds(1));
  EXPECT_EQ(application_->feed().count(), 1U);
  EXPECT_FALSE(stays->response);
  stays->is_client_here = false;
  tell();  // of nothing for it
  EXPECT_EQ(application_->feed().count(), 0U);
}

TEST_F(ChangesTest, OfManyServersAPageShowsHashesOnlyToAKeyThatMayMakeKeysNow) {
  core::KeyLine line;
  line.key = {"NEW", hash_secret("x"), {"a:b"}, std::nullopt};
  add_revision().changes[0].record.thing = line;
  store_.is_one_of_many = true;
  store_.remember("ADMIN");
  for (const std::string query : {"", "?wait=1"}) {
    EXPECT_NE(get(query, {}, kAdmin)->response->body.find("secretHash"), std::string::npos);
  }
  // Through another server; memory does not know.
  put_key(CompanyId{1}, "ADMIN", {"earshot:audit:read"});
  for (const std::string query : {"", "?wait=1"}) {
    const auto got = get(query, {}, kAdmin);
    EXPECT_NE(got->response->body.find("NEW"), std::string::npos) << query;
    EXPECT_EQ(got->response->body.find("secretHash"), std::string::npos) << query;
  }
}

TEST_F(ChangesTest, OfManyServersASharedPageFarBehindTheHeadSaysNothingOfAKey) {
  put_key(CompanyId{1}, "ADMIN", {"earshot:audit:read"});
  add_revision(2500);  // in several pages
  store_.is_one_of_many = true;
  store_.remember("AUDIT");
  store_.remember("ADMIN");
  store_.is_deferred = true;
  const auto stays = stream(), goes = stream("", {}, kAdmin);
  ASSERT_EQ(store_.changes_reads.size(), 1U) << "they share it";
  revoke_key(CompanyId{1}, "ADMIN");  // through another server
  store_.answer_deferred();
  EXPECT_TRUE(stays->is_stream);
  ASSERT_TRUE(goes->response);
  EXPECT_EQ(goes->response->status, 401);
}

TEST_F(ChangesTest, OfManyServersAStreamBeginsWithAKeyThatHoldsNow) {
  put_key(CompanyId{1}, "ADMIN", {"earshot:audit:read"});
  store_.is_one_of_many = true;
  store_.remember("AUDIT");
  store_.remember("ADMIN");
  add_revision();
  ASSERT_TRUE(stream()->is_stream);   // whose page is there for others
  revoke_key(CompanyId{1}, "ADMIN");  // through another server; memory does not know
  const auto got = stream("", {}, kAdmin);
  ASSERT_TRUE(got->response);
  EXPECT_EQ(got->response->status, 401);
}

TEST_F(ChangesTest, BeatsWhileAFilterPassesOverPages) {
  store_.is_deferred = true;
  const auto got = stream("?callId=999");
  store_.answer_deferred();
  ASSERT_EQ(got->response->body, "retry: 1000\n\n");
  add_revision();
  tell();
  pass(seconds(15));
  EXPECT_EQ(got->response->body, "retry: 1000\n\n") << "a page is being read";
  store_.answer_deferred();
  EXPECT_EQ(got->response->body, "retry: 1000\n\n:\nid: 1\n\n");
}

TEST_F(ChangesTest, AStreamUsesItsKeyForAsLongAsItLasts) {
  const auto got = stream();
  ASSERT_TRUE(application_->save_key_uses().has_value());
  store_.key_uses.clear();
  time_.micros += 15'000'000;
  pass(seconds(15));
  ASSERT_TRUE(application_->save_key_uses().has_value());
  EXPECT_TRUE(store_.key_uses.contains("AUDIT"));
}

// The store of a server: reads of its loops, one at a time, and none until told where it holds.
class HeldStore final : public test::ModelStore {
 public:
  void read_changes(store::ChangesCommand command, ChangesDone done) override {
    const std::lock_guard lock(mutex_);
    if (!is_holding_) return test::ModelStore::read_changes(std::move(command), std::move(done));
    held_.emplace_back([this, command = std::move(command), done = std::move(done)] {
      test::ModelStore::read_changes(command, done);
    });
  }
  void hold() {
    const std::lock_guard lock(mutex_);
    is_holding_ = true;
  }
  std::size_t held() {
    const std::lock_guard lock(mutex_);
    return held_.size();
  }
  void answer_held() {
    std::vector<std::function<void()>> answers;
    {
      const std::lock_guard lock(mutex_);
      answers.swap(held_);
    }
    for (const auto& answer : answers) answer();
  }

 private:
  std::mutex mutex_;
  bool is_holding_ = false;
  std::vector<std::function<void()>> held_;
};

TEST(ChangesOfAServer, AreAnsweredInVainWhenItHasStopped) {
  constexpr int kReaders = 16;  // on both loops, but for once in 32,768 runs
  HeldStore store;
  store.apply({CompanyId{1}, false, core::Company{CompanyId{1}, "C"}});
  core::KeyLine line;
  line.key = {"AUDIT", hash_secret("s3cret"), {"earshot:audit:read"}, std::nullopt};
  store.apply({CompanyId{1}, false, line});
  auth::RateLimiter limiter({});
  Options options;
  options.clock = [] { return kNow; };
  options.refusals_interval = std::chrono::hours(1);
  Application application(store, limiter, std::move(options));
  http::ServerOptions server_options;
  server_options.listen = "127.0.0.1:0";
  server_options.threads = 2;
  const auto server = *http::Server::open(std::move(server_options), application);
  server->start();
  const std::string address = server->address();
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port =
      htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  std::vector<int> clients;
  for (int i = 0; i < kReaders; ++i) {
    clients.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(clients.back(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    // Each of something else, so that each has the store read.
    const std::string request = "GET " + kChanges + "?callId=" + std::to_string(i + 1) +
                                " HTTP/1.1\r\nHost: a\r\nAuthorization: " + std::string(kAudit) +
                                "\r\nAccept: text/event-stream\r\n\r\n";
    ASSERT_EQ(::send(clients.back(), request.data(), request.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(request.size()));
    std::string got;
    while (got.find("retry: 1000") == std::string::npos) {
      char piece[4096];
      const ssize_t size = ::recv(clients.back(), piece, sizeof piece, 0);
      ASSERT_GT(size, 0) << got;
      got.append(piece, static_cast<std::size_t>(size));
    }
  }
  store.hold();
  for (const auto& on_news : store.watches[CompanyId{1}]) on_news();
  const auto give_up = std::chrono::steady_clock::now() + seconds(30);
  while (store.held() < kReaders) {
    ASSERT_LT(std::chrono::steady_clock::now(), give_up);
    std::this_thread::sleep_for(milliseconds(1));
  }
  server->stop(milliseconds(0));
  application.close();
  store.answer_held();  // ASan would tell what of a loop is used that is not there
  EXPECT_EQ(application.feed().count(), 0U);
  for (const int client : clients) ::close(client);
}

TEST_F(ChangesTest, AReaderThatComesLaterSeesWhatNobodyWasToldOf) {
  const auto got = stream();
  got->client_left();
  pass(seconds(10));  // nobody watches the company any more
  add_revision();
  EXPECT_EQ(read_events(stream()->response->body).size(), 1U);
}

}  // namespace
}  // namespace earshot::api
