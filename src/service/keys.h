// Making, listing and revoking access keys, for operators. Listing is store.list_keys().
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "store/store.h"

namespace earshot::service {

inline constexpr std::size_t kAccessKeyChars = 32;
inline constexpr std::size_t kSecretChars = 43;  // as many bits as the digest that is kept of it

struct KeyRequest {
  CompanyId company;
  std::vector<std::string> scopes;
  std::optional<Time> expires_at;
};

// The only time that the secret is seen.
struct NewKey {
  std::string access_key;
  std::string secret;
};

// Makes a random key, durable when this returns. Errors: invalid_argument (no scope or an unknown
// one, an unknown company, an expiry that has passed), or the store's.
Result<NewKey> create_key(store::Store& store, const KeyRequest& request,
                          const store::Origin& origin, Time now);

// Ends a key: no request that starts after this returned is let in with it. Waits, so never on a
// thread that runs a Loop. Errors: not_found, or the store's.
Status revoke_key(store::Store& store, std::string_view access_key, const store::Origin& origin);

}  // namespace earshot::service
