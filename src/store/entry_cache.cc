#include "store/entry_cache.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <utility>

#include "base/assert.h"

namespace earshot::store {

namespace {

constexpr std::size_t kShardCount = 64;  // a power of two
constexpr std::size_t kShardShift = 58;  // its bits of a hash are the highest
// So many lookups go side by side, each waiting for its memory while the others do.
constexpr std::size_t kSideBySide = 32;

std::size_t bytes_of(const core::PackedEntryPtr& entry) {
  return entry ? entry->memory_bytes() : 0;
}

}  // namespace

// The cells of one shard, open-addressed: the next free cell after the one that the hash names.
// Two cells are one line of memory, so that a lookup meets two lines: the cell's, and the entry's.
class EntryCache::Table {
 public:
  struct alignas(32) Cell {
    std::uint64_t company : 63 = 0;
    std::uint64_t used : 1 = 0;  // since the hand last passed
    std::uint64_t call = 0;
    core::PackedEntryPtr newest;  // null: the cell is free
    core::PackedEntryPtr before;  // the one that `newest` replaced, for readers of older revisions

    bool is_of(const CallRef& ref) const {
      return call == ref.call.value && company == ref.company.value;
    }
    std::size_t bytes() const { return bytes_of(newest) + bytes_of(before); }
  };
  static_assert(sizeof(Cell) == 32);

  std::size_t size() const { return size_; }
  std::size_t cells() const { return cells_.size(); }
  Cell& cell(std::size_t place) { return cells_[place]; }
  std::size_t memory_bytes() const { return cells_.capacity() * sizeof(Cell); }

  // Null where there is none.
  Cell* find(const CallRef& ref, std::uint64_t hash) {
    if (size_ == 0) return nullptr;
    for (std::size_t place = home_of(hash);; place = after(place)) {
      Cell& cell = cells_[place];
      if (!cell.newest) return nullptr;
      if (cell.is_of(ref)) return &cell;
    }
  }

  // The cell of the call, perhaps a free one: then it must be filled.
  Cell& find_or_take(const CallRef& ref, std::uint64_t hash) {
    if (Cell* cell = find(ref, hash)) return *cell;
    if (3 * (size_ + 1) > 2 * cells_.size()) grow();
    ++size_;
    Cell& cell = cells_[free_place(hash)];
    cell.company = ref.company.value & (~std::uint64_t{0} >> 1);
    cell.call = ref.call.value;
    return cell;
  }

  // What came after it moves up, so that no lookup meets a gap.
  void drop(std::size_t place) {
    --size_;
    std::size_t gap = place;
    for (std::size_t next = after(gap); cells_[next].newest; next = after(next)) {
      const Cell& cell = cells_[next];
      const std::size_t home = home_of(CallRefHash{}({{cell.company}, {cell.call}}));
      // It may move up unless its home lies behind the gap.
      if (distance(home, next) < distance(gap, next)) continue;
      cells_[gap] = std::move(cells_[next]);
      gap = next;
    }
    cells_[gap] = Cell{};
  }
  void drop(Cell& cell) { drop(static_cast<std::size_t>(&cell - cells_.data())); }

  void clear() {
    std::vector<Cell>().swap(cells_);
    size_ = 0;
    show();
  }

  // Without the lock: where the table was a moment ago is good enough.
  void prefetch(std::uint64_t hash) const {
    const std::uint64_t count = shown_count_.load(std::memory_order_relaxed);
    const std::uintptr_t cells = shown_cells_.load(std::memory_order_relaxed);
    __builtin_prefetch(reinterpret_cast<const void*>(cells + place_in(hash, count) * sizeof(Cell)));
  }

 private:
  static std::size_t place_in(std::uint64_t hash, std::uint64_t count) {
    return (hash & 0xFFFFFFFF) * count >> 32;
  }
  std::size_t home_of(std::uint64_t hash) const { return place_in(hash, cells_.size()); }
  std::size_t after(std::size_t place) const { return place + 1 == cells_.size() ? 0 : place + 1; }
  std::size_t distance(std::size_t from, std::size_t to) const {
    return to >= from ? to - from : to + cells_.size() - from;
  }
  std::size_t free_place(std::uint64_t hash) const {
    std::size_t place = home_of(hash);
    while (cells_[place].newest) place = after(place);
    return place;
  }
  // By a quarter, since what stays free is memory too.
  void grow() {
    std::vector<Cell> old(std::max<std::size_t>(4, cells_.size() + cells_.size() / 4));
    old.swap(cells_);
    for (Cell& cell : old) {
      if (!cell.newest) continue;
      cells_[free_place(CallRefHash{}({{cell.company}, {cell.call}}))] = std::move(cell);
    }
    show();
  }
  void show() {
    shown_cells_.store(reinterpret_cast<std::uintptr_t>(cells_.data()), std::memory_order_relaxed);
    shown_count_.store(cells_.size(), std::memory_order_relaxed);
  }

  std::vector<Cell> cells_;
  std::size_t size_ = 0;
  std::atomic<std::uintptr_t> shown_cells_{0};
  std::atomic<std::uint64_t> shown_count_{0};
};

struct alignas(64) EntryCache::Shard {
  mutable std::mutex mutex;
  Table table;
  std::size_t hand = 0;  // of the clock that evicts
  std::uint64_t entry_bytes = 0;
  std::uint64_t touched = 0;  // how often the committer was here: guards fills that read before it
  std::uint64_t hits = 0, misses = 0, evictions = 0;

  std::uint64_t bytes() const { return entry_bytes + table.memory_bytes(); }

