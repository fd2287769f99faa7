#include "store/near_rows.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "store/codec.h"

namespace earshot::store {
namespace {

namespace fs = std::filesystem;

struct NearRowsTest : testing::Test {
  NearRowsTest() {
    std::string name = (fs::temp_directory_path() / "earshot-rows-XXXXXX").string();
    directory = ::mkdtemp(name.data());
    rocks =
        std::move(*Rocks::open({.directory = directory + "/rows", .block_cache_bytes = 1 << 20}));
  }
  ~NearRowsTest() override {
    rocks.reset();
    std::error_code ignored;
    fs::remove_all(directory, ignored);
  }

  static std::string grant_key(std::uint64_t company, std::uint64_t call, std::uint64_t user) {
    return encode_key(CallRowKey{{company}, {call}, RowKind::grant, {user}});
  }

  std::string directory;
  std::unique_ptr<Rocks> rocks;
};

// The keys of a batch, in its order.
struct Keys final : rocksdb::WriteBatch::Handler {
  rocksdb::Status PutCF(std::uint32_t, const rocksdb::Slice& key, const rocksdb::Slice&) override {
    keys.push_back(key.ToString());
    return rocksdb::Status::OK();
  }
  std::vector<std::string> keys;
};

TEST_F(NearRowsTest, GoIntoTheBatchByCompanyAndCall) {
  NearRows rows;
  for (const std::uint64_t company : {2, 1}) {
    for (const std::uint64_t call : {30, 10, 20}) {
      rows.put(Family::calls, grant_key(company, call, 1), "v");
    }
  }
  rocksdb::WriteBatch batch;
  rows.copy_to(*rocks, batch);
  EXPECT_TRUE(rows.empty());
  Keys found;
  ASSERT_TRUE(batch.Iterate(&found).ok());
  EXPECT_EQ(found.keys.size(), 6U);
  EXPECT_TRUE(std::ranges::is_sorted(found.keys));
}

TEST_F(NearRowsTest, OfTwoWithOneKeyTheLaterCounts) {
  NearRows rows;
  // More than a sort would leave in place by chance.
  for (int i = 0; i < 1000; ++i) {
    const auto call = static_cast<std::uint64_t>(i % 3 + 1);
    rows.put(Family::calls, grant_key(1, call, 7), "calls " + std::to_string(i));
    rows.put(Family::by_user, encode_key(UserCallKey{{1}, {7}, {call}}),
             "by_user " + std::to_string(i));
  }
  rocksdb::WriteBatch batch;
  rows.copy_to(*rocks, batch);
  ASSERT_TRUE(rocks->write(batch, true).ok());
  EXPECT_EQ(**rocks->get(Family::calls, grant_key(1, 1, 7)), "calls 999");
  EXPECT_EQ(**rocks->get(Family::calls, grant_key(1, 3, 7)), "calls 998");
  EXPECT_EQ(**rocks->get(Family::by_user, encode_key(UserCallKey{{1}, {7}, {2}})), "by_user 997");
}

}  // namespace
}  // namespace earshot::store
