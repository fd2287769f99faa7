// How large the parts of a record may be. Beyond them a line is bad.
#pragma once

#include <cstddef>

namespace earshot::records {

inline constexpr std::size_t kLineBytesMax = 1 << 20;
inline constexpr std::size_t kTextBytesMax = 4096;  // names, addresses, titles, times
inline constexpr std::size_t kNoteBytesMax = 1024;
inline constexpr std::size_t kListIdsMax = 10'000;
inline constexpr std::size_t kSecretBytesMax = 512;
inline constexpr std::size_t kScopesMax = 64;
inline constexpr std::size_t kScopeCharsMax = 64;

// Secrets below this are taken with a warning: too short to be safe as a fast hash.
inline constexpr std::size_t kSecretCharsAdvised = 20;

}  // namespace earshot::records
