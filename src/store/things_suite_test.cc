// What every store says of single calls and users, of the use of keys, and of the revisions of a
// load.
#include <future>

#include "conformance/store_suite.h"

namespace earshot::test {
namespace {

Result<store::ThingView> read_thing_now(store::Store& store, store::ThingCommand command) {
  std::promise<Result<store::ThingView>> promise;
  auto answer = promise.get_future();
  store.read_thing(std::move(command),
                   [&](Result<store::ThingView> view) { promise.set_value(std::move(view)); });
  return answer.get();
}
std::optional<core::Record> thing_now(store::Store& store, CompanyId company,
                                      std::variant<CallId, UserId> thing) {
  auto view = read_thing_now(store, {company, thing, 0, nullptr});
  EXPECT_TRUE(view.has_value()) << view.error().message;
  return view ? view->record : std::nullopt;
}

core::Record key_of(CompanyId company, std::string access_key) {
  core::KeyLine line;
  line.key = {std::move(access_key), hash_secret("a secret of a key"), {"earshot:access:read"}, {}};
  return {company, false, line};
}
core::Record without(core::Record record) {
  record.remove = true;
  return record;
}

std::vector<std::pair<std::string, std::int64_t>> uses_of(store::Store& store, CompanyId company) {
  std::vector<std::pair<std::string, std::int64_t>> found;
  const auto uses = store.list_key_uses(company);
  EXPECT_TRUE(uses.has_value()) << uses.error().message;
  if (!uses) return found;
  for (const store::KeyUse& use : *uses) {
    EXPECT_EQ(use.company, company);
    found.emplace_back(use.access_key, use.at.micros);
  }
  return found;
}
using Uses = std::vector<std::pair<std::string, std::int64_t>>;

// Whose key was revoked since.
class Refused final : public store::Asker {
 public:
  const store::KeyPtr& key() const override { return key_; }
  bool is_admitted_with(const store::KeyPtr&) const override { return false; }

