// Refusals that were kept as rows of the embedded store, and back. docs/storage.md describes them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "store/codec.h"
#include "store/refusals.h"

namespace earshot::store {

inline constexpr char kRefusalTag = 'r';

struct RefusalKey {
  CompanyId company;
  std::uint64_t number = 0;
};
std::string encode_key(const RefusalKey& key);
std::optional<RefusalKey> decode_refusal_key(std::string_view bytes);

// Without its company, which is in the key.
std::string encode_value(const Refusal& refusal);
std::optional<Refusal> decode_refusal(CompanyId company, std::string_view bytes);

}  // namespace earshot::store
