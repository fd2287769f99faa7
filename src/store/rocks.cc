#include "store/rocks.h"

#include <rocksdb/cache.h>
#include <rocksdb/compaction_filter.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <unordered_map>

#include "base/assert.h"

namespace earshot::store {

namespace {

constexpr std::array<const char*, kFamilyCount> kFamilyNames = {"default",   "calls", "by_user",
                                                                "directory", "keys",  "changes"};

// Small, so that replaying the log after a crash takes well under a second.
constexpr std::size_t kWriteBufferBytes = 16 << 20;
constexpr std::size_t kSmallWriteBufferBytes = 4 << 20;
constexpr std::uint64_t kLogBytesMax = 24 << 20;
constexpr std::size_t kIdleIteratorsMax = 16;
// A part of the block cache, with a lock of its own. The index and the filter of one large file are
// blocks of megabytes: a part must hold several, or two of them push each other out at every read.
constexpr std::uint64_t kBlockCachePartBytes = 16 << 20;
constexpr int kBlockCachePartBitsMax = 6;

int block_cache_part_bits(std::uint64_t bytes) {
  int bits = 0;
  while (bits < kBlockCachePartBitsMax && bytes >> (bits + 1) >= kBlockCachePartBytes) ++bits;
  return bits;
}

// Drops markers of what was removed, once the company's record no longer reaches back to the
// removal.
class MarkerFilter : public rocksdb::CompactionFilter {
 public:
  MarkerFilter(const Horizons& horizons, Family family) : horizons_(horizons), family_(family) {}
  const char* Name() const override { return "earshot.markers"; }

  bool Filter(int, const rocksdb::Slice& key, const rocksdb::Slice& value, std::string*,
              bool*) const override {
    const auto removed = removal_of(view(key), view(value));
    if (!removed) return false;
    ByteReader reader(view(key));
    return removed->revision <= horizons_.of({reader.fixed64()});
  }

 private:
  std::optional<core::Stamp> removal_of(std::string_view key, std::string_view value) const {
    if (family_ == Family::by_user) {
      const auto row = decode_user_call_value(value);
      if (!row || row->grant || row->share) return std::nullopt;
      return row->removed;
    }
    const auto row_key = decode_call_row_key(key);
    if (!row_key) return std::nullopt;
    switch (row_key->kind) {
      case RowKind::call: {
        const auto row = decode_call_row(value);
        return row && !row->call ? std::optional(row->stamp) : std::nullopt;
      }
      case RowKind::share: {
        const auto row = decode_share_row(value);
        return row && !row->live ? std::optional(row->stamp) : std::nullopt;
      }
      case RowKind::grant: {
        const auto row = decode_grant_row(value);
        return row && !row->grant ? std::optional(row->stamp) : std::nullopt;
      }
    }
    return std::nullopt;
  }

  const Horizons& horizons_;
  const Family family_;
};

class MarkerFilterFactory : public rocksdb::CompactionFilterFactory {
 public:
  MarkerFilterFactory(const Horizons& horizons, Family family)
      : horizons_(horizons), family_(family) {}
  const char* Name() const override { return "earshot.markers"; }
  std::unique_ptr<rocksdb::CompactionFilter> CreateCompactionFilter(
      const rocksdb::CompactionFilter::Context&) override {
    return std::make_unique<MarkerFilter>(horizons_, family_);
  }

 private:
  const Horizons& horizons_;
  const Family family_;
};

rocksdb::Options database_options(const RocksOptions& options) {
  rocksdb::Options out;
  out.create_if_missing = true;
  out.create_missing_column_families = true;
  out.max_total_wal_size = kLogBytesMax;
  // A torn last record is a write that was never acknowledged; damage before it must not pass in
  // silence.
  out.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  out.max_background_jobs = 2;
  out.bytes_per_sync = 1 << 20;
  out.skip_stats_update_on_db_open = true;
  out.skip_checking_sst_file_sizes_on_db_open = true;
  out.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  out.keep_log_file_num = 4;
  out.max_log_file_size = 4 << 20;
  if (options.env) out.env = options.env;
  return out;
}

void tune_family(rocksdb::Options& out, Family which,
                 const std::shared_ptr<rocksdb::Cache>& block_cache, const Horizons& horizons) {
  const bool large = which == Family::calls || which == Family::by_user || which == Family::changes;
  out.write_buffer_size = large ? kWriteBufferBytes : kSmallWriteBufferBytes;
  out.max_write_buffer_number = 3;
  out.level_compaction_dynamic_level_bytes = true;
  out.compression = rocksdb::kLZ4Compression;
  out.bottommost_compression = which == Family::changes ? rocksdb::kZSTD : rocksdb::kLZ4Compression;

  rocksdb::BlockBasedTableOptions table;
  table.block_cache = block_cache;
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.format_version = 5;
  table.checksum = rocksdb::kXXH3;
  if (which == Family::calls || which == Family::by_user) {
    // Everything is read by company and call, or company and user.
    out.prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(kCallPrefixBytes));
    out.memtable_prefix_bloom_size_ratio = 0.1;
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    table.whole_key_filtering = false;
    out.compaction_filter_factory = std::make_shared<MarkerFilterFactory>(horizons, which);
  }
  // Of most idempotency keys that are asked for there is none.
  if (which == Family::meta) table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  out.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
}

// Ranges are never deleted here, and no read may look for range tombstones: while it does,
// RocksDB 7.8 loses the status of a file that it cannot read when one file follows another, and
// gives part of the rows as if they were all.
rocksdb::ReadOptions read_options() {
  rocksdb::ReadOptions options;
  options.ignore_range_deletions = true;
  return options;
}

}  // namespace

