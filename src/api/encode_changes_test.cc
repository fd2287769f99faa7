// Revisions and changes as they read, in pages and as events.
#include "api/encode_changes.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/text.h"

namespace earshot::api {
namespace {

constexpr auto kHidden = records::KeyHashes::left_out;

store::RecordedRevision make_revision(core::Revision number) {
  store::RecordedRevision revision;
  revision.revision = number;
  revision.time = Time{1'780'000'000'000'000};
  revision.directory_revision = 3;
  revision.origin.access_key = "ACME";
  revision.is_complete = true;
  revision.hash.fill(0xAB);
  return revision;
}

core::Record grant_of(std::uint64_t user) {
  core::GrantLine line;
  line.call = CallId{107};
  line.user = UserId{user};
  return {CompanyId{1}, false, line};
}

std::string page_of(store::ChangesView view) {
  std::string text;
  EXPECT_TRUE(ChangesEncoder("ID", std::move(view), kHidden).append(text, 1 << 20));
  return text;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(EncodeChanges, SaysWhoDidWhatAndWhen) {
  for (const auto& [operation, text] :
       {std::pair(store::Operation::give, "give"), std::pair(store::Operation::remove, "remove"),
        std::pair(store::Operation::records, "records"),
        std::pair(store::Operation::sweep, "sweep")}) {
    store::RecordedRevision revision = make_revision(4);
    revision.operation = operation;
    revision.origin.access_key = "A\"B";
    revision.origin.request_id.bytes[0] = 1;
    const std::string id(format_request_id(revision.origin.request_id).view());
    const std::string page = page_of({{9, {}, {}, 2}, {revision}, {4, std::nullopt}, false});
    EXPECT_EQ(page, R"({"requestId":"ID","revision":9,"oldest":2,"revisions":[{"revision":4,)"
                    R"("time":"2026-05-28T20:26:40Z","operation":")" +
                        std::string(text) + R"(","requestId":")" + id +
                        R"(","accessKey":"A\"B","directoryRevision":3,"changes":[],)"
                        R"("complete":true,"hash":")" +
                        to_hex(revision.hash) + R"("}],"next":"4","atEnd":false})");
  }
}

TEST(EncodeChanges, SaysWhatWasThereBeforeOfCallsSharesAndGrants) {
  core::Call call;
  call.id = CallId{107};
  core::ShareLine share;
  share.call = CallId{107};
  share.user = UserId{5};
  core::User user;
  user.id = UserId{5};
  struct Case {
    core::Record record;
    bool says_before;
  };
  for (const Case& one : {Case{{CompanyId{1}, false, call}, true},
                          {{CompanyId{1}, false, share}, true},
                          {grant_of(5), true},
                          {{CompanyId{1}, false, user}, false}}) {
    store::RecordedRevision revision = make_revision(1);
    revision.changes = {{0, one.record, std::nullopt, 0}, {1, one.record, one.record, 0}};
    const std::string page = page_of({{1, {}, {}, 0}, {revision}, {1, std::nullopt}, true});
    EXPECT_EQ(has(page, R"("before":null)"), one.says_before) << page;
    EXPECT_EQ(has(page, R"("before":{"kind":)"), one.says_before) << page;
  }
}

TEST(EncodeChanges, ARevisionThatIsCutHasNoHash) {
  store::RecordedRevision revision = make_revision(1);
  revision.changes = {{0, grant_of(1), std::nullopt, 0}, {1, grant_of(2), std::nullopt, 0}};
  revision.is_complete = false;
  const store::ChangesView view = {{1, {}, {}, 0}, {revision}, {1, 2}, false};
  const std::string page = page_of(view);
  EXPECT_TRUE(has(page, R"("complete":false}],"next":"1.2")")) << page;
  EXPECT_FALSE(has(page, "\"hash\"")) << page;
  const EventPage events = encode_events(view, kHidden, 1 << 20);
  EXPECT_TRUE(events.text.starts_with("id: 1.2\nevent: revision\ndata: {")) << events.text;
  EXPECT_TRUE(events.text.ends_with("\"complete\":false}\n\n")) << events.text;
  EXPECT_FALSE(events.is_end);
}

TEST(EncodeChanges, EventsSayWhereTheyEndAndWhichDirectoryTheyShow) {
  store::RecordedRevision first = make_revision(1), second = make_revision(2);
  first.changes = {{0, grant_of(1), std::nullopt, 0}};
  second.changes = {{0, grant_of(1), std::nullopt, 0}, {1, grant_of(2), std::nullopt, 0}};
  second.directory_revision = 8;
  const store::ChangesView view = {{2, {}, {}, 0}, {first, second}, {2, std::nullopt}, true};
  const EventPage whole = encode_events(view, kHidden, 1 << 20);
  EXPECT_EQ(whole.last, (store::ChangesPosition{2, std::nullopt}));
  EXPECT_TRUE(whole.is_end);
  EXPECT_EQ(whole.head_revision, 2U);
  EXPECT_EQ(whole.directory_revision, 8U);
  // However little there is room for, one change goes.
  const EventPage little = encode_events(view, kHidden, 1);
  EXPECT_EQ(little.last, (store::ChangesPosition{1, std::nullopt}));
  EXPECT_FALSE(little.is_end);
  EXPECT_EQ(little.directory_revision, 3U);
  const EventPage cut = encode_events({view.head, {second}, view.last, true}, kHidden, 1);
  EXPECT_EQ(cut.last, (store::ChangesPosition{2, 1}));
  EXPECT_FALSE(cut.is_end);
  const EventPage none = encode_events({view.head, {}, view.last, true}, kHidden, 1);
  EXPECT_EQ(none.text, "");
  EXPECT_EQ(none.last, view.last);
  EXPECT_TRUE(none.is_end);
  EXPECT_EQ(none.directory_revision, std::nullopt) << "of none it knows none";
}

}  // namespace
}  // namespace earshot::api
