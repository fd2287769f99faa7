// The answers of a server about its record of changes, refusals and keys, from JSON to what is
// printed of them. `json` is an object as the server sent it, on one line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "client/command.h"

namespace earshot::client {

// What one change did.
struct Change {
  std::uint64_t n = 0;  // its number in the revision, from 0
  std::string text;     // in words: "gave 34 the call 5, until 2027-01-01T00:00:00Z"
};

// A revision, or what of it a page holds.
struct Revision {
  std::uint64_t revision = 0;
  std::string time;
  std::string by;  // an access key, "operator" or "sweep"
  std::vector<Change> changes;
  std::string json;
};

struct ChangesPage {
  std::uint64_t oldest = 0;  // the record begins behind this revision
  std::vector<Revision> revisions;
  Position next;
  bool is_end = false;
};

struct KeyEntry {
  std::string access_key;
  std::string scopes;      // with spaces between
  std::string expires_at;  // empty: never
  std::string last_used;   // empty: never
  std::string json;
};

struct MadeKey {
  std::string access_key, secret;
  std::string replaced;     // empty: none
  std::string replaced_at;  // when that one ends
  std::string json;
};

struct RefusalEntry {
  std::string time, reason, operation, access_key, remote_address, detail;
  std::uint64_t requests = 0;
  std::string json;
};

struct RefusalsPage {
  std::vector<RefusalEntry> refusals;
  std::optional<std::string> cursor;  // more may follow
};

// Members that are not known are passed over. Errors: unavailable (this is no answer of Earshot's,
// or of a release that says other things).
Result<ChangesPage> decode_changes(std::string_view body);
// The newest revision.
Result<std::uint64_t> decode_head(std::string_view body);
Result<std::vector<KeyEntry>> decode_keys(std::string_view body);
Result<MadeKey> decode_made_key(std::string_view body);
Result<RefusalsPage> decode_refusals(std::string_view body);

}  // namespace earshot::client
