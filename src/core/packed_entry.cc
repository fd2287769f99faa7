#include "core/packed_entry.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <type_traits>

#include "base/assert.h"

namespace earshot::core {

static_assert(sizeof(PackedEntry) == 32 && alignof(PackedEntry) == 8);
static_assert(sizeof(UserId) == 8 && sizeof(Time) == 8);

// What follows the users and expiries. Behind it stand participants, users of shares, users with a
// note, and the ends of the notes' texts; then without alignment the stamps of shares, those of
// grants, and the texts.
struct PackedEntry::Cold {
  WorkspaceId workspace;
  Revision call_revision = 0;
  std::uint32_t call_n = 0;
  std::uint32_t participants_count = 0;
  std::uint32_t shares_count = 0;
  std::uint32_t notes_count = 0;

  const UserId* participants() const { return reinterpret_cast<const UserId*>(this + 1); }
  const UserId* shared() const { return participants() + participants_count; }
  const UserId* noted() const { return shared() + shares_count; }
  const std::uint32_t* note_ends() const {
    return reinterpret_cast<const std::uint32_t*>(noted() + notes_count);
  }
  const char* stamps() const { return reinterpret_cast<const char*>(note_ends() + notes_count); }
  const char* texts(std::size_t grants) const {
    return stamps() + (shares_count + grants) * kStampBytes;
  }

  static constexpr std::size_t kStampBytes = sizeof(Revision) + sizeof(std::uint32_t);
};

// Values one after the other, without padding.
class PackedEntry::Writer {
 public:
  explicit Writer(char* at) : at_(at) {}
  template <class Value>
  void write(const Value& value) {
    static_assert(std::is_trivially_copyable_v<Value>);
    write(&value, sizeof value);
  }
  void write(const void* bytes, std::size_t size) {
    if (size > 0) std::memcpy(at_, bytes, size);
    at_ += size;
  }
  const char* at() const { return at_; }

