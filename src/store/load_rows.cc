#include "store/load_rows.h"

#include <rocksdb/filter_policy.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>
#include <future>
#include <system_error>

#include "base/assert.h"

namespace earshot::store {

namespace {

constexpr std::uint64_t kSortedFileBytesMax = 128 << 20;
constexpr std::size_t kFilterKeysMin = 1 << 14;
constexpr std::size_t kFilterKeysABlock = 32;
constexpr std::size_t kRowsAlone = 4096;  // of a family: not worth a thread
constexpr std::size_t kRunReadBytes = 256 << 10;

// Lengths in front of a row in its chunk.
struct Lengths {
  std::uint32_t value;
  std::uint16_t key;
};
constexpr std::size_t kLengthsBytes = 6;

std::uint64_t load_big_endian(std::string_view key, std::size_t at) {
  std::uint64_t number = 0;
  if (at < key.size()) {
    std::memcpy(&number, key.data() + at, std::min<std::size_t>(8, key.size() - at));
  }
  return __builtin_bswap64(number);
}

// How much of a key says whose row it is: what is asked for.
std::size_t prefix_bytes(Family family) {
  return family == Family::calls       ? kCallPrefixBytes
         : family == Family::directory ? kThingPrefixBytes
                                       : 0;
}

std::uint64_t hash_of(std::string_view prefix) { return std::hash<std::string_view>{}(prefix); }

// Writes ascending rows as sorted files of bounded size.
class SortedFiles {
 public:
  SortedFiles(const rocksdb::Options& options, rocksdb::ColumnFamilyHandle* family,
              std::string path_start, std::vector<std::string>& files)
      : options_(options), family_(family), path_start_(std::move(path_start)), files_(files) {}

  Status add(std::string_view key, std::string_view value) {
    if (writer_ && ++rows_ % 1024 == 0 && writer_->FileSize() > kSortedFileBytesMax) TRY(finish());
    if (!writer_) {
      files_.push_back(path_start_ + std::to_string(files_.size()) + ".sst");
      // The pages stay in the machine's cache: they are read again at once.
      writer_ =
          std::make_unique<rocksdb::SstFileWriter>(rocksdb::EnvOptions(), options_, family_, false);
      const rocksdb::Status opened = writer_->Open(files_.back());
      if (!opened.ok()) return from_rocksdb(opened, "opening a sorted file");
    }
    const rocksdb::Status put = writer_->Put(slice(key), slice(value));
    if (!put.ok()) return from_rocksdb(put, "writing a sorted file");
    return {};
  }

  Status finish() {
    if (!writer_) return {};
    const rocksdb::Status finished = writer_->Finish();
    writer_.reset();
    if (!finished.ok()) return from_rocksdb(finished, "writing a sorted file");
    return {};
  }

