// The three operations on individual access: who is asking, what was asked, and what came of it. No
// JSON, no status codes; whether the principal may ask was checked before.
#pragma once

#include <utility>
#include <vector>

#include "auth/credentials.h"
#include "base/ids.h"
#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "core/decide.h"
#include "store/store.h"

namespace earshot::service {

// The calls asked for, each once and in the order asked, with what is known of each; or those that
// the company does not have.
struct Access {
  std::vector<CallId> calls;
  std::vector<core::PackedEntryPtr> entries;  // of calls[i]; empty where some are unknown
  std::vector<CallId> unknown;                // in the order asked
  core::Revision revision = 0;                // of the company, that all of this is as of
  Time time;                                  // of that revision
};

// What a change came to.
using ChangeDone = store::Store::WriteDone;

// Gives the users individual access, or takes it away, as one atomic and durable change. Calls and
// users may repeat: the same call twice means all its users; no calls change nothing. `done` is
// called exactly once, perhaps before this returns, on any thread. Errors: denied, unavailable,
// internal.
void give_access(store::Store& store, const auth::Principal& principal,
                 std::vector<core::CallUsers> calls, const RequestId& request_id, ChangeDone done);
void remove_access(store::Store& store, const auth::Principal& principal,
                   std::vector<core::CallUsers> calls, const RequestId& request_id,
                   ChangeDone done);

// Each id once, in the order of first mention.
std::vector<CallId> distinct_calls(std::vector<CallId> calls);

// Each call once, in the order of first mention, with its users ascending and distinct.
std::vector<core::CallUsers> merge_calls(std::vector<core::CallUsers> calls);

// What the view says of the calls. REQUIRES: the view is of these calls.
Access access_of(std::vector<CallId> calls, store::CallsView view);

// Reads who was given access to the calls, as of this revision or a later one. Ids may repeat.
// `done` takes a Result<Access>; it is called exactly once, perhaps before this returns, on any
// thread. Errors: denied, unavailable (also: the revision is not there), internal.
// A template, so that the store's callback holds `done` itself: one piece of memory less a read.
template <class Done>
void list_access(store::Store& store, const auth::Principal& principal, std::vector<CallId> calls,
                 core::Revision at_least, Done done) {
  calls = distinct_calls(std::move(calls));
  auto asked = calls;
  store.read(
      {principal.company(), std::move(asked), at_least, principal.asker},
      [calls = std::move(calls), done = std::move(done)](Result<store::CallsView> view) mutable {
        if (!view) {
          done(Result<Access>(std::move(view).error()));
        } else {
          done(Result<Access>(access_of(std::move(calls), std::move(*view))));
        }
      });
}

}  // namespace earshot::service
