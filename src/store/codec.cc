#include "store/codec.h"

#include "base/assert.h"

namespace earshot::store {

namespace {

constexpr std::uint8_t kLive = 1;
constexpr std::uint8_t kRemovedBefore = 2;  // of the directory
constexpr std::uint8_t kHasExpiry = 2;
constexpr std::uint8_t kHasNote = 4;
constexpr std::uint8_t kPrivate = 8;
constexpr std::uint8_t kInactive = 16;

std::string start_value(std::uint8_t flags) {
  std::string out;
  append_byte(out, kValueFormat);
  append_byte(out, flags);
  return out;
}

template <class IdType>
void append_ids(std::string& out, const std::vector<IdType>& ids) {
  append_varint(out, ids.size());
  for (const IdType id : ids) append_varint(out, id.value);
}

template <class IdType>
std::vector<IdType> read_ids(ByteReader& reader) {
  const std::uint64_t count = reader.varint();
  std::vector<IdType> ids;
  if (count > reader.rest_bytes()) {  // each takes a byte at least: a lying count allocates nothing
    reader.bytes(reader.rest_bytes() + 1);
    return ids;
  }
  ids.reserve(count);
  for (std::uint64_t i = 0; i < count && reader.ok(); ++i) ids.push_back({reader.varint()});
  return ids;
}

// The flags of a value whose format byte is ours; nothing for any other.
std::optional<std::uint8_t> read_start(ByteReader& reader, std::uint8_t known_flags) {
  if (reader.byte() != kValueFormat) return std::nullopt;
  const std::uint8_t flags = reader.byte();
  if (!reader.ok() || (flags & ~known_flags) != 0) return std::nullopt;
  return flags;
}

}  // namespace

std::uint8_t ByteReader::byte() {
  const std::string_view taken = bytes(1);
  return taken.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(taken[0]);
}

std::uint32_t ByteReader::fixed32() {
  std::uint32_t number = 0;
  for (const char c : bytes(4)) number = number << 8 | static_cast<std::uint8_t>(c);
  return number;
}

std::uint64_t ByteReader::fixed64() {
  std::uint64_t number = 0;
  for (const char c : bytes(8)) number = number << 8 | static_cast<std::uint8_t>(c);
  return number;
}

std::uint64_t ByteReader::varint() {
  std::uint64_t number = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const std::uint8_t next = byte();
    if (!ok_) return 0;
    const std::uint64_t bits = next & 0x7F;
    // One way to write a number: no bits beyond the 64th, no idle last byte.
    if ((shift == 63 && bits > 1) || (shift > 0 && next == 0)) break;
    number |= bits << shift;
    if ((next & 0x80) == 0) return number;
  }
  ok_ = false;
  rest_ = {};
  return 0;
}

std::int64_t ByteReader::signed_varint() {
  const std::uint64_t folded = varint();
  return static_cast<std::int64_t>(folded >> 1) ^ -static_cast<std::int64_t>(folded & 1);
}

std::string_view ByteReader::bytes(std::size_t size) {
  if (!ok_ || size > rest_.size()) {
    ok_ = false;
    rest_ = {};
    return {};
  }
  const std::string_view taken = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return taken;
}

std::string_view ByteReader::text() {
  const std::uint64_t size = varint();
  if (size > rest_.size()) return bytes(rest_.size() + 1);
  return bytes(size);
}

void append_byte(std::string& out, std::uint8_t byte) { out.push_back(static_cast<char>(byte)); }

void append_fixed32(std::string& out, std::uint32_t number) {
  for (int shift = 24; shift >= 0; shift -= 8)
    append_byte(out, static_cast<std::uint8_t>(number >> shift));
}

void append_fixed64(std::string& out, std::uint64_t number) {
  char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(number >> (56 - 8 * i));
  out.append(bytes, sizeof bytes);
}