 private:
  const rocksdb::Options& options_;
  rocksdb::ColumnFamilyHandle* const family_;
  const std::string path_start_;
  std::vector<std::string>& files_;
  std::unique_ptr<rocksdb::SstFileWriter> writer_;
  std::uint64_t rows_ = 0;
};

// Runs live for minutes and are read once, from end to end: quick to write goes before small.
rocksdb::Options options_of_runs(const rocksdb::Options& of_store, Family family) {
  rocksdb::Options options;
  options.env = of_store.env;
  options.compression = rocksdb::kLZ4Compression;
  rocksdb::BlockBasedTableOptions table;
  table.no_block_cache = true;
  table.block_size = 16 << 10;
  table.format_version = 5;
  table.checksum = rocksdb::kXXH3;
  if (family == Family::calls) {
    options.prefix_extractor = of_store.prefix_extractor;
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    table.whole_key_filtering = false;
  }
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

}  // namespace

void HashFilter::add(std::uint64_t hash) {
  if (layers_.empty() || layers_.back().room == 0) {
    const std::size_t keys =
        layers_.empty() ? kFilterKeysMin : layers_.back().blocks.size() * kFilterKeysABlock * 4;
    Layer layer;
    layer.blocks.resize(keys / kFilterKeysABlock);
    layer.room = keys;
    layers_.push_back(std::move(layer));
  }
  Layer& layer = layers_.back();
  --layer.room;
  Block& block = layer.blocks[hash & (layer.blocks.size() - 1)];
  std::uint64_t bits = hash * 0x9E3779B97F4A7C15;
  for (std::uint64_t& word : block.words) {
    word |= std::uint64_t{1} << (bits >> 58);
    bits = bits << 6 | bits >> 58;
  }
}

bool HashFilter::may_contain(std::uint64_t hash) const {
  for (const Layer& layer : layers_) {
    const Block& block = layer.blocks[hash & (layer.blocks.size() - 1)];
    std::uint64_t bits = hash * 0x9E3779B97F4A7C15;
    bool all = true;
    for (const std::uint64_t word : block.words) {
      all &= (word >> (bits >> 58) & 1) != 0;
      bits = bits << 6 | bits >> 58;
    }
    if (all) return true;
  }
  return false;
}

LoadRows::LoadRows(Rocks& store, std::string directory)
    : store_(store), directory_(std::move(directory)) {
  for (std::size_t i = 0; i < kFamilyCount; ++i) {
    const auto family = static_cast<Family>(i);
    run_options_[i] = options_of_runs(store_.options_of(family), family);
  }
}

LoadRows::~LoadRows() {
  for (Runs& runs : spilled_) runs.readers.clear();
  std::error_code ignored;  // what stays is removed at the next start
  std::filesystem::remove_all(directory_, ignored);
}

void LoadRows::put(Family family, std::string_view key, std::string_view value) {
  Rows& rows = rows_of(family);
  const std::size_t bytes = kLengthsBytes + key.size() + value.size();
  if (kChunkBytes - rows.chunk_used < bytes) {
    const std::size_t chunk_bytes = std::max(kChunkBytes, bytes);
    rows.chunks.emplace_back(new char[chunk_bytes]);
    rows.chunk_used = 0;
    memory_bytes_ += chunk_bytes;
  }
  if (rows.rows.size() == rows.rows.capacity()) {
    memory_bytes_ += std::max<std::size_t>(rows.rows.capacity(), 64) * sizeof(Row);
    rows.rows.reserve(std::max<std::size_t>(rows.rows.capacity() * 2, 64));
  }
  char* const to = rows.chunks.back().get() + rows.chunk_used;
  const Lengths lengths{static_cast<std::uint32_t>(value.size()),
                        static_cast<std::uint16_t>(key.size())};
  std::memcpy(to, &lengths.value, 4);
  std::memcpy(to + 4, &lengths.key, 2);
  std::memcpy(to + kLengthsBytes, key.data(), key.size());
  std::memcpy(to + kLengthsBytes + key.size(), value.data(), value.size());
  rows.rows.push_back({{load_big_endian(key, 0), load_big_endian(key, 8), load_big_endian(key, 16)},
                       std::uint64_t{rows.chunks.size() - 1} << 32 | rows.chunk_used});
  // A row larger than a chunk has one of its own.
  rows.chunk_used = std::min(kChunkBytes, rows.chunk_used + bytes);
  row_bytes_ += bytes;
}

std::pair<std::string_view, std::string_view> LoadRows::row_at(const Rows& rows, const Row& row) {
  const char* const from = rows.chunks[row.place >> 32].get() + (row.place & UINT32_MAX);
  Lengths lengths{};
  std::memcpy(&lengths.value, from, 4);
  std::memcpy(&lengths.key, from + 4, 2);
  return {{from + kLengthsBytes, lengths.key}, {from + kLengthsBytes + lengths.key, lengths.value}};
}

// By key; of one key, as they came.
void LoadRows::sort(Rows& rows) {
  const auto before = [&rows](const Row& a, const Row& b) {
    for (std::size_t i = 0; i < a.first.size(); ++i) {
      if (a.first[i] != b.first[i]) return a.first[i] < b.first[i];
    }
    const int order = row_at(rows, a).first.compare(row_at(rows, b).first);
    return order != 0 ? order < 0 : a.place < b.place;
  };
  if (!std::is_sorted(rows.rows.begin(), rows.rows.end(), before)) {
    std::sort(rows.rows.begin(), rows.rows.end(), before);
  }
}

// The last of each key.
Status LoadRows::each_row(const Rows& rows, const TakeRow& take) {
  for (auto row = rows.rows.begin(); row != rows.rows.end(); ++row) {
    const auto [key, value] = row_at(rows, *row);
    const auto next = row + 1;
    const bool is_replaced =
        next != rows.rows.end() && next->first == row->first && row_at(rows, *next).first == key;
    if (!is_replaced) TRY(take(key, value));
  }
  return {};
}

Status LoadRows::each_family(const std::function<Status(Family)>& work) {
  std::vector<std::future<Status>> working;
  Status all;
  for (std::size_t i = 0; i < kFamilyCount; ++i) {
    const auto family = static_cast<Family>(i);
    if (has_spilled() || rows_[i].rows.size() > kRowsAlone) {
      working.push_back(std::async(std::launch::async, work, family));
    } else if (all) {
      all = work(family);
    }
  }
  for (std::future<Status>& one : working) {
    Status done = one.get();
    if (all && !done) all = std::move(done);
  }
  return all;
}

Status LoadRows::make_directory() {
  std::error_code failed;
  std::filesystem::create_directories(directory_, failed);
  if (failed) return internal("making " + directory_ + ": " + failed.message());
  return {};
}

Status LoadRows::spill() {
  if (row_bytes_ == 0) return {};
  TRY(make_directory());
  TRY(each_family([this](Family family) { return spill_family(family); }));
  ++runs_;
  row_bytes_ = 0;
  memory_bytes_ = 0;
  return {};
}

Status LoadRows::spill_family(Family family) {
  Rows& rows = rows_of(family);
  if (rows.rows.empty()) return {};
  sort(rows);
  const auto index = static_cast<std::size_t>(family);
  Runs& runs = spilled_[index];
  const std::size_t files_before = runs.files.size();
  SortedFiles files(run_options_[index], nullptr,
                    directory_ + "/run-" + std::to_string(index) + "-", runs.files);
  const std::size_t prefix = prefix_bytes(family);
  std::string last;
  TRY(each_row(rows, [&](std::string_view key, std::string_view value) -> Status {
    if (prefix > 0 && key.substr(0, prefix) != last) {
      last = key.substr(0, prefix);
      runs.prefixes.add(hash_of(last));
    }
    return files.add(key, value);
  }));
  TRY(files.finish());
  rows = Rows{};
  for (std::size_t i = files_before; i < runs.files.size(); ++i) {
    runs.readers.push_back(std::make_unique<rocksdb::SstFileReader>(run_options_[index]));
    const rocksdb::Status opened = runs.readers.back()->Open(runs.files[i]);
    if (!opened.ok()) return from_rocksdb(opened, "opening a sorted run");
  }
  return {};
}

Status LoadRows::scan_spilled(Family family, std::string_view prefix, const TakeRow& take) const {
  const Runs& runs = spilled_[static_cast<std::size_t>(family)];
  ASSERT(prefix.size() == prefix_bytes(family));
  if (!runs.prefixes.may_contain(hash_of(prefix))) return {};
  rocksdb::ReadOptions options;
  options.prefix_same_as_start = family == Family::calls;
  for (const auto& reader : runs.readers) {
    const std::unique_ptr<rocksdb::Iterator> rows(reader->NewIterator(options));
    for (rows->Seek(slice(prefix)); rows->Valid() && rows->key().starts_with(slice(prefix));
         rows->Next()) {
      TRY(take(view(rows->key()), view(rows->value())));
    }
    if (!rows->status().ok()) return from_rocksdb(rows->status(), "reading a sorted run");
  }
  return {};
}

void LoadRows::copy_to(rocksdb::WriteBatch& batch) const {
  ASSERT(!has_spilled());
  for (std::size_t i = 0; i < kFamilyCount; ++i) {
    for (const Row& row : rows_[i].rows) {
      const auto [key, value] = row_at(rows_[i], row);
      const rocksdb::Status put =
          batch.Put(store_.family(static_cast<Family>(i)), slice(key), slice(value));
      ASSERT(put.ok());
    }
  }
}

Status LoadRows::write_files() {
  if (has_spilled()) TRY(spill());
  TRY(make_directory());
  return each_family([this](Family family) { return write_family(family); });
}

Status LoadRows::write_family(Family family) {
  const auto index = static_cast<std::size_t>(family);
  SortedFiles files(store_.options_of(family), store_.family(family),
                    directory_ + "/" + std::to_string(index) + "-", files_[index]);
  const auto add = [&files](std::string_view key, std::string_view value) {
    return files.add(key, value);
  };
  if (has_spilled()) {
    TRY(merge_runs(family, add));
  } else {
    sort(rows_of(family));
    TRY(each_row(rows_of(family), add));
    rows_of(family) = Rows{};
  }
  TRY(files.finish());
  // Room for the next: the rows stand in the files now.
  Runs& runs = spilled_[index];
  runs.readers.clear();
  std::error_code ignored;
  for (const std::string& file : runs.files) std::filesystem::remove(file, ignored);
  return {};
}

// Rows ascending; of one key, that of the latest run.
Status LoadRows::merge_runs(Family family, const TakeRow& take) const {
  struct Source {
    std::unique_ptr<rocksdb::Iterator> rows;
    std::size_t rank;  // later runs are newer
  };
  rocksdb::ReadOptions options;
  options.total_order_seek = true;
  options.readahead_size = kRunReadBytes;
  std::vector<Source> heap;
  for (const auto& reader : spilled_[static_cast<std::size_t>(family)].readers) {
    Source source{std::unique_ptr<rocksdb::Iterator>(reader->NewIterator(options)), heap.size()};
    source.rows->SeekToFirst();
    if (!source.rows->status().ok())
      return from_rocksdb(source.rows->status(), "reading a sorted run");
    if (source.rows->Valid()) heap.push_back(std::move(source));
  }
  // The smallest key on top, of equals the newest.
  const auto after = [](const Source& a, const Source& b) {
    const int order = a.rows->key().compare(b.rows->key());
    return order != 0 ? order > 0 : a.rank < b.rank;
  };
  std::make_heap(heap.begin(), heap.end(), after);
  std::string last;
  bool is_first = true;
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), after);
    Source& top = heap.back();
    const std::string_view key = view(top.rows->key());
    if (is_first || key != last) {
      TRY(take(key, view(top.rows->value())));
      last = key;
      is_first = false;
    }
    top.rows->Next();
    if (!top.rows->status().ok()) return from_rocksdb(top.rows->status(), "reading a sorted run");
    if (top.rows->Valid()) {
      std::push_heap(heap.begin(), heap.end(), after);
    } else {
      heap.pop_back();
    }
  }
  return {};
}

Status LoadRows::ingest() {
  std::vector<rocksdb::IngestExternalFileArg> arguments;
  for (std::size_t i = 0; i < kFamilyCount; ++i) {
    if (files_[i].empty()) continue;
    rocksdb::IngestExternalFileArg argument;
    argument.external_files = files_[i];
    argument.column_family = store_.family(static_cast<Family>(i));
    argument.options.move_files = true;
    argument.options.write_global_seqno = false;
    arguments.push_back(std::move(argument));
  }
  const rocksdb::Status ingested = store_.ingest(arguments);
  if (!ingested.ok()) return from_rocksdb(ingested, "taking in the sorted files of a load");
  return {};
}

}  // namespace earshot::store
