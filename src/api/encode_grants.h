// The body of the answer about grants, in pieces, so that one of any size passes through bounded
// memory.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "service/grants.h"

namespace earshot::api {

// {"requestId":"…","revision":N,"dryRun"?:true,"results":[…]}.
class GrantsEncoder {
 public:
  GrantsEncoder(std::string_view request_id, service::GrantsAnswer answer, bool is_dry_run);

  // Appends what comes next, at least until `out` holds `size` bytes. Returns whether this was the
  // end.
  bool append(std::string& out, std::size_t size);

 private:
  std::string head_;  // until it is written
  service::GrantsAnswer answer_;
  std::size_t next_ = 0;
};

}  // namespace earshot::api
