// From the value of an Authorization header to who is asking. Knows no HTTP beyond that one value.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/ids.h"
#include "base/time.h"
#include "store/store.h"

namespace earshot::auth {

// A name and a secret, as sent together. Without an argument both are empty.
class Credentials {
 public:
  Credentials() : Credentials(":", 0) {}
  // REQUIRES: a colon stands at `colon`.
  Credentials(std::string pair, std::size_t colon) : pair_(std::move(pair)), colon_(colon) {}

  // Both are good only as long as this lives and stays where it is.
  std::string_view access_key() const { return std::string_view(pair_).substr(0, colon_); }
  // May be empty, and may hold colons.
  std::string_view secret() const { return std::string_view(pair_).substr(colon_ + 1); }

 private:
  std::string pair_;
  std::size_t colon_;
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
