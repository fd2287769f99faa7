// The cache of call entries in front of the disk: what the store says of a call, never an answer
// derived from it.
//
// The committer is the only one who changes entries. It commits, updates the cache, publishes the
// revision, then answers. A reader asks for entries as of the revision that was published when it
// began; each cell keeps the entry before the newest one too, so a reader that began before a
// commit is served while it is being published.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/ids.h"
#include "core/packed_entry.h"

namespace earshot::store {

// One call of one company.
struct CallRef {
  CompanyId company;
  CallId call;
  friend bool operator==(const CallRef&, const CallRef&) = default;
};

struct CallRefHash {
  std::size_t operator()(const CallRef& ref) const noexcept {
    const std::uint64_t mixed =
        (ref.company.value * 0xC2B2AE3D27D4EB4FULL ^ ref.call.value) * 0x9E3779B97F4A7C15ULL;
    return mixed ^ (mixed >> 32);
  }
};

class EntryCache {
 public:
  // Room for about so many bytes of entries; 0 keeps nothing.
  explicit EntryCache(std::uint64_t bytes_max);
  ~EntryCache();

  // A call that is not here: its place among those asked for, and what fill() wants.
  struct Miss {
    std::size_t place = 0;
    std::uint64_t mark = 0;
  };

  // Puts the entries of the calls as of the revision where they belong in `entries`, which has a
  // null for each call, and adds those that are not here to `misses`. False where all that is here
  // of a call is younger: begin again with a revision published now.
  bool find(CompanyId company, std::span<const CallId> calls, core::Revision revision,
            std::span<core::PackedEntryPtr> entries, std::vector<Miss>& misses);

  // The newest entry, whatever its revision; for the committer. Null on a miss.
  core::PackedEntryPtr find_newest(const CallRef& ref);

  // Keeps what a reader read after its miss, unless the committer touched that part of the cache
  // since.
  void fill(const CallRef& ref, core::PackedEntryPtr entry, std::uint64_t mark);

  // What the committer changed, before the revision is published. `before` serves readers of older
  // revisions.
  void update(const CallRef& ref, core::PackedEntryPtr before, core::PackedEntryPtr after);

  // Drops everything, for a change too large to follow.
  void clear();

  struct Figures {
    std::uint64_t hits = 0, misses = 0, evictions = 0, entries = 0, bytes = 0;
  };
  Figures figures() const;

 private:
  class Table;
  struct Shard;
  Shard& shard_of(std::uint64_t hash) const;
  void bring_near(std::span<const std::uint64_t> hashes, CompanyId company,
                  std::span<const CallId> calls) const;
  void make_room(Shard& shard);

  const std::uint64_t shard_bytes_max_;
  const std::unique_ptr<Shard[]> shards_;
};

}  // namespace earshot::store
