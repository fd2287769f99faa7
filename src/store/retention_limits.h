// What retention leaves of a record of changes.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"

namespace earshot::store {

// What either of the two cuts off goes; but the newest revision of a company always stays.
struct RetentionLimits {
  std::optional<Time> oldest{};              // revisions from before go
  std::optional<std::uint64_t> revisions{};  // so many stay, the newest of each company; at least 1
};

}  // namespace earshot::store
