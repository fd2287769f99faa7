// The record of changes: one record a request, in parts of bounded size, each holding the hash of
// the part before it. Pure bytes; docs/storage.md describes the format.
//
// A part's key is company | revision | n of its first change; its changes are numbered from there
// on.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/random.h"
#include "base/secret.h"
#include "core/entry.h"
#include "core/types.h"
#include "store/codec.h"
#include "store/store.h"

namespace earshot::store {

struct ChangeKey {
  CompanyId company;
  core::Revision revision = 0;
  std::uint32_t first_n = 0;
};
std::string encode_key(const ChangeKey& key);
std::optional<ChangeKey> decode_change_key(std::string_view bytes);

// The link of the chain: what the part after this one holds.
Digest hash_change(std::string_view key, std::string_view value);

// A grant of one pair, before and after.
struct GrantChanged {
  CallId call;
  core::Stamp previous;  // of the call's newest change before this one
  UserId user;
  std::optional<core::Grant> before, after;
  // Of a row that was dead before, awaiting its sweep: the revision that removed its user, call or
  // company. 0: it was alive.
  core::Revision dead_since = 0;
};
struct ShareChanged {
  CallId call;
  core::Stamp previous;
  UserId user;
  bool before = false, after = false;
  core::Revision dead_since = 0;
};
struct CallChanged {
  CallId call;
  core::Stamp previous;
  std::optional<core::Call> before, after;
  core::Revision dead_since = 0;
};
// A company, workspace, profile or user; older versions stand in the directory.
struct ThingChanged {
  ThingKind kind = ThingKind::company;
  std::uint64_t id = 0;
  std::optional<std::string> after;  // the body as in the directory
};
struct KeyChanged {
  std::string access_key;
  std::optional<core::Key> after;
};
using Change = std::variant<GrantChanged, ShareChanged, CallChanged, ThingChanged, KeyChanged>;

// Of a change to a call; zero of others.
core::Stamp previous_of(const Change& change);
core::Revision dead_since_of(const Change& change);

// What every part says of its revision.
struct ChangeHead {
  Digest previous_hash{};  // zero for a company's first part
  bool last_part = true;
  Time time;
  core::Revision directory_revision = 0;
  Operation operation = Operation::give;
  Origin origin;
};

struct ChangePart {
  ChangeHead head;
  std::vector<Change> changes;
};

inline constexpr std::size_t kPartBytesMax = 256 << 10;  // beyond, a part is ended

// The changes of one part as bytes.
struct ChangeItems {
  std::uint32_t count = 0;
  std::string bytes;
  std::vector<CallId> calls;  // of which something changed; in order, some may come again
};

// A part's value.
std::string encode_change(const ChangeHead& head, std::uint32_t count, std::string_view items);

// Writes the changes of one part. Neighbouring changes to pairs of one call share what they have in
// common.
class ChangeWriter {
 public:
  void add(const GrantChanged& change);
  void add(const ShareChanged& change);
  void add(const CallChanged& change);
  void add(const ThingChanged& change);
  void add(const KeyChanged& change);

  std::uint32_t count() const { return count_; }
  std::size_t bytes() const { return items_.size() + group_.size(); }

  // The part's value; the writer is empty afterwards.
  std::string finish(const ChangeHead& head);
  // The same without the head.
  ChangeItems take_items();

 private:
  void add_pair(CallId call, core::Stamp previous, UserId user, std::uint8_t flags,
                core::Revision dead_since);
  void end_group();

  std::string items_;
  std::uint32_t count_ = 0;
  std::vector<CallId> calls_;
  // The open group: pairs of one call.
  CallId group_call_;
  core::Stamp group_previous_;
  std::uint32_t group_count_ = 0;
  std::string group_;
};

std::optional<ChangeHead> decode_change_head(std::string_view value);
std::optional<ChangePart> decode_change(std::string_view value);
// Only the changes to calls that are wanted, in their order. The others cost little.
std::optional<std::vector<Change>> decode_changes_of(std::string_view value,
                                                     const std::function<bool(CallId)>& is_wanted);

// Which changes of a part are asked for.
struct ChangesAsked {
  std::uint32_t from = 0;       // those with a smaller number in the part are passed over
  std::size_t changes_max = 0;  // so many; what is behind them is not decoded
  // Where given: only of this call, or of this user and their rows; of both, their rows alone.
  std::optional<CallId> call;
  std::optional<UserId> user;
};
struct ChangesFound {
  ChangeHead head;
  std::vector<Change> changes;
  std::vector<std::uint32_t> numbers;  // of each of them, in the part
  std::uint32_t looked = 0;  // so many changes of the part were looked at: up to the next one that
                             // is asked for, or to the end
  bool is_to_end = false;
};
std::optional<ChangesFound> find_changes(std::string_view value, const ChangesAsked& asked);

}  // namespace earshot::store
