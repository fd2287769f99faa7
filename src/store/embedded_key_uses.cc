// When keys were used last, in the embedded store: a small row each, written now and then.
#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "store/embedded_store.h"

namespace earshot::store {

namespace {

constexpr char kKeyUseTag = 'k';

std::string encode_key_use(CompanyId company, std::string_view access_key) {
  std::string out = encode_company_key(kKeyUseTag, company);
  out += access_key;
  return out;
}

std::optional<KeyUse> decode_key_use(std::string_view key, std::string_view value) {
  ByteReader of_key(key);
  const std::uint8_t tag = of_key.byte();
  const CompanyId company{of_key.fixed64()};
  const std::string_view access_key = of_key.bytes(of_key.rest_bytes());
  ByteReader of_value(value);
  const std::uint8_t format = of_value.byte();
  const Time at{of_value.signed_varint()};
  const bool is_good = of_key.done() && of_value.done() && format == kValueFormat;
  if (!is_good || tag != static_cast<std::uint8_t>(kKeyUseTag)) return std::nullopt;
  return KeyUse{company, std::string(access_key), at};
}

}  // namespace

Status EmbeddedStore::note_key_uses(std::span<const KeyUse> uses) {
  if (const auto refused = refusal()) return *refused;
  const std::lock_guard one_at_a_time(key_uses_mutex_);
  const auto is_of_key = [this](CompanyId company, std::string_view access_key) {
    const KeyPtr key = keys_.find(access_key);
    return key && key->company == company;
  };
  std::map<std::string, Time> latest;
  for (const KeyUse& use : uses) {
    if (!is_of_key(use.company, use.access_key)) continue;
    Time& at =
        latest.try_emplace(encode_key_use(use.company, use.access_key), use.at).first->second;
    at = std::max(at, use.at);
  }
  rocksdb::WriteBatch batch;
  TRY(rocks_->scan(Family::meta, std::string(1, kKeyUseTag), nullptr,
                   [&](std::string_view place, std::string_view value) -> Result<bool> {
                     const auto kept = decode_key_use(place, value);
                     if (!kept) return corrupt("meta");
                     if (!is_of_key(kept->company, kept->access_key)) {
                       batch.Delete(rocks_->family(Family::meta), slice(place));
                     }
                     const auto known = latest.find(std::string(place));
                     if (known != latest.end() && known->second <= kept->at) latest.erase(known);
                     return true;
                   }));
  for (const auto& [place, at] : latest) {
    std::string value(1, static_cast<char>(kValueFormat));
    append_signed_varint(value, at.micros);
    batch.Put(rocks_->family(Family::meta), place, value);
  }
  if (batch.Count() == 0) return {};
  // Not synced: it is worth no wait for the disk.
  const rocksdb::Status written = rocks_->write(batch, false);
  if (!written.ok()) return from_rocksdb(written, "noting the use of keys");
  return {};
}

Result<std::vector<KeyUse>> EmbeddedStore::list_key_uses(CompanyId company) {
  std::vector<KeyUse> uses;
  TRY(rocks_->scan(Family::meta, encode_company_key(kKeyUseTag, company), nullptr,
                   [&](std::string_view place, std::string_view value) -> Result<bool> {
                     auto use = decode_key_use(place, value);
                     if (!use) return corrupt("meta");
                     const KeyPtr key = keys_.find(use->access_key);
                     if (key && key->company == company) uses.push_back(std::move(*use));
                     return true;
                   }));
  return uses;
}

}  // namespace earshot::store
