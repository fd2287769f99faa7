// The credentials of whoever asks: read where nobody else can, and never shown.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace earshot::client {

struct Key {
  std::string access_key, secret;
};

// "accessKey:secret". Errors: invalid_argument, without a word of the text.
Result<Key> parse_key(std::string_view text);

// The first line of a file that only its owner may read. Errors: invalid_argument (it cannot be
// read, is no regular file, others may read or write it, or its line is no key).
Result<Key> read_key_file(const std::string& path);

}  // namespace earshot::client
