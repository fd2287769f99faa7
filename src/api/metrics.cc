#include "api/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <limits>
#include <sstream>
#include <utility>

#include "base/log.h"

namespace earshot::api {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr std::array<std::string_view, kOperations> kOperationNames = {
    "addUsersAccessToCalls",
    "getUsersAccessToCalls",
    "deleteUsersAccessToCalls",
    "checkAccess",
    "listCallAccess",
    "listUserAccess",
    "giveGrants",
    "removeGrants",
    "listChanges",
    "getChangesHead",
    "listRefusals",
    "putRecords",
    "getCall",
    "getUser",
    "createKey",
    "listKeys",
    "revokeKey",
    "healthz",
    "readyz",
    "metrics",
    "openapi",
    "none",
};

constexpr std::array<std::string_view, kStreamEnds> kStreamEndNames = {
    "slow", "gone", "denied", "draining", "unavailable", "client"};

// Every status that the program gives; the last place is for any other.
constexpr std::array<int, Metrics::kStatuses - 1> kStatusCodes = {
    200, 400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 417, 422, 429, 431, 500, 501, 503, 505};

constexpr std::array<double, Metrics::kDurations> kDurationBounds = {
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
    0.01,    0.025,    0.05,    0.1,    0.25,    0.5,    1,     2.5,    10};
constexpr std::array<double, Metrics::kCommands> kCommandBounds = {
    1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};
constexpr std::array<double, Metrics::kSyncs> kSyncBounds = {
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5};

std::size_t status_index(int status) {
  return static_cast<std::size_t>(std::ranges::find(kStatusCodes, status) - kStatusCodes.begin());
}

ClientMetric labelled(std::vector<ClientMetric::Label> labels) {
  ClientMetric metric;
  metric.label = std::move(labels);
  return metric;
}

ClientMetric counter(double value, std::vector<ClientMetric::Label> labels = {}) {
  ClientMetric metric = labelled(std::move(labels));
  metric.counter.value = value;
  return metric;
}

ClientMetric gauge(double value, std::vector<ClientMetric::Label> labels = {}) {
  ClientMetric metric = labelled(std::move(labels));
  metric.gauge.value = value;
  return metric;
}

// Adds up the same histogram of several shards. `scale` is how many of the sum's units make one.
template <std::size_t Buckets>
ClientMetric histogram(const std::array<double, Buckets>& bounds,
                       const std::vector<const Histogram<Buckets>*>& parts, double scale,
                       std::vector<ClientMetric::Label> labels = {}) {
  ClientMetric metric = labelled(std::move(labels));
  std::uint64_t cumulative = 0;
  for (std::size_t bucket = 0; bucket <= Buckets; ++bucket) {
    for (const auto* part : parts) cumulative += part->count(bucket);
    const double bound =
        bucket < Buckets ? bounds[bucket] : std::numeric_limits<double>::infinity();
    metric.histogram.bucket.push_back({cumulative, bound});
  }
  metric.histogram.sample_count = cumulative;
  std::uint64_t sum = 0;
  for (const auto* part : parts) sum += part->scaled_sum();
  metric.histogram.sample_sum = static_cast<double>(sum) / scale;
  return metric;
}

// Reads labels as in the exposition format: name="value",name="value".
std::vector<ClientMetric::Label> parse_labels(std::string_view text) {
  std::vector<ClientMetric::Label> labels;
  while (!text.empty()) {
    const std::size_t equals = text.find("=\"");
    if (equals == std::string_view::npos) break;
    ClientMetric::Label label{std::string(text.substr(0, equals)), {}};
    std::size_t at = equals + 2;
    for (; at < text.size() && text[at] != '"'; ++at) {
      if (text[at] == '\\' && at + 1 < text.size()) ++at;
      label.value.push_back(text[at]);
    }
    labels.push_back(std::move(label));
    text.remove_prefix(std::min(text.size(), at + 1));
    if (text.starts_with(',')) text.remove_prefix(1);
  }
  return labels;
}

// The store's figures; those of one name become one family, also when they do not come in a row.
void append_figures(const std::vector<store::Store::Figure>& figures,
                    std::vector<MetricFamily>& families) {
  for (const auto& figure : figures) {
    const std::string name = "earshot_" + figure.name;
    auto family = std::ranges::find(families, name, &MetricFamily::name);
    if (family == families.end()) {
      families.push_back(
          {name, figure.help, figure.is_counter ? MetricType::Counter : MetricType::Gauge, {}});
      family = families.end() - 1;
    }
    auto labels = parse_labels(figure.labels);
    family->metric.push_back(figure.is_counter ? counter(figure.value, std::move(labels))
                                               : gauge(figure.value, std::move(labels)));
  }
}

}  // namespace

std::string_view operation_name(Operation operation) {
  return kOperationNames[static_cast<std::size_t>(operation)];
}

std::string_view name_of(StreamEnd reason) {
  return kStreamEndNames[static_cast<std::size_t>(reason)];
}

Metrics::Metrics() : started_(std::chrono::steady_clock::now()) {}
Metrics::~Metrics() = default;

