#include "store/embedded_store.h"

#include <utility>

namespace earshot::store {

void EmbeddedStore::read_thing(ThingCommand command, ThingDone done) {
  static_cast<void>(command);
  done(internal("not yet"));
}

}  // namespace earshot::store
