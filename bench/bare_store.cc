// The bare store as a program that ./dev bench talks to, and the sizes of a store's families. What
// it writes, and what it leaves out, says bare_rows.h.

#include <rocksdb/db.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "bare_rows.h"
#include "schedule.h"
#include "store/rocks.h"

namespace {

using namespace earshot;
using bench::BareRows;
using bench::fail;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kRequestsMax = 1024;  // in one commit, at a rate that the store cannot keep

struct Report {
  std::uint64_t commits = 0;
  std::uint64_t grants = 0;
  double seconds = 0;
};

// One commit after the other.
Report run_batches(BareRows& rows, std::size_t requests, std::size_t grants_per_request,
                   double seconds) {
  Report report;
  const auto begin = Clock::now();
  do {
    rows.commit(requests, grants_per_request, true);
    ++report.commits;
    report.grants += requests * grants_per_request;
    report.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  } while (report.seconds < seconds);
  return report;
}

// Gives of one grant that arrive at a rate; those that are due share a commit.
Report run_rate(BareRows& rows, double per_second, double seconds) {
  Report report;
  bench::Schedule schedule(per_second, bench::Arrivals::poisson, 1);
  const auto begin = Clock::now();
  const auto end_ns = static_cast<std::uint64_t>(seconds * 1e9);
  std::uint64_t due = schedule.next();
  while (due < end_ns) {
    std::this_thread::sleep_until(begin + std::chrono::nanoseconds(due));
    const auto now = static_cast<std::uint64_t>((Clock::now() - begin).count());
    std::size_t requests = 0;
    for (; due <= now && due < end_ns && requests < kRequestsMax; due = schedule.next()) {
      ++requests;
    }
    if (requests == 0) continue;
    rows.commit(requests, 1, true);
    ++report.commits;
    report.grants += requests;
  }
  report.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  return report;
}

void answer_commands(BareRows& rows) {
  std::puts("ready");
  std::fflush(stdout);
  std::string kind;
  while (std::cin >> kind) {
    Report report;
    double seconds = 0;
    if (kind == "batches") {
      std::size_t requests = 0, grants_per_request = 0;
      std::cin >> requests >> grants_per_request >> seconds;
      if (!std::cin || requests * grants_per_request == 0) fail("not a command of batches");
      report = run_batches(rows, requests, grants_per_request, seconds);
    } else if (kind == "rate") {
      double per_second = 0;
      std::cin >> per_second >> seconds;
      if (!std::cin || per_second <= 0) fail("not a command of a rate");
      report = run_rate(rows, per_second, seconds);
    } else {
      fail("no such command: " + kind);
    }
    std::printf(R"({"commits":%llu,"grants":%llu,"seconds":%.6f})"
                "\n",
                static_cast<unsigned long long>(report.commits),
                static_cast<unsigned long long>(report.grants), report.seconds);
    std::fflush(stdout);
  }
}

// What each family takes on disk; with `compact` after all of them were rewritten from top to
// bottom.
void print_sizes(const std::string& directory, bool compact) {
  const auto rows = std::filesystem::path(directory) / "rows";
  if (!std::filesystem::exists(rows / "CURRENT")) fail(directory + " is no store");
  auto opened = store::Rocks::open({.directory = rows, .block_cache_bytes = 64 << 20});
  if (!opened) fail(opened.error().message);
  auto& db = (*opened)->db();
  std::string line;
  for (std::size_t i = 0; i < store::kFamilyCount; ++i) {
    auto* family = (*opened)->family(static_cast<store::Family>(i));
    rocksdb::CompactRangeOptions whole;
    whole.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
    const auto done = compact ? db.CompactRange(whole, family, nullptr, nullptr)
                              : db.Flush(rocksdb::FlushOptions(), family);
    if (!done.ok()) fail(done.ToString());
    std::uint64_t bytes = 0;
    if (!db.GetIntProperty(family, rocksdb::DB::Properties::kLiveSstFilesSize, &bytes)) {
      fail("no size of " + family->GetName());
    }
    line += (i == 0 ? "{\"" : ",\"") + family->GetName() + "\":" + std::to_string(bytes);
  }
  std::printf("%s}\n", line.c_str());
}

int usage() {
  std::fprintf(stderr,
               "usage: bench_bare_store fill DIR CALLS USERS GRANTS\n"
               "       bench_bare_store run DIR CALLS USERS\n"
               "       bench_bare_store sizes DIR [compact]\n"
               "run reads lines, and answers each with what it did:\n"
               "  batches REQUESTS GRANTS SECONDS  commits of REQUESTS with GRANTS each\n"
               "  rate PER-SECOND SECONDS          gives of one grant, arriving at random\n"
               "sizes prints the bytes of each family's files\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const std::string verb = arguments.empty() ? "" : arguments[0];
  if (verb == "sizes" && (arguments.size() == 2 || arguments.size() == 3)) {
    print_sizes(arguments[1], arguments.size() == 3);
  } else if (verb == "fill" && arguments.size() == 5) {
    BareRows(arguments[1], std::stoull(arguments[2]), std::stoull(arguments[3]))
        .fill(std::stoull(arguments[4]));
  } else if (verb == "run" && arguments.size() == 4) {
    BareRows rows(arguments[1], std::stoull(arguments[2]), std::stoull(arguments[3]));
    answer_commands(rows);
  } else {
    return usage();
  }
  return 0;
}