 private:
  const store::KeyPtr key_ =
      std::make_shared<store::KeyEntry>(store::KeyEntry{{1}, {"GONE", {}, {}, {}}, 0});
};

}  // namespace

TEST_P(StoreSuite, AThingIsReadAsItWasPut) {
  core::Call call;
  call.id = {7};
  call.workspace = {3};
  call.title = "Ünterhaltung";
  call.started = "2026-03-01T10:00:00Z";
  call.primary_user = {31};
  call.parties = {{32}, {33}};
  call.is_private = true;
  core::User user;
  user.id = {31};
  user.email_address = "ada@example.com";
  user.first_name = "Ada";
  user.last_name = "L";
  user.manager = {32};
  user.active = false;
  user.profiles = {{5}, {6}};
  ASSERT_TRUE(load_now(store(), {{{1}, false, core::Company{{1}, "One"}},
                                 {{2}, false, core::Company{{2}, "Two"}},
                                 {{1}, false, user},
                                 {{1}, false, call}}));
  for (int round = 0; round < 2; ++round) {
    const auto view = read_thing_now(store(), {{1}, CallId{7}, 0, nullptr});
    ASSERT_TRUE(view.has_value()) << view.error().message;
    EXPECT_EQ(view->revision, 1U);
    EXPECT_EQ(view->record, (core::Record{{1}, false, call}));
    EXPECT_EQ(thing_now(store(), {1}, UserId{31}), (core::Record{{1}, false, user}));
    EXPECT_EQ(thing_now(store(), {1}, UserId{7}), std::nullopt);
    EXPECT_EQ(thing_now(store(), {1}, CallId{31}), std::nullopt);
    EXPECT_EQ(thing_now(store(), {2}, CallId{7}), std::nullopt) << "another company's";
    EXPECT_EQ(thing_now(store(), {2}, UserId{31}), std::nullopt);
    EXPECT_EQ(thing_now(store(), {3}, UserId{31}), std::nullopt) << "of a company that is not";
    open();
  }
}

TEST_P(StoreSuite, AThingThatWasRemovedIsNotRead) {
  load_small_company();
  give({1}, {{2}});
  core::User user;
  user.id = {2};
  core::Call call;
  call.id = {1};
  ASSERT_TRUE(load_now(store(), {{{1}, true, user}, {{1}, true, call}}));
  EXPECT_EQ(thing_now(store(), {1}, UserId{2}), std::nullopt);
  EXPECT_EQ(thing_now(store(), {1}, CallId{1}), std::nullopt);
  EXPECT_NE(thing_now(store(), {1}, UserId{3}), std::nullopt);
  ASSERT_TRUE(load_now(store(), {{{1}, true, core::Company{{1}, ""}}}));
  EXPECT_EQ(thing_now(store(), {1}, UserId{3}), std::nullopt);
  EXPECT_EQ(thing_now(store(), {1}, CallId{3}), std::nullopt);
  user.id = {3};
  ASSERT_TRUE(load_now(store(), {{{1}, false, core::Company{{1}, "Back"}}, {{1}, false, user}}));
  EXPECT_NE(thing_now(store(), {1}, UserId{3}), std::nullopt);
  EXPECT_EQ(thing_now(store(), {1}, CallId{3}), std::nullopt);
}

TEST_P(StoreSuite, AThingIsReadOfTheRevisionAskedForOrALaterOne) {
  load_small_company();
  const core::Revision now = give({1}, {{2}});
  const auto seen = read_thing_now(store(), {{1}, CallId{1}, now, nullptr});
  ASSERT_TRUE(seen.has_value());
  EXPECT_EQ(seen->revision, now);
  if (!store().knows_all_keys()) return;  // others wait a long time for what may still come
  const auto ahead = read_thing_now(store(), {{1}, CallId{1}, now + 1, nullptr});
  ASSERT_FALSE(ahead.has_value());
  EXPECT_EQ(ahead.error().code, Code::unavailable);
}

TEST_P(StoreSuite, AThingIsNotReadForWhoseKeyIsGone) {
  load_small_company();
  if (store().knows_all_keys()) return;  // then nobody has to be asked again
  const auto seen = read_thing_now(store(), {{1}, CallId{1}, 0, std::make_shared<Refused>()});
  ASSERT_FALSE(seen.has_value());
  EXPECT_EQ(seen.error().code, Code::denied);
}

TEST_P(StoreSuite, ALoadSaysTheRevisionOfEachCompanyThatItChanged) {
  const std::vector<core::Record> companies = {{{1}, false, core::Company{{1}, "One"}},
                                               {{2}, false, core::Company{{2}, "Two"}}};
  using Revisions = std::vector<std::pair<CompanyId, core::Revision>>;
  auto loaded = load_now(store(), {companies[1], companies[0]});
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(loaded->revisions, (Revisions{{{1}, 1}, {{2}, 1}}));
  loaded = load_now(store(), companies);
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(loaded->revisions, Revisions{}) << "it changed nothing";
  core::User user;
  user.id = {1};
  loaded = load_now(store(), {companies[0], {{2}, false, user}});
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(loaded->revisions, (Revisions{{{2}, 2}}));
}

TEST_P(StoreSuite, TheLatestUseOfEachKeyIsKept) {
  ASSERT_TRUE(load_now(store(), {{{1}, false, core::Company{{1}, "One"}},
                                 {{2}, false, core::Company{{2}, "Two"}},
                                 key_of({1}, "B"),
                                 key_of({1}, "A"),
                                 key_of({2}, "C")}));
  EXPECT_EQ(uses_of(store(), {1}), Uses{});
  const auto note = [&](const std::vector<store::KeyUse>& uses) {
    const Status noted = store().note_key_uses(uses);
    ASSERT_TRUE(noted.has_value()) << noted.error().message;
  };
  note({});
  note({{{1}, "B", {5'000'000}}, {{2}, "C", {7'000'000}}, {{1}, "B", {4'000'000}}});
  note({{{1}, "B", {3'000'000}}, {{1}, "A", {2'000'000}}});
  EXPECT_EQ(uses_of(store(), {1}), (Uses{{"A", 2'000'000}, {"B", 5'000'000}}));
  note({{{1}, "B", {6'000'000}}});
  open();
  EXPECT_EQ(uses_of(store(), {1}), (Uses{{"A", 2'000'000}, {"B", 6'000'000}}));
  EXPECT_EQ(uses_of(store(), {2}), (Uses{{"C", 7'000'000}}));
  expect_sound();
}

TEST_P(StoreSuite, TheUseOfAKeyGoesWithIt) {
  const core::Record key = key_of({1}, "A");
  const core::Record company{{1}, false, core::Company{{1}, "One"}};
  ASSERT_TRUE(load_now(store(), {company, key, key_of({1}, "B")}));
  const std::vector<store::KeyUse> uses = {{{1}, "A", {5'000'000}}, {{1}, "B", {6'000'000}}};
  ASSERT_TRUE(store().note_key_uses(uses));
  ASSERT_TRUE(load_now(store(), {without(key)}));
  EXPECT_EQ(uses_of(store(), {1}), (Uses{{"B", 6'000'000}}));
  ASSERT_TRUE(load_now(store(), {key}));
  EXPECT_EQ(uses_of(store(), {1}), (Uses{{"B", 6'000'000}})) << "one that comes back is a new one";
  ASSERT_TRUE(load_now(store(), {without(key)}));
  // What another server noted of it late goes too.
  ASSERT_TRUE(store().note_key_uses(uses));
  ASSERT_TRUE(load_now(store(), {key}));
  EXPECT_EQ(uses_of(store(), {1}), (Uses{{"B", 6'000'000}})) << "one that comes back is a new one";
  ASSERT_TRUE(load_now(store(), {without(company)}));
  const std::vector<store::KeyUse> late = {{{1}, "A", {8'000'000}}};
  ASSERT_TRUE(store().note_key_uses(late));
  ASSERT_TRUE(load_now(store(), {company, key, key_of({1}, "B")}));
  EXPECT_EQ(uses_of(store(), {1}), Uses{});
}

}  // namespace earshot::test
