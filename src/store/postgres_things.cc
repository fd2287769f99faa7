// Single calls and users of the store over PostgreSQL.
#include <memory>
#include <utility>
#include <variant>

#include "store/pg_rows.h"
#include "store/pg_statements.h"
#include "store/postgres_store.h"

namespace earshot::store {
namespace {

// Rows that removals have made dead are gone there, so that what is found is alive.
class ThingRead final : public PgRead {
 public:
  ThingRead(ThingCommand command, Store::ThingDone done)
      : PgRead(Kind::alone, command.company, command.at_least, std::move(command.asker)),
        thing_(command.thing),
        done_(std::move(done)) {}

  std::vector<PgQuery> queries(std::span<const PgReadPtr>) const override {
    std::vector<PgQuery> queries(2);
    if (const auto* const call = std::get_if<CallId>(&thing_)) {
      queries[0].statement = &kReadCall;
      queries[0].params.add(company).add(*call);
    } else {
      queries[0].statement = &kReadUser;
      queries[0].params.add(company).add(std::get<UserId>(thing_));
    }
    queries[1].statement = &kReadHead;
    queries[1].params.add(company);
    return queries;
  }

  void take(std::span<const PgReadPtr>, std::span<const PgResult> results) override {
    const PgResult& found = results[0];
    const PgResult& head = results[1];
    view_ = {head.rows() == 0 ? 0 : head.number(0, 0), std::nullopt};
    if (found.rows() == 0) return;
    if (std::holds_alternative<CallId>(thing_)) {
      view_.record = core::Record{company, false, read_call(found, 0)};
    } else {
      view_.record = core::Record{company, false, read_user(found, 0)};
    }
  }

  void answer(Status status) override {
    if (!status) return done_(status.error());
    done_(std::move(view_));
  }

 private:
  const std::variant<CallId, UserId> thing_;
  const Store::ThingDone done_;
  ThingView view_;
};

}  // namespace

void PostgresStore::read_thing(ThingCommand command, ThingDone done) {
  with_reader([command = std::move(command), done = std::move(done)](PgReader& reader) mutable {
    reader.read(std::make_unique<ThingRead>(std::move(command), std::move(done)));
  });
}

}  // namespace earshot::store
