#include "store/entry_cache.h"

#include <boost/unordered/unordered_flat_map.hpp>
#include <mutex>

#include "base/assert.h"

namespace earshot::store {

namespace {

constexpr std::size_t kShardCount = 64;  // a power of two
constexpr std::size_t kSlotBytes = 96;   // slot and its place in the index, about

std::size_t bytes_of(const core::EntryPtr& entry) { return entry ? entry->memory_bytes() : 0; }

}  // namespace

// Slots in a ring for the clock that evicts; an index beside it.
struct EntryCache::Shard {
  struct Slot {
    CallRef ref;
    core::EntryPtr newest;
    core::EntryPtr before;  // the one that `newest` replaced, for readers of older revisions
    std::size_t bytes = 0;
    bool used = false;  // since the hand last passed
    bool taken = false;
  };

  mutable std::mutex mutex;
  boost::unordered_flat_map<CallRef, std::uint32_t, CallRefHash> index;
  std::vector<Slot> slots;
  std::vector<std::uint32_t> free_slots;
  std::size_t hand = 0;
  std::uint64_t bytes = 0;
  std::uint64_t touched = 0;  // how often the committer was here: guards fills that read before it
  std::uint64_t hits = 0, misses = 0, evictions = 0;

  Slot& slot_for(const CallRef& ref) {
    const auto found = index.find(ref);
    if (found != index.end()) return slots[found->second];
    std::uint32_t place = 0;
    if (!free_slots.empty()) {
      place = free_slots.back();
      free_slots.pop_back();
    } else {
      place = static_cast<std::uint32_t>(slots.size());
      slots.emplace_back();
    }
    index.emplace(ref, place);
    Slot& slot = slots[place];
    slot.ref = ref;
    slot.taken = true;
    return slot;
  }

  void set(Slot& slot, core::EntryPtr newest, core::EntryPtr before) {
    bytes -= slot.bytes;
    slot.newest = std::move(newest);
    slot.before = std::move(before);
    slot.bytes = kSlotBytes + bytes_of(slot.newest) + bytes_of(slot.before);
    slot.used = true;
    bytes += slot.bytes;
  }

  void drop(std::uint32_t place) {
    Slot& slot = slots[place];
    bytes -= slot.bytes;
    index.erase(slot.ref);
    slot = Slot{};
    free_slots.push_back(place);
  }
};

EntryCache::EntryCache(std::uint64_t bytes_max) : shard_bytes_max_(bytes_max / kShardCount) {
  shards_.reserve(kShardCount);
  for (std::size_t i = 0; i < kShardCount; ++i) shards_.push_back(std::make_unique<Shard>());
}

EntryCache::~EntryCache() = default;

EntryCache::Shard& EntryCache::shard_of(const CallRef& ref) {
  // Bits that the index within the shard uses least.
  return *shards_[(CallRefHash{}(ref) >> 56) % kShardCount];
}

EntryCache::Found EntryCache::find(const CallRef& ref, core::Revision revision) {
  Shard& shard = shard_of(ref);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.index.find(ref);
  if (found == shard.index.end()) {
    ++shard.misses;
    return {.answer = Answer::miss, .entry = nullptr, .mark = shard.touched};
  }
  Shard::Slot& slot = shard.slots[found->second];
  slot.used = true;
  if (slot.newest->newest.revision <= revision) {
    ++shard.hits;
    return {.answer = Answer::hit, .entry = slot.newest, .mark = 0};
  }
  if (slot.before && slot.before->newest.revision <= revision) {
    ++shard.hits;
    return {.answer = Answer::hit, .entry = slot.before, .mark = 0};
  }
  return {.answer = Answer::newer, .entry = nullptr, .mark = 0};
}

core::EntryPtr EntryCache::find_newest(const CallRef& ref) {
  Shard& shard = shard_of(ref);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.index.find(ref);
  return found == shard.index.end() ? nullptr : shard.slots[found->second].newest;
}

void EntryCache::fill(const CallRef& ref, core::EntryPtr entry, std::uint64_t mark) {
  ASSERT(entry != nullptr);
  // Calls that never were are not worth a place: strangers could push out what is.
  if (!entry->call && entry->newest == core::Stamp{}) return;
  Shard& shard = shard_of(ref);
  const std::lock_guard lock(shard.mutex);
  if (shard.touched != mark) return;
  if (kSlotBytes + bytes_of(entry) > shard_bytes_max_) return;
  shard.set(shard.slot_for(ref), std::move(entry), nullptr);
  make_room(shard);
}

void EntryCache::update(const CallRef& ref, core::EntryPtr before, core::EntryPtr after) {
  ASSERT(after != nullptr);
  Shard& shard = shard_of(ref);
  const std::lock_guard lock(shard.mutex);
  ++shard.touched;
  if (kSlotBytes + bytes_of(before) + bytes_of(after) > shard_bytes_max_) {
    const auto found = shard.index.find(ref);
    if (found != shard.index.end()) shard.drop(found->second);
    return;
  }
  shard.set(shard.slot_for(ref), std::move(after), std::move(before));
  make_room(shard);
}

void EntryCache::make_room(Shard& shard) {
  while (shard.bytes > shard_bytes_max_ && !shard.index.empty()) {
    if (shard.hand >= shard.slots.size()) shard.hand = 0;
    Shard::Slot& slot = shard.slots[shard.hand];
    if (slot.taken && !slot.used) {
      shard.drop(static_cast<std::uint32_t>(shard.hand));
      ++shard.evictions;
    } else {
      slot.used = false;
    }
    ++shard.hand;
  }
}

void EntryCache::clear() {
  for (const auto& shard : shards_) {
    const std::lock_guard lock(shard->mutex);
    ++shard->touched;
    shard->index.clear();
    shard->slots.clear();
    shard->free_slots.clear();
    shard->hand = 0;
    shard->bytes = 0;
  }
}

EntryCache::Figures EntryCache::figures() const {
  Figures sum;
  for (const auto& shard : shards_) {
    const std::lock_guard lock(shard->mutex);
    sum.hits += shard->hits;
    sum.misses += shard->misses;
    sum.evictions += shard->evictions;
    sum.entries += shard->index.size();
    sum.bytes += shard->bytes;
  }
  return sum;
}

}  // namespace earshot::store
