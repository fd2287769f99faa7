// The rows of a load: gathered in memory, moved to sorted runs on disk where they outgrow it, and
// given to the store as sorted files in one atomic step. Of one thread; it uses others for a while.
#pragma once

#include <rocksdb/sst_file_reader.h>
#include <rocksdb/write_batch.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/rocks.h"

namespace earshot::store {

// A set of hashes that may say yes for one that is not in it, about once in a thousand, and never
// no for one that is. Grows; takes about two bytes for each.
class HashFilter {
 public:
  void add(std::uint64_t hash);
  bool may_contain(std::uint64_t hash) const;

 private:
  struct alignas(64) Block {
    std::array<std::uint64_t, 8> words{};
  };
  struct Layer {
    std::vector<Block> blocks;
    std::size_t room = 0;  // for so many more
  };
  std::vector<Layer> layers_;  // each larger than the one before
};

class LoadRows {
 public:
  // `directory` is the load's own, of the store's file system: it is made when it is needed, and
  // removed at the end.
  LoadRows(Rocks& store, std::string directory);
  ~LoadRows();
  LoadRows(const LoadRows&) = delete;
  LoadRows& operator=(const LoadRows&) = delete;

  // In place of a row of the same key.
  void put(Family family, std::string_view key, std::string_view value);

  bool empty() const { return row_bytes_ == 0 && runs_ == 0; }
  // Of the rows that are in memory, about; without runs all of them are.
  std::size_t memory_bytes() const { return memory_bytes_; }
  std::size_t row_bytes() const { return row_bytes_; }
  bool has_spilled() const { return runs_ > 0; }

  // Moves all rows that are in memory to a run on disk.
  Status spill();

  // Calls `take` for each spilled row whose key has the prefix, runs of later spills later, keys
  // ascending in each. The prefix is that of a call, or of a thing in the directory. `take` may
  // answer an error.
  Status scan_spilled(
      Family family, std::string_view prefix,
      const std::function<Status(std::string_view key, std::string_view value)>& take) const;

  // Adds all rows to a batch. REQUIRES: nothing has spilled.
  void copy_to(rocksdb::WriteBatch& batch) const;

  // Writes all rows as sorted files, synced; nothing can be put afterwards.
  Status write_files();
  // Gives the files to the store: all, or on error none. REQUIRES: write_files() succeeded.
  Status ingest();

 private:
  // A row stands in a chunk as its lengths, key and value. The first 24 bytes of its key are beside
  // its place, so that sorting seldom looks further.
  struct Row {
    std::array<std::uint64_t, 3> first;
    std::uint64_t place;  // ascends as rows come
  };
  using Chunk = std::unique_ptr<char[]>;
  struct Rows {
    std::vector<Row> rows;
    std::vector<Chunk> chunks;
    std::size_t chunk_used = kChunkBytes;
  };
  struct Runs {
    std::vector<std::string> files;
    std::vector<std::unique_ptr<rocksdb::SstFileReader>> readers;
    HashFilter prefixes;  // of calls or things
  };
  static constexpr std::size_t kChunkBytes = 1 << 20;

  using TakeRow = std::function<Status(std::string_view key, std::string_view value)>;

  Rows& rows_of(Family family) { return rows_[static_cast<std::size_t>(family)]; }
  static std::pair<std::string_view, std::string_view> row_at(const Rows& rows, const Row& row);
  static void sort(Rows& rows);
  static Status each_row(const Rows& rows, const TakeRow& take);

  // Runs once for each family, at the same time.
  Status each_family(const std::function<Status(Family)>& work);
  Status make_directory();
  Status spill_family(Family family);
  Status write_family(Family family);
  Status merge_runs(Family family, const TakeRow& take) const;

  Rocks& store_;
  const std::string directory_;
  std::array<Rows, kFamilyCount> rows_;
  std::array<Runs, kFamilyCount> spilled_;
  std::array<std::vector<std::string>, kFamilyCount> files_;
  std::array<rocksdb::Options, kFamilyCount> run_options_;
  std::size_t memory_bytes_ = 0;
  std::size_t row_bytes_ = 0;
  std::size_t runs_ = 0;
};

}  // namespace earshot::store
