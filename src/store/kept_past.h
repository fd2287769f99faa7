// What was made of a company's past, kept for the next page of the same answer.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <tuple>
#include <utility>

#include "base/ids.h"
#include "core/entry.h"
#include "core/packed_entry.h"

namespace earshot::store {

// Few, since they are looked through one by one.
inline constexpr std::size_t kKeptOfThePastMax = 64;

// Things that stay as they are, by what made them so: those used last. Any thread.
template <class Key, class Pointer>
class KeptPast {
 public:
  // The newest of them is kept however large it is, and kKeptOfThePastMax at most.
  explicit KeptPast(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}

  // Null where it is not here.
  Pointer find(const Key& key) {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(kept_, key, &Kept::key);
    if (found == kept_.end()) return nullptr;
    kept_.splice(kept_.begin(), kept_, found);
    return found->thing;
  }

  void keep(const Key& key, Pointer thing) {
    const std::lock_guard lock(mutex_);
    std::erase_if(kept_, [&](const Kept& kept) { return kept.key == key; });  // two made it at once
    kept_.push_front({key, std::move(thing)});
    if (kept_.size() > kKeptOfThePastMax) kept_.pop_back();
    std::uint64_t bytes = 0;
    auto kept = kept_.begin();
    do {
      bytes += kept->thing->memory_bytes();
      ++kept;
    } while (kept != kept_.end() && bytes + kept->thing->memory_bytes() <= bytes_max_);
    kept_.erase(kept, kept_.end());
  }

 private:
  struct Kept {
    Key key;
    Pointer thing;
  };

  const std::uint64_t bytes_max_;
  std::mutex mutex_;
  std::list<Kept> kept_;  // those used last first
};

// Calls with the rows of everybody, by the revision they are as of.
using PastEntries = KeptPast<std::tuple<CompanyId, CallId, core::Revision>, core::PackedEntryPtr>;
// Memory for them, about; one is kept however large it is.
inline constexpr std::uint64_t kPastEntriesBytes = 16 << 20;

}  // namespace earshot::store
