#include "api/reader_key.h"

#include <algorithm>
#include <utility>

#include "auth/scopes.h"

namespace earshot::api {

ReaderKey::ReaderKey(store::Store& store, std::shared_ptr<const auth::Admission> admission,
                     store::AskerPtr asker)
    : store_(store),
      admission_(std::move(admission)),
      asker_(std::move(asker)),
      key_(admission_->key()) {}

bool ReaderKey::shows_hashes() const {
  return std::ranges::find(key_->key.scopes, auth::kScopeKeysWrite) != key_->key.scopes.end();
}

void ReaderKey::check(Done done) {
  store_.look_up_key(key_->key.access_key,
                     [this, done = std::move(done)](Result<store::KeyPtr> now) {
                       if (!now) return done(now.error());
                       const bool is_admitted = admission_->is_admitted_with(*now);
                       if (is_admitted) key_ = std::move(*now);
                       done(is_admitted);
                     });
}

void ReaderKey::check_after(const store::AskerPtr& read_for,
                            std::optional<core::Revision> directory, Done done) {
  if (store_.knows_all_keys()) return check(std::move(done));
  // The store says only that the reader is let through, not with which scopes.
  const bool is_asked = read_for == asker_ && !shows_hashes();
  const bool is_as_it_was = directory && *directory <= key_->holds_until;
  if (!is_asked && !is_as_it_was) return check(std::move(done));
  done(admission_->is_admitted_with(key_));  // it may have expired
}

}  // namespace earshot::api
