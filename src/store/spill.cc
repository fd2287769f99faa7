// The large half of Transaction: a load that does not fit in memory goes to a scratch RocksDB of
// its own, and from there, as sorted files, into the store in one atomic step.
#include <rocksdb/sst_file_writer.h>

#include <filesystem>
#include <system_error>

#include "base/assert.h"
#include "store/transaction.h"

namespace earshot::store {

namespace {

constexpr std::uint64_t kScratchCacheBytes = 64 << 20;
constexpr std::uint64_t kSortedFileBytesMax = 128 << 20;

// Writes one family of the scratch as sorted files, for the store to take.
Result<std::vector<std::string>> write_sorted_files(Rocks& scratch, Rocks& store, Family family,
                                                    const std::string& directory) {
  std::vector<std::string> files;
  std::unique_ptr<rocksdb::SstFileWriter> writer;
  const auto finish = [&]() -> Status {
    if (!writer) return {};
    const rocksdb::Status finished = writer->Finish();
    writer.reset();
    if (!finished.ok()) return from_rocksdb(finished, "writing a sorted file");
    return {};
  };
  const auto rows = scratch.iterate(family);
  for (rows->SeekToFirst(); rows->Valid(); rows->Next()) {
    if (writer && writer->FileSize() > kSortedFileBytesMax) TRY(finish());
    if (!writer) {
      files.push_back(directory + "/" + std::to_string(static_cast<int>(family)) + "-" +
                      std::to_string(files.size()) + ".sst");
      writer = std::make_unique<rocksdb::SstFileWriter>(
          rocksdb::EnvOptions(), store.options_of(family), store.family(family));
      const rocksdb::Status opened = writer->Open(files.back());
      if (!opened.ok()) return from_rocksdb(opened, "opening a sorted file");
    }
    const rocksdb::Status put = writer->Put(rows->key(), rows->value());
    if (!put.ok()) return from_rocksdb(put, "writing a sorted file");
  }
  if (!rows->status().ok()) return from_rocksdb(rows->status(), "reading the scratch");
  TRY(finish());
  return files;
}

}  // namespace

Transaction::~Transaction() {
  if (!scratch_) return;
  scratch_.reset();
  std::error_code ignored;  // what stays is removed at the next start
  std::filesystem::remove_all(ground_.scratch_directory, ignored);
}

Status Transaction::bound_memory() {
  if (batch_.GetDataSize() + entries_bytes_ + writers_bytes_ < spill_bytes_) return {};
  if (batch_.Count() == 0 && writers_bytes_ == 0) {  // only looked at so far
    forget_loaded();
    return {};
  }
  for (auto& [id, working] : companies_) {
    if (working->writer.count() > 0) TRY(write_part(*working, false));
  }
  return spill();
}

void Transaction::forget_loaded() {
  entries_.clear();
  entries_bytes_ = 0;
  calls_.clear();
  things_.clear();
}

Status Transaction::spill() {
  if (!only_removes_) TRY(ground_.check_space());
  if (!scratch_) TRY(open_scratch());
  const rocksdb::Status written = scratch_->write(batch_, false);
  if (!written.ok()) return from_rocksdb(written, "writing to the scratch");
  batch_.Clear();
  forget_loaded();
  return {};
}

Status Transaction::open_scratch() {
  std::error_code failed;
  std::filesystem::remove_all(ground_.scratch_directory, failed);
  std::filesystem::create_directories(ground_.scratch_directory, failed);
  if (failed) return internal("making " + ground_.scratch_directory + ": " + failed.message());
  scratch_ = TRY(Rocks::open({.directory = ground_.scratch_directory + "/rows",
                              .block_cache_bytes = kScratchCacheBytes,
                              .scratch = true}));
  // A batch names families by number, and goes to either.
  for (std::size_t i = 0; i < kFamilyCount; ++i) {
    const auto family = static_cast<Family>(i);
    ASSERT(scratch_->family(family)->GetID() == ground_.rocks.family(family)->GetID());
  }
  return {};
}

Status Transaction::ingest_scratch() {
  TRY(spill());
  std::vector<rocksdb::IngestExternalFileArg> arguments;
  for (std::size_t i = 0; i < kFamilyCount; ++i) {
    const auto family = static_cast<Family>(i);
    rocksdb::IngestExternalFileArg argument;
    argument.external_files =
        TRY(write_sorted_files(*scratch_, ground_.rocks, family, ground_.scratch_directory));
    if (argument.external_files.empty()) continue;
    argument.column_family = ground_.rocks.family(family);
    argument.options.move_files = true;
    argument.options.write_global_seqno = false;
    arguments.push_back(std::move(argument));
  }
  if (!only_removes_) TRY(ground_.check_space());
  disk_was_asked_ = true;
  const rocksdb::Status ingested = ground_.rocks.db().IngestExternalFiles(arguments);
  if (!ingested.ok()) return from_rocksdb(ingested, "taking in the sorted files of a load");
  return {};
}

}  // namespace earshot::store
