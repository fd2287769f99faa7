#include "service/asked_load.h"

#include <algorithm>
#include <future>
#include <utility>

namespace earshot::service {

Result<const core::Record*> AskedRecords::next() {
  if (!caller_) {
    store::KeyPtr caller = TRY(look_up(asker_.key()->key.access_key));
    if (!asker_.is_admitted_with(caller)) return denied("the key has changed");
    caller_ = std::move(caller);
  }
  return next_of(*caller_);
}

Error AskedRecords::lack(std::string message) {
  lacking_ = ScopeLacking{message};
  return denied(std::move(message));
}

Result<store::KeyPtr> AskedRecords::look_up(std::string_view access_key) {
  return look_up_key_now(store_, access_key);
}

Result<store::KeyPtr> look_up_key_now(store::Store& store, std::string_view access_key) {
  std::promise<Result<store::KeyPtr>> promise;
  auto answer = promise.get_future();
  store.look_up_key(std::string(access_key),
                    [&](Result<store::KeyPtr> key) { promise.set_value(std::move(key)); });
  return answer.get();
}

bool has_scope(const core::Key& key, std::string_view scope) {
  return std::ranges::find(key.scopes, scope) != key.scopes.end();
}

std::string list_lacking(const core::Key& key, const std::vector<std::string>& scopes) {
  std::string lacking;
  for (const std::string& scope : scopes) {
    if (has_scope(key, scope)) continue;
    if (!lacking.empty()) lacking += ", ";
    lacking += scope;
  }
  return lacking;
}

Result<AskedLoad> load_asked(store::Store& store, AskedRecords& records,
                             const store::Origin& origin) {
  auto report = store.load(records, origin);
  if (report) return AskedLoad(std::move(*report));
  if (records.lacking()) return AskedLoad(*records.lacking());
  return std::move(report).error();
}

Result<core::Revision> revision_of(store::Store& store, CompanyId company,
                                   const store::LoadReport& report) {
  for (const auto& [changed, revision] : report.revisions) {
    if (changed == company) return revision;
  }
  std::promise<Result<store::CallsView>> promise;
  auto answer = promise.get_future();
  store.read({company, {}, 0, nullptr},
             [&](Result<store::CallsView> view) { promise.set_value(std::move(view)); });
  return TRY(answer.get()).revision;
}

}  // namespace earshot::service
