// Files of pairs of a user and a call, read whole and checked before anything is done with them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"
#include "client/command.h"

namespace earshot::client {

inline constexpr std::size_t kPairLineBytesMax = 64 << 10;

// Every pair that a descriptor gives, one a line; empty lines and those that begin with # are
// passed over. `name` is the file's, for messages. Errors: invalid_argument with file, line and
// reason; more than pairs_max are refused.
Result<std::vector<Pair>> read_pairs(int fd, const std::string& name,
                                     std::size_t pairs_max = kPairsMax);

// The same of a file; "-" is standard input.
Result<std::vector<Pair>> read_pairs(const std::string& file);

}  // namespace earshot::client
