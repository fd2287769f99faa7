// The embedded store: the suite of every store, and what is its own - its directory, its disk, its
// limits.
#include "store/embedded.h"

#include <gtest/gtest.h>
#include <rocksdb/env.h>
#include <rocksdb/sst_file_writer.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "base/text.h"
#include "conformance/grants_suite.h"
#include "conformance/places.h"
#include "conformance/store_suite.h"
#include "store/embedded_store.h"
#include "store/failing_env_testing.h"

namespace earshot::test {
namespace {

namespace fs = std::filesystem;

INSTANTIATE_TEST_SUITE_P(
    Embedded, StoreSuite,
    testing::Values(embedded("AsShipped", [](auto&) {}),
                    embedded("WithoutCache", [](auto& options) { options.cache_bytes = 0; }),
                    // Room for a handful of entries: eviction all the time.
                    embedded("WithTinyCache",
                             [](auto& options) { options.cache_bytes = 64 * 400; }),
                    // No directory stays in memory for long.
                    embedded(
                        "WithForgottenPeople",
                        [](auto& options) {
                          options.directory_bytes = 0;
                          options.house_every = std::chrono::milliseconds(1);
                        },
                        180),
                    // Every record of a load goes through a run of its own.
                    embedded(
                        "WithSpills", [](auto& options) { options.load_memory_bytes = 1; }, 180)),
    [](const auto& kind) { return kind.param.name; });

struct Embedded : testing::Test {
  Embedded() {
    options.directory = directory.path() + "/store";
    options.free_bytes_min = 0;
    options.cache_bytes = 1 << 20;
    options.block_cache_bytes = 1 << 20;
    options.clock = [this] { return Time{now_micros}; };
  }
  std::unique_ptr<store::Store> open(rocksdb::Env* env = nullptr) {
    auto opened = store::open_embedded_on(options, env);
    EXPECT_TRUE(opened.has_value()) << (opened ? "" : opened.error().message);
    return opened ? std::move(*opened) : nullptr;
  }
  std::string refusal() {
    const auto opened = store::open_embedded(options);
    return opened ? "opened" : opened.error().message;
  }
  static std::vector<core::Record> small_company(std::uint64_t users = 3) {
    std::vector<core::Record> records = {{{1}, false, core::Company{{1}, "One"}}};
    for (std::uint64_t i = 1; i <= users; ++i) {
      core::User user;
      user.id = {i};
      records.push_back({{1}, false, user});
    }
    core::Call call;
    call.id = {1};
    records.push_back({{1}, false, call});
    return records;
  }

