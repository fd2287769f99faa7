#include "store/changes_page.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace earshot::store {
namespace {

constexpr CompanyId kAcme{1};

struct Part {
  ChangeKey key;
  std::string key_bytes;
  std::string value;
};

// A record that is put together part by part.
class TestRecord {
 public:
  void add(core::Revision revision, const std::vector<Change>& changes, bool last_part = true) {
    const std::uint32_t first_n = next_n_;
    next_n_ = last_part ? 0 : first_n + static_cast<std::uint32_t>(changes.size());
    ChangeWriter writer;
    for (const Change& change : changes) {
      std::visit([&](const auto& one) { writer.add(one); }, change);
    }
    // Who asked, what for and when are other ones with each revision.
    RequestId request;
    request.bytes.fill(static_cast<std::uint8_t>(revision));
    const std::string value =
        writer.finish({.previous_hash = hash_,
                       .last_part = last_part,
                       .time = Time{static_cast<std::int64_t>(revision) * 1000},
                       .directory_revision = revision / 2,
                       .operation = revision % 2 == 0 ? Operation::remove : Operation::give,
                       .origin = {request, "KEY" + std::to_string(revision)}});
    const ChangeKey key{kAcme, revision, first_n};
    hash_ = hash_change(encode_key(key), value);
    hashes.push_back(hash_);
    parts.push_back({key, encode_key(key), value});
  }
  RecordHead head(core::Revision horizon = 0) const {
    const core::Revision newest = parts.back().key.revision;
    return {newest, Time{static_cast<std::int64_t>(newest) * 1000}, hash_, horizon};
  }

  std::vector<Part> parts;
  std::vector<Digest> hashes;  // of each

