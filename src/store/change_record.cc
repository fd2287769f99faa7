#include "store/change_record.h"

#include <algorithm>
#include <utility>

namespace earshot::store {

namespace {

enum class ItemTag : std::uint8_t { pairs = 1, call = 2, thing = 3, key = 4 };

// Of the head.
constexpr std::uint8_t kLastPart = 1;
// Of a pair: what was before, what is after, and which of the two grants has more to say than that
// it is there.
constexpr std::uint8_t kBefore = 1;
constexpr std::uint8_t kAfter = 2;
constexpr std::uint8_t kBeforeBody = 4;
constexpr std::uint8_t kAfterBody = 8;
constexpr std::uint8_t kShare = 16;
// Of pairs and calls: what was before was dead.
constexpr std::uint8_t kDead = 32;

bool has_body(const std::optional<core::Grant>& grant) { return grant && *grant != core::Grant{}; }

void fail(ByteReader& reader) { reader.bytes(reader.rest_bytes() + 1); }

ChangeHead read_head(ByteReader& reader) {
  ChangeHead head;
  if (reader.byte() != kValueFormat) fail(reader);
  const std::uint8_t flags = reader.byte();
  if ((flags & ~kLastPart) != 0) fail(reader);
  head.last_part = (flags & kLastPart) != 0;
  const std::string_view hash = reader.bytes(head.previous_hash.size());
  std::copy(hash.begin(), hash.end(), head.previous_hash.begin());
  head.time = Time{reader.signed_varint()};
  head.directory_revision = reader.varint();
  const std::uint8_t operation = reader.byte();
  if (operation < 1 || operation > static_cast<std::uint8_t>(Operation::sweep)) fail(reader);
  head.operation = static_cast<Operation>(operation);
  const std::string_view request_id = reader.bytes(head.origin.request_id.bytes.size());
  std::copy(request_id.begin(), request_id.end(), head.origin.request_id.bytes.begin());
  head.origin.access_key = reader.text();
  return head;
}

// A dead row is one that was there, and when it died is known.
core::Revision read_dead_since(ByteReader& reader, std::uint8_t flags) {
  if ((flags & kDead) == 0) return 0;
  const core::Revision revision = reader.varint();
  if (revision == 0 || (flags & kBefore) == 0) fail(reader);
  return revision;
}

// What is left out is read over all the same. Gives the number of changes.
template <class Wants>
std::uint64_t read_pairs(ByteReader& reader, Wants& wants, std::vector<Change>& changes) {
  const CallId call{reader.fixed64()};
  wants.begin_pairs(call);
  const core::Stamp previous = read_stamp(reader);
  const std::uint64_t count = reader.varint();
  if (count == 0) fail(reader);
  for (std::uint64_t i = 0; i < count && reader.ok() && !wants.is_over(); ++i) {
    const UserId user{reader.fixed64()};
    const std::uint8_t flags = reader.byte();
    const core::Revision dead_since = read_dead_since(reader, flags);
    const bool wanted = wants.pair(user);
    if (flags & kShare) {
      if ((flags & ~(kShare | kBefore | kAfter | kDead)) != 0) fail(reader);
      if (wanted) {
        changes.push_back(ShareChanged{call, previous, user, (flags & kBefore) != 0,
                                       (flags & kAfter) != 0, dead_since});
      }
      continue;
    }
    GrantChanged change{call, previous, user, {}, {}, dead_since};
    if ((flags & ~(kBefore | kAfter | kBeforeBody | kAfterBody | kDead)) != 0) fail(reader);
    if (flags & kBefore) change.before.emplace();
    if (flags & kAfter) change.after.emplace();
    if (flags & kBeforeBody) change.before = read_grant_body(reader);
    if (flags & kAfterBody) change.after = read_grant_body(reader);
    if (wanted) changes.push_back(std::move(change));
  }
  return count;
}

CallChanged read_call(ByteReader& reader) {
  CallChanged change;
  change.call = {reader.fixed64()};
  change.previous = read_stamp(reader);
  const std::uint8_t flags = reader.byte();
  if ((flags & ~(kBefore | kAfter | kDead)) != 0) fail(reader);
  change.dead_since = read_dead_since(reader, flags);
  if (flags & kBefore) (change.before = read_call_body(reader))->id = change.call;
  if (flags & kAfter) (change.after = read_call_body(reader))->id = change.call;
  return change;
}

ThingChanged read_thing(ByteReader& reader) {
  ThingChanged change;
  const std::uint8_t kind = reader.byte();
  if (kind > static_cast<std::uint8_t>(ThingKind::user)) fail(reader);
  change.kind = static_cast<ThingKind>(kind);
  change.id = reader.fixed64();
  if (reader.byte() != 0) change.after = reader.text();
  return change;
}

KeyChanged read_key(ByteReader& reader) {
  KeyChanged change;
  change.access_key = reader.text();
  if (reader.byte() != 0) (change.after = read_key_body(reader))->access_key = change.access_key;
  return change;
}

// Which changes are wanted is asked of each in its order, of pairs once more for all of one call;
// when it is over, what is behind is not read.
struct WantsAll {
  static bool is_over() { return false; }
  static void begin_pairs(CallId) {}
  static bool pair(UserId) { return true; }
  static bool call(CallId) { return true; }
  static bool thing(ThingKind, std::uint64_t) { return true; }
  static bool key() { return true; }
};

struct WantsCalls {
  const std::function<bool(CallId)>& is_wanted;
  bool are_pairs_wanted = false;