 private:
  char* at_;
};

namespace {

constexpr std::size_t kNoteHeadBytes = sizeof(UserId) + sizeof(std::uint32_t);

Stamp read_stamp(const char* at) {
  Stamp stamp;
  std::memcpy(&stamp.revision, at, sizeof stamp.revision);
  std::memcpy(&stamp.n, at + sizeof stamp.revision, sizeof stamp.n);
  return stamp;
}

bool has_expiry(const GrantRow& row) { return row.expires_at != GrantRow::kNever; }

bool some_has_expiry(const CallEntry& entry) {
  return std::any_of(entry.grants.begin(), entry.grants.end(), has_expiry);
}

std::uint32_t count_of(const auto& rows) {
  ASSERT(rows.size() <= UINT32_MAX);
  return static_cast<std::uint32_t>(rows.size());
}

}  // namespace

PackedEntryPtr PackedEntry::pack(const CallEntry& entry) {
  std::size_t bytes =
      sizeof(PackedEntry) + sizeof(Cold) +
      (entry.shares.size() + entry.grants.size()) * (sizeof(UserId) + Cold::kStampBytes);
  if (some_has_expiry(entry)) bytes += entry.grants.size() * sizeof(Time);
  if (entry.call) bytes += entry.call->participants.size() * sizeof(UserId);
  for (const auto& note : entry.notes) bytes += kNoteHeadBytes + note.second.size();
  ASSERT(bytes <= UINT32_MAX);
  return {new (::operator new(bytes)) PackedEntry(entry, bytes)};
}

PackedEntry::PackedEntry(const CallEntry& entry, std::size_t bytes)
    : grants_(count_of(entry.grants)),
      newest_revision_(entry.newest.revision),
      newest_n_(entry.newest.n),
      bytes_(static_cast<std::uint32_t>(bytes)),
      has_call_(entry.call.has_value()),
      is_private_(entry.call && entry.call->is_private),
      some_expire_(some_has_expiry(entry)) {
  Writer out(reinterpret_cast<char*>(this + 1));
  for (const GrantRow& row : entry.grants) out.write(row.user);
  if (some_expire_) {
    for (const GrantRow& row : entry.grants) out.write(row.expires_at);
  }
  Cold head;
  head.call_revision = entry.call_stamp.revision;
  head.call_n = entry.call_stamp.n;
  head.shares_count = count_of(entry.shares);
  head.notes_count = count_of(entry.notes);
  if (entry.call) {
    head.workspace = entry.call->workspace;
    head.participants_count = count_of(entry.call->participants);
  }
  out.write(head);
  if (entry.call) {
    const auto& people = entry.call->participants;
    out.write(people.data(), people.size() * sizeof people[0]);
  }
  for (const ShareRow& row : entry.shares) out.write(row.user);
  for (const auto& note : entry.notes) out.write(note.first);
  std::size_t texts_bytes = 0;
  for (const auto& note : entry.notes) {
    texts_bytes += note.second.size();
    out.write(static_cast<std::uint32_t>(texts_bytes));
  }
  const auto write_stamp = [&out](Stamp stamp) {
    out.write(stamp.revision);
    out.write(stamp.n);
  };
  for (const ShareRow& row : entry.shares) write_stamp(row.stamp);
  for (const GrantRow& row : entry.grants) write_stamp(row.stamp);
  for (const auto& note : entry.notes) out.write(note.second.data(), note.second.size());
  ASSERT(out.at() == reinterpret_cast<const char*>(this) + bytes_);
}

CallEntry PackedEntry::unpack() const {
  CallEntry entry;
  entry.newest = newest();
  const Cold& head = cold();
  entry.call_stamp = call_stamp();
  if (has_call_) {
    const auto people = participants();
    entry.call = CallFacts{head.workspace, is_private_, {people.begin(), people.end()}};
  }
  const char* stamp = head.stamps();
  entry.shares.resize(head.shares_count);
  for (std::size_t i = 0; i < entry.shares.size(); ++i, stamp += Cold::kStampBytes) {
    entry.shares[i] = {head.shared()[i], read_stamp(stamp)};
  }
  entry.grants.resize(grants_);
  for (std::size_t i = 0; i < grants_; ++i, stamp += Cold::kStampBytes) {
    entry.grants[i] = {users()[i], read_stamp(stamp), expires_at(i), false};
  }
  entry.notes.reserve(head.notes_count);
  for (std::uint32_t i = 0; i < head.notes_count; ++i) {
    const UserId user = head.noted()[i];
    const auto row = find_granted(user);
    ASSERT(row);
    entry.grants[*row].has_note = true;
    entry.notes.emplace_back(user, note(i));
  }
  return entry;
}

const PackedEntry::Cold& PackedEntry::cold() const {
  return *reinterpret_cast<const Cold*>(users() + grants_ * (some_expire_ ? 2U : 1U));
}

WorkspaceId PackedEntry::workspace() const { return cold().workspace; }

std::span<const UserId> PackedEntry::participants() const {
  return {cold().participants(), cold().participants_count};
}

std::span<const UserId> PackedEntry::shared() const {
  return {cold().shared(), cold().shares_count};
}

std::optional<std::size_t> PackedEntry::find_granted(UserId user) const {
  const auto place = std::ranges::lower_bound(granted(), user);
  if (place == granted().end() || *place != user) return std::nullopt;
  return place - granted().begin();
}

std::string_view PackedEntry::note(std::size_t i) const {
  const std::uint32_t* const ends = cold().note_ends();
  const std::uint32_t begin = i == 0 ? 0 : ends[i - 1];
  return {cold().texts(grants_) + begin, ends[i] - begin};
}

std::string_view PackedEntry::note_of(UserId user) const {
  const std::span<const UserId> noted(cold().noted(), cold().notes_count);
  const auto place = std::ranges::lower_bound(noted, user);
  if (place == noted.end() || *place != user) return {};
  return note(place - noted.begin());
}

Stamp PackedEntry::call_stamp() const { return {cold().call_revision, cold().call_n}; }

std::size_t PackedEntry::memory_bytes() const {
  constexpr std::size_t kAllocatorStep = 16;  // of tcmalloc, at the sizes that most entries have
  return (bytes_ + kAllocatorStep - 1) / kAllocatorStep * kAllocatorStep;
}

void PackedEntry::free(const PackedEntry* entry) {
  entry->~PackedEntry();
  ::operator delete(const_cast<PackedEntry*>(entry));
}

}  // namespace earshot::core
