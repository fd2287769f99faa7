// A call's entry in one block of memory that never changes: how entries are cached and read.
// core/entry.h has the form that is changed and decided on.
#pragma once

#include <atomic>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/ids.h"
#include "base/time.h"
#include "core/entry.h"

namespace earshot::core {

class PackedEntry;

// The count stands in the block itself: one place in memory less for each look at an entry.
using PackedEntryPtr = boost::intrusive_ptr<const PackedEntry>;

class PackedEntry {
 public:
  static PackedEntryPtr pack(const CallEntry& entry);
  CallEntry unpack() const;

  PackedEntry(const PackedEntry&) = delete;
  PackedEntry& operator=(const PackedEntry&) = delete;

  bool has_call() const { return has_call_; }
  // Of the call, and none where there is none. Participants ascend.
  bool is_private() const { return is_private_; }
  WorkspaceId workspace() const;
  std::span<const UserId> participants() const;
  Stamp call_stamp() const;
  Stamp newest() const { return {newest_revision_, newest_n_}; }
  Revision newest_revision() const { return newest_revision_; }

  // With whom the call was shared, ascending.
  std::span<const UserId> shared() const;

  // Who has a grant, ascending; expired ones too.
  std::span<const UserId> granted() const { return {users(), grants_}; }
  // Where in granted() the user stands.
  std::optional<std::size_t> find_granted(UserId user) const;
  // When the i-th of granted() loses access: GrantRow::kNever, or the end of the grant.
  Time expires_at(std::size_t i) const { return some_expire_ ? expiries()[i] : GrantRow::kNever; }
  // Of the user's grant; empty without one. Good as long as the entry.
  std::string_view note_of(UserId user) const;
  bool some_expire() const { return some_expire_; }
  // Whether the i-th of granted() has access at this moment.
  bool is_live(std::size_t i, Time now) const { return !some_expire_ || now < expiries()[i]; }

  // Bytes of memory that the entry takes, the allocator's own included.
  std::size_t memory_bytes() const;

  // Memory that a read looks at begins here; most of it lies in the first 128 bytes.
  static void prefetch(const PackedEntry* entry) {
    const auto* bytes = reinterpret_cast<const char*>(entry);
    __builtin_prefetch(bytes);
    __builtin_prefetch(bytes + 64);
  }

 private:
  struct Cold;
  class Writer;

  explicit PackedEntry(const CallEntry& entry, std::size_t bytes);
  ~PackedEntry() = default;

  const UserId* users() const { return reinterpret_cast<const UserId*>(this + 1); }
  const Time* expiries() const { return reinterpret_cast<const Time*>(users() + grants_); }
  // Behind what reads look at: the rest, which the rules and the committer want.
  const Cold& cold() const;
  std::string_view note(std::size_t i) const;  // the i-th of those that there are

  friend void intrusive_ptr_add_ref(const PackedEntry* entry) {
    entry->references_.fetch_add(1, std::memory_order_relaxed);
  }
  friend void intrusive_ptr_release(const PackedEntry* entry) {
    if (entry->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) free(entry);
  }
  static void free(const PackedEntry* entry);

  mutable std::atomic<std::uint32_t> references_{0};
  const std::uint32_t grants_;
  const Revision newest_revision_;
  const std::uint32_t newest_n_;
  const std::uint32_t bytes_;  // of the block
  const bool has_call_;
  const bool is_private_;
  const bool some_expire_;  // else no expiry is kept
};

}  // namespace earshot::core