// Rows of one kind mostly come ascending by user, so that putting them in place is appending.
bool apply_row(core::CallEntry& entry, std::string_view key, std::string_view value) {
  const auto row_key = decode_call_row_key(key);
  if (!row_key) return false;
  core::Stamp newest = entry.newest;
  switch (row_key->kind) {
    case RowKind::call: {
      auto row = decode_call_row(value);
      if (!row) return false;
      entry.call.reset();
      if (row->call) entry.call = core::facts_of(*row->call);
      entry.call_stamp = row->stamp;
      newest = std::max(newest, row->stamp);
      break;
    }
    case RowKind::share: {
      const auto row = decode_share_row(value);
      if (!row) return false;
      if (row->live) {
        entry.put_share(row_key->user, row->stamp);
      } else {
        entry.remove_share(row_key->user, row->stamp);
      }
      newest = std::max(newest, row->stamp);
      break;
    }
    case RowKind::grant: {
      const auto row = decode_grant_row(value);
      if (!row) return false;
      if (row->grant) {
        entry.put_grant(row_key->user, *row->grant, row->stamp);
      } else {
        entry.remove_grant(row_key->user, row->stamp);
      }
      newest = std::max(newest, row->stamp);
      break;
    }
  }
  entry.newest = newest;
  return true;
}

Error from_rocksdb(const rocksdb::Status& status, std::string_view doing) {
  return internal(std::string(doing) + ": " + status.ToString());
}

Error corrupt(std::string_view what) {
  return internal("the store holds bytes that no release wrote, in " + std::string(what) +
                  "; restore a backup, or run `earshot verify`");
}

void Horizons::set(CompanyId company, core::Revision revision) {
  const std::lock_guard lock(mutex_);
  revisions_[company] = revision;
}

core::Revision Horizons::of(CompanyId company) const {
  const std::lock_guard lock(mutex_);
  const auto found = revisions_.find(company);
  return found == revisions_.end() ? 0 : found->second;
}

