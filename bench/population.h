// Who and what is in the data of the benches, by formula, so that every program knows all ids
// without a file of them. dataset.py says the same in Python, and how pairs are drawn.
#pragma once

#include <cstdint>
#include <numeric>
#include <string>
#include <utility>

namespace earshot::bench {

inline constexpr std::uint64_t kSellers = 1000;    // host the calls and take part in them
inline constexpr std::uint64_t kListeners = 4000;  // hold the grants and get the new ones
inline constexpr std::uint64_t kReports = 8;       // that a manager has
inline constexpr std::uint64_t kIdDigits = 19;  // of all ids, so that all requests are equally long

// A random looking number for each n (the mixer of SplitMix64).
constexpr std::uint64_t scatter(std::uint64_t n) {
  n += 0x9E3779B97F4A7C15;
  n = (n ^ (n >> 30)) * 0xBF58476D1CE4E5B9;
  n = (n ^ (n >> 27)) * 0x94D049BB133111EB;
  return n ^ (n >> 31);
}

// An id of 19 digits.
constexpr std::uint64_t scattered_id(std::uint64_t n) {
  constexpr std::uint64_t kLeast = 1'000'000'000'000'000'000;
  constexpr std::uint64_t kMost = (std::uint64_t{1} << 63) - 1;
  return kLeast + scatter(n) % (kMost - kLeast + 1);
}

// Companies count from 1, calls and users of each from 0: sellers first, then listeners.
constexpr std::uint64_t call_id(std::uint64_t company, std::uint64_t number) {
  return scattered_id(company << 40 | number);
}
constexpr std::uint64_t user_id(std::uint64_t company, std::uint64_t number) {
  return scattered_id(company << 40 | std::uint64_t{1} << 36 | number);
}
constexpr std::uint64_t listener_id(std::uint64_t company, std::uint64_t number) {
  return user_id(company, kSellers + number);
}

// The listener that holds the n-th grant of a call. Numbers of call and listener have an even sum.
constexpr std::uint64_t listener_of_grant(std::uint64_t company, std::uint64_t call,
                                          std::uint64_t n) {
  constexpr std::uint64_t kStep = 401;  // shares no factor with the half of kListeners
  const std::uint64_t first = scatter(scatter(company) ^ call);
  return 2 * ((first + n * kStep) % (kListeners / 2)) + call % 2;
}

// Pairs of a call and a listener with an odd sum, so never among the grants of the data, in a
// sequence that does not repeat: at place p stand call p % calls and listener
// 2 * (p / calls) + (call + 1) % 2, and after p comes (p + stride) % count.
class NewPairs {
 public:
  explicit NewPairs(std::uint64_t calls) : calls_(calls), count_(calls * kListeners / 2) {
    stride_ = count_ * 618'034 / 1'000'000;  // far from a simple part of it
    while (std::gcd(stride_, count_) != 1) ++stride_;
  }

  // The numbers of call and listener.
  std::pair<std::uint64_t, std::uint64_t> at(std::uint64_t number) const {
    const std::uint64_t place = number % count_ * stride_ % count_;
    const std::uint64_t call = place % calls_;
    return {call, 2 * (place / calls_) + (call + 1) % 2};
  }

 private:
  std::uint64_t calls_, count_, stride_;
};

inline std::string access_key(std::uint64_t company) { return "BENCH" + std::to_string(company); }
inline constexpr const char* kSecret = "a-secret-of-the-benches-alone";

}  // namespace earshot::bench