Metrics::Shard& Metrics::own_shard() {
  static std::atomic<std::size_t> next{0};
  static thread_local const std::size_t index = next.fetch_add(1, std::memory_order_relaxed);
  return shards_[index % kShards];
}

void Metrics::count_request(Operation operation, int status, std::chrono::nanoseconds duration) {
  Shard& shard = own_shard();
  const auto at = static_cast<std::size_t>(operation);
  const auto nanos = static_cast<std::uint64_t>(std::max<std::int64_t>(duration.count(), 0));
  shard.requests[at][status_index(status)].fetch_add(1, std::memory_order_relaxed);
  shard.durations[at].add(kDurationBounds, static_cast<double>(nanos) / 1e9, nanos);
}

void Metrics::count_refusal(Reason reason) {
  own_shard().refusals[static_cast<std::size_t>(reason)].fetch_add(1, std::memory_order_relaxed);
}

void Metrics::count_commit(std::size_t commands, double sync_seconds) {
  commit_commands_.add(kCommandBounds, static_cast<double>(commands), commands);
  commit_syncs_.add(kSyncBounds, sync_seconds, static_cast<std::uint64_t>(sync_seconds * 1e9));
}

void Metrics::count_stream_end(StreamEnd reason) {
  stream_ends_[static_cast<std::size_t>(reason)].fetch_add(1, std::memory_order_relaxed);
}

std::string Metrics::render(const std::vector<store::Store::Figure>& figures,
                            std::size_t connections, std::size_t streams) const {
  MetricFamily requests{"earshot_requests_total",
                        "Requests answered, by operation and status.",
                        MetricType::Counter,
                        {}};
  MetricFamily durations{"earshot_request_duration_seconds",
                         "Time from the arrival of a request's head to its answer.",
                         MetricType::Histogram,
                         {}};
  for (std::size_t operation = 0; operation < kOperations; ++operation) {
    const std::string name(kOperationNames[operation]);
    std::vector<const Histogram<kDurations>*> parts;
    for (const Shard& shard : shards_) parts.push_back(&shard.durations[operation]);
    durations.metric.push_back(histogram(kDurationBounds, parts, 1e9, {{"operation", name}}));
    for (std::size_t status = 0; status < kStatuses; ++status) {
      std::uint64_t count = 0;
      for (const Shard& shard : shards_) {
        count += shard.requests[operation][status].load(std::memory_order_relaxed);
      }
      if (count == 0) continue;
      const std::string code =
          status < kStatusCodes.size() ? std::to_string(kStatusCodes[status]) : "other";
      requests.metric.push_back(
          counter(static_cast<double>(count), {{"operation", name}, {"status", code}}));
    }
  }
  MetricFamily refusals{
      "earshot_refusals_total", "Requests refused, by reason.", MetricType::Counter, {}};
  for (std::size_t reason = 0; reason < kReasons; ++reason) {
    std::uint64_t count = 0;
    for (const Shard& shard : shards_) {
      count += shard.refusals[reason].load(std::memory_order_relaxed);
    }
    refusals.metric.push_back(
        counter(static_cast<double>(count),
                {{"reason", std::string(reason_name(static_cast<Reason>(reason)))}}));
  }
  const double uptime =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();

  std::vector<MetricFamily> families;
  families.push_back(std::move(requests));
  families.push_back(std::move(durations));
  families.push_back(std::move(refusals));
  families.push_back({"earshot_commit_commands",
                      "Commands in one durable commit.",
                      MetricType::Histogram,
                      {histogram<kCommands>(kCommandBounds, {&commit_commands_}, 1)}});
  families.push_back({"earshot_commit_sync_seconds",
                      "Time to make one commit durable.",
                      MetricType::Histogram,
                      {histogram<kSyncs>(kSyncBounds, {&commit_syncs_}, 1e9)}});
  families.push_back({"earshot_connections",
                      "Connections that are open.",
                      MetricType::Gauge,
                      {gauge(static_cast<double>(connections))}});
  families.push_back({"earshot_streams",
                      "Streams of changes and requests that wait for one, open now.",
                      MetricType::Gauge,
                      {gauge(static_cast<double>(streams))}});
  MetricFamily ends{"earshot_streams_ended_total",
                    "Streams of changes ended, by reason.",
                    MetricType::Counter,
                    {}};
  for (std::size_t reason = 0; reason < kStreamEnds; ++reason) {
    ends.metric.push_back(
        counter(static_cast<double>(stream_ends_[reason].load(std::memory_order_relaxed)),
                {{"reason", std::string(kStreamEndNames[reason])}}));
  }
  families.push_back(std::move(ends));
  families.push_back({"earshot_log_lines_lost_total",
                      "Lines of the log lost because its reader was too slow.",
                      MetricType::Counter,
                      {counter(static_cast<double>(log_lines_lost()))}});
  families.push_back({"earshot_uptime_seconds",
                      "Time since the server was set up.",
                      MetricType::Gauge,
                      {gauge(uptime)}});
  families.push_back({"earshot_build_info",
                      "The version that runs; always 1.",
                      MetricType::Gauge,
                      {gauge(1, {{"version", EARSHOT_VERSION}})}});
  append_figures(figures, families);

  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families);
  return std::move(out).str();
}

}  // namespace earshot::api
