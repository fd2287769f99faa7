// What retention leaves, on every store; and what the embedded one does on the way, step by step,
// until the disk has its bytes back.
#include <filesystem>

#include "base/random.h"
#include "conformance/places.h"
#include "store/compactor.h"
#include "store/pg_retention.h"
#include "store/retention.h"

namespace earshot::test {
namespace {

using std::chrono::seconds;

store::AccessCommand access_at(core::Revision revision, CompanyId company = {1}) {
  store::AccessCommand command;
  command.company = company;
  command.calls = {{{1}, {}}};
  command.everybody = true;
  command.moment.revision = revision;
  return command;
}

}  // namespace

class RetentionSuite : public StoreSuite {
 protected:
  // One revision each second: user 1 is given the call and loses it, in turn; revision 5 renames
  // user 3.
  void make_history(core::Revision newest, CompanyId company = {1}) {
    for (core::Revision revision = 1; revision <= newest; ++revision) {
      now_ = begin_ + static_cast<std::int64_t>(revision - 1) * 1'000'000;
      if (revision == 1 && company == CompanyId{1}) {
        load_small_company();
      } else if (revision == 1) {
        core::Call call;
        call.id = {1};
        core::User user;
        user.id = {1};
        ASSERT_TRUE(load_now(store(), {{company, false, core::Company{company, "More"}},
                                       {company, false, user},
                                       {company, false, call}})
                        .has_value());
      } else if (revision == 5) {
        core::User user;
        user.id = {3};
        user.first_name = "Renamed";
        ASSERT_TRUE(load_now(store(), {{company, false, user}}).has_value());
      } else {
        const bool is_give = revision < 5 ? revision % 2 == 0 : revision % 2 == 1;
        const auto operation = is_give ? store::Operation::give : store::Operation::remove;
        const auto outcome = write_now(store(), command_of(operation, company, {{{1}, {{1}}}}));
        ASSERT_TRUE(outcome.has_value());
        ASSERT_EQ(outcome->revision, revision);
      }
    }
  }
  void wait_until_gone(core::Revision revision, CompanyId company = {1}) {
    for (int i = 0; i < 1000; ++i) {
      const auto view = read_access_now(store(), access_at(revision, company));
      if (!view && view.error().code == Code::gone) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    FAIL() << "revision " << revision << " is still there";
  }
  // The horizon itself is the oldest that is told, as it was.
  void expect_horizon(core::Revision horizon, CompanyId company = {1}) {
    SCOPED_TRACE("horizon " + std::to_string(horizon));
    wait_until_gone(horizon - 1, company);
    const auto view = read_access_now(store(), access_at(horizon, company));
    ASSERT_TRUE(view.has_value()) << view.error().message;
    EXPECT_EQ(view->as_of.revision, horizon);
    EXPECT_EQ(view->as_of.time, time_of(horizon));
    EXPECT_NE(view->directory->find_user({1}), nullptr);
    const auto refused = read_access_now(store(), access_at(horizon - 1, company));
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().message, "history is kept from revision " + std::to_string(horizon) +
                                           " of " + format_time(time_of(horizon)) + " on");
    expect_sound();
  }
  Time time_of(core::Revision revision) const {
    return {begin_ + static_cast<std::int64_t>(revision - 1) * 1'000'000};
  }

