// Commands with results, waited for: what the tests of every store and those of one share.
#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "conformance/store_suite.h"

namespace earshot::test {

// What a test asks of one command with results.
struct Asked {
  store::Operation operation = store::Operation::give;
  std::vector<core::CallUsers> calls{};
  std::vector<core::Grant> terms{};
  std::variant<std::monostate, CallId, UserId> all_of{};
  std::size_t all_of_max = 100'000;
  bool is_dry_run = false;
  std::optional<core::Revision> if_revision{};
  std::string key{};   // of idempotency; empty: none
  std::string body{};  // that the key is for
  CompanyId company{1};
  RequestId request_id = make_request_id();
};

inline store::GrantCommand command_of(const Asked& asked) {
  auto with_results = std::make_shared<store::WithResults>();
  with_results->terms = asked.terms;
  with_results->all_of = asked.all_of;
  with_results->all_of_max = asked.all_of_max;
  with_results->is_dry_run = asked.is_dry_run;
  with_results->if_revision = asked.if_revision;
  if (!asked.key.empty()) {
    with_results->idempotency_key = store::IdempotencyKey{sha256(asked.key), sha256(asked.body)};
  }
  return {.operation = asked.operation,
          .company = asked.company,
          .calls = asked.calls,
          .origin = {asked.request_id, "KEY"},
          .asker = nullptr,
          .with_results = std::move(with_results)};
}

using Outcomes = std::vector<core::PairOutcome>;
inline Outcomes outcomes_of(const store::Outcome& outcome) {
  Outcomes all;
  for (const core::PairResult& result : outcome.results) all.push_back(result.outcome);
  return all;
}

class GrantsSuite : public StoreSuite {
 protected:
  // Of a command that is not refused.
  store::Outcome ask(const Asked& asked) {
    auto outcome = write_now(store(), command_of(asked));
    EXPECT_TRUE(outcome.has_value()) << (outcome ? "" : outcome.error().message);
    if (!outcome) return {};
    EXPECT_EQ(outcome->decision.index(), 0U) << "refused";
    return std::move(*outcome);
  }
  template <class Refusal>
  Refusal refusal_of(const Asked& asked) {
    auto outcome = write_now(store(), command_of(asked));
    EXPECT_TRUE(outcome.has_value()) << (outcome ? "" : outcome.error().message);
    if (!outcome || !std::holds_alternative<Refusal>(outcome->decision)) {
      ADD_FAILURE() << "not so refused";
      return {};
    }
    EXPECT_TRUE(outcome->results.empty());
    return std::get<Refusal>(outcome->decision);
  }
  Code error_of(const Asked& asked) {
    auto outcome = write_now(store(), command_of(asked));
    EXPECT_FALSE(outcome.has_value());
    return outcome ? Code{} : outcome.error().code;
  }

  // Of many records, loads of some each: a store may put each record of a load in a file of its
  // own.
  void load_in_parts(std::vector<core::Record> records) {
    constexpr std::size_t kTogether = 100;
    for (std::size_t i = 0; i < records.size(); i += kTogether) {
      const auto first = records.begin() + static_cast<std::ptrdiff_t>(i);
      const auto last =
          records.begin() + static_cast<std::ptrdiff_t>(std::min(i + kTogether, records.size()));
      ASSERT_TRUE(load_now(store(), {first, last}).has_value());
    }
  }

  Time in(std::int64_t micros) const { return Time{now_ + micros}; }
  core::Revision newest() { return read_now(store(), {1}, {})->revision; }
  // The grants that are there, expired or not, swept or not.
  std::vector<core::GrantLine> grants() {
    std::vector<core::GrantLine> lines;
    for (const core::Record& record : dumped()) {
      if (const auto* line = std::get_if<core::GrantLine>(&record.thing)) lines.push_back(*line);
    }
    return lines;
  }
  // Opens the store again, and it sweeps all the time.
  void open_sweeping() {
    place_->expiry_every = std::chrono::milliseconds(5);
    open();
  }
  bool come_to(const std::function<bool()>& is_there) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!is_there()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
  }
};

}  // namespace earshot::test
