// What the name of an access key may be.
#pragma once

#include <cstddef>
#include <string_view>

namespace earshot::core {

inline constexpr std::size_t kAccessKeyCharsMax = 128;

// Whether a key may have this name: 1 to kAccessKeyCharsMax visible ASCII characters, of which none
// is a colon, since Basic credentials are split at the first one.
bool is_access_key(std::string_view text);

}  // namespace earshot::core