// One of the resting iterators over `calls`, renewed; it rests again afterwards.
class Rocks::Lease {
 public:
  Lease(Rocks& rocks, Tier tier)
      : rocks_(rocks), idle_(rocks.idle_[static_cast<std::size_t>(tier)]) {
    {
      const std::lock_guard lock(rocks_.idle_mutex_);
      if (!idle_.empty()) {
        iterator_ = std::move(idle_.back());
        idle_.pop_back();
      }
    }
    if (iterator_ && !iterator_->Refresh().ok()) iterator_.reset();
    if (iterator_) return;
    rocksdb::ReadOptions options = read_options();
    options.prefix_same_as_start = true;
    options.read_tier = tier == Tier::memory ? rocksdb::kBlockCacheTier : rocksdb::kReadAllTier;
    iterator_.reset(rocks_.db_->NewIterator(options, rocks_.family(Family::calls)));
  }
  ~Lease() {
    const std::lock_guard lock(rocks_.idle_mutex_);
    if (idle_.size() < kIdleIteratorsMax) idle_.push_back(std::move(iterator_));
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  rocksdb::Iterator& operator*() { return *iterator_; }

 private:
  Rocks& rocks_;
  std::vector<std::unique_ptr<rocksdb::Iterator>>& idle_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

Result<std::unique_ptr<Rocks>> Rocks::open(const RocksOptions& options) {
  auto rocks = std::unique_ptr<Rocks>(new Rocks);
  rocks->block_cache_ = rocksdb::NewLRUCache(options.block_cache_bytes,
                                             block_cache_part_bits(options.block_cache_bytes));
  const rocksdb::Options database = database_options(options);
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (std::size_t i = 0; i < kFamilyCount; ++i) {
    rocks->options_[i] = database;
    tune_family(rocks->options_[i], static_cast<Family>(i), rocks->block_cache_, rocks->horizons_);
    families.emplace_back(kFamilyNames[i], rocks->options_[i]);
  }
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status opened =
      rocksdb::DB::Open(database, options.directory, families, &handles, &db);
  if (!opened.ok()) return from_rocksdb(opened, "opening " + options.directory);
  rocks->db_.reset(db);
  std::copy(handles.begin(), handles.end(), rocks->handles_.begin());
  return rocks;
}

Rocks::~Rocks() { close(); }

void Rocks::close() {
  if (!db_) return;
  drop_idle_iterators();
  for (rocksdb::ColumnFamilyHandle*& handle : handles_) {
    db_->DestroyColumnFamilyHandle(handle);
    handle = nullptr;
  }
  db_->Close();
  db_.reset();
}

rocksdb::Status Rocks::write(rocksdb::WriteBatch& batch, bool sync) {
  rocksdb::WriteOptions options;
  options.sync = sync;
  return db_->Write(options, &batch);
}

rocksdb::Status Rocks::ingest(const std::vector<rocksdb::IngestExternalFileArg>& files) {
  const std::unique_lock alone(ingest_mutex_);
  return db_->IngestExternalFiles(files);
}

const rocksdb::Snapshot* Rocks::take_snapshot() {
  const std::shared_lock lock(ingest_mutex_);
  return db_->GetSnapshot();
}

Result<std::optional<core::EntryPtr>> Rocks::read_entry(const CallRef& ref, Tier tier) {
  auto entry = std::make_shared<core::CallEntry>();
  if (!TRY(read_rows(ref, tier, *entry))) return std::optional<core::EntryPtr>();
  return std::optional<core::EntryPtr>(std::move(entry));
}

Result<core::PackedEntryPtr> Rocks::read_packed(const CallRef& ref, Tier tier) {
  thread_local core::CallEntry entry;  // keeps its memory for the next
  entry.clear();
  if (!TRY(read_rows(ref, tier, entry))) return core::PackedEntryPtr();
  return core::PackedEntry::pack(entry);
}

Result<bool> Rocks::read_rows(const CallRef& ref, Tier tier, core::CallEntry& entry) {
  const std::string prefix = encode_call_prefix(ref.company, ref.call);
  Lease lease(*this, tier);
  rocksdb::Iterator& rows = *lease;
  for (rows.Seek(prefix); rows.Valid() && rows.key().starts_with(prefix); rows.Next()) {
    if (!apply_row(entry, view(rows.key()), view(rows.value()))) return corrupt("calls");
  }
  if (rows.status().IsIncomplete()) return false;
  if (!rows.status().ok()) return from_rocksdb(rows.status(), "reading a call");
  return true;
}

Result<std::optional<std::string>> Rocks::get(Family which, std::string_view key) {
  std::string value;
  const rocksdb::Status status = db_->Get({}, family(which), slice(key), &value);
  if (status.IsNotFound()) return std::optional<std::string>();
  if (!status.ok()) return from_rocksdb(status, "reading");
  return std::optional<std::string>(std::move(value));
}

std::unique_ptr<rocksdb::Iterator> Rocks::iterate(Family which, const rocksdb::Snapshot* snapshot) {
  rocksdb::ReadOptions options = read_options();
  options.total_order_seek = true;
  options.snapshot = snapshot;
  return std::unique_ptr<rocksdb::Iterator>(db_->NewIterator(options, family(which)));
}

Status Rocks::scan(Family which, std::string_view prefix, const rocksdb::Snapshot* snapshot,
                   const std::function<Result<bool>(std::string_view, std::string_view)>& take) {
  const auto rows = iterate(which, snapshot);
  for (rows->Seek(slice(prefix)); rows->Valid() && rows->key().starts_with(slice(prefix));
       rows->Next()) {
    if (!TRY(take(view(rows->key()), view(rows->value())))) return {};
  }
  if (!rows->status().ok()) return from_rocksdb(rows->status(), "scanning");
  return {};
}

void Rocks::drop_idle_iterators() {
  std::array<std::vector<std::unique_ptr<rocksdb::Iterator>>, 2> dropped;
  const std::lock_guard lock(idle_mutex_);
  dropped.swap(idle_);
}

}  // namespace earshot::store
