// The rows of one commit that belong to calls and users: put into the batch in the order of their
// keys, since a memtable takes neighbours one after the other faster than in the order of commands.
#pragma once

#include <rocksdb/write_batch.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/rocks.h"

namespace earshot::store {

class NearRows {
 public:
  // Whether the family's rows belong here.
  static bool takes(Family family) { return family == Family::calls || family == Family::by_user; }

  // REQUIRES: takes(family).
  void put(Family family, std::string_view key, std::string_view value);
  bool empty() const { return bytes_.empty(); }
  // Adds all rows to the batch; of two with one key the later one later.
  void copy_to(const Rocks& rocks, rocksdb::WriteBatch& batch);

 private:
  // A key and, behind it, a value in bytes_.
  struct Row {
    std::array<std::uint64_t, 2> first;  // of the key, as numbers: company, and call or user
    std::size_t place;                   // ascends as rows come
    std::uint32_t key_size;
    std::uint32_t value_size;
  };

  std::vector<Row> calls_;
  std::vector<Row> by_user_;
  std::string bytes_;
};

}  // namespace earshot::store
