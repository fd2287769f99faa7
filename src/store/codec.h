// Keys and values of the embedded store as bytes, and back. docs/storage.md describes them; a store
// of any release must stay readable, so what is here only grows. Pure: no RocksDB.
//
// Integers in keys are big-endian and of fixed width, so that bytes sort as numbers do. Every value
// starts with a format byte. Decoders take any bytes and answer nullopt for what they did not
// write.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "core/entry.h"
#include "core/types.h"

namespace earshot::store {

inline constexpr std::uint8_t kValueFormat = 1;

// Reads integers and texts off the front of bytes. After a failed read `ok` is false and everything
// reads as zero.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

  std::uint8_t byte();
  std::uint32_t fixed32();
  std::uint64_t fixed64();
  std::uint64_t varint();
  std::int64_t signed_varint();
  std::string_view bytes(std::size_t size);
  std::string_view text();  // a length and its bytes
  bool ok() const { return ok_; }
  bool done() const { return ok_ && rest_.empty(); }
  std::size_t rest_bytes() const { return rest_.size(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

void append_byte(std::string& out, std::uint8_t byte);
void append_fixed32(std::string& out, std::uint32_t number);
void append_fixed64(std::string& out, std::uint64_t number);
void append_varint(std::string& out, std::uint64_t number);
void append_signed_varint(std::string& out, std::int64_t number);
void append_text(std::string& out, std::string_view text);
void append_stamp(std::string& out, core::Stamp stamp);
void append_time_in_key(std::string& out, Time time);  // of fixed width, and sorts as times do
Time read_time_in_key(ByteReader& reader);
core::Stamp read_stamp(ByteReader& reader);

// What every key of a company begins with, but for keys and meta.
std::string encode_company_prefix(CompanyId company);

// --- calls: company | call | kind [| user]

enum class RowKind : std::uint8_t { call = 0, share = 1, grant = 2 };

inline constexpr std::size_t kCallPrefixBytes = 16;

struct CallRowKey {
  CompanyId company;
  CallId call;
  RowKind kind = RowKind::call;
  UserId user;  // of a share or grant
};

std::string encode_call_prefix(CompanyId company, CallId call);
std::string encode_key(const CallRowKey& key);
std::optional<CallRowKey> decode_call_row_key(std::string_view bytes);

// A row that is there, or the marker of one that was removed.
struct CallRow {
  core::Stamp stamp;
  std::optional<core::Call> call;  // without its id, which is in the key
};
struct ShareRowValue {
  core::Stamp stamp;
  bool live = false;
};
struct GrantRowValue {
  core::Stamp stamp;
  std::optional<core::Grant> grant;
};

std::string encode_value(const CallRow& row);
std::string encode_value(const ShareRowValue& row);
std::string encode_value(const GrantRowValue& row);
std::optional<CallRow> decode_call_row(std::string_view bytes);
std::optional<ShareRowValue> decode_share_row(std::string_view bytes);
std::optional<GrantRowValue> decode_grant_row(std::string_view bytes);

// A call's own members, as rows and change records hold them; the id is not among them.
void append_call_body(std::string& out, const core::Call& call);
core::Call read_call_body(ByteReader& reader);
void append_grant_body(std::string& out, const core::Grant& grant);
core::Grant read_grant_body(ByteReader& reader);

// --- by_user: company | user | call

struct UserCallKey {
  CompanyId company;
  UserId user;
  CallId call;
};
// Which rows of the pair are in `calls`; neither is the marker of a pair that had one.
struct UserCallValue {
  bool grant = false;
  bool share = false;
  core::Stamp removed;  // of a marker
};

std::string encode_user_prefix(CompanyId company, UserId user);
std::string encode_key(const UserCallKey& key);
std::optional<UserCallKey> decode_user_call_key(std::string_view bytes);
std::string encode_value(const UserCallValue& value);
std::optional<UserCallValue> decode_user_call_value(std::string_view bytes);

// --- directory: company | kind | id | ~revision

enum class ThingKind : std::uint8_t { company = 0, workspace = 1, profile = 2, user = 3, key = 4 };

struct DirectoryKey {
  CompanyId company;
  ThingKind kind = ThingKind::company;
  std::uint64_t id = 0;
  core::Revision revision = 0;
};

std::string encode_directory_prefix(CompanyId company, ThingKind kind);
inline constexpr std::size_t kThingPrefixBytes = 17;
std::string encode_thing_prefix(CompanyId company, ThingKind kind, std::uint64_t id);
std::string encode_key(const DirectoryKey& key);
std::optional<DirectoryKey> decode_directory_key(std::string_view bytes);

// One version of a thing; no body is the marker of its removal. The body is append_body's.
struct DirectoryValue {
  std::uint32_t n = 0;  // with the key's revision, the stamp of the version
  std::optional<std::string> body;
  // Of a company that the same revision removed before: the removal's place in it.
  std::optional<std::uint32_t> removed_n;
};
std::string encode_value(const DirectoryValue& value);
std::optional<DirectoryValue> decode_directory_value(std::string_view bytes);

void append_body(std::string& out, const core::Company& company);
void append_body(std::string& out, const core::Workspace& workspace);
void append_body(std::string& out, const core::Profile& profile);
void append_body(std::string& out, const core::User& user);
std::optional<core::Company> decode_company(std::uint64_t id, std::string_view body);
std::optional<core::Workspace> decode_workspace(std::uint64_t id, std::string_view body);
std::optional<core::Profile> decode_profile(std::uint64_t id, std::string_view body);
std::optional<core::User> decode_user(std::uint64_t id, std::string_view body);

// --- keys: access key

struct KeyRow {
  CompanyId company;
  core::Stamp stamp;
  std::optional<core::Key> key;  // absent: revoked; the access key itself is the row's key
};
std::string encode_value(const KeyRow& row);
std::optional<KeyRow> decode_key_row(std::string_view access_key, std::string_view bytes);
void append_key_body(std::string& out, const core::Key& key);
core::Key read_key_body(ByteReader& reader);

// --- meta

// What awaits a sweep: everything older than the removals of a user, a call, or a whole company.
enum class SweepKind : std::uint8_t { company = 0, user = 1, call = 2 };
struct SweepKey {
  CompanyId company;
  SweepKind kind = SweepKind::company;
  std::uint64_t id = 0;
};
inline constexpr char kSweepTag = 's';
inline constexpr char kUsageTag = 'u';
inline constexpr char kHorizonTag = 'h';
inline constexpr char kCursorSecretTag = 'c';
std::string encode_key(const SweepKey& key);
std::optional<SweepKey> decode_sweep_key(std::string_view bytes);
std::string encode_sweep_value(std::span<const core::Stamp> removals);
std::optional<std::vector<core::Stamp>> decode_sweep_value(std::string_view bytes);

// How far the record of changes was cut off: the last revision that went.
struct Horizon {
  core::Revision revision = 0;
  // What its record said; absent where a release cut it off that kept no history.
  struct Head {
    Time time;
    core::Revision directory_revision = 0;
  };
  std::optional<Head> head;
};
std::string encode_value(const Horizon& horizon);
std::optional<Horizon> decode_horizon(std::string_view bytes);

// Up to which revision a company's record is of releases that kept no history of access: a Horizon
// without its head. No row: none of it.
inline constexpr char kUnmarkedTag = 'd';

// A grant that expires, by its time: who takes away what has expired goes along these. One whose
// grant is gone or says something else means nothing.
struct ExpiryKey {
  Time at;
  CompanyId company;
  CallId call;
  UserId user;
};
inline constexpr char kExpiryTag = 'e';
// Up to which row of `calls` they were written for what older releases left: a key, or nothing
// where all of it was.
inline constexpr char kExpiriesKnownTag = 'x';
std::string encode_key(const ExpiryKey& key);
std::optional<ExpiryKey> decode_expiry_key(std::string_view bytes);
std::string encode_text_value(std::string_view text);
std::optional<std::string_view> decode_text_value(std::string_view bytes);

std::string encode_company_key(char tag, CompanyId company);  // of usage and horizons
std::optional<CompanyId> decode_company_key(char tag, std::string_view bytes);
std::string encode_cursor_secret(const Digest& secret);
std::optional<Digest> decode_cursor_secret(std::string_view bytes);

}  // namespace earshot::store
