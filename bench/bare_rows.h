// RocksDB alone, written with what a durable give leaves on disk: the same rows with the same
// bytes, synced. The bound beside which ./dev bench puts Earshot's gives: nothing is read, decided,
// answered or chained here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "store/change_record.h"
#include "store/rocks.h"

namespace earshot::bench {

class BareRows {
 public:
  // Ends the program where the store cannot be opened. `calls` and `users` are how many of each
  // there are to give.
  BareRows(const std::string& directory, std::uint64_t calls, std::uint64_t users);

  // Gives without syncing until so many grants are there.
  void fill(std::uint64_t grants);

  // One commit of so many requests with so many grants each: every request has one record of its
  // changes.
  void commit(std::size_t requests, std::size_t grants_per_request, bool sync);

 private:
  std::string finish_record();

  std::uint64_t calls_;
  std::uint64_t users_;
  std::uint64_t grants_ = 0;    // so far
  std::uint64_t requests_ = 0;  // so far: revisions
  std::unique_ptr<store::Rocks> rocks_;
  store::ChangeWriter writer_;
};

// Prints why on standard error, and ends the program.
[[noreturn]] void fail(const std::string& what);

}  // namespace earshot::bench
