// The key that a reader of changes came with, asked again for as long as it reads.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "auth/credentials.h"
#include "base/result.h"
#include "store/store.h"

namespace earshot::api {

class ReaderKey {
 public:
  // The store must outlive it. `asker` is the principal's.
  ReaderKey(store::Store& store, std::shared_ptr<const auth::Admission> admission,
            store::AskerPtr asker);

  CompanyId company() const { return admission_->key()->company; }
  const store::AskerPtr& asker() const { return asker_; }
  const store::KeyEntry& key() const { return *key_; }  // as it was last seen

  // Whether it may see the hashes of secrets: it could make keys with any secret anyway.
  bool shows_hashes() const;

  // Whether the key, as it is now, lets the reader through. `done` is called once, before this
  // returns or later on the calling loop; this must live until then. Errors: as Store::look_up_key.
  using Done = std::function<void(Result<bool>)>;
  void check(Done done);

  // As check(), before something is shown, but the store is not asked for what it has said already:
  // when it read for `read_for`, where that is this reader's own asker, or when it showed
  // everything up to its head, which has this directory.
  void check_after(const store::AskerPtr& read_for, std::optional<core::Revision> directory,
                   Done done);

 private:
  store::Store& store_;
  const std::shared_ptr<const auth::Admission> admission_;
  const store::AskerPtr asker_;
  store::KeyPtr key_;  // as it was last seen
};

}  // namespace earshot::api