void append_varint(std::string& out, std::uint64_t number) {
  while (number >= 0x80) {
    append_byte(out, static_cast<std::uint8_t>(number | 0x80));
    number >>= 7;
  }
  append_byte(out, static_cast<std::uint8_t>(number));
}

void append_signed_varint(std::string& out, std::int64_t number) {
  append_varint(out,
                static_cast<std::uint64_t>(number) << 1 ^ static_cast<std::uint64_t>(number >> 63));
}

void append_text(std::string& out, std::string_view text) {
  append_varint(out, text.size());
  out.append(text);
}

void append_stamp(std::string& out, core::Stamp stamp) {
  append_varint(out, stamp.revision);
  append_varint(out, stamp.n);
}

core::Stamp read_stamp(ByteReader& reader) {
  const std::uint64_t revision = reader.varint();
  const std::uint64_t n = reader.varint();
  if (n > UINT32_MAX) reader.bytes(reader.rest_bytes() + 1);
  return {revision, static_cast<std::uint32_t>(n)};
}

std::string encode_company_prefix(CompanyId company) {
  std::string out;
  append_fixed64(out, company.value);
  return out;
}

std::string encode_call_prefix(CompanyId company, CallId call) {
  std::string out;
  out.reserve(25);
  append_fixed64(out, company.value);
  append_fixed64(out, call.value);
  return out;
}

std::string encode_key(const CallRowKey& key) {
  std::string out = encode_call_prefix(key.company, key.call);
  append_byte(out, static_cast<std::uint8_t>(key.kind));
  if (key.kind != RowKind::call) append_fixed64(out, key.user.value);
  return out;
}

std::optional<CallRowKey> decode_call_row_key(std::string_view bytes) {
  ByteReader reader(bytes);
  CallRowKey key;
  key.company = {reader.fixed64()};
  key.call = {reader.fixed64()};
  const std::uint8_t kind = reader.byte();
  if (kind > static_cast<std::uint8_t>(RowKind::grant)) return std::nullopt;
  key.kind = static_cast<RowKind>(kind);
  if (key.kind != RowKind::call) key.user = {reader.fixed64()};
  if (!reader.done()) return std::nullopt;
  return key;
}

void append_call_body(std::string& out, const core::Call& call) {
  append_byte(out, call.is_private ? kPrivate : std::uint8_t{0});
  append_varint(out, call.workspace.value);
  append_varint(out, call.primary_user.value);
  append_ids(out, call.parties);
  append_text(out, call.title);
  append_text(out, call.started);
}

core::Call read_call_body(ByteReader& reader) {
  core::Call call;
  const std::uint8_t flags = reader.byte();
  if ((flags & ~kPrivate) != 0) reader.bytes(reader.rest_bytes() + 1);
  call.is_private = (flags & kPrivate) != 0;
  call.workspace = {reader.varint()};
  call.primary_user = {reader.varint()};
  call.parties = read_ids<UserId>(reader);
  call.title = reader.text();
  call.started = reader.text();
  return call;
}

void append_grant_body(std::string& out, const core::Grant& grant) {
  std::uint8_t flags = 0;
  if (grant.expires_at) flags |= kHasExpiry;
  if (!grant.note.empty()) flags |= kHasNote;
  append_byte(out, flags);
  if (grant.expires_at) append_signed_varint(out, grant.expires_at->micros);
  if (!grant.note.empty()) append_text(out, grant.note);
}

core::Grant read_grant_body(ByteReader& reader) {
  core::Grant grant;
  const std::uint8_t flags = reader.byte();
  if ((flags & ~(kHasExpiry | kHasNote)) != 0) reader.bytes(reader.rest_bytes() + 1);
  if ((flags & kHasExpiry) != 0) grant.expires_at = Time{reader.signed_varint()};
  if ((flags & kHasNote) != 0) grant.note = reader.text();
  // One value has one text form: a note that is said to be there is not empty.
  if ((flags & kHasNote) != 0 && grant.note.empty()) reader.bytes(reader.rest_bytes() + 1);
  return grant;
}

