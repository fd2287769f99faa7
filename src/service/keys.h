// Making, listing and revoking access keys: for operators, whose listing is store.list_keys(), and
// for a company's own keys.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "auth/key_uses.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "service/asked_load.h"
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

// --- what a company's own key asks for

inline constexpr std::chrono::seconds kKeyOverlapDefault = std::chrono::hours(24);
inline constexpr std::chrono::seconds kKeyOverlapMax = std::chrono::hours(30 * 24);

struct OwnKeyRequest {
  std::vector<std::string> scopes;  // unless it
  std::string replaces;             // the access key whose scopes the new one has, and that ends
  std::chrono::seconds overlap = kKeyOverlapDefault;  // so long after now, at the latest
  std::optional<Time> expires_at;                     // of the new key
};
struct OwnKey {
  core::Revision revision = 0;
  NewKey key;
  std::vector<std::string> scopes;
  std::optional<Time> replaced_expires_at;  // of the one that it replaces
};
using OwnKeyOutcome = std::variant<OwnKey, ScopeLacking>;

// Makes a random key, and ends the one that it replaces, as one revision. Waits. Errors: denied
// (the key that asks does not let the request in any more), not_found (the company has no key to be
// replaced of this name), invalid_argument (as create_key(), for the client), or the store's.
Result<OwnKeyOutcome> make_own_key(store::Store& store, const store::Asker& asker,
                                   const OwnKeyRequest& request, const store::Origin& origin,
                                   Time now);

// Ends a key of the company, and gives the revision: no request that starts after this returned is
// let in with it, on any server. Waits. Errors: denied, not_found, or the store's.
Result<core::Revision> revoke_own_key(store::Store& store, const store::Asker& asker,
                                      std::string_view access_key, const store::Origin& origin);

struct ListedKey {
  store::KeyPtr key;
  std::optional<Time> last_used;  // by what the store and this server know
};
// All keys of the company, expired ones too, ascending by access key. Waits.
Result<std::vector<ListedKey>> list_own_keys(store::Store& store, const auth::KeyUses& uses,
                                             CompanyId company);

}  // namespace earshot::service
