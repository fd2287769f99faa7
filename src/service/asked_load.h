// What a company's own key asks to be loaded. It is looked up where nothing else can be loaded any
// more, so that a key whose revocation was acknowledged puts nothing, and none with scopes that it
// lost. Not for operators, who may put anything.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "core/record.h"
#include "store/store.h"

namespace earshot::service {

// The key lacks a scope that what it asks for needs.
struct ScopeLacking {
  std::string message;  // for the client: which scope, and what needs it
};

class AskedRecords : public store::RecordSource {
 public:
  // Both must outlive it. `asker` is never null.
  AskedRecords(store::Store& store, const store::Asker& asker) : store_(store), asker_(asker) {}

  Result<const core::Record*> next() final;

  // The load that failed, failed for this.
  const std::optional<ScopeLacking>& lacking() const { return lacking_; }

 protected:
  // As next(), of the key as it is.
  virtual Result<const core::Record*> next_of(const store::KeyEntry& caller) = 0;
  // An error that ends the load, and is told as lacking().
  Error lack(std::string message);
  // As the store has the key of this name; null where there is none. Waits.
  Result<store::KeyPtr> look_up(std::string_view access_key);

  store::Store& store() { return store_; }

 private:
  store::Store& store_;
  const store::Asker& asker_;
  store::KeyPtr caller_;
  std::optional<ScopeLacking> lacking_;
};

// The look-up, waited for. It may be answered on another thread.
Result<store::KeyPtr> look_up_key_now(store::Store& store, std::string_view access_key);

// Whether the key has the scope.
bool has_scope(const core::Key& key, std::string_view scope);

// The scopes that the key lacks of these, with commas; empty: none.
std::string list_lacking(const core::Key& key, const std::vector<std::string>& scopes);

// Loads what the key asks for: ScopeLacking, or what the store says. Waits. Errors: denied (the key
// does not let the request in any more), those of the records, or the store's.
using AskedLoad = std::variant<store::LoadReport, ScopeLacking>;
Result<AskedLoad> load_asked(store::Store& store, AskedRecords& records,
                             const store::Origin& origin);

// The revision that a load has made of the company, or, where it changed nothing, the newest.
// Waits.
Result<core::Revision> revision_of(store::Store& store, CompanyId company,
                                   const store::LoadReport& report);

}  // namespace earshot::service
