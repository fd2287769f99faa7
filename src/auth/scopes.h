// The names of scopes: what a key may be allowed to do. The only place that spells them.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace earshot::auth {

inline constexpr std::string_view kScopeCallAccessRead = "api:call-user-access:read";
inline constexpr std::string_view kScopeCallAccessWrite = "api:call-user-access:write";
inline constexpr std::string_view kScopeAccessRead = "earshot:access:read";
inline constexpr std::string_view kScopeGrantsWrite = "earshot:grants:write";

// Every scope that a key may carry. The operations of those that have no name here come later; keys
// made today may carry them.
inline constexpr std::array<std::string_view, 7> kKnownScopes = {
    kScopeCallAccessRead,      kScopeCallAccessWrite, kScopeAccessRead,     "earshot:audit:read",
    "earshot:directory:write", kScopeGrantsWrite,     "earshot:keys:write",
};

inline bool is_known_scope(std::string_view scope) {
  return std::ranges::find(kKnownScopes, scope) != kKnownScopes.end();
}

}  // namespace earshot::auth
