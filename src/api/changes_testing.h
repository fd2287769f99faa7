// What the tests of changes and of their streams share: a record to read, and how events are read.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/feed.h"
#include "api/testing.h"

namespace earshot::api {

namespace json = boost::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

// AUDIT:s3cret, ADMIN:s3cret
inline constexpr std::string_view kAudit = "Basic QVVESVQ6czNjcmV0";
inline constexpr std::string_view kAdmin = "Basic QURNSU46czNjcmV0";
inline constexpr std::string_view kOther = "Basic T1RIRVI6czNjcmV0";  // OTHER:s3cret, of company 2
inline const std::string kChanges = "/earshot/v1/changes";

struct Event {
  std::string id;
  std::string name;
  std::string data;
};

// As EventSource reads them (WHATWG HTML, 9.2.6), comments left out.
inline std::vector<Event> read_events(std::string_view text) {
  std::vector<Event> events;
  Event event;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    EXPECT_NE(end, std::string_view::npos) << "ends within a line";
    std::string line(text.substr(0, end));
    text.remove_prefix(end + 1);
    if (line.empty()) {
      if (!event.data.empty()) events.push_back(event);
      event = {event.id, "", ""};
    } else if (line.starts_with("id: ")) {
      event.id = line.substr(4);
    } else if (line.starts_with("event: ")) {
      event.name = line.substr(7);
    } else if (line.starts_with("data: ")) {
      event.data = line.substr(6);
    }
  }
  return events;
}

class ChangesTest : public ApplicationTest {
 protected:
  ChangesTest() {
    put_key(CompanyId{1}, "AUDIT", {"earshot:audit:read"});
    put_key(CompanyId{1}, "ADMIN", {"earshot:audit:read", "earshot:keys:write"});
    make_driven({});
  }

  void make_driven(FeedOptions feed, std::size_t answer_bytes_whole = 1 << 20) {
    feed.is_driven = true;
    feed.clock = [this] { return now_; };
    Options options;
    options.feed = feed;
    options.answer_bytes_whole = answer_bytes_whole;
    make(std::move(options));
  }

  store::RecordedRevision& add_revision(std::size_t changes = 1) {
    store::RecordedRevision revision;
    revision.revision = store_.recorded.size() + 1;
    revision.time = kNow;
    revision.directory_revision = 1;
    revision.operation = store::Operation::give;
    revision.origin = {{}, "ACME"};
    revision.is_complete = true;
    revision.hash.fill(static_cast<std::uint8_t>(revision.revision));
    for (std::uint32_t n = 0; n < changes; ++n) {
      core::GrantLine line;
      line.call = CallId{107};
      line.user = UserId{1000 + n};
      revision.changes.push_back({n, {CompanyId{1}, false, line}, std::nullopt, 0});
    }
    store_.recorded.push_back(std::move(revision));
    return store_.recorded.back();
  }

  std::shared_ptr<Got> get(std::string query, Fields fields = {}, std::string_view key = kAudit,
                           std::shared_ptr<Got> got = nullptr) {
    fields.emplace_back("Authorization", key);
    kept_.push_back(ask({.method = "GET", .path = kChanges + query, .fields = std::move(fields)},
                        std::move(got)));
    return kept_.back();
  }
  std::shared_ptr<Got> stream(std::string query = "", Fields fields = {},
                              std::string_view key = kAudit, std::shared_ptr<Got> got = nullptr) {
    fields.emplace_back("Accept", "text/event-stream");
    return get(std::move(query), std::move(fields), key, std::move(got));
  }

  void run() { application_->feed().run_due(now_); }
  void pass(milliseconds time) {
    now_ += time;
    run();
  }
  // Of the store, soon after a commit.
  void tell() {
    for (const auto& on_news : store_.watches[CompanyId{1}]) on_news();
    run();
  }

  SteadyTime now_{std::chrono::hours(1)};
  std::vector<std::shared_ptr<Got>> kept_;  // a stream writes until its client has left
};

}  // namespace earshot::api