  static bool is_over() { return false; }
  void begin_pairs(CallId call) { are_pairs_wanted = is_wanted(call); }
  bool pair(UserId) const { return are_pairs_wanted; }
  bool call(CallId call) const { return is_wanted(call); }
  static bool thing(ThingKind, std::uint64_t) { return false; }
  static bool key() { return false; }
};

struct WantsAsked {
  const ChangesAsked& asked;
  std::vector<std::uint32_t> numbers{};  // of those that are
  std::uint32_t looked = 0;
  bool over = false;
  bool are_pairs_of_call = false;

  bool next(bool is_asked) {
    is_asked = is_asked && looked >= asked.from;
    over = is_asked && numbers.size() == asked.changes_max;
    if (over) return false;
    if (is_asked) numbers.push_back(looked);
    ++looked;
    return is_asked;
  }
  bool is_over() const { return over; }
  void begin_pairs(CallId call) { are_pairs_of_call = !asked.call || *asked.call == call; }
  bool pair(UserId user) { return next(are_pairs_of_call && (!asked.user || *asked.user == user)); }
  bool call(CallId call) { return next(!asked.user && (!asked.call || *asked.call == call)); }
  bool thing(ThingKind kind, std::uint64_t id) {
    const bool is_user = asked.user && kind == ThingKind::user && asked.user->value == id;
    return next(!asked.call && (!asked.user || is_user));
  }
  bool key() { return next(!asked.call && !asked.user); }
};

// Reads the count of changes and the items behind it; false where no release wrote them.
template <class Wants>
bool read_items(ByteReader& reader, Wants&& wants, std::vector<Change>& changes) {
  const std::uint64_t count = reader.varint();
  std::uint64_t seen = 0;
  while (reader.ok() && reader.rest_bytes() > 0 && !wants.is_over()) {
    switch (static_cast<ItemTag>(reader.byte())) {
      case ItemTag::pairs:
        seen += read_pairs(reader, wants, changes);
        break;
      case ItemTag::call: {
        ++seen;
        CallChanged change = read_call(reader);
        if (wants.call(change.call)) changes.push_back(std::move(change));
        break;
      }
      case ItemTag::thing: {
        ++seen;
        ThingChanged change = read_thing(reader);
        if (wants.thing(change.kind, change.id)) changes.push_back(std::move(change));
        break;
      }
      case ItemTag::key: {
        ++seen;
        KeyChanged change = read_key(reader);
        if (wants.key()) changes.push_back(std::move(change));
        break;
      }
      default:
        return false;
    }
  }
  return wants.is_over() ? reader.ok() && seen <= count : reader.done() && seen == count;
}

}  // namespace

std::string encode_key(const ChangeKey& key) {
  std::string out;
  out.reserve(20);
  append_fixed64(out, key.company.value);
  append_fixed64(out, key.revision);
  append_fixed32(out, key.first_n);
  return out;
}

std::optional<ChangeKey> decode_change_key(std::string_view bytes) {
  ByteReader reader(bytes);
  ChangeKey key;
  key.company = {reader.fixed64()};
  key.revision = reader.fixed64();
  key.first_n = reader.fixed32();
  if (!reader.done()) return std::nullopt;
  return key;
}

Digest hash_change(std::string_view key, std::string_view value) { return sha256(key, value); }

void ChangeWriter::add_pair(CallId call, core::Stamp previous, UserId user, std::uint8_t flags,
                            core::Revision dead_since) {
  if (group_count_ == 0 || group_call_ != call) {
    end_group();
    group_call_ = call;
    group_previous_ = previous;
    calls_.push_back(call);
  }
  ++group_count_;
  ++count_;
  append_fixed64(group_, user.value);
  append_byte(group_, flags | (dead_since ? kDead : std::uint8_t{0}));
  if (dead_since) append_varint(group_, dead_since);
}

void ChangeWriter::end_group() {
  if (group_count_ == 0) return;
  append_byte(items_, static_cast<std::uint8_t>(ItemTag::pairs));
  append_fixed64(items_, group_call_.value);
  append_stamp(items_, group_previous_);
  append_varint(items_, group_count_);
  items_ += group_;
  group_.clear();
  group_count_ = 0;
}

void ChangeWriter::add(const GrantChanged& change) {
  std::uint8_t flags = 0;
  if (change.before) flags |= kBefore;
  if (change.after) flags |= kAfter;
  if (has_body(change.before)) flags |= kBeforeBody;
  if (has_body(change.after)) flags |= kAfterBody;
  add_pair(change.call, change.previous, change.user, flags, change.dead_since);
  if (flags & kBeforeBody) append_grant_body(group_, *change.before);
  if (flags & kAfterBody) append_grant_body(group_, *change.after);
}

void ChangeWriter::add(const ShareChanged& change) {
  std::uint8_t flags = kShare;
  if (change.before) flags |= kBefore;
  if (change.after) flags |= kAfter;
  add_pair(change.call, change.previous, change.user, flags, change.dead_since);
}

void ChangeWriter::add(const CallChanged& change) {
  end_group();
  ++count_;
  calls_.push_back(change.call);
  append_byte(items_, static_cast<std::uint8_t>(ItemTag::call));
  append_fixed64(items_, change.call.value);
  append_stamp(items_, change.previous);
  append_byte(items_, static_cast<std::uint8_t>((change.before ? kBefore : 0) |
                                                (change.after ? kAfter : 0) |
                                                (change.dead_since ? kDead : 0)));
  if (change.dead_since) append_varint(items_, change.dead_since);
  if (change.before) append_call_body(items_, *change.before);
  if (change.after) append_call_body(items_, *change.after);
}

void ChangeWriter::add(const ThingChanged& change) {
  end_group();
  ++count_;
  append_byte(items_, static_cast<std::uint8_t>(ItemTag::thing));
  append_byte(items_, static_cast<std::uint8_t>(change.kind));
  append_fixed64(items_, change.id);
  append_byte(items_, change.after ? 1 : 0);
  if (change.after) append_text(items_, *change.after);
}

void ChangeWriter::add(const KeyChanged& change) {
  end_group();
  ++count_;
  append_byte(items_, static_cast<std::uint8_t>(ItemTag::key));
  append_text(items_, change.access_key);
  append_byte(items_, change.after ? 1 : 0);
  if (change.after) append_key_body(items_, *change.after);
}

ChangeItems ChangeWriter::take_items() {
  end_group();
  return {std::exchange(count_, 0), std::exchange(items_, {}), std::exchange(calls_, {})};
}

std::string ChangeWriter::finish(const ChangeHead& head) {
  const ChangeItems items = take_items();
  return encode_change(head, items.count, items.bytes);
}

std::string encode_change(const ChangeHead& head, std::uint32_t count, std::string_view items) {
  std::string out;
  out.reserve(80 + head.origin.access_key.size() + items.size());
  append_byte(out, kValueFormat);
  append_byte(out, head.last_part ? kLastPart : std::uint8_t{0});
  out.append(head.previous_hash.begin(), head.previous_hash.end());
  append_signed_varint(out, head.time.micros);
  append_varint(out, head.directory_revision);
  append_byte(out, static_cast<std::uint8_t>(head.operation));
  out.append(head.origin.request_id.bytes.begin(), head.origin.request_id.bytes.end());
  append_text(out, head.origin.access_key);
  append_varint(out, count);
  out += items;
  return out;
}

core::Stamp previous_of(const Change& change) {
  return std::visit(
      [](const auto& one) {
        if constexpr (requires { one.previous; }) return one.previous;
        return core::Stamp{};
      },
      change);
}

core::Revision dead_since_of(const Change& change) {
  return std::visit(
      [](const auto& one) {
        if constexpr (requires { one.dead_since; }) return one.dead_since;
        return core::Revision{0};
      },
      change);
}

std::optional<ChangeHead> decode_change_head(std::string_view value) {
  ByteReader reader(value);
  ChangeHead head = read_head(reader);
  if (!reader.ok()) return std::nullopt;
  return head;
}

std::optional<ChangePart> decode_change(std::string_view value) {
  ByteReader reader(value);
  ChangePart part;
  part.head = read_head(reader);
  if (!read_items(reader, WantsAll{}, part.changes)) return std::nullopt;
  return part;
}

std::optional<std::vector<Change>> decode_changes_of(std::string_view value,
                                                     const std::function<bool(CallId)>& is_wanted) {
  ByteReader reader(value);
  read_head(reader);
  std::vector<Change> changes;
  if (!read_items(reader, WantsCalls{is_wanted}, changes)) return std::nullopt;
  return changes;
}

std::optional<ChangesFound> find_changes(std::string_view value, const ChangesAsked& asked) {
  ByteReader reader(value);
  ChangesFound found;
  found.head = read_head(reader);
  WantsAsked wants{asked};
  if (!read_items(reader, wants, found.changes)) return std::nullopt;
  found.numbers = std::move(wants.numbers);
  found.looked = wants.looked;
  found.is_to_end = !wants.over;
  return found;
}

}  // namespace earshot::store
