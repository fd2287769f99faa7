// The head of a company's record of changes as it is given out: the statement, its signature, and
// how both are read again by whoever kept them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/signature.h"
#include "base/time.h"
#include "store/changes.h"

namespace earshot::api {

// The answer to GET /earshot/v1/changes/head. Without a key it is not signed.
std::string encode_head(std::string_view request_id, CompanyId company,
                        const store::RecordHead& head, Time now,
                        const std::optional<SigningKey>& key);

// A head that was given out.
struct KeptHead {
  store::HeadClaim claim;
  std::string statement;
  std::string key_id;     // empty where it is not signed
  std::string signature;  // its bytes
};

inline constexpr std::size_t kKeptHeadsMax = 10'000;

// Reads such answers, one a line; white space and empty lines do not matter. What the statement
// says counts: the other members may be missing, but not say something else. `name` is the file's,
// for messages. Errors: invalid_argument with the line ("heads.json:2: …").
Result<std::vector<KeptHead>> decode_heads(std::string_view text, const std::string& name);

}  // namespace earshot::api
