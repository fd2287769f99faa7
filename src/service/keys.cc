#include "service/keys.h"

#include <algorithm>
#include <map>
#include <utility>

#include "auth/scopes.h"
#include "base/random.h"
#include "base/secret.h"
#include "service/asked_load.h"

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

Status check_expiry(std::optional<Time> expires_at, Time now) {
  if (expires_at && *expires_at <= now) {
    return invalid_argument("the time at which the key expires has passed");
  }
  return {};
}

NewKey make_key() { return {make_random_text(kAccessKeyChars), make_random_text(kSecretChars)}; }

core::Record record_of(CompanyId company, const NewKey& made, std::vector<std::string> scopes,
                       std::optional<Time> expires_at) {
  core::KeyLine line;
  line.key = {made.access_key, hash_secret(made.secret), std::move(scopes), expires_at};
  return {company, false, std::move(line)};
}

// A key that a company's own key asks for, and with it perhaps the end of the one that it replaces.
class AskedKey final : public AskedRecords {
 public:
  AskedKey(store::Store& store, const store::Asker& asker, const OwnKeyRequest& request, Time now)
      : AskedRecords(store, asker), request_(request), now_(now) {}

  std::string position() const override { return "key"; }

  NewKey made = make_key();
  std::vector<std::string> scopes;
  std::optional<Time> replaced_expires_at;

 protected:
  Result<const core::Record*> next_of(const store::KeyEntry& caller) override {
    if (given_ == 0) TRY(prepare(caller));
    return given_ == records_.size() ? nullptr : &records_[given_++];
  }

 private:
  Status prepare(const store::KeyEntry& caller) {
    store::KeyPtr old;
    if (!request_.replaces.empty()) {
      old = TRY(look_up(request_.replaces));
      if (!old || old->company != caller.company) return not_found("there is no such key");
    }
    scopes = old ? old->key.scopes : request_.scopes;
    // Scopes that a load let through go on with what replaces their key.
    if (!old) TRY(check_scopes(scopes));
    if (request_.expires_at && *request_.expires_at <= now_) {
      return invalid_argument("expiresAt: must be later than now");
    }
    if (const std::string lacking = list_lacking(caller.key, scopes); !lacking.empty()) {
      return lack("scopes: the key that asks does not have " + lacking);
    }
    records_.push_back(record_of(caller.company, made, scopes, request_.expires_at));
    if (!old) return {};
    core::KeyLine line;
    line.key = old->key;
    const Time over{
        now_.micros +
        std::chrono::duration_cast<std::chrono::microseconds>(request_.overlap).count()};
    // Never longer than it would have been good.
    line.key.expires_at = std::min(line.key.expires_at.value_or(over), over);
    replaced_expires_at = line.key.expires_at;
    records_.push_back({caller.company, false, std::move(line)});
    return {};
  }

  const OwnKeyRequest& request_;
  const Time now_;
  std::vector<core::Record> records_;
  std::size_t given_ = 0;
};

class AskedRevocation final : public AskedRecords {
 public:
  AskedRevocation(store::Store& store, const store::Asker& asker, std::string_view access_key)
      : AskedRecords(store, asker), access_key_(access_key) {}

  std::string position() const override { return "key"; }

 protected:
  Result<const core::Record*> next_of(const store::KeyEntry& caller) override {
    if (std::exchange(is_given_, true)) return nullptr;
    const store::KeyPtr key = TRY(look_up(access_key_));
    if (!key || key->company != caller.company) return not_found("there is no such key");
    core::KeyLine line;
    line.key.access_key = key->key.access_key;
    record_ = {caller.company, true, std::move(line)};
    return &record_;
  }

 private:
  const std::string access_key_;
  core::Record record_;
  bool is_given_ = false;
};

}  // namespace

Result<NewKey> create_key(store::Store& store, const KeyRequest& request,
                          const store::Origin& origin, Time now) {
  TRY(check_scopes(request.scopes));
  TRY(check_expiry(request.expires_at, now));
  const NewKey made = make_key();
  OneRecord source(record_of(request.company, made, request.scopes, request.expires_at));
  TRY(store.load(source, origin));
  return made;
}

Status revoke_key(store::Store& store, std::string_view access_key, const store::Origin& origin) {
  const store::KeyPtr key = TRY(look_up_key_now(store, access_key));
  if (!key) return not_found("no key '" + std::string(access_key) + "'");
  core::KeyLine line;
  line.key.access_key = key->key.access_key;
  OneRecord source({key->company, true, std::move(line)});
  TRY(store.load(source, origin));
  return {};
}

Result<OwnKeyOutcome> make_own_key(store::Store& store, const store::Asker& asker,
                                   const OwnKeyRequest& request, const store::Origin& origin,
                                   Time now) {
  AskedKey records(store, asker, request, now);
  const AskedLoad loaded = TRY(load_asked(store, records, origin));
  if (const auto* const lacking = std::get_if<ScopeLacking>(&loaded)) {
    return OwnKeyOutcome(*lacking);
  }
  return OwnKeyOutcome(
      OwnKey{TRY(revision_of(store, asker.key()->company, std::get<store::LoadReport>(loaded))),
             std::move(records.made), std::move(records.scopes), records.replaced_expires_at});
}

Result<core::Revision> revoke_own_key(store::Store& store, const store::Asker& asker,
                                      std::string_view access_key, const store::Origin& origin) {
  AskedRevocation records(store, asker, access_key);
  const AskedLoad loaded = TRY(load_asked(store, records, origin));
  return revision_of(store, asker.key()->company, std::get<store::LoadReport>(loaded));
}

Result<std::vector<ListedKey>> list_own_keys(store::Store& store, const auth::KeyUses& uses,
                                             CompanyId company) {
  std::map<std::string, Time> last;
  const auto take = [&](const std::vector<store::KeyUse>& some) {
    for (const store::KeyUse& use : some) {
      Time& at = last.try_emplace(use.access_key, use.at).first->second;
      at = std::max(at, use.at);
    }
  };
  // First what is in memory: what is saved meanwhile is seen at least once.
  take(uses.list(company));
  take(TRY(store.list_key_uses(company)));
  std::vector<ListedKey> listed;
  for (store::KeyPtr& key : TRY(store.list_keys(company))) {
    ListedKey& one = listed.emplace_back(ListedKey{std::move(key), std::nullopt});
    const auto used = last.find(one.key->key.access_key);
    if (used != last.end()) one.last_used = used->second;
  }
  return listed;
}

}  // namespace earshot::service
