// The names of scopes: what a key may be allowed to do. The only place that spells them.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace earshot::auth {

inline constexpr std::string_view kScopeCallAccessRead = "api:call-user-access:read";
inline constexpr std::string_view kScopeCallAccessWrite = "api:call-user-access:write";
inline constexpr std::string_view kScopeAccessRead = "earshot:access:read";
inline constexpr std::string_view kScopeAuditRead = "earshot:audit:read";
inline constexpr std::string_view kScopeDirectoryWrite = "earshot:directory:write";
inline constexpr std::string_view kScopeGrantsWrite = "earshot:grants:write";
inline constexpr std::string_view kScopeKeysWrite = "earshot:keys:write";

// Every scope that a key may carry.
inline constexpr std::array<std::string_view, 7> kKnownScopes = {
    kScopeCallAccessRead, kScopeCallAccessWrite, kScopeAccessRead, kScopeAuditRead,
    kScopeDirectoryWrite, kScopeGrantsWrite,     kScopeKeysWrite,
};

inline bool is_known_scope(std::string_view scope) {
  return std::ranges::find(kKnownScopes, scope) != kKnownScopes.end();
}

}  // namespace earshot::auth
