// When the requests of an open loop are due: fixed before any answer is known, so that a slow
// server cannot slow down what it is asked.
#pragma once

#include <cmath>
#include <cstdint>

#include "population.h"

namespace earshot::bench {

// A plain generator of random numbers (SplitMix64); the same seed gives the same run.
class Draws {
 public:
  explicit Draws(std::uint64_t seed) : state_(scatter(seed)) {}

  std::uint64_t next() { return scatter(state_++); }
  // REQUIRES: bound < 2^32.
  std::uint64_t below(std::uint64_t bound) { return ((next() >> 32) * bound) >> 32; }
  // In (0, 1].
  double share() { return static_cast<double>((next() >> 11) + 1) * 0x1p-53; }

 private:
  std::uint64_t state_;
};

enum class Arrivals : std::uint8_t { constant, poisson };

class Schedule {
 public:
  // REQUIRES: per_second > 0.
  Schedule(double per_second, Arrivals arrivals, std::uint64_t seed)
      : gap_ns_(1e9 / per_second), arrivals_(arrivals), draws_(seed) {}

  // Nanoseconds from the start to the next request; ascending.
  std::uint64_t next() {
    at_ns_ += arrivals_ == Arrivals::constant ? gap_ns_ : -std::log(draws_.share()) * gap_ns_;
    return static_cast<std::uint64_t>(at_ns_);
  }

 private:
  double gap_ns_;
  double at_ns_ = 0;
  Arrivals arrivals_;
  Draws draws_;
};

}  // namespace earshot::bench
