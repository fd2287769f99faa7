#include "store/pg_site.h"

#include <algorithm>

#include "base/assert.h"

namespace earshot::store {
namespace {

constexpr std::size_t kKeysMax = 100'000;  // forgotten beyond: they are asked for again

}  // namespace

KeyPtr PgKeys::find(std::string_view access_key) const {
  const std::shared_lock lock(mutex_);
  const auto found = keys_.find(access_key);
  return found == keys_.end() ? nullptr : found->second;
}

void PgKeys::put(const std::string& access_key, KeyPtr key) {
  const std::unique_lock lock(mutex_);
  if (!key) {
    keys_.erase(access_key);
    return;
  }
  if (keys_.size() >= kKeysMax) keys_.clear();
  keys_[access_key] = std::move(key);
}

KeyPtr read_key(const PgResult& result, std::string access_key, CompanyId company,
                core::Revision directory) {
  auto entry = std::make_shared<KeyEntry>();
  entry->company = {result.number(0, 0)};
  entry->key.access_key = std::move(access_key);
  const std::string_view salt = result.text(0, 1), digest = result.text(0, 2);
  ASSERT(salt.size() == entry->key.secret.salt.size());
  ASSERT(digest.size() == entry->key.secret.digest.size());
  std::ranges::copy(salt, entry->key.secret.salt.begin());
  std::ranges::copy(digest, entry->key.secret.digest.begin());
  entry->key.scopes = result.texts(0, 3);
  if (!result.is_null(0, 4)) entry->key.expires_at = result.timestamp(0, 4);
  // Another company's key by now: of its directory nothing is known.
  if (entry->company != company) directory = 0;
  entry->holds_until = std::max(result.number(0, 5), directory);
  return entry;
}

}  // namespace earshot::store
