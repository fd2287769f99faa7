// Giving and removing grants with a result for each pair. No JSON, no status codes; whether the
// principal may ask was checked before.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "auth/credentials.h"
#include "base/ids.h"
#include "base/random.h"
#include "base/result.h"
#include "core/decide.h"
#include "store/store.h"

namespace earshot::service {

// One pair of a request. `grant` is what the grant is to say; of no meaning where it is removed.
struct PairTerms {
  CallId call;
  UserId user;
  core::Grant grant{};
};

struct GrantsRequest {
  store::Operation operation = store::Operation::give;  // give or remove
  std::vector<PairTerms> pairs{};                       // may repeat
  // Of a removal: all live grants of this call or user, in place of pairs; at most so many.
  std::variant<std::monostate, CallId, UserId> all_of{};
  std::size_t all_of_max = 0;
  bool is_dry_run = false;
  std::optional<core::Revision> if_revision{};
  // Without effect on a dry run.
  std::optional<store::IdempotencyKey> idempotency_key{};
};

// The key's text, and the request that it makes the only one: by its operation and the SHA-256 of
// its body, byte for byte.
store::IdempotencyKey make_idempotency_key(std::string_view key, store::Operation operation,
                                           const Digest& body);

// What was done, or would be by a request that is no dry run.
struct GrantsAnswer {
  core::Revision revision = 0;
  // Of each pair, in the order asked, those that repeat too; of all grants of a call or user, the
  // pairs removed, by call and user.
  std::vector<core::PairResult> results;
  // The request that this was answered to before; revision and results are its.
  std::optional<RequestId> repeated;
};

// The same pair was asked for twice, with different terms.
struct UnequalTerms {
  std::size_t first = 0, second = 0;  // into the pairs asked for
};

// An answer, or why nothing was done. PastExpiries are of the pairs asked for, ascending;
// UnknownCalls and UnknownUsers are those of `all_of`.
using GrantsOutcome =
    std::variant<GrantsAnswer, UnequalTerms, core::PastExpiries, core::ChangedCalls,
                 core::TooManyGrants, core::UnknownCalls, core::UnknownUsers>;

// Gives or removes, as one atomic and durable change. `done` is called exactly once, perhaps before
// this returns, on any thread. Errors: denied, unavailable, internal; conflict (a request with this
// idempotency key is still under way), invalid_argument (the key was used for another request),
// gone (the record does not reach back to `if_revision`), not_found (nor has the company come to
// it).
using GrantsDone = std::function<void(Result<GrantsOutcome>)>;
void change_grants(store::Store& store, const auth::Principal& principal, GrantsRequest request,
                   const RequestId& request_id, GrantsDone done);

}  // namespace earshot::service
