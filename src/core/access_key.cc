#include "core/access_key.h"

#include <algorithm>

namespace earshot::core {

bool is_access_key(std::string_view text) {
  return !text.empty() && text.size() <= kAccessKeyCharsMax &&
         std::ranges::all_of(text, [](char c) { return c >= '!' && c <= '~' && c != ':'; });
}

}  // namespace earshot::core
