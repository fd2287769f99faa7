// Durations counted in buckets whose width grows with the value, as HdrHistogram does it: any
// percentile to within 1/128, of any number of values, in bounded memory.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace earshot::bench {

class Histogram {
 public:
  void add(std::uint64_t value) {
    ++buckets_[index_of(value)];
    ++count_;
    sum_ += value;
    if (value > max_) max_ = value;
  }

  std::uint64_t count() const { return count_; }
  std::uint64_t max() const { return max_; }
  double mean() const {
    return count_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(count_);
  }

  // The least value that at least this share of all values does not exceed, rounded up to the end
  // of its bucket, but never beyond the greatest value. 0 where nothing was added.
  std::uint64_t percentile(double percent) const {
    if (count_ == 0) return 0;
    const double exact = percent / 100 * static_cast<double>(count_);
    auto wanted = static_cast<std::uint64_t>(exact);
    if (static_cast<double>(wanted) < exact || wanted == 0) ++wanted;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen >= wanted) return greatest_of(i) < max_ ? greatest_of(i) : max_;
    }
    return max_;
  }

 private:
  static constexpr unsigned kBits = 7;
  static constexpr std::uint64_t kHalf = std::uint64_t{1} << kBits;

  // Values below 2 * kHalf have a bucket each; after that every doubling has kHalf buckets.
  static std::size_t index_of(std::uint64_t value) {
    if (value < 2 * kHalf) return value;
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - kBits - 1;
    return shift * kHalf + (value >> shift);
  }
  static std::uint64_t greatest_of(std::size_t index) {
    if (index < 2 * kHalf) return index;
    const unsigned shift = static_cast<unsigned>(index / kHalf) - 1;
    return ((kHalf + index % kHalf + 1) << shift) - 1;
  }

  std::vector<std::uint64_t> buckets_ = std::vector<std::uint64_t>((64 - kBits + 1) * kHalf);
  std::uint64_t count_ = 0, sum_ = 0, max_ = 0;
};

}  // namespace earshot::bench
