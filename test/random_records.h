// Random records over small id spaces, so that cycles of managers, things that are missing, second
// profiles in a workspace and repeated lines all come up; and the seed of a randomised test.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "core/record.h"

namespace earshot::test {

// The seed in EARSHOT_SEED, or a fresh one. Print it when the test fails: it repeats the run.
std::uint64_t test_seed();

class RandomRecords {
 public:
  struct Spaces {
    std::uint64_t companies = 2;
    std::uint64_t workspaces = 3;
    std::uint64_t profiles = 6;
    std::uint64_t users = 8;
    std::uint64_t calls = 6;
    std::uint64_t keys = 3;
    unsigned remove_percent = 15;
  };

  explicit RandomRecords(std::uint64_t seed);
  RandomRecords(std::uint64_t seed, const Spaces& spaces);

  // Any kind of record. Some are bad, as their company, call or user may not be there.
  core::Record next();

  // A number below `count`.
  std::uint64_t below(std::uint64_t count);
  bool percent(unsigned chance) { return below(100) < chance; }

  // An id of a space of so many.
  template <class IdType>
  IdType id(std::uint64_t space) {
    return IdType{1 + below(space)};
  }
  UserId user_id() { return id<UserId>(spaces_.users); }
  CallId call_id() { return id<CallId>(spaces_.calls); }

  // A valid UTF-8 text, often empty, sometimes with what needs escaping.
  std::string text();

 private:
  template <class IdType>
  std::vector<IdType> ids(std::uint64_t space, std::uint64_t count_max);

  decltype(core::Record::thing) thing(CompanyId company);

  core::KeyLine key_line();
  core::Profile profile();
  core::User user();
  core::Call call();
  core::Grant grant();
  // Around one moment, so that some have passed at it.
  Time moment();

  std::mt19937_64 random_;
  Spaces spaces_;
};

}  // namespace earshot::test
