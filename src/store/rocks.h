// The embedded store's RocksDB: its column families, how they are tuned, and the few ways they are
// read. The only place, with its neighbours in this folder, that knows of RocksDB.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/iterator.h>
#include <rocksdb/write_batch.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "core/directory.h"
#include "core/entry.h"
#include "core/packed_entry.h"
#include "store/codec.h"
#include "store/entry_cache.h"

namespace earshot::store {

inline rocksdb::Slice slice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
inline std::string_view view(const rocksdb::Slice& bytes) { return {bytes.data(), bytes.size()}; }

// The error of a failed operation of RocksDB, with what was being done.
Error from_rocksdb(const rocksdb::Status& status, std::string_view doing);
// Bytes that no release of ours wrote.
Error corrupt(std::string_view what);

// Puts one row of a call in place in its entry, over what is there; false if it cannot be decoded.
bool apply_row(core::CallEntry& entry, std::string_view key, std::string_view value);

enum class Family : std::uint8_t { meta, calls, by_user, directory, keys, changes };
inline constexpr std::size_t kFamilyCount = 6;

// How far back each company's record was cut off, for the filter that drops old markers while
// compacting.
class Horizons {
 public:
  void set(CompanyId company, core::Revision revision);
  core::Revision of(CompanyId company) const;  // 0: nothing was cut

 private:
  mutable std::mutex mutex_;
  std::unordered_map<CompanyId, core::Revision> revisions_;
};

struct RocksOptions {
  std::string directory;
  std::uint64_t block_cache_bytes = 0;
  rocksdb::Env* env = nullptr;  // tests put faults there
};

class Rocks {
 public:
  static Result<std::unique_ptr<Rocks>> open(const RocksOptions& options);
  ~Rocks();

  rocksdb::DB& db() { return *db_; }
  rocksdb::ColumnFamilyHandle* family(Family which) const {
    return handles_[static_cast<std::size_t>(which)];
  }
  // The options of a family, for writing sorted files that it will take.
  const rocksdb::Options& options_of(Family which) const {
    return options_[static_cast<std::size_t>(which)];
  }
  Horizons& horizons() { return horizons_; }

  // One atomic write.
  rocksdb::Status write(rocksdb::WriteBatch& batch, bool sync);

  // Takes in sorted files, of all families in one atomic step.
  rocksdb::Status ingest(const std::vector<rocksdb::IngestExternalFileArg>& files);

  // A snapshot of all families, to be given back. Waits while files are taken in: RocksDB 7.8 gives
  // a file without a key that was there before no sequence number of its own, so that a snapshot
  // taken meanwhile would come to see that file, and not the others.
  const rocksdb::Snapshot* take_snapshot();

  // Whether a read may go to the disk. Without, it answers nullopt where memory does not have it.
  enum class Tier : std::uint8_t { memory, disk };

  // A call's rows as they are now.
  Result<std::optional<core::EntryPtr>> read_entry(const CallRef& ref, Tier tier);
  // The same, as readers want it; null where memory does not have it.
  Result<core::PackedEntryPtr> read_packed(const CallRef& ref, Tier tier);

  Result<std::optional<std::string>> get(Family which, std::string_view key);

  // An iterator over all that is there now, or as of a snapshot. It must not outlive this.
  std::unique_ptr<rocksdb::Iterator> iterate(Family which,
                                             const rocksdb::Snapshot* snapshot = nullptr);

  // Calls `take` for each key with the prefix, ascending, until it answers false. `take` may return
  // an Error.
  Status scan(
      Family which, std::string_view prefix, const rocksdb::Snapshot* snapshot,
      const std::function<Result<bool>(std::string_view key, std::string_view value)>& take);

  // Lets go of iterators that were kept for reuse: they hold files that compaction has replaced.
  void drop_idle_iterators();

  void close();

 private:
  class Lease;
  Rocks() = default;

  // Adds the rows of a call to an entry. False where memory does not have them all.
  Result<bool> read_rows(const CallRef& ref, Tier tier, core::CallEntry& entry);

  std::array<rocksdb::Options, kFamilyCount> options_;
  std::shared_ptr<rocksdb::Cache> block_cache_;
  Horizons horizons_;
  std::unique_ptr<rocksdb::DB> db_;
  std::array<rocksdb::ColumnFamilyHandle*, kFamilyCount> handles_{};

  std::shared_mutex ingest_mutex_;  // shared: by who takes a snapshot

  // Iterators over `calls` that rest, by tier.
  std::mutex idle_mutex_;
  std::array<std::vector<std::unique_ptr<rocksdb::Iterator>>, 2> idle_;
};

}  // namespace earshot::store
