// From the value of an Authorization header to who is asking. Knows no HTTP beyond that one value.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/time.h"
#include "store/store.h"

namespace earshot::auth {

struct Credentials {
  std::string access_key;
  std::string secret;  // may be empty, and may hold colons
};

// Reads `Basic base64(accessKey:secret)`: the scheme in any case, spaces only between the two,
// strict base64, split at the first colon. Nothing else is taken: no Bearer, no white space around.
std::optional<Credentials> parse_basic(std::string_view authorization);

// Who is asking: a key that was valid when its request came in.
struct Principal {
  store::KeyPtr key;  // never null

  CompanyId company() const { return key->company; }
  bool has_scope(std::string_view scope) const;
};

// The principal of a request, or nothing: without saying why, and with the same work whether the
// credentials are missing, malformed, of no key, of another secret or expired. `authorization` is
// the value of the one such header; nothing where there is none or more than one. Any thread; never
// waits for I/O.
std::optional<Principal> authenticate(store::Store& store,
                                      std::optional<std::string_view> authorization, Time now);

}  // namespace earshot::auth
