#include "auth/credentials.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "base/secret.h"
#include "base/text.h"

namespace earshot::auth {
namespace {

constexpr std::string_view kBasic = "basic";

// Case is folded for ASCII letters only, whatever the locale.
bool starts_with_basic(std::string_view text) {
  if (text.size() < kBasic.size()) return false;
  for (std::size_t i = 0; i < kBasic.size(); ++i) {
    const char c = text[i];
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (lower != kBasic[i]) return false;
  }
  return true;
}

// What an unknown key's secret is checked against, so that the time of an answer does not tell
// which keys exist.
const SecretHash& dummy_hash() {
  static const SecretHash hash = hash_secret(make_random_text(32));
  return hash;
}

}  // namespace

std::optional<Credentials> parse_basic(std::string_view authorization) {
  if (!starts_with_basic(authorization)) return std::nullopt;
  std::string_view rest = authorization.substr(kBasic.size());
  const std::size_t token = rest.find_first_not_of(' ');
  if (token == 0 || token == std::string_view::npos) return std::nullopt;
  auto pair = decode_base64(rest.substr(token));
  if (!pair) return std::nullopt;
  const std::size_t colon = pair->find(':');
  if (colon == std::string::npos) return std::nullopt;
  return Credentials(*std::move(pair), colon);
}

bool Principal::has_scope(std::string_view scope) const {
  return std::ranges::find(key->key.scopes, scope) != key->key.scopes.end();
}

std::optional<Principal> authenticate(store::Store& store,
                                      std::optional<std::string_view> authorization, Time now) {
  std::optional<Credentials> given;
  if (authorization) given = parse_basic(*authorization);
  // No return before the secret was hashed: each way to be refused does the same work.
  const Credentials credentials = given ? *std::move(given) : Credentials{};
  store::KeyPtr key = store.find_key(credentials.access_key());
  const bool secret_matches =
      verify_secret(key ? key->key.secret : dummy_hash(), credentials.secret());
  if (!key || !secret_matches) return std::nullopt;
  if (key->key.expires_at && now >= *key->key.expires_at) return std::nullopt;
  return Principal{std::move(key)};
}

}  // namespace earshot::auth
