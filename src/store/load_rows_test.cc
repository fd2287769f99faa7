#include "store/load_rows.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <map>
#include <random>

namespace earshot::store {
namespace {

namespace fs = std::filesystem;

class LoadRowsTest : public testing::Test {
 protected:
  LoadRowsTest() {
    std::string pattern = (fs::temp_directory_path() / "earshot-rows-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    auto opened = Rocks::open({.directory = directory_ + "/rows", .block_cache_bytes = 1 << 20});
    EXPECT_TRUE(opened);
    rocks_ = std::move(*opened);
  }
  ~LoadRowsTest() override {
    rocks_.reset();
    fs::remove_all(directory_);
  }

  std::string scratch() const { return directory_ + "/scratch"; }

  std::map<std::string, std::string> stored(Family family) {
    std::map<std::string, std::string> rows;
    EXPECT_TRUE(rocks_->scan(family, "", nullptr,
                             [&](std::string_view key, std::string_view value) -> Result<bool> {
                               rows.emplace(key, value);
                               return true;
                             }));
    return rows;
  }

  std::string directory_;
  std::unique_ptr<Rocks> rocks_;
};

unsigned seed() {
  const char* const given = ::getenv("EARSHOT_SEED");
  return given ? static_cast<unsigned>(std::stoul(given)) : std::random_device{}();
}

std::string random_key(Family family, std::mt19937& random) {
  const auto small = [&](std::uint64_t max) { return random() % max + 1; };
  switch (family) {
    case Family::calls: {
      const auto kind = static_cast<RowKind>(random() % 3);
      return encode_key(CallRowKey{{small(3)}, {small(40)}, kind, {small(8)}});
    }
    case Family::directory:
      return encode_key(DirectoryKey{{small(3)}, ThingKind::user, small(40), small(3)});
    default:
      // Keys that differ only after their first 24 bytes, or only in length.
      return std::string(random() % 4 * 8, 'k') + std::string(random() % 3, '\0') +
             std::to_string(small(20));
  }
}

TEST_F(LoadRowsTest, GivesTheStoreTheLastRowOfEachKey) {
  const unsigned from = seed();
  SCOPED_TRACE("EARSHOT_SEED=" + std::to_string(from));
  std::mt19937 random(from);
  for (const bool spills : {false, true}) {
    LoadRows rows(*rocks_, scratch());
    std::map<Family, std::map<std::string, std::string>> expected;
    for (const Family family : {Family::calls, Family::by_user, Family::directory, Family::keys}) {
      expected[family] = stored(family);
    }
    for (int i = 0; i < 5000; ++i) {
      for (auto& [family, of_family] : expected) {
        const std::string key = random_key(family, random);
        const std::string value(random() % 30, static_cast<char>('a' + random() % 26));
        rows.put(family, key, value);
        of_family[key] = value;
      }
      if (spills && random() % 500 == 0) {
        ASSERT_TRUE(rows.spill());
      }
    }
    const std::string large(3 << 20, 'x');
    rows.put(Family::changes, "large", large);
    rows.put(Family::changes, "small", "y");
    ASSERT_EQ(rows.has_spilled(), spills);
    ASSERT_TRUE(rows.write_files());
    ASSERT_TRUE(rows.ingest());
    for (const auto& [family, of_family] : expected) EXPECT_EQ(stored(family), of_family);
    EXPECT_EQ(stored(Family::changes)["large"], large);
    EXPECT_EQ(stored(Family::changes)["small"], "y");
  }
}

TEST_F(LoadRowsTest, FindsWhatHasSpilledNewestLast) {
  LoadRows rows(*rocks_, scratch());
  const std::string one = encode_key(CallRowKey{{1}, {7}, RowKind::grant, {3}});
  const std::string other = encode_key(CallRowKey{{1}, {8}, RowKind::grant, {3}});
  const auto found = [&](CallId call) {
    std::string values;
    EXPECT_TRUE(rows.scan_spilled(Family::calls, encode_call_prefix({1}, call),
                                  [&](std::string_view key, std::string_view value) -> Status {
                                    EXPECT_EQ(key, call == CallId{7} ? one : other);
                                    values += value;
                                    return {};
                                  }));
    return values;
  };
  rows.put(Family::calls, one, "a");
  EXPECT_EQ(found({7}), "");  // in memory only
  ASSERT_TRUE(rows.spill());
  rows.put(Family::calls, one, "b");
  rows.put(Family::calls, one, "c");
  rows.put(Family::calls, other, "d");
  ASSERT_TRUE(rows.spill());
  EXPECT_EQ(found({7}), "ac");
  EXPECT_EQ(found({8}), "d");
  EXPECT_EQ(found({9}), "");
}

TEST_F(LoadRowsTest, LeavesNothingBehindUnlessItIsTakenIn) {
  {
    LoadRows rows(*rocks_, scratch());
    rows.put(Family::keys, "key", "value");
    ASSERT_TRUE(rows.spill());
    ASSERT_TRUE(rows.write_files());
    EXPECT_TRUE(fs::exists(scratch()));
  }
  EXPECT_FALSE(fs::exists(scratch()));
  EXPECT_TRUE(stored(Family::keys).empty());
}

TEST(HashFilter, ForgetsNothingAndIsSeldomWrong) {
  HashFilter filter;
  EXPECT_FALSE(filter.may_contain(1));
  std::mt19937_64 random(1);
  std::vector<std::uint64_t> hashes(100'000);
  for (std::uint64_t& hash : hashes) filter.add(hash = random());
  for (const std::uint64_t hash : hashes) ASSERT_TRUE(filter.may_contain(hash));
  int wrong = 0;
  for (int i = 0; i < 100'000; ++i) wrong += filter.may_contain(random()) ? 1 : 0;
  EXPECT_LT(wrong, 1000);
}

}  // namespace
}  // namespace earshot::store