 private:
  Digest hash_{};
  std::uint32_t next_n_ = 0;
};

// A page of these parts, of which the first is the one that holds the position.
Result<ChangesView> make_page(const ChangesCommand& command, const RecordHead& head,
                              const std::vector<Part>& parts, std::size_t* taken = nullptr) {
  ChangesPage page(command, head);
  for (const Part& part : parts) {
    if (taken != nullptr) ++*taken;
    if (!TRY(page.take(part.key, part.key_bytes, part.value))) break;
  }
  return page.finish();
}

ChangesCommand command_behind(ChangesPosition after, std::size_t changes_max = 1000) {
  return {.company = kAcme,
          .after = after,
          .call = {},
          .user = {},
          .changes_max = changes_max,
          .asker = nullptr};
}

template <class Thing>
std::string body_of(const Thing& thing) {
  std::string body;
  append_body(body, thing);
  return body;
}
Change user_put(std::uint64_t id) {
  core::User user;
  user.id = {id};
  return ThingChanged{ThingKind::user, id, body_of(user)};
}
Change share_put(std::uint64_t call, std::uint64_t user) {
  return ShareChanged{{call}, {}, {user}, false, true};
}
Change call_put(std::uint64_t id, std::string title = "") {
  core::Call call;
  call.id = {id};
  call.title = std::move(title);
  return CallChanged{{id}, {}, std::nullopt, call};
}

std::vector<std::uint32_t> numbers_of(const RecordedRevision& revision) {
  std::vector<std::uint32_t> numbers;
  for (const RecordedChange& one : revision.changes) numbers.push_back(one.n);
  return numbers;
}
using Numbers = std::vector<std::uint32_t>;

TEST(ChangesPage, SaysOfARevisionWhoAskedAndWhen) {
  TestRecord record;
  record.add(1, {user_put(1)});
  record.add(2, {user_put(2), user_put(3)}, false);
  record.add(2, {user_put(4)});
  const auto view = make_page(command_behind({}), record.head(), record.parts);
  ASSERT_TRUE(view.has_value()) << view.error().message;
  EXPECT_TRUE(view->is_end);
  EXPECT_EQ(view->last, (ChangesPosition{2, std::nullopt}));
  ASSERT_EQ(view->revisions.size(), 2U);
  for (const RecordedRevision& one : view->revisions) {
    EXPECT_EQ(one.time, Time{static_cast<std::int64_t>(one.revision) * 1000});
    EXPECT_EQ(one.directory_revision, one.revision / 2);
    EXPECT_EQ(one.operation, one.revision == 1 ? Operation::give : Operation::remove);
    EXPECT_EQ(one.origin.access_key, "KEY" + std::to_string(one.revision));
    EXPECT_EQ(one.origin.request_id.bytes[0], one.revision);
    EXPECT_TRUE(one.is_complete);
  }
  EXPECT_EQ(view->revisions[0].hash, record.hashes[0]);
  EXPECT_EQ(view->revisions[1].hash, record.hashes[2]) << "of the last part";
  EXPECT_EQ(numbers_of(view->revisions[1]), (Numbers{0, 1, 2}));
}

TEST(ChangesPage, SaysWhatWasThereBefore) {
  const core::Grant before{Time{5}, "old"}, after{Time{6}, "new"};
  core::Call call, renamed;
  call.id = renamed.id = {7};
  call.title = "Old";
  renamed.title = "New";
  const auto told_of = [](const Change& change) { return *record_of(kAcme, 3, change); };
  const auto grant = [](const core::Grant& terms) {
    return core::Record{kAcme, false, core::GrantLine{{7}, {2}, terms}};
  };
  auto told = told_of(GrantChanged{{7}, {}, {2}, before, after});
  EXPECT_EQ(told.n, 3U);
  EXPECT_EQ(told.record, grant(after));
  EXPECT_EQ(told.before, grant(before));
  EXPECT_EQ(told.dead_since, 0U);
  told = told_of(GrantChanged{{7}, {}, {2}, std::nullopt, after});
  EXPECT_EQ(told.before, std::nullopt);
  told = told_of(GrantChanged{{7}, {}, {2}, before, std::nullopt, 4});
  EXPECT_EQ(told.record, (core::Record{kAcme, true, core::GrantLine{{7}, {2}, {}}}));
  EXPECT_EQ(told.before, grant(before));
  EXPECT_EQ(told.dead_since, 4U);

  const core::Record share{kAcme, false, core::ShareLine{{7}, {2}}};
  told = told_of(ShareChanged{{7}, {}, {2}, false, true});
  EXPECT_EQ(told.record, share);
  EXPECT_EQ(told.before, std::nullopt);
  told = told_of(ShareChanged{{7}, {}, {2}, true, false, 5});
  EXPECT_EQ(told.record, (core::Record{kAcme, true, core::ShareLine{{7}, {2}}}));
  EXPECT_EQ(told.before, share);
  EXPECT_EQ(told.dead_since, 5U);

  told = told_of(CallChanged{{7}, {}, call, renamed});
  EXPECT_EQ(told.record, (core::Record{kAcme, false, renamed}));
  EXPECT_EQ(told.before, (core::Record{kAcme, false, call}));
  told = told_of(CallChanged{{7}, {}, call, std::nullopt, 6});
  EXPECT_TRUE(told.record.remove);
  EXPECT_EQ(std::get<core::Call>(told.record.thing).id, CallId{7});
  EXPECT_EQ(told.before, (core::Record{kAcme, false, call}));
  EXPECT_EQ(told.dead_since, 6U);

  EXPECT_EQ(told_of(user_put(4)).before, std::nullopt);
  EXPECT_FALSE(record_of(kAcme, 0, ThingChanged{ThingKind::user, 4, "no release wrote this"}));
}

TEST(ChangesPage, APartThatIsMissingIsToldAndNotLeftOut) {
  TestRecord record;
  record.add(1, {user_put(1)});
  record.add(2, {user_put(1), user_put(2)}, false);
  record.add(2, {user_put(3), user_put(4)}, false);
  record.add(2, {user_put(5)});
  record.add(3, {user_put(1)});
  const auto page_of = [&](ChangesPosition after, const std::vector<std::size_t>& places) {
    std::vector<Part> parts;
    parts.reserve(places.size());
    for (const std::size_t place : places) parts.push_back(record.parts[place]);
    return make_page(command_behind(after), record.head(), parts);
  };
  ASSERT_TRUE(page_of({}, {0, 1, 2, 3, 4}).has_value());
  ASSERT_TRUE(page_of({2, 3}, {2, 3, 4}).has_value());
  const struct {
    ChangesPosition after;
    std::vector<std::size_t> places;
  } gaps[] = {
      {{}, {1, 2, 3, 4}},        // the first revision
      {{}, {0, 2, 3, 4}},        // the first part of one
      {{}, {0, 1, 3, 4}},        // one in the middle
      {{}, {0, 1, 2, 4}},        // the last part of one
      {{1, std::nullopt}, {4}},  // a whole one
      {{1, std::nullopt}, {2}},  // and its beginning
      {{}, {0, 0}},              // a part that comes again
      {{2, 1}, {2}},             // the part that holds the position
      {{2, 1}, {4}},             // the rest of its revision
      {{2, std::nullopt}, {3}},  // an earlier one in place of it
      {{}, {}},                  // all of it
      {{1, std::nullopt}, {}},
      {{2, 3}, {}},
  };
  for (const auto& gap : gaps) {
    const auto view = page_of(gap.after, gap.places);
    ASSERT_FALSE(view.has_value()) << gap.after.revision << ", " << gap.places.size() << " parts";
    EXPECT_EQ(view.error().code, Code::internal);
    EXPECT_NE(view.error().message.find("has a gap"), std::string::npos) << view.error().message;
  }
  ChangesCommand other = command_behind({});
  other.company = {2};
  EXPECT_FALSE(make_page(other, record.head(), record.parts).has_value());
  std::vector<Part> torn = record.parts;
  torn[0].value.pop_back();
  EXPECT_EQ(make_page(command_behind({}), record.head(), torn).error().code, Code::internal);
}

TEST(ChangesPage, LooksAtSoManyPartsAndSoManyBytes) {
  TestRecord many;
  const auto count = static_cast<core::Revision>(kPagePartsMax + 2);
  for (core::Revision revision = 1; revision <= count; ++revision)
    many.add(revision, {user_put(1)});
  ChangesCommand nothing = command_behind({});
  nothing.user = UserId{99};
  std::size_t taken = 0;
  auto view = make_page(nothing, many.head(), many.parts, &taken);
  ASSERT_TRUE(view.has_value()) << view.error().message;
  EXPECT_EQ(taken, kPagePartsMax);
  EXPECT_TRUE(view->revisions.empty());
  EXPECT_FALSE(view->is_end);
  EXPECT_EQ(view->last, (ChangesPosition{kPagePartsMax, std::nullopt}));

  TestRecord long_one;
  constexpr std::size_t kPart = 200'000;
  for (core::Revision revision = 1; revision <= 10; ++revision) {
    long_one.add(revision, {call_put(1, std::string(kPart, 'x'))});
  }
  taken = 0;
  view = make_page(nothing, long_one.head(), long_one.parts, &taken);
  ASSERT_TRUE(view.has_value()) << view.error().message;
  EXPECT_EQ(taken, kPageBytesMax / kPart + 1);
  EXPECT_EQ(view->last, (ChangesPosition{taken, std::nullopt}));
}

// Pages of every length, from every position: together they are what was asked for.
TEST(ChangesPage, TellsWhatIsAskedForAndNothingElse) {
  core::Key key;
  key.access_key = "K";
  core::Company company{kAcme, "Acme"};
  TestRecord record;
  const std::vector<Change> first = {ThingChanged{ThingKind::company, 1, body_of(company)},
                                     KeyChanged{"K", key},
                                     user_put(2),
                                     user_put(3),
                                     call_put(2),
                                     call_put(7)};
  const std::vector<Change> second = {share_put(7, 2), share_put(7, 3), share_put(2, 3)};
  const std::vector<Change> third = {share_put(2, 2),
                                     GrantChanged{{7}, {}, {2}, {}, core::Grant{}},
                                     ThingChanged{ThingKind::user, 2, std::nullopt},
                                     ThingChanged{ThingKind::workspace, 2, std::nullopt},
                                     call_put(7),
                                     share_put(7, 3)};
  record.add(1, first);
  record.add(2, second, false);
  record.add(2, third);
  record.add(3, {user_put(9)});
  const struct {
    std::optional<CallId> call;
    std::optional<UserId> user;
    Numbers of_first, of_second;
  } rows[] = {
      {std::nullopt, std::nullopt, {0, 1, 2, 3, 4, 5}, {0, 1, 2, 3, 4, 5, 6, 7, 8}},
      {CallId{7}, std::nullopt, {5}, {0, 1, 4, 7, 8}},
      {CallId{2}, std::nullopt, {4}, {2, 3}},
      {std::nullopt, UserId{2}, {2}, {0, 3, 4, 5}},
      {std::nullopt, UserId{3}, {3}, {1, 2, 8}},
      {CallId{7}, UserId{2}, {}, {0, 4}},
      {CallId{2}, UserId{3}, {}, {2}},
  };
  for (const auto& row : rows) {
    for (std::size_t changes_max = 1; changes_max <= 20; ++changes_max) {
      SCOPED_TRACE(std::to_string(&row - rows) + ", pages of " + std::to_string(changes_max));
      std::vector<std::uint32_t> of_first, of_second;
      ChangesCommand command = command_behind({}, changes_max);
      command.call = row.call;
      command.user = row.user;
      bool is_end = false;
      for (int pages = 0; !is_end; ++pages) {
        ASSERT_LT(pages, 30);
        const ChangesPosition& after = command.after;
        // As a store gives it: from the part on that holds the position.
        const std::size_t place = after.revision == 0                     ? 0
                                  : after.revision == 1 && after.changes  ? 0
                                  : after.revision == 1                   ? 1
                                  : after.revision == 2 && !after.changes ? 3
                                  : after.changes >= 3U                   ? 2
                                                                          : 1;
        const std::vector<Part> parts(record.parts.begin() + static_cast<std::ptrdiff_t>(place),
                                      record.parts.end());
        const auto view = make_page(command, record.head(), parts);
        ASSERT_TRUE(view.has_value()) << view.error().message;
        std::size_t changes = 0;
        for (const RecordedRevision& one : view->revisions) {
          changes += one.changes.size();
          for (const RecordedChange& change : one.changes) {
            if (one.revision == 3) continue;
            (one.revision == 1 ? of_first : of_second).push_back(change.n);
            const Change& was = one.revision == 1 ? first[change.n]
                                : change.n < 3    ? second[change.n]
                                                  : third[change.n - 3];
            ASSERT_EQ(change.record, record_of(kAcme, 0, was)->record);
          }
        }
        ASSERT_LE(changes, changes_max);
        command.after = view->last;
        is_end = view->is_end;
      }
      EXPECT_EQ(of_first, row.of_first);
      EXPECT_EQ(of_second, row.of_second);
    }
  }
}

TEST(ChangesPage, NoPositionIsBesideTheRecord) {
  TestRecord record;
  for (core::Revision revision = 1; revision <= 5; ++revision) {
    record.add(revision, {user_put(1), user_put(2)});
  }
  const auto code = [](const Status& status) {
    return status ? std::nullopt : std::optional(status.error().code);
  };
  const RecordHead whole = record.head(), cut = record.head(3);
  EXPECT_EQ(code(check_position({}, whole)), std::nullopt);
  EXPECT_EQ(code(check_position({5, std::nullopt}, whole)), std::nullopt);
  EXPECT_EQ(code(check_position({6, std::nullopt}, whole)), Code::invalid_argument);
  EXPECT_EQ(code(check_position({0, 1}, whole)), Code::invalid_argument);
  EXPECT_EQ(code(check_position({}, cut)), Code::gone);
  EXPECT_EQ(code(check_position({2, 1}, cut)), Code::gone);
  EXPECT_EQ(code(check_position({3, 1}, cut)), Code::gone);
  EXPECT_EQ(code(check_position({3, std::nullopt}, cut)), std::nullopt);
  EXPECT_EQ(code(check_position({4, 1}, cut)), std::nullopt);
  const std::vector<Part> last = {record.parts[4]};
  EXPECT_TRUE(make_page(command_behind({5, 2}), whole, last)->is_end);
  EXPECT_EQ(make_page(command_behind({5, 3}), whole, last).error().message,
            "revision 5 has 2 changes");
}

}  // namespace
}  // namespace earshot::store
