// Single calls and users of the embedded store, of one snapshot, on the threads that read.
#include <string>
#include <utility>
#include <variant>

#include "base/wake.h"
#include "store/embedded_store.h"

namespace earshot::store {

namespace {

Result<std::optional<core::Record>> find_call(const Snapshot& snapshot, const Removals& removals,
                                              CompanyId company, CallId id) {
  const auto value =
      TRY(snapshot.get(Family::calls, encode_key(CallRowKey{company, id, RowKind::call, {}})));
  if (!value) return std::optional<core::Record>();
  auto row = decode_call_row(*value);
  if (!row) return corrupt("calls");
  if (!row->call || removals.company.kills(row->stamp, kAnyRevision)) {
    return std::optional<core::Record>();
  }
  row->call->id = id;
  return std::optional<core::Record>({company, false, std::move(*row->call)});
}

// None where the thing is not there.
Result<std::optional<std::string>> find_body(const Snapshot& snapshot, const Removals& removals,
                                             CompanyId company, ThingKind kind, std::uint64_t id) {
  const std::string prefix = encode_thing_prefix(company, kind, id);
  const auto rows = snapshot.iterate(Family::directory);
  rows->Seek(slice(prefix));  // the newest version
  if (!rows->status().ok()) return from_rocksdb(rows->status(), "reading a thing");
  if (!rows->Valid() || !rows->key().starts_with(slice(prefix))) {
    return std::optional<std::string>();
  }
  const auto key = decode_directory_key(view(rows->key()));
  const auto value = decode_directory_value(view(rows->value()));
  if (!key || !value) return corrupt("directory");
  if (!value->body || removals.company.kills({key->revision, value->n}, kAnyRevision)) {
    return std::optional<std::string>();
  }
  return std::optional(std::string(*value->body));
}

Result<std::optional<core::Record>> find_user(const Snapshot& snapshot, const Removals& removals,
                                              CompanyId company, UserId id) {
  const auto body = TRY(find_body(snapshot, removals, company, ThingKind::user, id.value));
  if (!body) return std::optional<core::Record>();
  auto user = decode_user(id.value, *body);
  if (!user) return corrupt("directory");
  return std::optional<core::Record>({company, false, std::move(*user)});
}

}  // namespace

void EmbeddedStore::read_thing(ThingCommand command, ThingDone done) {
  // Memory holds of a call and a user what decides about access, and not the rest.
  auto job = [this, command = std::move(command), done] { done(find_thing(command)); };
  if (!pool_->submit(std::move(job))) {
    return done(unavailable("too many reads wait for the disk"));
  }
  earshot::wake(pool_);
}

Result<ThingView> EmbeddedStore::find_thing(const ThingCommand& command) {
  const CompanyId company = command.company;
  const PublishedSnapshot snapshot = TRY(take_snapshot(*TRY(companies_.meet(company))));
  const core::Revision revision = snapshot.head.revision;
  if (revision < command.at_least) return not_there(command.at_least, revision);
  const Removals removals = TRY(snapshot.rows->removals(company));
  ThingView view{revision, std::nullopt};
  if (const auto* const call = std::get_if<CallId>(&command.thing)) {
    view.record = TRY(find_call(*snapshot.rows, removals, company, *call));
  } else {
    view.record =
        TRY(find_user(*snapshot.rows, removals, company, std::get<UserId>(command.thing)));
  }
  return view;
}

Result<bool> EmbeddedStore::has_company(CompanyId company) {
  const Snapshot snapshot(*rocks_);
  const Removals removals = TRY(snapshot.removals(company));
  return TRY(find_body(snapshot, removals, company, ThingKind::company, company.value)).has_value();
}

}  // namespace earshot::store
