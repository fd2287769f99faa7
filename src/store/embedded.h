// The embedded store: one directory, one process, RocksDB beneath. docs/storage.md has its layout.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "store/store.h"

namespace earshot::store {

struct EmbeddedOptions {
  std::string directory;
  bool create_if_missing = true;
  std::uint64_t cache_bytes = 256ULL << 20;        // entries of calls
  std::uint64_t block_cache_bytes = 256ULL << 20;  // RocksDB's blocks, index and filters included
  std::uint64_t directory_bytes = 256ULL << 20;    // directories of companies, in memory
  std::uint64_t free_bytes_min = 512ULL << 20;     // below it writes are refused
  std::size_t queue_commands_max = 16384;          // waiting for the committer; more is unavailable
  std::size_t batch_commands_max = 4096;           // in one commit
  std::size_t read_threads = 4;                    // for reads that memory cannot answer
  std::size_t read_queue_max = 16384;              // reads waiting for them; more is unavailable
  // Of calls' rows and their changes since, about, for one page of a user's past.
  std::uint64_t past_page_reads_max = 200'000;
  std::optional<std::chrono::seconds>
      retention;  // of changes, markers, old directory versions; absent: all
  std::optional<std::uint64_t> retention_revisions;  // of each company, so many; absent: all
  std::chrono::seconds retention_every{60};          // how often it is applied
  // What it cut is given back to the disk once it is so much, or so long after the last time.
  std::uint64_t compaction_bytes = 64ULL << 20;
  std::chrono::milliseconds compaction_every{3'600'000};
  std::chrono::seconds idempotency_keep{24 * 3600};  // of answers to requests with such a key
  // How often what has expired is taken away, and answers that were kept long enough.
  std::chrono::milliseconds expiry_every{30'000};
  std::chrono::milliseconds house_every{
      10000};  // small upkeep: files let go, directories forgotten
  std::uint64_t load_memory_bytes = 128ULL << 20;  // of a load; more of its rows wait on disk
  RefusalLimits refusals;
  Clock clock = wall_now;
};

// Opens the directory, made if missing, and takes its lock. Errors: conflict (in use by another
// process), invalid_argument (written by a newer version, or not a store), internal.
Result<std::unique_ptr<Store>> open_embedded(EmbeddedOptions options);

}  // namespace earshot::store
