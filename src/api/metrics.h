// What is counted of requests and commits, and the text in which Prometheus reads it. Counting
// costs a few relaxed additions on memory that threads seldom share.
//
//   earshot_requests_total{operation,status}              counter
//   earshot_request_duration_seconds{operation}           histogram, from the head's arrival to the
//   answer earshot_refusals_total{reason}                        counter earshot_commit_commands
//   histogram, commands in one commit earshot_commit_sync_seconds histogram earshot_connections
//   gauge earshot_log_lines_lost_total                          counter earshot_uptime_seconds,
//   earshot_build_info{version}   gauges earshot_<figure>                                      the
//   store's own figures
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "api/problem.h"
#include "store/store.h"

namespace earshot::api {

// What was asked, as metrics and the log name it.
enum class Operation : std::uint8_t {
  add_users_access,
  get_users_access,
  delete_users_access,
  check_access,
  list_call_access,
  list_user_access,
  give_grants,
  remove_grants,
  list_changes,
  get_changes_head,
  list_refusals,
  put_records,
  get_call,
  get_user,
  create_key,
  list_keys,
  revoke_key,
  healthz,
  readyz,
  metrics,
  openapi,
  none,  // no operation: unknown paths and methods, and what was no request
};
inline constexpr std::size_t kOperations = static_cast<std::size_t>(Operation::none) + 1;

std::string_view operation_name(Operation operation);

// Why a stream of changes ended, as its last event says it; `client`: it went by itself.
enum class StreamEnd : std::uint8_t { slow, gone, denied, draining, unavailable, client };
inline constexpr std::size_t kStreamEnds = static_cast<std::size_t>(StreamEnd::client) + 1;

std::string_view name_of(StreamEnd reason);

// A histogram with fixed bounds that any thread may add to.
template <std::size_t Buckets>
class Histogram {
 public:
  using Bounds = std::array<double, Buckets>;

  // `scaled` is the value in whole units of `unit` below one: sums of floating point cannot be
  // added atomically.
  void add(const Bounds& bounds, double value, std::uint64_t scaled) {
    std::size_t bucket = 0;
    while (bucket < Buckets && value > bounds[bucket]) ++bucket;
    counts_[bucket].fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(scaled, std::memory_order_relaxed);
  }

  std::uint64_t count(std::size_t bucket) const {
    return counts_[bucket].load(std::memory_order_relaxed);
  }
  std::uint64_t scaled_sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  std::array<std::atomic<std::uint64_t>, Buckets + 1> counts_{};  // the last: above every bound
  std::atomic<std::uint64_t> sum_{0};
};

class Metrics {
 public:
  Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;
  ~Metrics();

  // Any thread.
  void count_request(Operation operation, int status, std::chrono::nanoseconds duration);
  void count_refusal(Reason reason);
  void count_commit(std::size_t commands, double sync_seconds);
  void count_stream_end(StreamEnd reason);

  // The text exposition format, version 0.0.4.
  std::string render(const std::vector<store::Store::Figure>& figures, std::size_t connections,
                     std::size_t streams) const;

  static constexpr std::size_t kDurations = 18;
  static constexpr std::size_t kCommands = 13;
  static constexpr std::size_t kSyncs = 14;
  static constexpr std::size_t kStatuses = 20;

 private:
  // Each thread adds to one of a few of these, and a scrape sums them up.
  struct alignas(64) Shard {
    std::array<std::array<std::atomic<std::uint64_t>, kStatuses>, kOperations> requests{};
    std::array<Histogram<kDurations>, kOperations> durations;  // nanoseconds
    std::array<std::atomic<std::uint64_t>, kReasons> refusals{};
  };
  static constexpr std::size_t kShards = 16;

  Shard& own_shard();

  std::array<Shard, kShards> shards_;
  std::array<std::atomic<std::uint64_t>, kStreamEnds> stream_ends_{};
  Histogram<kCommands> commit_commands_;
  Histogram<kSyncs> commit_syncs_;  // nanoseconds
  const std::chrono::steady_clock::time_point started_;
};

}  // namespace earshot::api