std::string encode_value(const CallRow& row) {
  std::string out = start_value(row.call ? kLive : std::uint8_t{0});
  append_stamp(out, row.stamp);
  if (row.call) append_call_body(out, *row.call);
  return out;
}

std::optional<CallRow> decode_call_row(std::string_view bytes) {
  ByteReader reader(bytes);
  const auto flags = read_start(reader, kLive);
  if (!flags) return std::nullopt;
  CallRow row;
  row.stamp = read_stamp(reader);
  if (*flags & kLive) row.call = read_call_body(reader);
  if (!reader.done()) return std::nullopt;
  return row;
}

std::string encode_value(const ShareRowValue& row) {
  std::string out = start_value(row.live ? kLive : std::uint8_t{0});
  append_stamp(out, row.stamp);
  return out;
}

std::optional<ShareRowValue> decode_share_row(std::string_view bytes) {
  ByteReader reader(bytes);
  const auto flags = read_start(reader, kLive);
  if (!flags) return std::nullopt;
  const ShareRowValue row{.stamp = read_stamp(reader), .live = (*flags & kLive) != 0};
  if (!reader.done()) return std::nullopt;
  return row;
}

// The flags of the grant stand in the value's own flags: a byte less on every grant.
std::string encode_value(const GrantRowValue& row) {
  std::uint8_t flags = 0;
  if (row.grant) {
    flags = kLive;
    if (row.grant->expires_at) flags |= kHasExpiry;
    if (!row.grant->note.empty()) flags |= kHasNote;
  }
  std::string out = start_value(flags);
  append_stamp(out, row.stamp);
  if (flags & kHasExpiry) append_signed_varint(out, row.grant->expires_at->micros);
  if (flags & kHasNote) append_text(out, row.grant->note);
  return out;
}

std::optional<GrantRowValue> decode_grant_row(std::string_view bytes) {
  ByteReader reader(bytes);
  const auto flags = read_start(reader, kLive | kHasExpiry | kHasNote);
  if (!flags || (*flags != 0 && !(*flags & kLive))) return std::nullopt;
  GrantRowValue row;
  row.stamp = read_stamp(reader);
  if (*flags & kLive) {
    row.grant.emplace();
    if (*flags & kHasExpiry) row.grant->expires_at = Time{reader.signed_varint()};
    if (*flags & kHasNote) row.grant->note = reader.text();
    if ((*flags & kHasNote) && row.grant->note.empty()) return std::nullopt;
  }
  if (!reader.done()) return std::nullopt;
  return row;
}

std::string encode_user_prefix(CompanyId company, UserId user) {
  std::string out;
  append_fixed64(out, company.value);
  append_fixed64(out, user.value);
  return out;
}

std::string encode_key(const UserCallKey& key) {
  std::string out = encode_user_prefix(key.company, key.user);
  append_fixed64(out, key.call.value);
  return out;
}

std::optional<UserCallKey> decode_user_call_key(std::string_view bytes) {
  ByteReader reader(bytes);
  UserCallKey key;
  key.company = {reader.fixed64()};
  key.user = {reader.fixed64()};
  key.call = {reader.fixed64()};
  if (!reader.done()) return std::nullopt;
  return key;
}

std::string encode_value(const UserCallValue& value) {
  std::string out =
      start_value(static_cast<std::uint8_t>((value.grant ? 1 : 0) | (value.share ? 2 : 0)));
  if (!value.grant && !value.share) append_stamp(out, value.removed);
  return out;
}

std::optional<UserCallValue> decode_user_call_value(std::string_view bytes) {
  ByteReader reader(bytes);
  const auto flags = read_start(reader, 3);
  if (!flags) return std::nullopt;
  UserCallValue value{.grant = (*flags & 1) != 0, .share = (*flags & 2) != 0, .removed = {}};
  if (*flags == 0) value.removed = read_stamp(reader);
  if (!reader.done()) return std::nullopt;
  return value;
}

