#include <utility>

#include "store/pg_changes_read.h"
#include "store/postgres_store.h"

namespace earshot::store {

void PostgresStore::read_changes(ChangesCommand command, ChangesDone done) {
  with_reader([command = std::move(command), done = std::move(done)](PgReader& reader) mutable {
    reader.read(make_changes_read(std::move(command), std::move(done)));
  });
}

std::unique_ptr<ChangesWatch> PostgresStore::watch_changes(CompanyId company,
                                                           std::function<void()> on_news) {
  auto watch = site_.watchers->add(company, std::move(on_news));
  own_loop_->loop().post([this] { news_->begin(); });
  return watch;
}

}  // namespace earshot::store
