#include "store/near_rows.h"

#include <algorithm>
#include <tuple>

#include "base/assert.h"

namespace earshot::store {

void NearRows::put(Family family, std::string_view key, std::string_view value) {
  ASSERT(takes(family));
  ByteReader reader(key);
  const std::uint64_t company = reader.fixed64();
  const std::uint64_t call_or_user = reader.fixed64();
  (family == Family::calls ? calls_ : by_user_)
      .push_back({{company, call_or_user},
                  bytes_.size(),
                  static_cast<std::uint32_t>(key.size()),
                  static_cast<std::uint32_t>(value.size())});
  bytes_.append(key).append(value);
}

void NearRows::copy_to(const Rocks& rocks, rocksdb::WriteBatch& batch) {
  for (auto* rows : {&calls_, &by_user_}) {
    const Family family = rows == &calls_ ? Family::calls : Family::by_user;
    std::ranges::sort(*rows, {}, [](const Row& row) { return std::tie(row.first, row.place); });
    for (const Row& row : *rows) {
      const std::string_view key = std::string_view(bytes_).substr(row.place, row.key_size);
      const rocksdb::Slice value(bytes_.data() + row.place + row.key_size, row.value_size);
      ASSERT(batch.Put(rocks.family(family), slice(key), value).ok());
    }
    rows->clear();
  }
  bytes_.clear();
}

}  // namespace earshot::store
