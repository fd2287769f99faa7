// Requests that were refused, as they are kept for the company that they concern. Not part of the
// record of changes: bounded, and lost where a server ends without a word.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/random.h"
#include "base/time.h"

namespace earshot::store {

// Several requests of a short while that were refused alike, told once.
struct Refusal {
  CompanyId company;       // 0: of none, since the access key is unknown
  Time time;               // of the first
  std::string reason;      // as api::reason_name() says it
  std::string operation;   // as api::operation_name() says it
  std::string access_key;  // empty: unknown. What strangers send as a name may be a secret
  std::string remote_address;
  RequestId request_id{};  // of the first
  std::string detail;      // more about the first, in the words of its answer; bounded
  std::uint64_t requests = 1;
};

// One that is kept. The number is unique in its company, and later ones have greater ones.
struct KeptRefusal {
  std::uint64_t number = 0;
  Refusal refusal;
};

struct RefusalsCommand {
  CompanyId company;         // 0: those of none
  std::uint64_t before = 0;  // only older ones than this number; 0: from the newest on
  std::size_t refusals_max = 0;
};

struct RefusalsView {
  std::vector<KeptRefusal> refusals;  // the newest first
  bool is_end = false;                // there are no older ones
};

// How many are kept, and how long.
struct RefusalLimits {
  std::size_t per_company = 10'000;  // and as many of no company; older ones go
  std::chrono::seconds keep{30 * 24 * 3600};

  // From before this, none is shown.
  Time oldest(Time now) const {
    return {now.micros - std::chrono::duration_cast<std::chrono::microseconds>(keep).count()};
  }
};

}  // namespace earshot::store
