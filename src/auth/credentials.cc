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

Presented read_credentials(std::optional<std::string_view> authorization) {
  std::optional<Credentials> given;
  if (authorization) given = parse_basic(*authorization);
  if (!given) return {};
  return {*std::move(given), true};
}

Verdict judge(const store::KeyPtr& key, const Credentials& credentials, std::string_view scope,
              Time now) {
  // No return before the secret was hashed: each way to be denied does the same work.
  const bool secret_matches =
      verify_secret(key ? key->key.secret : dummy_hash(), credentials.secret());
  if (!key || !secret_matches) return Verdict::access_denied;
  if (key->key.expires_at && now >= *key->key.expires_at) return Verdict::access_denied;
  const auto& scopes = key->key.scopes;
  const bool has_scope = std::ranges::find(scopes, scope) != scopes.end();
  return has_scope ? Verdict::admitted : Verdict::scope_missing;
}

bool Admission::is_admitted_with(const store::KeyPtr& now) const {
  Verdict verdict = judge(now, credentials_, scope_, clock_());
  // An access key that was given to another company meanwhile is another one.
  if (now && now->company != key_->company) verdict = Verdict::access_denied;
  verdict_.store(verdict, std::memory_order_relaxed);
  return verdict == Verdict::admitted;
}

}  // namespace earshot::auth
