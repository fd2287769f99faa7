// The cache of call entries in front of the disk: what the store says of a call, never an answer
// derived from it.
//
// The committer is the only one who changes entries. It commits, updates the cache, publishes the
// revision, then answers. A reader asks for an entry as of the revision that was published when it
// began; each slot keeps the entry before the newest one too, so a reader that began before a
// commit is served while it is being published.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/ids.h"
#include "core/entry.h"

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

  enum class Answer : std::uint8_t { hit, miss, newer };
  struct Found {
    Answer answer = Answer::miss;
    core::EntryPtr entry;    // of a hit
    std::uint64_t mark = 0;  // of a miss: what fill() wants
  };

  // The entry as of the revision. `newer`: what is here is all younger; begin again with a revision
  // published now.
  Found find(const CallRef& ref, core::Revision revision);

  // The newest entry, whatever its revision; for the committer. Null on a miss.
  core::EntryPtr find_newest(const CallRef& ref);

  // Keeps what a reader read after its miss, unless the committer touched that part of the cache
  // since.
  void fill(const CallRef& ref, core::EntryPtr entry, std::uint64_t mark);

  // What the committer changed, before the revision is published. `before` serves readers of older
  // revisions.
  void update(const CallRef& ref, core::EntryPtr before, core::EntryPtr after);

  // Drops everything, for a change too large to follow.
  void clear();

  struct Figures {
    std::uint64_t hits = 0, misses = 0, evictions = 0, entries = 0, bytes = 0;
  };
  Figures figures() const;

 private:
  struct Shard;
  Shard& shard_of(const CallRef& ref);
  void make_room(Shard& shard);

  const std::uint64_t shard_bytes_max_;
  std::vector<std::unique_ptr<Shard>> shards_;
};

}  // namespace earshot::store