  void set(const CallRef& ref, std::uint64_t hash, core::PackedEntryPtr newest,
           core::PackedEntryPtr before) {
    Table::Cell& cell = table.find_or_take(ref, hash);
    entry_bytes -= cell.bytes();
    cell.newest = std::move(newest);
    cell.before = std::move(before);
    cell.used = 1;
    entry_bytes += cell.bytes();
  }

  void drop(Table::Cell& cell) {
    entry_bytes -= cell.bytes();
    table.drop(cell);
  }
};

EntryCache::EntryCache(std::uint64_t bytes_max)
    : shard_bytes_max_(bytes_max / kShardCount), shards_(new Shard[kShardCount]) {}

EntryCache::~EntryCache() = default;

EntryCache::Shard& EntryCache::shard_of(std::uint64_t hash) const {
  return shards_[hash >> kShardShift];
}

bool EntryCache::find(CompanyId company, std::span<const CallId> calls, core::Revision revision,
                      std::span<core::PackedEntryPtr> entries, std::vector<Miss>& misses) {
  ASSERT(calls.size() == entries.size());
  std::array<std::uint64_t, kSideBySide> hashes;
  for (std::size_t first = 0; first < calls.size(); first += kSideBySide) {
    const std::size_t count = std::min(kSideBySide, calls.size() - first);
    const auto group = calls.subspan(first, count);
    for (std::size_t i = 0; i < count; ++i) hashes[i] = CallRefHash{}({company, group[i]});
    if (count > 1) bring_near({hashes.data(), count}, company, group);
    for (std::size_t i = 0; i < count; ++i) {
      Shard& shard = shard_of(hashes[i]);
      const std::lock_guard lock(shard.mutex);
      Table::Cell* const cell = shard.table.find({company, group[i]}, hashes[i]);
      if (cell == nullptr) {
        ++shard.misses;
        misses.push_back({first + i, shard.touched});
        continue;
      }
      if (!cell->used) cell->used = 1;
      if (cell->newest->newest_revision() <= revision) {
        entries[first + i] = cell->newest;
      } else if (cell->before && cell->before->newest_revision() <= revision) {
        entries[first + i] = cell->before;
      } else {
        return false;
      }
      ++shard.hits;
    }
  }
  return true;
}

// Asks for the memory of all cells, then for that of all entries, so that the lookups that follow
// do not wait for one after the other.
void EntryCache::bring_near(std::span<const std::uint64_t> hashes, CompanyId company,
                            std::span<const CallId> calls) const {
  for (const std::uint64_t hash : hashes) shard_of(hash).table.prefetch(hash);
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    Shard& shard = shard_of(hashes[i]);
    const std::lock_guard lock(shard.mutex);
    const Table::Cell* const cell = shard.table.find({company, calls[i]}, hashes[i]);
    if (cell != nullptr) core::PackedEntry::prefetch(cell->newest.get());
  }
}

core::PackedEntryPtr EntryCache::find_newest(const CallRef& ref) {
  const std::uint64_t hash = CallRefHash{}(ref);
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  const Table::Cell* const cell = shard.table.find(ref, hash);
  return cell == nullptr ? nullptr : cell->newest;
}

void EntryCache::fill(const CallRef& ref, core::PackedEntryPtr entry, std::uint64_t mark) {
  ASSERT(entry != nullptr);
  // Calls that never were are not worth a place: strangers could push out what is.
  if (!entry->has_call() && entry->newest() == core::Stamp{}) return;
  if (bytes_of(entry) > shard_bytes_max_) return;
  const std::uint64_t hash = CallRefHash{}(ref);
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  if (shard.touched != mark) return;
  shard.set(ref, hash, std::move(entry), nullptr);
  make_room(shard);
}

void EntryCache::update(const CallRef& ref, core::PackedEntryPtr before,
                        core::PackedEntryPtr after) {
  ASSERT(after != nullptr);
  const std::uint64_t hash = CallRefHash{}(ref);
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  ++shard.touched;
  if (bytes_of(before) + bytes_of(after) > shard_bytes_max_) {
    Table::Cell* const cell = shard.table.find(ref, hash);
    if (cell != nullptr) shard.drop(*cell);
    return;
  }
  shard.set(ref, hash, std::move(after), std::move(before));
  make_room(shard);
}

void EntryCache::make_room(Shard& shard) {
  while (shard.bytes() > shard_bytes_max_ && shard.table.size() > 0) {
    if (shard.hand >= shard.table.cells()) shard.hand = 0;
    Table::Cell& cell = shard.table.cell(shard.hand);
    if (cell.newest && !cell.used) {
      shard.drop(cell);  // another may stand here now
      ++shard.evictions;
    } else {
      cell.used = 0;
      ++shard.hand;
    }
  }
}

void EntryCache::clear() {
  for (std::size_t i = 0; i < kShardCount; ++i) {
    Shard& shard = shards_[i];
    const std::lock_guard lock(shard.mutex);
    ++shard.touched;
    shard.table.clear();
    shard.hand = 0;
    shard.entry_bytes = 0;
  }
}

EntryCache::Figures EntryCache::figures() const {
  Figures sum;
  for (std::size_t i = 0; i < kShardCount; ++i) {
    const Shard& shard = shards_[i];
    const std::lock_guard lock(shard.mutex);
    sum.hits += shard.hits;
    sum.misses += shard.misses;
    sum.evictions += shard.evictions;
    sum.entries += shard.table.size();
    sum.bytes += shard.bytes();
  }
  return sum;
}

}  // namespace earshot::store
