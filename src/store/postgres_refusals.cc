#include "store/postgres_store.h"

#include <utility>

namespace earshot::store {

Status PostgresStore::keep_refusals(std::span<const Refusal> refusals) {
  static_cast<void>(refusals);
  return internal("not yet");
}

Result<RefusalsView> PostgresStore::list_refusals(const RefusalsCommand& command) {
  static_cast<void>(command);
  return internal("not yet");
}

}  // namespace earshot::store
