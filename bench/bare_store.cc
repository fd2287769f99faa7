// RocksDB alone, doing what a durable give leaves on disk: the same rows with the same bytes, N
// gives in one synced batch. The bound beside which ./dev bench puts Earshot's gives: nothing is
// read, decided, answered or chained here.

#include <rocksdb/write_batch.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "store/change_record.h"
#include "store/codec.h"
#include "store/rocks.h"

namespace {

using namespace earshot;
using Clock = std::chrono::steady_clock;

constexpr CompanyId kCompany{1};
constexpr std::size_t kFillBatch = 1000;
constexpr const char* kGivenKey = "given";

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "bench_bare_store: %s\n", what.c_str());
  std::exit(1);
}

void check(const rocksdb::Status& status) {
  if (!status.ok()) fail(status.ToString());
}

// A random looking number of 63 bits for each n, and no two alike but by accident.
std::uint64_t scatter(std::uint64_t n) {
  n += 0x9E3779B97F4A7C15;
  n = (n ^ (n >> 30)) * 0xBF58476D1CE4E5B9;
  n = (n ^ (n >> 27)) * 0x94D049BB133111EB;
  return (n ^ (n >> 31)) >> 1;
}

class BareStore {
 public:
  BareStore(const std::string& directory, std::uint64_t calls, std::uint64_t users)
      : calls_(calls), users_(users) {
    auto opened = store::Rocks::open({.directory = directory, .block_cache_bytes = 256 << 20});
    if (!opened) fail(opened.error().message);
    rocks_ = std::move(*opened);
    const auto count = rocks_->get(store::Family::meta, kGivenKey);
    if (!count) fail(count.error().message);
    given_ = *count ? std::stoull(**count) : 0;
  }

  void fill(std::uint64_t grants) {
    while (given_ < grants) give(kFillBatch, false);
    rocksdb::WriteBatch batch;
    batch.Put(rocks_->family(store::Family::meta), kGivenKey, std::to_string(given_));
    check(rocks_->write(batch, true));
  }

  struct Report {
    std::uint64_t commits = 0;
    double seconds = 0;
  };

  Report run(std::size_t batch, std::chrono::seconds duration) {
    Report report;
    const auto begin = Clock::now();
    auto now = begin;
    for (; now - begin < duration; now = Clock::now()) {
      give(batch, true);
      ++report.commits;
    }
    report.seconds = std::chrono::duration<double>(now - begin).count();
    return report;
  }

 private:
  void give(std::size_t count, bool sync) {
    rocksdb::WriteBatch batch;
    for (std::size_t i = 0; i < count; ++i) {
      ++given_;
      const CallId call{scatter(scatter(given_) % calls_)};
      const UserId user{scatter(calls_ + given_ % users_)};
      const core::Stamp stamp{.revision = given_, .n = 0};
      check(batch.Put(rocks_->family(store::Family::calls),
                      encode_key(store::CallRowKey{kCompany, call, store::RowKind::grant, user}),
                      encode_value(store::GrantRowValue{stamp, core::Grant{}})));
      check(batch.Put(rocks_->family(store::Family::by_user),
                      encode_key(store::UserCallKey{kCompany, user, call}),
                      encode_value(store::UserCallValue{.grant = true, .removed = {}})));
      check(batch.Put(rocks_->family(store::Family::changes),
                      encode_key(store::ChangeKey{kCompany, given_, 0}),
                      change_of(call, user, stamp)));
    }
    check(rocks_->write(batch, sync));
  }

  // The hash and the names of requests are random in truth, so that they do not compress; here they
  // only look so.
  std::string change_of(CallId call, UserId user, core::Stamp stamp) {
    store::ChangeHead head{.time = {static_cast<std::int64_t>(1'700'000'000'000'000 + given_)},
                           .directory_revision = 1,
                           .origin = {.request_id = {}, .access_key = "BENCH"}};
    std::uint64_t seed = given_;
    for (auto& byte : head.previous_hash) byte = static_cast<std::uint8_t>(scatter(++seed));
    for (auto& byte : head.origin.request_id.bytes) {
      byte = static_cast<std::uint8_t>(scatter(++seed));
    }
    writer_.add(store::GrantChanged{call, stamp, user, std::nullopt, core::Grant{}});
    return writer_.finish(head);
  }

  std::uint64_t calls_;
  std::uint64_t users_;
  std::uint64_t given_ = 0;
  std::unique_ptr<store::Rocks> rocks_;
  store::ChangeWriter writer_;
};

int usage() {
  std::fprintf(stderr,
               "usage: bench_bare_store fill DIR CALLS USERS GRANTS\n"
               "       bench_bare_store run DIR CALLS USERS\n"
               "run reads lines \"BATCH SECONDS\" and answers each with the commits made and the "
               "seconds they took\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const bool fills = arguments.size() == 5 && arguments[0] == "fill";
  if (!fills && !(arguments.size() == 4 && arguments[0] == "run")) return usage();
  BareStore store(arguments[1], std::stoull(arguments[2]), std::stoull(arguments[3]));
  if (fills) {
    store.fill(std::stoull(arguments[4]));
    return 0;
  }
  std::puts("ready");
  std::fflush(stdout);
  std::size_t batch = 0;
  unsigned seconds = 0;
  while (std::cin >> batch >> seconds) {
    const auto report = store.run(batch, std::chrono::seconds(seconds));
    std::printf("%llu %.6f\n", static_cast<unsigned long long>(report.commits), report.seconds);
    std::fflush(stdout);
  }
}
