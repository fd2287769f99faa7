#include "store/embedded_store.h"

#include <utility>

namespace earshot::store {

Status EmbeddedStore::note_key_uses(std::span<const KeyUse> uses) {
  static_cast<void>(uses);
  return internal("not yet");
}

Result<std::vector<KeyUse>> EmbeddedStore::list_key_uses(CompanyId company) {
  static_cast<void>(company);
  return internal("not yet");
}

}  // namespace earshot::store