std::string encode_directory_prefix(CompanyId company, ThingKind kind) {
  std::string out;
  append_fixed64(out, company.value);
  append_byte(out, static_cast<std::uint8_t>(kind));
  return out;
}

std::string encode_thing_prefix(CompanyId company, ThingKind kind, std::uint64_t id) {
  std::string out = encode_directory_prefix(company, kind);
  append_fixed64(out, id);
  return out;
}

std::string encode_key(const DirectoryKey& key) {
  std::string out = encode_thing_prefix(key.company, key.kind, key.id);
  append_fixed64(out, ~key.revision);  // newest first
  return out;
}

std::optional<DirectoryKey> decode_directory_key(std::string_view bytes) {
  ByteReader reader(bytes);
  DirectoryKey key;
  key.company = {reader.fixed64()};
  const std::uint8_t kind = reader.byte();
  if (kind > static_cast<std::uint8_t>(ThingKind::user)) return std::nullopt;
  key.kind = static_cast<ThingKind>(kind);
  key.id = reader.fixed64();
  key.revision = ~reader.fixed64();
  if (!reader.done()) return std::nullopt;
  return key;
}

std::string encode_value(const DirectoryValue& value) {
  std::string out = start_value((value.body ? kLive : std::uint8_t{0}) |
                                (value.removed_n ? kRemovedBefore : std::uint8_t{0}));
  append_varint(out, value.n);
  if (value.removed_n) append_varint(out, *value.removed_n);
  if (value.body) out += *value.body;
  return out;
}

std::optional<DirectoryValue> decode_directory_value(std::string_view bytes) {
  ByteReader reader(bytes);
  const auto flags = read_start(reader, kLive | kRemovedBefore);
  if (!flags) return std::nullopt;
  DirectoryValue value;
  const std::uint64_t n = reader.varint();
  const std::uint64_t removed_n = *flags & kRemovedBefore ? reader.varint() : 0;
  if (!reader.ok() || n > UINT32_MAX || removed_n > n) return std::nullopt;
  value.n = static_cast<std::uint32_t>(n);
  if (*flags & kRemovedBefore) value.removed_n = static_cast<std::uint32_t>(removed_n);
  const std::string_view rest = reader.bytes(reader.rest_bytes());
  if (*flags & kLive) {
    value.body = rest;
  } else if (!rest.empty()) {
    return std::nullopt;
  }
  return value;
}

void append_body(std::string& out, const core::Company& company) { append_text(out, company.name); }

void append_body(std::string& out, const core::Workspace& workspace) {
  append_text(out, workspace.name);
}

void append_body(std::string& out, const core::Profile& profile) {
  append_byte(out, static_cast<std::uint8_t>(profile.level));
  append_varint(out, profile.workspace.value);
  append_text(out, profile.name);
  append_ids(out, profile.team_leads);
}

void append_body(std::string& out, const core::User& user) {
  append_byte(out, user.active ? std::uint8_t{0} : kInactive);
  append_varint(out, user.manager.value);
  append_ids(out, user.profiles);
  append_text(out, user.email_address);
  append_text(out, user.first_name);
  append_text(out, user.last_name);
}

std::optional<core::Company> decode_company(std::uint64_t id, std::string_view body) {
  ByteReader reader(body);
  core::Company company{.id = {id}, .name = std::string(reader.text())};
  if (!reader.done()) return std::nullopt;
  return company;
}

std::optional<core::Workspace> decode_workspace(std::uint64_t id, std::string_view body) {
  ByteReader reader(body);
  core::Workspace workspace{.id = {id}, .name = std::string(reader.text())};
  if (!reader.done()) return std::nullopt;
  return workspace;
}

std::optional<core::Profile> decode_profile(std::uint64_t id, std::string_view body) {
  ByteReader reader(body);
  core::Profile profile;
  profile.id = {id};
  const std::uint8_t level = reader.byte();
  if (level > static_cast<std::uint8_t>(core::PermissionLevel::all)) return std::nullopt;
  profile.level = static_cast<core::PermissionLevel>(level);
  profile.workspace = {reader.varint()};
  profile.name = reader.text();
  profile.team_leads = read_ids<UserId>(reader);
  if (!reader.done()) return std::nullopt;
  return profile;
}

