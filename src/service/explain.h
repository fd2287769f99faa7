// The questions about access: may this user hear this call, who may hear a call, which calls may a
// user hear, and why. No JSON, no cursors, no status codes; whether the principal may ask was
// checked before.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "auth/credentials.h"
#include "base/ids.h"
#include "base/result.h"
#include "core/explain.h"
#include "store/store.h"

namespace earshot::service {

// All of these read as of `moment`, and where that is now, at the revision `at_least` or a later
// one. `done` is called exactly once, perhaps before the function returns, on any thread. Errors:
// those of Store::read_access().

// One question of a check.
struct Pair {
  CallId call;
  UserId user;
  friend bool operator==(const Pair&, const Pair&) = default;
};

struct CheckAnswer {
  store::AsOf as_of;
  std::shared_ptr<const core::Directory> directory;  // that the explanations were made from
  std::vector<core::Explanation> explanations;       // of the pairs, in the order asked
};
using CheckDone = std::function<void(Result<CheckAnswer>)>;

// Explains each pair. Pairs may repeat, and name calls and users that there are not.
void check(store::Store& store, const auth::Principal& principal, std::vector<Pair> pairs,
           store::Moment moment, core::Revision at_least, CheckDone done);

// How many users a page of explain_call() looks at, and how many calls one of explain_user(), at
// most: so much work is done at once, whatever it finds.
inline constexpr std::size_t kUsersLookedAtMax = 20'000;
inline constexpr std::size_t kCallsLookedAtMax = 2'000;

struct CallPage {
  store::AsOf as_of;
  std::shared_ptr<const core::Directory> directory;  // that the explanations were made from
  bool call_exists = false;
  std::vector<std::pair<UserId, core::Explanation>> users;  // who may hear it alone, ascending
  std::optional<UserId> last;  // looked at up to here, and there are more; absent: to the end
};
using CallPageDone = std::function<void(Result<CallPage>)>;

// Explains a call to those who may hear it, from the first user behind `after` (0: of all) on, to
// `limit` of them at most. A page may be short, or empty, and not be the last. Further pages are
// of the same moment only if they are asked for with the revision and time of the first.
void explain_call(store::Store& store, const auth::Principal& principal, CallId call, UserId after,
                  std::size_t limit, store::Moment moment, core::Revision at_least,
                  CallPageDone done);

struct UserPage {
  store::AsOf as_of;
  std::shared_ptr<const core::Directory> directory;  // that the explanations were made from
  bool user_exists = false;
  bool is_active = false;
  std::vector<std::pair<CallId, core::Explanation>> calls;  // ascending; none while inactive
  std::optional<CallId> last;  // looked at up to here, and there may be more; absent: to the end
};
using UserPageDone = std::function<void(Result<UserPage>)>;

// The same for the calls that a user may hear by one of `ways` at least. Every way that holds is
// told of each. Individual and shared calls alone are found without looking at others.
void explain_user(store::Store& store, const auth::Principal& principal, UserId user,
                  core::Ways ways, CallId after, std::size_t limit, store::Moment moment,
                  core::Revision at_least, UserPageDone done);

}  // namespace earshot::service
