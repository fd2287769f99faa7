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

// What follows the users and expiries: this, participants, shares, stamps of grants, notes.
struct PackedEntry::Cold {
  WorkspaceId workspace;
  Revision call_revision = 0;
  std::uint32_t call_n = 0;
  std::uint32_t participants = 0;
  std::uint32_t shares = 0;
  std::uint32_t notes = 0;
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

class PackedEntry::Reader {
 public:
  explicit Reader(const char* at) : at_(at) {}
  template <class Value>
  Value read() {
    Value value;
    std::memcpy(&value, at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  Stamp read_stamp() {
    const auto revision = read<Revision>();
    return {revision, read<std::uint32_t>()};
  }
  std::string read_text(std::size_t size) {
    std::string text(at_, size);
    at_ += size;
    return text;
  }

 private:
  const char* at_;
};

namespace {

constexpr std::size_t kStampBytes = sizeof(Revision) + sizeof(std::uint32_t);
constexpr std::size_t kShareBytes = sizeof(UserId) + kStampBytes;
constexpr std::size_t kNoteHeadBytes = sizeof(UserId) + sizeof(std::uint32_t);

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
  std::size_t bytes = sizeof(PackedEntry) + sizeof(Cold) + entry.shares.size() * kShareBytes +
                      entry.grants.size() * (sizeof(UserId) + kStampBytes);
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
  Cold cold;
  cold.call_revision = entry.call_stamp.revision;
  cold.call_n = entry.call_stamp.n;
  cold.shares = count_of(entry.shares);
  cold.notes = count_of(entry.notes);
  if (entry.call) {
    cold.workspace = entry.call->workspace;
    cold.participants = count_of(entry.call->participants);
  }
  out.write(cold);
  if (entry.call) {
    const auto& people = entry.call->participants;
    out.write(people.data(), people.size() * sizeof people[0]);
  }
  const auto write_stamp = [&out](Stamp stamp) {
    out.write(stamp.revision);
    out.write(stamp.n);
  };
  for (const ShareRow& row : entry.shares) {
    out.write(row.user);
    write_stamp(row.stamp);
  }
  for (const GrantRow& row : entry.grants) write_stamp(row.stamp);
  for (const auto& [user, text] : entry.notes) {
    out.write(user);
    out.write(count_of(text));
    out.write(text.data(), text.size());
  }
  ASSERT(out.at() == reinterpret_cast<const char*>(this) + bytes_);
}

CallEntry PackedEntry::unpack() const {
  CallEntry entry;
  entry.newest = newest();
  Reader in(cold());
  const auto head = in.read<Cold>();
  entry.call_stamp = {head.call_revision, head.call_n};
  if (has_call_) {
    entry.call = CallFacts{head.workspace, is_private_, {}};
    entry.call->participants.resize(head.participants);
    for (UserId& user : entry.call->participants) user = in.read<UserId>();
  }
  entry.shares.resize(head.shares);
  for (ShareRow& row : entry.shares) {
    row.user = in.read<UserId>();
    row.stamp = in.read_stamp();
  }
  entry.grants.resize(grants_);
  for (std::size_t i = 0; i < grants_; ++i) {
    GrantRow& row = entry.grants[i];
    row.user = users()[i];
    if (some_expire_) row.expires_at = expiries()[i];
    row.stamp = in.read_stamp();
  }
  entry.notes.reserve(head.notes);
  for (std::uint32_t i = 0; i < head.notes; ++i) {
    const auto user = in.read<UserId>();
    const auto size = in.read<std::uint32_t>();
    entry.notes.emplace_back(user, in.read_text(size));
    const auto row =
        std::lower_bound(entry.grants.begin(), entry.grants.end(), user,
                         [](const GrantRow& r, UserId wanted) { return r.user < wanted; });
    ASSERT(row != entry.grants.end() && row->user == user);
    row->has_note = true;
  }
  return entry;
}

Stamp PackedEntry::call_stamp() const {
  const auto head = Reader(cold()).read<Cold>();
  return {head.call_revision, head.call_n};
}

std::size_t PackedEntry::memory_bytes() const {
  constexpr std::size_t kAllocatorStep = 16;  // of tcmalloc, at the sizes that most entries have
  return (bytes_ + kAllocatorStep - 1) / kAllocatorStep * kAllocatorStep;
}

void PackedEntry::free(const PackedEntry* entry) {
  entry->~PackedEntry();
  ::operator delete(const_cast<PackedEntry*>(entry));
}

}  // namespace earshot::core