  const std::int64_t begin_ = now_;
};

TEST_P(RetentionSuite, ByCountTheNewestOfEachCompanyStay) {
  place_->retention_revisions = 3;
  make_history(4, {2});
  make_history(9);
  open();
  expect_horizon(6);
  expect_horizon(1, {2});
  // And it goes on.
  now_ += 1'000'000;
  (void)give({2}, {{2}});
  expect_horizon(7);
}

TEST_P(RetentionSuite, ByCountAndAgeWhatEitherCutsGoes) {
  make_history(9);
  place_->retention_revisions = 6;
  place_->retention = seconds(2);  // from before revision 7
  open();
  expect_horizon(6);
  place_->retention = seconds(3600);
  place_->retention_revisions = 2;
  open();
  expect_horizon(7);
}

TEST_P(RetentionSuite, TheNewestRevisionAloneMayBeLeft) {
  make_history(9);
  place_->retention_revisions = 1;
  open();
  expect_horizon(8);
  EXPECT_TRUE(read_access_now(store(), access_at(9)).has_value());
  EXPECT_EQ(listed({1}), std::vector<UserId>{{1}});
  now_ += 1'000'000;
  EXPECT_EQ(give({3}, {{4}}), 10U);
  expect_horizon(9);
  EXPECT_EQ(listed({3}), std::vector<UserId>{{4}});
}

TEST_P(RetentionSuite, HoweverOldTheNewestRevisionStays) {
  make_history(9);
  now_ += 3'600'000'000;
  place_->retention = seconds(1);
  open();
  expect_horizon(8);
  EXPECT_EQ(listed({1}), std::vector<UserId>{{1}});
  EXPECT_EQ(give({3}, {{4}}), 10U);
  expect_sound();
}

TEST_P(RetentionSuite, ARecordThatIsShorterStaysWhole) {
  make_history(3);
  place_->retention_revisions = 3;
  open();
  std::this_thread::sleep_for(std::chrono::milliseconds(1300));
  EXPECT_TRUE(read_access_now(store(), access_at(0)).has_value());
  expect_sound();
}

INSTANTIATE_TEST_SUITE_P(Embedded, RetentionSuite,
                         testing::Values(embedded("AsShipped", [](auto&) {})),
                         [](const auto& kind) { return kind.param.name; });
INSTANTIATE_TEST_SUITE_P(Postgres, RetentionSuite,
                         testing::Values(postgres(
                             "AsShipped", [](auto&) {}, 0)),
                         [](const auto& kind) { return kind.param.name; });

// A call whose title is as good as random, so that nothing of it is compressed.
core::Record call_with_long_title(std::uint64_t id, std::size_t bytes) {
  core::Call call;
  call.id = {id};
  call.title = make_random_text(bytes);
  return {{1}, false, call};
}

core::Record user_with_long_name(std::uint64_t id, std::size_t bytes) {
  core::User user;
  user.id = {id};
  user.first_name = make_random_text(bytes);
  return {{1}, false, user};
}

std::uint64_t size_of_files(const std::string& directory) {
  std::uint64_t size = 0;
  for (const auto& file : std::filesystem::directory_iterator(directory + "/rows")) {
    std::error_code gone;
    const auto bytes = std::filesystem::file_size(file, gone);
    if (!gone && file.path().extension() == ".sst") size += bytes;
  }
  return size;
}

// Killed after any number of steps, the store is sound, and the next round ends the cut.
TEST(Retention, MayEndAfterAnyStep) {
  EmbeddedPlace place;
  place.options.free_bytes_min = 0;
  const auto clock = [] { return Time{1'772'359'200'000'000}; };
  constexpr core::Revision kRevisions = 20;
  {
    const auto store = place.open(clock);
    ASSERT_TRUE(load_now(*store, {{{1}, false, core::Company{{1}, "One"}}}).has_value());
    for (core::Revision revision = 2; revision <= kRevisions; ++revision) {
      // Of several parts.
      ASSERT_TRUE(load_now(*store, {call_with_long_title(1, 200'000),
                                    user_with_long_name(revision % 4 + 1, 200'000)})
                      .has_value());
    }
  }
  const auto small = store::RetentionStep{.rows = 3, .bytes = 100'000};
  bool is_cut = false;
  for (int steps = 1; !is_cut; ++steps) {
    SCOPED_TRACE(std::to_string(steps) + " steps");
    ASSERT_LT(steps, 1000);
    {
      const auto rocks =
          std::move(*store::Rocks::open({.directory = place.options.directory + "/rows",
                                         .block_cache_bytes = 1 << 20,
                                         .env = nullptr}));
      store::Companies companies(*rocks);
      store::Retention retention(*rocks, companies, small);
      // Later rounds cut more, so that each meets what the one before has left.
      const std::uint64_t left = steps < 5 ? 18 - 3 * static_cast<std::uint64_t>(steps) : 3;
      retention.begin({{}, left});
      for (int i = 0; i < steps && retention.is_under_way(); ++i) {
        ASSERT_TRUE(retention.step().has_value());
      }
      is_cut = left == 3 && !retention.is_under_way();
    }
    const auto store = place.open(clock);
    const auto report = store->verify();
    ASSERT_TRUE(report.has_value());
    ASSERT_TRUE(report->faults.empty()) << report->faults[0];
    const auto newest = read_access_now(*store, access_at(kRevisions));
    ASSERT_TRUE(newest.has_value()) << newest.error().message;
    ASSERT_NE(newest->directory->find_user({1}), nullptr);
  }
  const auto store = place.open(clock);
  EXPECT_FALSE(read_access_now(*store, access_at(kRevisions - 4)).has_value());
  const auto oldest = read_access_now(*store, access_at(kRevisions - 3));
  ASSERT_TRUE(oldest.has_value()) << oldest.error().message;
  EXPECT_EQ(store->verify()->changes, 6U) << "of three revisions";
}

bool is_user_there(store::Store& store, UserId user) {
  std::promise<Result<store::ThingView>> promise;
  auto answer = promise.get_future();
  store.read_thing({{1}, user, 0, nullptr},
                   [&](Result<store::ThingView> view) { promise.set_value(std::move(view)); });
  const auto view = answer.get();
  EXPECT_TRUE(view.has_value()) << view.error().message;
  return view && view->record;
}

// Of what was put twice and then removed, whichever step is the last before the store is opened.
TEST(Retention, NothingThatWasRemovedComesBackAfterAnyStep) {
  EmbeddedPlace place;
  place.options.free_bytes_min = 0;
  const auto clock = [] { return Time{1'772'359'200'000'000}; };
  const auto dump_of = [](store::Store& store) {
    std::vector<core::Record> records;
    EXPECT_TRUE(store.dump([&](const core::Record& record) -> Status {
      records.push_back(record);
      return {};
    }));
    return records;
  };
  std::vector<core::Record> left;
  {
    const auto store = place.open(clock);
    std::vector<core::Record> things(3, {{1}, false, core::User{}});
    std::get<core::User>(things[0].thing).id = {2};
    things[1].thing = core::Workspace{{2}, "Here"};
    core::Profile profile;
    profile.id = {2};
    things[2].thing = profile;
    core::User stays;
    stays.id = {3};
    ASSERT_TRUE(load_now(*store, {{{1}, false, core::Company{{1}, "One"}}, {{1}, false, stays}})
                    .has_value());
    ASSERT_TRUE(load_now(*store, things).has_value());
    std::get<core::User>(things[0].thing).first_name = "Again";
    std::get<core::Workspace>(things[1].thing).name = "Again";
    std::get<core::Profile>(things[2].thing).name = "Again";
    ASSERT_TRUE(load_now(*store, things).has_value());
    for (core::Record& thing : things) thing.remove = true;
    ASSERT_TRUE(load_now(*store, things).has_value());
    stays.first_name = "Stays";
    ASSERT_TRUE(load_now(*store, {{{1}, false, stays}}).has_value());
    std::this_thread::sleep_for(std::chrono::milliseconds(500));  // the user is swept
    left = dump_of(*store);
    ASSERT_EQ(left.size(), 2U);
    ASSERT_FALSE(is_user_there(*store, {2}));
  }
  const std::string whole = place.directory.path() + "/whole";
  std::filesystem::rename(place.options.directory, whole);
  bool is_cut = false;
  int steps = 0;
  while (!is_cut) {
    SCOPED_TRACE(std::to_string(++steps) + " steps");
    std::filesystem::remove_all(place.options.directory);
    std::filesystem::copy(whole, place.options.directory, std::filesystem::copy_options::recursive);
    {
      const auto rocks = std::move(*store::Rocks::open(
          {.directory = place.options.directory + "/rows", .block_cache_bytes = 1 << 20}));
      store::Companies companies(*rocks);
      store::Retention retention(*rocks, companies, {.rows = 1, .bytes = 1 << 20});
      retention.begin({{}, 1});
      for (int i = 0; i < steps && retention.is_under_way(); ++i) {
        ASSERT_TRUE(retention.step().has_value());
      }
      is_cut = !retention.is_under_way();
    }
    const auto store = place.open(clock);
    expect_same_records(dump_of(*store), left);
    EXPECT_FALSE(is_user_there(*store, {2}));
    EXPECT_TRUE(is_user_there(*store, {3}));
    const auto report = store->verify();
    ASSERT_TRUE(report.has_value());
    ASSERT_TRUE(report->faults.empty()) << report->faults[0];
  }
  EXPECT_GT(steps, 8) << "things one by one, then revisions";
}

// The rows of one company in a family, as they lie on the disk.
int count_rows(store::Rocks& rocks, store::Family family) {
  int rows = 0;
  const auto all = rocks.iterate(family);
  const std::string prefix = store::encode_company_prefix({1});
  for (all->Seek(prefix); all->Valid() && all->key().starts_with(prefix); all->Next()) ++rows;
  return rows;
}

// Of a store that is closed.
struct ClosedStore {
  explicit ClosedStore(const EmbeddedPlace& place)
      : rocks(*store::Rocks::open(
            {.directory = place.options.directory + "/rows", .block_cache_bytes = 1 << 20})),
        companies(*rocks) {}
  void leave(std::uint64_t revisions) {
    ASSERT_TRUE(store::apply_retention(*rocks, companies, {{}, revisions}).has_value());
  }
  std::unique_ptr<store::Rocks> rocks;
  store::Companies companies;
};

// Round after round: what was in force at the last horizon is cut when it is no more.
TEST(Retention, OfTheDirectoryOnlyWhatIsInForceStays) {
  EmbeddedPlace place;
  place.options.free_bytes_min = 0;
  const auto load = [&](const std::vector<std::vector<core::Record>>& revisions) {
    const auto store = place.open([] { return Time{1'772'359'200'000'000}; });
    for (const auto& records : revisions) ASSERT_TRUE(load_now(*store, records).has_value());
    std::this_thread::sleep_for(std::chrono::milliseconds(200));  // removals are swept
    // The newest, which stays, is none of the directory's.
    ASSERT_TRUE(load_now(*store, {call_with_long_title(1, 9)}).has_value());
  };
  const auto versions_left = [&] {
    ClosedStore closed(place);
    closed.leave(1);
    return count_rows(*closed.rocks, store::Family::directory);
  };
  const core::Record workspace{{1}, false, core::Workspace{{4}, "Here"}};
  core::Record gone = user_with_long_name(2, 9), no_workspace = workspace;
  gone.remove = no_workspace.remove = true;
  load({{{{1}, false, core::Company{{1}, "One"}}, workspace},
        {user_with_long_name(1, 9), user_with_long_name(2, 9)},
        {user_with_long_name(1, 9)},
        {user_with_long_name(1, 9), gone}});
  EXPECT_EQ(versions_left(), 3) << "the company, the workspace, and user 1";
  load({});
  EXPECT_EQ(versions_left(), 3);
  load({{user_with_long_name(1, 9), no_workspace}, {user_with_long_name(1, 9)}});
  EXPECT_EQ(versions_left(), 2);
}

TEST(Retention, MarkersOfRowsGoWithWhatWasCut) {
  EmbeddedPlace place;
  place.options.free_bytes_min = 0;
  constexpr int kPairs = 30;
  {
    const auto store = place.open([] { return Time{1'772'359'200'000'000}; });
    std::vector<core::Record> records = {{{1}, false, core::Company{{1}, "One"}},
                                         call_with_long_title(1, 9),
                                         user_with_long_name(1, 9)};
    for (std::uint64_t id = 2; id <= kPairs; ++id) {
      records.push_back(call_with_long_title(id, 9));
    }
    ASSERT_TRUE(load_now(*store, records).has_value());
    for (const auto operation : {store::Operation::give, store::Operation::remove}) {
      std::vector<core::CallUsers> calls;
      for (std::uint64_t id = 1; id <= kPairs; ++id) calls.push_back({{id}, {{1}}});
      ASSERT_TRUE(write_now(*store, command_of(operation, {1}, calls)).has_value());
    }
    // Removed by the newest revision, of which nothing is cut.
    for (const auto operation : {store::Operation::give, store::Operation::remove}) {
      ASSERT_TRUE(write_now(*store, command_of(operation, {1}, {{{7}, {{1}}}})).has_value());
    }
  }
  ClosedStore closed(place);
  const auto compact = [&] {
    store::Compactor compactor(*closed.rocks, {.bytes = 1, .every = std::chrono::milliseconds(5)});
    compactor.add({{{1}, 4, store::kCompactedAloneMin}});
    for (int i = 0; i < 500 && compactor.rounds() == 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_EQ(compactor.rounds(), 1U);
  };
  ASSERT_TRUE(closed.companies.meet({1}).has_value());
  compact();
  EXPECT_EQ(count_rows(*closed.rocks, store::Family::calls), 2 * kPairs) << "nothing is cut yet";
  EXPECT_EQ(count_rows(*closed.rocks, store::Family::by_user), kPairs);
  closed.leave(1);
  compact();
  EXPECT_EQ(count_rows(*closed.rocks, store::Family::calls), kPairs + 1);
  EXPECT_EQ(count_rows(*closed.rocks, store::Family::by_user), 1);
}

TEST(Retention, GoesOnWhereSpaceIsLow) {
  EmbeddedPlace place;
  place.options.free_bytes_min = 0;
  const auto clock = [] { return Time{1'772'359'200'000'000}; };
  {
    const auto store = place.open(clock);
    ASSERT_TRUE(load_now(*store, {{{1}, false, core::Company{{1}, "One"}}}).has_value());
    for (int i = 0; i < 5; ++i) {
      ASSERT_TRUE(load_now(*store, {call_with_long_title(1, 50)}).has_value());
    }
  }
  place.options.free_bytes_min = ~std::uint64_t{0};
  place.retention_revisions = 1;
  const auto store = place.open(clock);
  EXPECT_FALSE(load_now(*store, {call_with_long_title(1, 50)}).has_value());
  std::uint64_t changes = 6;
  for (int i = 0; i < 500 && changes > 1; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    changes = store->verify()->changes;
  }
  EXPECT_EQ(changes, 1U);
}

TEST(Compaction, CompaniesOfWhichLittleWasCutAreNotCompactedAlone) {
  const TemporaryDirectory directory;
  const auto rocks = std::move(
      *store::Rocks::open({.directory = directory.path() + "/rows", .block_cache_bytes = 1 << 20}));
  const auto wait_for_rounds = [](const store::Compactor& compactor, std::uint64_t rounds) {
    for (int i = 0; i < 500 && compactor.rounds() < rounds; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  };
  constexpr std::uint64_t kMin = store::kCompactedAloneMin;
  store::Compactor compactor(*rocks, {.bytes = 4 * kMin, .every = std::chrono::milliseconds(20)});
  std::vector<store::CutRange> little;
  for (std::uint64_t company = 1; company <= 100; ++company) {
    little.push_back({{company}, 5, kMin - 1});
  }
  compactor.add(little);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_EQ(compactor.rounds(), 0U);
  // The rest is owed still.
  compactor.add({{{7}, 6, 1}});
  wait_for_rounds(compactor, 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_EQ(compactor.rounds(), 1U) << "of one company, once";
  compactor.add({{{7}, 7, 1}, {{8}, 6, 1}, {{9}, 6, 1}});
  wait_for_rounds(compactor, 3);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_EQ(compactor.rounds(), 3U);
}

TEST(Retention, ALongRecordIsCutInStepsOfBoundedSize) {
  EmbeddedPlace place;
  place.options.free_bytes_min = 0;
  constexpr int kRevisions = 200;
  {
    const auto store = place.open([] { return Time{1'772'359'200'000'000}; });
    ASSERT_TRUE(load_now(*store, {{{1}, false, core::Company{{1}, "One"}}}).has_value());
    for (int i = 0; i < kRevisions; ++i) {
      ASSERT_TRUE(load_now(*store, {call_with_long_title(1, 50)}).has_value());
    }
  }
  const auto rocks = std::move(*store::Rocks::open(
      {.directory = place.options.directory + "/rows", .block_cache_bytes = 1 << 20}));
  store::Companies companies(*rocks);
  const auto count = [&] {
    int parts = 0;
    const auto rows = rocks->iterate(store::Family::changes);
    for (rows->SeekToFirst(); rows->Valid(); rows->Next()) ++parts;
    return parts;
  };
  store::Retention retention(*rocks, companies, {.rows = 10, .bytes = 1 << 20});
  retention.begin({{}, 1});
  int parts = count(), steps = 0;
  while (retention.is_under_way()) {
    ASSERT_TRUE(retention.step().has_value());
    const int left = count();
    EXPECT_LE(parts - left, 10);
    parts = left;
    ++steps;
  }
  EXPECT_EQ(parts, 1);
  EXPECT_GT(steps, kRevisions / 10);
}

TEST(Retention, AStepIsBoundedInBytesToo) {
  EmbeddedPlace place;
  place.options.free_bytes_min = 0;
  constexpr std::size_t kTitle = 10'000;
  {
    const auto store = place.open([] { return Time{1'772'359'200'000'000}; });
    ASSERT_TRUE(load_now(*store, {{{1}, false, core::Company{{1}, "One"}}}).has_value());
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(load_now(*store, {call_with_long_title(1, kTitle)}).has_value());
    }
  }
  ClosedStore closed(place);
  store::Retention retention(*closed.rocks, closed.companies, {.rows = 1000, .bytes = kTitle});
  retention.begin({{}, 1});
  int parts = count_rows(*closed.rocks, store::Family::changes);
  while (retention.is_under_way()) {
    ASSERT_TRUE(retention.step().has_value());
    const int left = count_rows(*closed.rocks, store::Family::changes);
    EXPECT_LE(parts - left, 2) << "the first has no title";
    parts = left;
  }
  EXPECT_EQ(parts, 1);
}

TEST(Retention, GivesTheDiskBack) {
  EmbeddedPlace place;
  place.options.free_bytes_min = 0;
  place.options.compaction_bytes = ~std::uint64_t{0};
  const auto clock = [] { return Time{1'772'359'200'000'000}; };
  constexpr std::size_t kTitle = 100'000;
  {
    const auto store = place.open(clock);
    ASSERT_TRUE(load_now(*store, {{{1}, false, core::Company{{1}, "One"}}}).has_value());
    for (std::uint64_t i = 0; i < 150; ++i) {
      ASSERT_TRUE(load_now(*store, {call_with_long_title(i % 5 + 1, kTitle),
                                    user_with_long_name(i % 5 + 1, kTitle)})
                      .has_value());
    }
  }
  (void)place.open(clock);  // what was in the log becomes files
  const std::uint64_t full = size_of_files(place.options.directory);
  EXPECT_GT(full, 150 * 2 * kTitle) << "a title before and after, and a name, compressed a little";
  place.retention_revisions = 1;
  place.options.compaction_bytes = 1;
  const auto store = place.open(clock);
  // What is left are five calls and five users, and the newest revision's change of one each.
  const std::uint64_t left_about = (5 + 5 + 3) * kTitle;
  std::uint64_t size = full;
  for (int i = 0; i < 1000 && size > 2 * left_about; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    size = size_of_files(place.options.directory);
  }
  EXPECT_LE(size, 2 * left_about) << "of " << full;
  const auto report = store->verify();
  EXPECT_TRUE(report->faults.empty()) << report->faults[0];
}

// What was deleted makes room for what comes, once it was vacuumed: tables do not grow for ever.
TEST(PgRetention, TheTablesDoNotGrowWhileTheSameLoadGoesOn) {
  PostgresPlace place;
  const auto store = place.open(wall_now);
  ASSERT_TRUE(load_now(*store, {{{1}, false, core::Company{{1}, "One"}}}).has_value());
  const auto session = place.database.connect();
  std::vector<std::uint64_t> sizes;
  for (int round = 0; round < 12; ++round) {
    for (std::uint64_t i = 0; i < 40; ++i) {
      ASSERT_TRUE(load_now(*store, {call_with_long_title(1, 5'000), user_with_long_name(1, 5'000)})
                      .has_value());
    }
    ASSERT_TRUE(store::apply_retention_over_postgres(*session, {{}, 10}).has_value());
    std::uint64_t size = 0;
    for (const std::string table : {"changes", "user_versions", "users", "calls", "companies"}) {
      (void)place.database.ask("VACUUM earshot." + table);
      size += std::stoull(
          place.database.ask("SELECT pg_total_relation_size('earshot." + table + "')::text"));
    }
    sizes.push_back(size);
  }
  // How full pages get differs from round to round.
  EXPECT_LE(sizes.back(), sizes[1] + sizes[1] / 2);
  EXPECT_TRUE(store->verify()->faults.empty());
}

}  // namespace earshot::test