std::optional<core::User> decode_user(std::uint64_t id, std::string_view body) {
  ByteReader reader(body);
  core::User user;
  user.id = {id};
  const std::uint8_t flags = reader.byte();
  if ((flags & ~kInactive) != 0) return std::nullopt;
  user.active = (flags & kInactive) == 0;
  user.manager = {reader.varint()};
  user.profiles = read_ids<ProfileId>(reader);
  user.email_address = reader.text();
  user.first_name = reader.text();
  user.last_name = reader.text();
  if (!reader.done()) return std::nullopt;
  return user;
}

void append_key_body(std::string& out, const core::Key& key) {
  append_byte(out, key.expires_at ? kHasExpiry : std::uint8_t{0});
  if (key.expires_at) append_signed_varint(out, key.expires_at->micros);
  out.append(key.secret.salt.begin(), key.secret.salt.end());
  out.append(key.secret.digest.begin(), key.secret.digest.end());
  append_varint(out, key.scopes.size());
  for (const std::string& scope : key.scopes) append_text(out, scope);
}

core::Key read_key_body(ByteReader& reader) {
  core::Key key;
  const std::uint8_t flags = reader.byte();
  if ((flags & ~kHasExpiry) != 0) reader.bytes(reader.rest_bytes() + 1);
  if (flags & kHasExpiry) key.expires_at = Time{reader.signed_varint()};
  const std::string_view salt = reader.bytes(key.secret.salt.size());
  const std::string_view digest = reader.bytes(key.secret.digest.size());
  std::copy(salt.begin(), salt.end(), key.secret.salt.begin());
  std::copy(digest.begin(), digest.end(), key.secret.digest.begin());
  const std::uint64_t count = reader.varint();
  for (std::uint64_t i = 0; i < count && reader.ok(); ++i) key.scopes.emplace_back(reader.text());
  return key;
}

std::string encode_value(const KeyRow& row) {
  std::string out = start_value(row.key ? kLive : std::uint8_t{0});
  append_varint(out, row.company.value);
  append_stamp(out, row.stamp);
  if (row.key) append_key_body(out, *row.key);
  return out;
}

std::optional<KeyRow> decode_key_row(std::string_view access_key, std::string_view bytes) {
  ByteReader reader(bytes);
  const auto flags = read_start(reader, kLive);
  if (!flags) return std::nullopt;
  KeyRow row;
  row.company = {reader.varint()};
  row.stamp = read_stamp(reader);
  if (*flags & kLive) {
    row.key = read_key_body(reader);
    row.key->access_key = access_key;
  }
  if (!reader.done()) return std::nullopt;
  return row;
}

// Moments before 1970 sort before those after it.
constexpr std::uint64_t kSignBit = std::uint64_t{1} << 63;

void append_time_in_key(std::string& out, Time time) {
  append_fixed64(out, static_cast<std::uint64_t>(time.micros) ^ kSignBit);
}

Time read_time_in_key(ByteReader& reader) {
  return Time{static_cast<std::int64_t>(reader.fixed64() ^ kSignBit)};
}

std::string encode_key(const SweepKey& key) {
  std::string out(1, kSweepTag);
  append_fixed64(out, key.company.value);
  append_byte(out, static_cast<std::uint8_t>(key.kind));
  append_fixed64(out, key.id);
  return out;
}

std::optional<SweepKey> decode_sweep_key(std::string_view bytes) {
  ByteReader reader(bytes);
  if (reader.byte() != static_cast<std::uint8_t>(kSweepTag)) return std::nullopt;
  SweepKey key;
  key.company = {reader.fixed64()};
  const std::uint8_t kind = reader.byte();
  if (kind > static_cast<std::uint8_t>(SweepKind::call)) return std::nullopt;
  key.kind = static_cast<SweepKind>(kind);
  key.id = reader.fixed64();
  if (!reader.done()) return std::nullopt;
  return key;
}

