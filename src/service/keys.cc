#include "service/keys.h"

#include <future>
#include <utility>

#include "auth/scopes.h"
#include "base/random.h"
#include "base/secret.h"

namespace earshot::service {
namespace {

// A load of one record.
class OneRecord final : public store::RecordSource {
 public:
  explicit OneRecord(core::Record record) : record_(std::move(record)) {}
  Result<const core::Record*> next() override {
    return std::exchange(is_given_, true) ? nullptr : &record_;
  }
  std::string position() const override { return "key"; }

 private:
  const core::Record record_;
  bool is_given_ = false;
};

Status check_scopes(const std::vector<std::string>& scopes) {
  if (scopes.empty()) return invalid_argument("a key needs at least one scope");
  for (const std::string& scope : scopes) {
    if (auth::is_known_scope(scope)) continue;
    std::string message = "unknown scope '" + scope + "'; there are:";
    for (const std::string_view known : auth::kKnownScopes) message.append(" ").append(known);
    return invalid_argument(std::move(message));
  }
  return {};
}

// The look-up, waited for. It may be answered on another thread.
Result<store::KeyPtr> look_up(store::Store& store, std::string_view access_key) {
  std::promise<Result<store::KeyPtr>> promise;
  auto answer = promise.get_future();
  store.look_up_key(std::string(access_key),
                    [&](Result<store::KeyPtr> key) { promise.set_value(std::move(key)); });
  return answer.get();
}

}  // namespace

Result<NewKey> create_key(store::Store& store, const KeyRequest& request,
                          const store::Origin& origin, Time now) {
  TRY(check_scopes(request.scopes));
  if (request.expires_at && *request.expires_at <= now) {
    return invalid_argument("the time at which the key expires has passed");
  }
  NewKey made{make_random_text(kAccessKeyChars), make_random_text(kSecretChars)};
  core::KeyLine line;
  line.key = {made.access_key, hash_secret(made.secret), request.scopes, request.expires_at};
  OneRecord source({request.company, false, std::move(line)});
  TRY(store.load(source, origin));
  return made;
}

Status revoke_key(store::Store& store, std::string_view access_key, const store::Origin& origin) {
  const store::KeyPtr key = TRY(look_up(store, access_key));
  if (!key) return not_found("no key '" + std::string(access_key) + "'");
  core::KeyLine line;
  line.key.access_key = key->key.access_key;
  OneRecord source({key->company, true, std::move(line)});
  TRY(store.load(source, origin));
  return {};
}

}  // namespace earshot::service
