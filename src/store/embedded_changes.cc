#include "store/embedded_store.h"

#include <utility>

namespace earshot::store {

void EmbeddedStore::read_changes(ChangesCommand command, ChangesDone done) {
  static_cast<void>(command);
  done(internal("not yet"));
}

std::unique_ptr<ChangesWatch> EmbeddedStore::watch_changes(CompanyId company,
                                                           std::function<void()> on_news) {
  static_cast<void>(company);
  static_cast<void>(on_news);
  return std::make_unique<ChangesWatch>();
}

}  // namespace earshot::store