std::string encode_sweep_value(std::span<const core::Stamp> removals) {
  std::string out;
  append_byte(out, kValueFormat);
  for (const core::Stamp& stamp : removals) append_stamp(out, stamp);
  return out;
}

std::optional<std::vector<core::Stamp>> decode_sweep_value(std::string_view bytes) {
  ByteReader reader(bytes);
  if (reader.byte() != kValueFormat) return std::nullopt;
  std::vector<core::Stamp> removals;
  do {
    const core::Stamp stamp = read_stamp(reader);
    if (!removals.empty() && stamp <= removals.back()) return std::nullopt;
    removals.push_back(stamp);
  } while (reader.ok() && reader.rest_bytes() > 0);
  if (!reader.done()) return std::nullopt;
  return removals;
}

std::string encode_value(const Horizon& horizon) {
  std::string out;
  append_byte(out, kValueFormat);
  append_stamp(out, {horizon.revision, 0});
  if (horizon.head) {
    append_signed_varint(out, horizon.head->time.micros);
    append_varint(out, horizon.head->directory_revision);
  }
  return out;
}

std::optional<Horizon> decode_horizon(std::string_view bytes) {
  ByteReader reader(bytes);
  if (reader.byte() != kValueFormat) return std::nullopt;
  Horizon horizon;
  horizon.revision = read_stamp(reader).revision;
  if (reader.ok() && reader.rest_bytes() > 0) {
    const Time time{reader.signed_varint()};
    horizon.head = {time, reader.varint()};
  }
  if (!reader.done()) return std::nullopt;
  return horizon;
}

std::string encode_key(const ExpiryKey& key) {
  std::string out(1, kExpiryTag);
  append_time_in_key(out, key.at);
  append_fixed64(out, key.company.value);
  append_fixed64(out, key.call.value);
  append_fixed64(out, key.user.value);
  return out;
}

std::optional<ExpiryKey> decode_expiry_key(std::string_view bytes) {
  ByteReader reader(bytes);
  if (reader.byte() != static_cast<std::uint8_t>(kExpiryTag)) return std::nullopt;
  ExpiryKey key;
  key.at = read_time_in_key(reader);
  key.company = {reader.fixed64()};
  key.call = {reader.fixed64()};
  key.user = {reader.fixed64()};
  if (!reader.done()) return std::nullopt;
  return key;
}

std::string encode_text_value(std::string_view text) {
  std::string out;
  append_byte(out, kValueFormat);
  out += text;
  return out;
}

std::optional<std::string_view> decode_text_value(std::string_view bytes) {
  if (bytes.empty() || static_cast<std::uint8_t>(bytes[0]) != kValueFormat) return std::nullopt;
  return bytes.substr(1);
}

std::string encode_company_key(char tag, CompanyId company) {
  std::string out(1, tag);
  append_fixed64(out, company.value);
  return out;
}

std::optional<CompanyId> decode_company_key(char tag, std::string_view bytes) {
  ByteReader reader(bytes);
  if (reader.byte() != static_cast<std::uint8_t>(tag)) return std::nullopt;
  const CompanyId company{reader.fixed64()};
  if (!reader.done()) return std::nullopt;
  return company;
}

std::string encode_cursor_secret(const Digest& secret) {
  std::string out;
  append_byte(out, kValueFormat);
  out.append(secret.begin(), secret.end());
  return out;
}

std::optional<Digest> decode_cursor_secret(std::string_view bytes) {
  ByteReader reader(bytes);
  if (reader.byte() != kValueFormat) return std::nullopt;
  Digest secret;
  const std::string_view text = reader.bytes(secret.size());
  if (!reader.done()) return std::nullopt;
  std::copy(text.begin(), text.end(), secret.begin());
  return secret;
}

}  // namespace earshot::store