  TemporaryDirectory directory;
  store::EmbeddedOptions options;
  std::atomic<std::int64_t> now_micros{1'772'359'200'000'000};  // the store's threads read it
};

// The keys of rows of `default` that begin so.
std::vector<std::string> small_rows(store::Rocks& rocks, std::string_view tag) {
  std::vector<std::string> keys;
  const Status scanned = rocks.scan(store::Family::meta, tag, nullptr,
                                    [&](std::string_view key, std::string_view) -> Result<bool> {
                                      keys.emplace_back(key);
                                      return true;
                                    });
  EXPECT_TRUE(scanned.has_value());
  return keys;
}

// Whether the store comes to hold so many grants, within a minute.
bool comes_to(store::Store& store, std::size_t grants_wanted) {
  for (int i = 0; i < 6000; ++i) {
    std::size_t grants = 0;
    const Status done = store.dump([&](const core::Record& record) -> Status {
      grants += std::holds_alternative<core::GrantLine>(record.thing) ? 1 : 0;
      return {};
    });
    if (done && grants == grants_wanted) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

TEST_F(Embedded, ADirectoryIsOfOneProcess) {
  const auto first = open();
  EXPECT_NE(refusal().find("is in use by another process"), std::string::npos) << refusal();
}

TEST_F(Embedded, ANewerFormatIsRefused) {
  open().reset();
  std::ofstream(options.directory + "/format") << "earshot store format 2\n";
  EXPECT_NE(refusal().find("newer release"), std::string::npos) << refusal();
}

TEST_F(Embedded, ADirectoryThatIsNoStoreIsRefused) {
  fs::create_directory(options.directory);
  std::ofstream(options.directory + "/letter.txt") << "Dear";
  EXPECT_NE(refusal().find("letter.txt"), std::string::npos) << refusal();
}

TEST_F(Embedded, AStartCutShortIsBegunAnew) {
  fs::create_directory(options.directory);
  std::ofstream(options.directory + "/format.new") << "earsh";
  EXPECT_NE(open(), nullptr);
}

TEST_F(Embedded, NothingIsMadeWhereNothingShouldBe) {
  options.create_if_missing = false;
  EXPECT_NE(refusal().find("there is no store"), std::string::npos) << refusal();
  EXPECT_FALSE(fs::exists(options.directory));
}

TEST_F(Embedded, WritesWaitForRoomOnTheDiskAndAKeyIsRevokedWithoutIt) {
  {
    const auto store = open();
    std::vector<core::Record> records = small_company();
    records.push_back({{1}, false, core::GrantLine{{1}, {1}, {}}});
    core::KeyLine key;
    key.key.access_key = "ACME";
    records.push_back({{1}, false, key});
    ASSERT_TRUE(load_now(*store, records).has_value());
  }
  options.free_bytes_min = std::uint64_t{1} << 60;
  {
    const auto full = open();
    const auto give = [&](CallId call, UserId user) {
      return write_now(*full, command_of(store::Operation::give, {1}, {{call, {user}}}));
    };
    ASSERT_FALSE(give({1}, {2}).has_value());
    EXPECT_EQ(give({1}, {2}).error().code, Code::unavailable);
    EXPECT_TRUE(give({1}, {1}).has_value()) << "nothing to write";
    EXPECT_TRUE(std::holds_alternative<core::UnknownCalls>(give({9}, {1})->decision));
    core::User user;
    user.id = {9};
    EXPECT_FALSE(load_now(*full, {{{1}, false, user}}).has_value());
    EXPECT_FALSE(full->health().writable);
    EXPECT_TRUE(full->health().readable);
    EXPECT_FALSE(full->health().failed_for_good);
    // The operator can take things away all the same: a leaked key, above all.
    core::KeyLine key;
    key.key.access_key = "ACME";
    EXPECT_TRUE(load_now(*full, {{{1}, true, key}}).has_value());
    EXPECT_EQ(full->find_key("ACME"), nullptr);
  }
  options.free_bytes_min = 0;
  const auto healed = open();
  EXPECT_TRUE(load_now(*healed, small_company()).has_value());
}

TEST_F(Embedded, MoreCommandsThanTheQueueHoldsAreUnavailable) {
  options.queue_commands_max = 1;
  const auto store = open();
  ASSERT_TRUE(load_now(*store, small_company()).has_value());
  std::atomic<int> unavailable{0}, given{0};
  std::atomic<int> answered{0};
  for (int i = 0; i < 500; ++i) {
    store->write(command_of(store::Operation::give, {1}, {{{1}, {{1}}}}),
                 [&](Result<store::Outcome> outcome) {
                   if (outcome)
                     ++given;
                   else if (outcome.error().code == Code::unavailable)
                     ++unavailable;
                   ++answered;
                 });
  }
  while (answered < 500) std::this_thread::yield();
  EXPECT_GT(given, 0);
  EXPECT_GT(unavailable, 0);
  EXPECT_EQ(given + unavailable, 500);
}

TEST_F(Embedded, AfterAFailedSyncNothingIsAcknowledgedAgain) {
  FailingEnv env;
  const auto store = open(&env);
  ASSERT_TRUE(load_now(*store, small_company()).has_value());
  ASSERT_TRUE(
      write_now(*store, command_of(store::Operation::give, {1}, {{{1}, {{1}}}})).has_value());
  env.fail_sync = true;
  EXPECT_FALSE(
      write_now(*store, command_of(store::Operation::give, {1}, {{{1}, {{2}}}})).has_value());
  env.fail_sync = false;
  const auto later = write_now(*store, command_of(store::Operation::give, {1}, {{{1}, {{3}}}}));
  ASSERT_FALSE(later.has_value()) << "the disk works again, but nobody knows what it holds";
  EXPECT_EQ(later.error().code, Code::unavailable);
  EXPECT_TRUE(store->health().failed_for_good);
  EXPECT_NE(store->health().reason.find("the disk said no"), std::string::npos);
  const auto view = read_now(*store, {1}, {{1}});
  ASSERT_TRUE(view.has_value()) << "what was published can be read";
  EXPECT_EQ(view->entries[0]->granted().size(), 1U);
}

// RocksDB 7.8 loses the status of a file that is not in memory when another file of its level came
// before it, unless it is told to look for no range tombstones: an entry would be read without some
// of its grants.
TEST_F(Embedded, AReadFromMemoryIsWholeOrNotAtAll) {
  const std::string rows = directory.path() + "/rows";
  const store::CallRowKey call{{1}, {1}, store::RowKind::call, {}};
  const store::CallRowKey grant{{1}, {1}, store::RowKind::grant, {4}};
  const auto open_rows = [&] {
    return std::move(*store::Rocks::open({.directory = rows, .block_cache_bytes = 1 << 20}));
  };
  {
    const auto rocks = open_rows();
    std::vector<std::string> files;
    for (const auto& [key, value] :
         {std::pair(encode_key(call), encode_value(store::CallRow{{1, 0}, core::Call{}})),
          std::pair(encode_key(grant),
                    encode_value(store::GrantRowValue{{1, 1}, core::Grant{}}))}) {
      files.push_back(directory.path() + "/" + std::to_string(files.size()) + ".sst");
      rocksdb::SstFileWriter writer(rocksdb::EnvOptions(), rocks->options_of(store::Family::calls),
                                    rocks->family(store::Family::calls));
      ASSERT_TRUE(writer.Open(files.back()).ok());
      ASSERT_TRUE(writer.Put(key, value).ok());
      ASSERT_TRUE(writer.Finish().ok());
    }
    ASSERT_TRUE(
        rocks->db().IngestExternalFile(rocks->family(store::Family::calls), files, {}).ok());
  }
  const auto rocks = open_rows();
  const store::CallRef ref{{1}, {1}};
  ASSERT_TRUE(rocks->get(store::Family::calls, encode_key(call))->has_value())
      << "the first file is in memory now";
  const auto from_memory = rocks->read_entry(ref, store::Rocks::Tier::memory);
  ASSERT_TRUE(from_memory.has_value());
  EXPECT_FALSE(from_memory->has_value()) << "the second is not";
  const auto from_disk = rocks->read_entry(ref, store::Rocks::Tier::disk);
  EXPECT_EQ((**from_disk)->grants.size(), 1U);
  const auto then_from_memory = rocks->read_entry(ref, store::Rocks::Tier::memory);
  ASSERT_TRUE(then_from_memory->has_value());
  EXPECT_EQ((**then_from_memory)->grants.size(), 1U);
}

// A disk that stops where the list of files is written.
class WaitingEnv final : public rocksdb::EnvWrapper {
 public:
  WaitingEnv() : EnvWrapper(rocksdb::Env::Default()) {}
  std::function<void()> wait;  // set while nothing is written

  rocksdb::Status NewWritableFile(const std::string& name,
                                  std::unique_ptr<rocksdb::WritableFile>* file,
                                  const rocksdb::EnvOptions& file_options) override {
    const rocksdb::Status made = EnvWrapper::NewWritableFile(name, file, file_options);
    if (made.ok() && name.find("MANIFEST") != std::string::npos) {
      *file = std::make_unique<Manifest>(std::move(*file), *this);
    }
    return made;
  }

 private:
  class Manifest final : public rocksdb::WritableFileWrapper {
   public:
    Manifest(std::unique_ptr<rocksdb::WritableFile> file, WaitingEnv& env)
        : WritableFileWrapper(file.get()), file_(std::move(file)), env_(env) {}
    rocksdb::Status Sync() override {
      if (env_.wait) env_.wait();
      return file_->Sync();
    }

   private:
    std::unique_ptr<rocksdb::WritableFile> file_;
    WaitingEnv& env_;
  };
};

// A snapshot from the midst of it would see some of the families' files and not others.
TEST_F(Embedded, NoSnapshotIsTakenWhileFilesAreTakenIn) {
  WaitingEnv env;
  const auto rocks = std::move(*store::Rocks::open(
      {.directory = directory.path() + "/rows", .block_cache_bytes = 1 << 20, .env = &env}));
  std::vector<rocksdb::IngestExternalFileArg> files;
  for (const auto family : {store::Family::calls, store::Family::changes}) {
    const std::string name = directory.path() + "/" + std::to_string(files.size()) + ".sst";
    rocksdb::SstFileWriter writer(rocksdb::EnvOptions(), rocks->options_of(family),
                                  rocks->family(family));
    ASSERT_TRUE(writer.Open(name).ok());
    ASSERT_TRUE(writer.Put(encode_key(store::CallRowKey{{1}, {1}, {}, {}}), "row").ok());
    ASSERT_TRUE(writer.Finish().ok());
    rocksdb::IngestExternalFileArg file;
    file.column_family = rocks->family(family);
    file.external_files = {name};
    files.push_back(std::move(file));
  }
  std::promise<void> is_in_the_midst, may_go_on;
  std::atomic<bool> has_waited{false};
  env.wait = [&] {
    if (has_waited.exchange(true)) return;
    is_in_the_midst.set_value();
    may_go_on.get_future().wait();
  };
  std::thread taking_in([&] { EXPECT_TRUE(rocks->ingest(files).ok()); });
  is_in_the_midst.get_future().wait();
  auto snapshot = std::async(std::launch::async, [&] { return rocks->take_snapshot(); });
  EXPECT_EQ(snapshot.wait_for(std::chrono::milliseconds(200)), std::future_status::timeout);
  may_go_on.set_value();
  taking_in.join();
  rocks->db().ReleaseSnapshot(snapshot.get());
}

TEST_F(Embedded, BackupIsAWholeStoreOfItsOwn) {
  const auto store = open();
  ASSERT_TRUE(load_now(*store, small_company()).has_value());
  ASSERT_TRUE(
      write_now(*store, command_of(store::Operation::give, {1}, {{{1}, {{1}, {2}}}})).has_value());
  const std::string copy = directory.path() + "/copy";
  ASSERT_TRUE(store->backup(copy).has_value());
  EXPECT_EQ(store->backup(copy).error().code, Code::conflict);
  ASSERT_TRUE(write_now(*store, command_of(store::Operation::remove, {1}, {{{1}, {{1}, {2}}}}))
                  .has_value());
  options.directory = copy;
  const auto opened = open();
  EXPECT_EQ(read_now(*opened, {1}, {{1}})->entries[0]->granted().size(), 2U);
  EXPECT_TRUE(opened->verify()->faults.empty());
  EXPECT_EQ(opened->cursor_secret(), store->cursor_secret());
}

TEST_F(Embedded, AStoreOfAnOlderReleaseGetsASecretForItsCursors) {
  const Digest of_another = open()->cursor_secret();
  {
    auto rocks = store::Rocks::open({.directory = options.directory + "/" + store::kRowsDirectory,
                                     .block_cache_bytes = 1 << 20});
    ASSERT_TRUE(rocks.has_value());
    rocksdb::WriteBatch batch;
    batch.Delete((*rocks)->family(store::Family::meta), std::string(1, store::kCursorSecretTag));
    ASSERT_TRUE((*rocks)->write(batch, true).ok());
  }
  const Digest secret = open()->cursor_secret();
  EXPECT_NE(secret, Digest{});
  EXPECT_NE(secret, of_another);
  EXPECT_EQ(open()->cursor_secret(), secret);
}

// From there on its record says since when what was swept had been dead.
TEST_F(Embedded, UpToWhereTheRecordIsOfAnOlderReleaseIsNoted) {
  ASSERT_TRUE(load_now(*open(), small_company()).has_value());
  const auto noted = [&](bool is_of_an_older_release) {
    auto rocks = store::Rocks::open({.directory = options.directory + "/" + store::kRowsDirectory,
                                     .block_cache_bytes = 1 << 20});
    rocksdb::WriteBatch batch;
    if (is_of_an_older_release) batch.Delete((*rocks)->family(store::Family::meta), "c");
    EXPECT_TRUE((*rocks)->write(batch, true).ok());
    const auto row = (*rocks)->get(store::Family::meta,
                                   store::encode_company_key(store::kUnmarkedTag, CompanyId{1}));
    EXPECT_TRUE(row.has_value());
    return *row ? store::decode_horizon(**row)->revision : 0;
  };
  EXPECT_EQ(noted(true), 0U);
  open();
  EXPECT_EQ(noted(false), 1U);
  ASSERT_TRUE(load_now(*open(), {{{1}, false, core::Company{{1}, "Renamed"}}}).has_value());
  EXPECT_EQ(noted(false), 1U);
}

TEST_F(Embedded, ManyDeadRowsAreSweptInBoundedChanges) {
  const auto store = open();
  std::vector<core::Record> records = small_company(1);
  for (std::uint64_t i = 2; i <= 3500; ++i) {
    core::Call call;
    call.id = {i};
    records.push_back({{1}, false, call});
    records.push_back({{1}, false, core::GrantLine{{i}, {1}, {}}});
  }
  ASSERT_TRUE(load_now(*store, records).has_value());
  core::User user;
  user.id = {1};
  ASSERT_TRUE(load_now(*store, {{{1}, true, user}}).has_value());
  EXPECT_TRUE(read_now(*store, {1}, {{77}})->entries[0]->granted().empty())
      << "closed before it is swept";
  // The load, the removal, and four sweeps of at most a thousand rows.
  for (int i = 0; i < 1000 && read_now(*store, {1}, {{77}})->revision < 6; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(read_now(*store, {1}, {{77}})->revision, 6U);
  const auto report = store->verify();
  EXPECT_TRUE(report->faults.empty()) << report->faults[0];
  EXPECT_EQ(report->grants, 0U);
}

TEST_F(Embedded, ASweepCutShortGoesOnAfterARestart) {
  {
    const auto store = open();
    std::vector<core::Record> records = small_company(1);
    for (std::uint64_t i = 2; i <= 5000; ++i) {
      core::Call call;
      call.id = {i};
      records.push_back({{1}, false, call});
      records.push_back({{1}, false, core::GrantLine{{i}, {1}, {}}});
    }
    ASSERT_TRUE(load_now(*store, records).has_value());
    ASSERT_TRUE(load_now(*store, {{{1}, true, core::Company{{1}, ""}}}).has_value());
  }
  const auto store = open();
  ASSERT_TRUE(load_now(*store, small_company(1)).has_value());
  core::Revision last = 0;
  for (int still = 0, i = 0; still < 30 && i < 1000; ++i) {
    const core::Revision revision = read_now(*store, {1}, {{1}})->revision;
    still = revision == last ? still + 1 : 0;
    last = revision;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const auto report = store->verify();
  EXPECT_TRUE(report->faults.empty()) << report->faults[0];
  EXPECT_EQ(report->calls, 1U);
  EXPECT_EQ(report->grants, 0U);
}

TEST_F(Embedded, VerifyFindsEveryKindOfDamage) {
  open().reset();
  const auto damage = [&](store::Family family, std::string_view key,
                          std::optional<std::string> value) {
    auto rocks = store::Rocks::open(
        {.directory = options.directory + "/rows", .block_cache_bytes = 1 << 20});
    ASSERT_TRUE(rocks.has_value());
    rocksdb::WriteBatch batch;
    if (value) {
      batch.Put((*rocks)->family(family), store::slice(key), *value);
    } else {
      batch.Delete((*rocks)->family(family), store::slice(key));
    }
    ASSERT_TRUE((*rocks)->write(batch, true).ok());
  };
  const auto value_of = [&](store::Family family, std::string_view key) {
    auto rocks = store::Rocks::open(
        {.directory = options.directory + "/rows", .block_cache_bytes = 1 << 20});
    return *(*rocks)->get(family, key);
  };
  {
    const auto store = open();
    ASSERT_TRUE(load_now(*store, small_company()).has_value());
    ASSERT_TRUE(write_now(*store, command_of(store::Operation::give, {1}, {{{1}, {{1}, {2}}}}))
                    .has_value());
    ASSERT_TRUE(
        write_now(*store, command_of(store::Operation::remove, {1}, {{{1}, {{1}}}})).has_value());
  }
  const std::pair<store::Family, std::string> rows[] = {
      {store::Family::changes, encode_key(store::ChangeKey{{1}, 1, 0})},
      {store::Family::changes, encode_key(store::ChangeKey{{1}, 2, 0})},
      {store::Family::by_user, encode_key(store::UserCallKey{{1}, {2}, {1}})},
      {store::Family::calls, encode_key(store::CallRowKey{{1}, {1}, store::RowKind::grant, {2}})},
      {store::Family::calls, encode_key(store::CallRowKey{{1}, {1}, store::RowKind::call, {}})},
      {store::Family::directory,
       encode_key(store::DirectoryKey{{1}, store::ThingKind::user, 2, 1})},
  };
  const auto is_sound = [&] {
    const auto report = open()->verify();
    return report && report->faults.empty();
  };
  ASSERT_TRUE(is_sound());
  for (const auto& [family, key] : rows) {
    SCOPED_TRACE(to_hex({reinterpret_cast<const std::uint8_t*>(key.data()), key.size()}));
    const auto value = value_of(family, key);
    ASSERT_TRUE(value.has_value());
    damage(family, key, std::nullopt);
    EXPECT_FALSE(is_sound()) << "a row that is gone";
    damage(family, key, value);
    ASSERT_TRUE(is_sound());
  }
  // Every single byte of a record, but for those of the newest, which only the next one vouches
  // for.
  const std::string key = rows[1].second;
  const std::string value = *value_of(store::Family::changes, key);
  for (std::size_t i = 0; i < value.size(); i += 3) {
    std::string changed = value;
    changed[i] = static_cast<char>(changed[i] ^ 0x10);
    damage(store::Family::changes, key, changed);
    EXPECT_FALSE(is_sound()) << "byte " << i;
  }
}

// What user 1 may hear of call 1 and who has grants of it, as of a moment.
struct Seen {
  core::Ways ways = 0;
  std::vector<UserId> granted;
  std::vector<CallId> calls;  // of the user, by grants
  friend bool operator==(const Seen&, const Seen&) = default;
};
Seen see(store::Store& store, const store::Moment& moment, bool everybody = false) {
  store::AccessCommand about;
  about.company = {1};
  about.calls = {{{1}, {{1}, {2}, {3}}}};
  about.everybody = everybody;
  about.moment = moment;
  const auto view = read_access_now(store, about);
  EXPECT_TRUE(view.has_value()) << view.error().message;
  if (!view) return {};
  const auto granted = view->entries[0]->granted();
  Seen seen{core::ways(*view->directory, *view->entries[0], {1}, view->as_of.time),
            {granted.begin(), granted.end()},
            {}};
  store::UserCallsCommand of_user;
  of_user.company = {1};
  of_user.user = {1};
  of_user.ways = static_cast<core::Ways>(core::Way::individual);
  of_user.calls_max = 10;
  of_user.moment = moment;
  const auto calls = read_user_calls_now(store, of_user);
  EXPECT_TRUE(calls.has_value()) << calls.error().message;
  if (!calls) return seen;
  for (std::size_t i = 0; i < calls->calls.size(); ++i) {
    const core::Ways ways =
        core::ways(*calls->directory, *calls->entries[i], {1}, calls->as_of.time);
    if (core::has(ways, core::Way::individual)) seen.calls.push_back(calls->calls[i]);
  }
  return seen;
}

TEST_F(Embedded, TellsThePastAfterRemovalsAndRestarts) {
  std::vector<Seen> seen;  // by revision
  const auto note = [&](store::Store& store) {
    const core::Revision newest = read_now(store, {1}, {})->revision;
    while (seen.size() <= newest) seen.push_back(see(store, {}));
  };
  auto store = open();
  note(*store);
  core::User user;
  user.id = {1};
  core::Call call;
  call.id = {1};
  for (int round = 0; round < 4; ++round) {
    ASSERT_TRUE(load_now(*store, small_company()).has_value());
    note(*store);
    ASSERT_TRUE(write_now(*store, command_of(store::Operation::give, {1}, {{{1}, {{1}, {2}}}}))
                    .has_value());
    note(*store);
    std::vector<core::Record> removal = {{{1}, true, core::Company{{1}, ""}}};
    if (round % 3 == 1) removal = {{{1}, true, user}, {{1}, false, user}};
    if (round % 3 == 2) removal = {{{1}, true, call}, {{1}, false, call}};
    ASSERT_TRUE(load_now(*store, removal).has_value());
    // Its sweep is a revision of its own.
    while (read_now(*store, {1}, {})->revision < seen.size() + 1) std::this_thread::yield();
    note(*store);
    store.reset();
    store = open();
    note(*store);
  }
  for (core::Revision revision = 0; revision < seen.size(); ++revision) {
    EXPECT_EQ(see(*store, {revision, std::nullopt}), seen[revision]) << revision;
    EXPECT_EQ(see(*store, {revision, std::nullopt}, true), seen[revision]) << revision;
  }
}

TEST_F(Embedded, ARevisionIsToldTheSameWhileOthersAreMade) {
  const auto store = open();
  ASSERT_TRUE(load_now(*store, small_company()).has_value());
  ASSERT_TRUE(
      write_now(*store, command_of(store::Operation::give, {1}, {{{1}, {{1}, {3}}}})).has_value());
  const store::Moment pinned{read_now(*store, {1}, {})->revision, Time{now_micros}};
  const Seen first = see(*store, pinned);
  ASSERT_EQ(first.granted, (std::vector<UserId>{{1}, {3}}));
  ASSERT_EQ(first.calls, std::vector<CallId>{{1}});
  std::atomic<bool> is_over = false;
  std::thread writer([&] {
    core::User user;
    user.id = {1};
    for (int i = 0; i < 60; ++i) {
      EXPECT_TRUE(load_now(*store, {{{1}, true, user}}).has_value());
      EXPECT_TRUE(load_now(*store, {{{1}, false, user}}).has_value());
      EXPECT_TRUE(write_now(*store, command_of(store::Operation::give, {1}, {{{1}, {{1}, {2}}}}))
                      .has_value());
      EXPECT_TRUE(write_now(*store, command_of(store::Operation::remove, {1}, {{{1}, {{2}, {3}}}}))
                      .has_value());
    }
    is_over = true;
  });
  std::vector<std::thread> readers;
  for (const bool everybody : {false, true}) {
    readers.emplace_back([&, everybody] {
      do {
        EXPECT_EQ(see(*store, pinned, everybody), first);
      } while (!is_over && !HasFailure());
    });
  }
  writer.join();
  for (std::thread& reader : readers) reader.join();
}

TEST_F(Embedded, RetentionCutsTheRecordAndKeepsTheState) {
  options.retention = std::chrono::seconds(60);
  options.retention_every = std::chrono::seconds(0);
  options.house_every = std::chrono::milliseconds(1);
  const auto store = open();
  ASSERT_TRUE(load_now(*store, small_company()).has_value());
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(
        write_now(*store, command_of(store::Operation::give, {1}, {{{1}, {{1}}}})).has_value());
    ASSERT_TRUE(
        write_now(*store, command_of(store::Operation::remove, {1}, {{{1}, {{1}}}})).has_value());
  }
  store::AccessCommand too_old;
  too_old.company = {1};
  too_old.calls = {{{1}, {}}};
  too_old.everybody = true;
  too_old.moment.revision = 3;
  ASSERT_TRUE(read_access_now(*store, too_old).has_value());  // and the call of then is kept
  const std::uint64_t before = store->verify()->changes;
  now_micros += 120'000'000;
  ASSERT_TRUE(
      write_now(*store, command_of(store::Operation::give, {1}, {{{1}, {{2}}}})).has_value());
  std::uint64_t after = before;
  for (int i = 0; i < 500 && after > 2; ++i) {
    after = store->verify()->changes;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_LE(after, 2U) << "of " << before;
  EXPECT_TRUE(store->verify()->faults.empty());
  EXPECT_EQ(read_now(*store, {1}, {{1}})->entries[0]->granted().size(), 1U);
  EXPECT_EQ(read_now(*store, {1}, {{1}})->revision, 22U);
  // What is asked for by a time within the retention is there, though its revision is older.
  EXPECT_TRUE(see(*store, {std::nullopt, Time{now_micros - 60'000'000}}).granted.empty());
  const auto refused = read_access_now(*store, too_old);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::gone);
}

// A store as a release before this one left it: nothing says when grants expire.
TEST_F(Embedded, GrantsThatAnOlderReleaseLeftExpireToo) {
  std::vector<core::Record> records = small_company(3);
  for (std::uint64_t user = 1; user <= 3; ++user) {
    records.push_back({{1}, false, core::GrantLine{{1}, {user}, {}}});
  }
  std::get<core::GrantLine>(records[5].thing).grant.expires_at = Time{now_micros + 1};
  std::get<core::GrantLine>(records[6].thing).grant.expires_at = Time{now_micros + 2};
  ASSERT_TRUE(load_now(*open(), records).has_value());
  {
    auto rocks = store::Rocks::open({.directory = options.directory + "/rows"});
    ASSERT_TRUE(rocks.has_value());
    rocksdb::WriteBatch batch;
    ASSERT_EQ(small_rows(**rocks, "x").size(), 1U);
    ASSERT_EQ(small_rows(**rocks, "e").size(), 2U);
    for (const char* const tag : {"e", "x"}) {
      for (const std::string& key : small_rows(**rocks, tag)) {
        batch.Delete((*rocks)->family(store::Family::meta), key);
      }
    }
    ASSERT_TRUE((*rocks)->write(batch, true).ok());
  }
  now_micros += 1;
  options.expiry_every = std::chrono::milliseconds(5);
  const auto store = open();
  EXPECT_TRUE(comes_to(*store, 2));
  now_micros += 1;
  EXPECT_TRUE(comes_to(*store, 1));
  const auto report = store->verify();
  ASSERT_TRUE(report.has_value());
  EXPECT_TRUE(report->faults.empty()) << report->faults[0];
}

TEST_F(Embedded, NothingIsLeftOfGrantsThatNoLongerExpire) {
  {
    const auto store = open();
    ASSERT_TRUE(load_now(*store, small_company(3)).has_value());
    const core::Grant soon{Time{now_micros + 10}, ""}, late{Time{now_micros + 20}, ""};
    const std::vector<core::CallUsers> all = {{{1}, {{1}, {2}, {3}}}};
    ASSERT_TRUE(write_now(*store, command_of({.calls = all, .terms = {soon, soon, soon}})));
    ASSERT_TRUE(write_now(*store, command_of({.calls = all, .terms = {late, {}, soon}})));
    ASSERT_TRUE(write_now(
        *store, command_of({.operation = store::Operation::remove, .calls = {{{1}, {{3}}}}})));
  }
  auto rocks = store::Rocks::open({.directory = options.directory + "/rows"});
  ASSERT_TRUE(rocks.has_value());
  EXPECT_EQ(small_rows(**rocks, "e").size(), 1U);
}

TEST_F(Embedded, VerifyMissesRowsOfExpiriesAndOfKeptAnswers) {
  std::vector<core::Record> records = small_company(2);
  records.push_back({{1}, false, core::GrantLine{{1}, {1}, {Time{now_micros + 1}, ""}}});
  {
    const auto store = open();
    ASSERT_TRUE(load_now(*store, records).has_value());
    ASSERT_TRUE(write_now(*store, command_of({.calls = {{{1}, {{2}}}}, .key = "k"})).has_value());
  }
  options.expiry_every = std::chrono::hours(1);
  const struct {
    std::string name;
    std::string tag;
    bool is_removed;  // else its value is spoilt
    std::string fault;
  } cases[] = {
      {"an expiry", "e", true, "would never be swept"},
      {"a time without an answer", "a", true, "stands without it"},
      {"an answer without its time", "t", true, "would be kept for good"},
      {"an answer that nobody can read", "a", false, "cannot be decoded"},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(one.name);
    const std::string whole = directory.path() + "/whole";
    fs::copy(options.directory, whole, fs::copy_options::recursive);
    {
      auto rocks = store::Rocks::open({.directory = options.directory + "/rows"});
      ASSERT_TRUE(rocks.has_value());
      const auto keys = small_rows(**rocks, one.tag);
      ASSERT_EQ(keys.size(), 1U);
      rocksdb::WriteBatch batch;
      auto* const meta = (*rocks)->family(store::Family::meta);
      if (one.is_removed) {
        batch.Delete(meta, keys[0]);
      } else {
        batch.Put(meta, keys[0], "\x01short");
      }
      ASSERT_TRUE((*rocks)->write(batch, true).ok());
    }
    {
      const auto store = open();
      const auto report = store->verify();
      ASSERT_TRUE(report.has_value());
      ASSERT_FALSE(report->faults.empty());
      EXPECT_NE(report->faults[0].find(one.fault), std::string::npos) << report->faults[0];
    }
    fs::remove_all(options.directory);
    fs::rename(whole, options.directory);
  }
  EXPECT_TRUE(open()->verify()->faults.empty());
}

TEST_F(Embedded, AnswersLeaveTheDiskAfterTheirTime) {
  options.expiry_every = std::chrono::milliseconds(5);
  options.idempotency_keep = std::chrono::seconds(10);
  constexpr int kAnswers = 2'300;  // more than one step takes
  auto store = open();
  ASSERT_TRUE(load_now(*store, small_company(1)).has_value());
  std::atomic<int> answered{0};
  for (int i = 0; i < kAnswers; ++i) {
    if (i == kAnswers - 100) now_micros += 1;
    store->write(command_of({.calls = {{{1}, {{1}}}}, .key = std::to_string(i)}),
                 [&](const auto& outcome) { answered += outcome.has_value() ? 1 : 1000; });
    while (i == kAnswers - 101 && answered < i + 1) std::this_thread::yield();
  }
  while (answered < kAnswers) std::this_thread::yield();
  ASSERT_EQ(answered, kAnswers);
  now_micros += 10'000'000;
  const auto rows_left = [&](const char* tag) {
    const auto rocks = store::Rocks::open({.directory = options.directory + "/rows"});
    return rocks ? small_rows(**rocks, tag).size() : 0;
  };
  for (int i = 0; i < 50 && (i == 0 || rows_left("a") > 100); ++i) {
    if (!store) store = open();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    EXPECT_TRUE(store->verify()->faults.empty());
    store.reset();
  }
  EXPECT_EQ(rows_left("a"), 100U);
  EXPECT_EQ(rows_left("t"), 100U);
}

}  // namespace
}  // namespace earshot::test
