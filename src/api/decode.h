// Bodies of requests, from JSON text in pieces to ids and terms. Knows shapes and limits; what the
// ids mean, and whether they exist, is decided later.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "core/decide.h"
#include "service/explain.h"
#include "service/grants.h"
#include "service/keys.h"

namespace earshot::api {

// What a body looks like.
enum class Shape : std::uint8_t {
  call_access_list,  // {"callAccessList":[{"callId":…,"userIds":[…]}…]}
  filter,            // {"filter":{"callIds":[…]}}
  checks,            // {"checks":[{"callId":…,"userId":…}…]}
  // {"grants":[{"callId":…,"userId":…,"expiresAt"?:…,"note"?:…}…],"dryRun"?:…,"ifRevision"?:…}
  grants_to_give,
  // The same without expiresAt and note, or {"allOf":{"callId":…}} or {"allOf":{"userId":…}} in
  // place of the grants.
  grants_to_remove,
  // {"scopes":[…],"expiresAt"?:…} or {"replaces":"…","overlapSeconds"?:…,"expiresAt"?:…}
  key_to_make,
  key_to_revoke,  // {"accessKey":"…"}
};

struct DecodeLimits {
  std::size_t nesting_max =
      64;  // arrays and objects around a value, in members that are ignored too
  std::size_t ids_max = 100'000;  // in one request, as sent: those given twice count twice
  std::size_t checks_max = 10'000;
};

// What a body about grants says.
struct GrantsBody {
  std::vector<service::PairTerms> pairs;  // as sent: in that order, with repetitions
  std::variant<std::monostate, CallId, UserId> all_of;
  bool is_dry_run = false;
  std::optional<core::Revision> if_revision;
};

// What a body about a key says.
struct KeyBody {
  service::OwnKeyRequest to_make;
  std::string to_revoke;  // its access key
};

struct DecodeError {
  enum class Kind : std::uint8_t { json, too_many_ids };
  Kind kind = Kind::json;
  std::string detail;  // precisely what and where, for the client: "filter.callIds[2]: must be …"
};

// Reads one body. Memory is bounded by the limits, whatever comes: text is not kept, and beyond the
// limit of ids they are counted no further but the rest is still checked, because text that is not
// JSON weighs more. The answer does not depend on how the body is cut into pieces. One thread at a
// time.
class Decoder {
 public:
  Decoder(Shape shape, DecodeLimits limits);
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
  ~Decoder();

  void piece(std::string_view bytes);

  // The body is complete: nothing where it was as it should be, else the first thing wrong with it.
  // Once only.
  std::optional<DecodeError> finish();

  // What was read, in the order given and with repetitions. REQUIRES: finish() found nothing wrong;
  // once only.
  std::vector<core::CallUsers>
  take_call_access_list();  // users as sent: neither sorted nor distinct
  std::vector<CallId> take_call_ids();
  std::vector<service::Pair> take_checks();
  GrantsBody take_grants();
  KeyBody take_key();

 private:
  class Parser;
  static std::unique_ptr<Parser>& spare();

  std::unique_ptr<Parser> parser_;  // never null
};

}  // namespace earshot::api
