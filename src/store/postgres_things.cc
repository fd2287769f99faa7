#include "store/postgres_store.h"

#include <utility>

namespace earshot::store {

void PostgresStore::read_thing(ThingCommand command, ThingDone done) {
  static_cast<void>(command);
  done(internal("not yet"));
}

}  // namespace earshot::store
