#include "service/grants.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model_store.h"

namespace earshot::service {
namespace {

using enum core::PairOutcome;
using Outcomes = std::vector<core::PairOutcome>;

class GrantsOperations : public testing::Test {
 protected:
  GrantsOperations() {
    store_.apply({kAcme, false, core::Company{kAcme, "Acme"}});
    for (std::uint64_t id = 31; id <= 35; ++id) {
      core::User user;
      user.id = UserId{id};
      store_.apply({kAcme, false, user});
    }
    for (std::uint64_t id = 7; id <= 9; ++id) {
      core::Call call;
      call.id = CallId{id};
      store_.apply({kAcme, false, call});
    }
    auto key = std::make_shared<store::KeyEntry>();
    key->company = kAcme;
    key->key.access_key = "ACME";
    principal_.key = key;
  }

  Result<GrantsOutcome> change(GrantsRequest request, RequestId id = make_request_id()) {
    std::optional<Result<GrantsOutcome>> told;
    change_grants(store_, principal_, std::move(request), id,
                  [&](Result<GrantsOutcome> outcome) { told = std::move(outcome); });
    EXPECT_TRUE(told.has_value());
    return std::move(*told);
  }
  GrantsAnswer answer(GrantsRequest request) {
    auto told = change(std::move(request));
    EXPECT_TRUE(told.has_value());
    EXPECT_TRUE(std::holds_alternative<GrantsAnswer>(*told));
    return std::get<GrantsAnswer>(std::move(*told));
  }
  static Outcomes outcomes(const GrantsAnswer& answer) {
    Outcomes all;
    for (const core::PairResult& result : answer.results) all.push_back(result.outcome);
    return all;
  }

  static constexpr CompanyId kAcme{1};
  test::ModelStore store_;
  auth::Principal principal_;
};

TEST_F(GrantsOperations, ResultsComeInTheOrderAsked) {
  const core::Grant trial{Time{store_.now.micros + 9}, "trial"};
  const auto told = answer({.pairs = {{{9}, {33}},
                                      {{7}, {99}},
                                      {{7}, {31}, trial},
                                      {{9}, {33}},
                                      {{5}, {31}},
                                      {{7}, {31}, trial}}});
  EXPECT_EQ(outcomes(told), (Outcomes{given, unknown_user, given, given, unknown_call, given}));
  EXPECT_EQ(told.results[2], (core::PairResult{{7}, {31}, given, 0, trial}));
  EXPECT_EQ(told.results[5], told.results[2]) << "the same pair again tells the same";
  EXPECT_EQ(told.results[3].call, CallId{9});
  EXPECT_EQ(told.repeated, std::nullopt);
  // The store was asked for each pair once.
  const store::GrantCommand& command = store_.commands.at(0);
  EXPECT_EQ(command.calls,
            (std::vector<core::CallUsers>{{{5}, {{31}}}, {{7}, {{31}, {99}}}, {{9}, {{33}}}}));
  EXPECT_EQ(command.with_results->terms, (std::vector<core::Grant>{{}, trial, {}, {}}));
  EXPECT_EQ(command.company, kAcme);
  EXPECT_EQ(command.origin.access_key, "ACME");

  const auto removed = answer({.operation = store::Operation::remove,
                               .pairs = {{{9}, {33}}, {{9}, {31}}, {{7}, {31}}, {{9}, {33}}}});
  EXPECT_EQ(outcomes(removed), (Outcomes{core::PairOutcome::removed, not_found,
                                         core::PairOutcome::removed, core::PairOutcome::removed}));
  EXPECT_EQ(removed.revision, told.revision + 1);
}

TEST_F(GrantsOperations, OnePairWithTwoTermsIsRefused) {
  const core::Grant noted{std::nullopt, "x"};
  const auto told = change({.pairs = {{{9}, {33}}, {{7}, {31}, noted}, {{9}, {34}}, {{7}, {31}}}});
  const auto& unequal = std::get<UnequalTerms>(*told);
  EXPECT_EQ(unequal.first, 1U);
  EXPECT_EQ(unequal.second, 3U);
  EXPECT_TRUE(store_.commands.empty());
  // What is removed has no terms.
  EXPECT_EQ(outcomes(answer({.operation = store::Operation::remove,
                             .pairs = {{{7}, {31}, noted}, {{7}, {31}}}})),
            (Outcomes{not_found, not_found}));
}

TEST_F(GrantsOperations, TermsThatHaveExpiredAreNamedAsAsked) {
  const core::Grant past{store_.now, ""}, future{Time{store_.now.micros + 1}, ""};
  const auto told =
      change({.pairs = {{{9}, {33}, past}, {{9}, {32}}, {{7}, {31}, past}, {{7}, {32}, future}}});
  EXPECT_EQ(std::get<core::PastExpiries>(*told).pairs, (std::vector<std::size_t>{0, 2}));
  EXPECT_EQ(outcomes(answer({.pairs = {{{9}, {33}}}})), (Outcomes{given})) << "nothing was done";
}

TEST_F(GrantsOperations, AllGrantsOfAUserOrCallGoAtOnce) {
  answer({.pairs = {{{9}, {33}}, {{7}, {33}}, {{7}, {31}}, {{8}, {32}}}});
  const auto of_user =
      answer({.operation = store::Operation::remove, .all_of = UserId{33}, .all_of_max = 2});
  EXPECT_EQ(of_user.results, (std::vector<core::PairResult>{{{7}, {33}, removed, 0, {}},
                                                            {{9}, {33}, removed, 0, {}}}));
  const auto of_call =
      answer({.operation = store::Operation::remove, .all_of = CallId{7}, .all_of_max = 2});
  EXPECT_EQ(of_call.results, (std::vector<core::PairResult>{{{7}, {31}, removed, 0, {}}}));
  const auto refused =
      change({.operation = store::Operation::remove, .all_of = CallId{8}, .all_of_max = 0});
  EXPECT_EQ(std::get<core::TooManyGrants>(*refused).count, 1U);
  const auto unknown =
      change({.operation = store::Operation::remove, .all_of = CallId{1}, .all_of_max = 9});
  EXPECT_EQ(std::get<core::UnknownCalls>(*unknown).ids, std::vector<CallId>{{1}});
}

TEST_F(GrantsOperations, AnIdempotencyKeyIsOfOneRequest) {
  const auto one = make_idempotency_key("k", store::Operation::give, sha256("{}"));
  EXPECT_EQ(make_idempotency_key("k", store::Operation::give, sha256("{}")).request, one.request);
  EXPECT_EQ(make_idempotency_key("k", store::Operation::give, sha256("{ }")).key, one.key);
  EXPECT_NE(make_idempotency_key("k", store::Operation::give, sha256("{ }")).request, one.request);
  EXPECT_NE(make_idempotency_key("k", store::Operation::remove, sha256("{}")).request, one.request);
  EXPECT_NE(make_idempotency_key("l", store::Operation::give, sha256("{}")).key, one.key);

  const RequestId first = make_request_id();
  const GrantsRequest request{.pairs = {{{9}, {33}}}, .idempotency_key = one};
  EXPECT_EQ(std::get<GrantsAnswer>(*change(request, first)).repeated, std::nullopt);
  const auto again = answer(request);
  EXPECT_EQ(again.repeated, first);
  EXPECT_EQ(outcomes(again), (Outcomes{given}));
  GrantsRequest other = request;
  other.idempotency_key = make_idempotency_key("k", store::Operation::give, sha256("[]"));
  EXPECT_EQ(change(other).error().code, Code::invalid_argument);
}

TEST_F(GrantsOperations, ADryRunKeepsNothing) {
  const auto key = make_idempotency_key("k", store::Operation::give, sha256("{}"));
  const GrantsRequest run{.pairs = {{{9}, {33}}}, .is_dry_run = true, .idempotency_key = key};
  EXPECT_EQ(outcomes(answer(run)), (Outcomes{given}));
  EXPECT_EQ(store_.commands.at(0).with_results->idempotency_key, std::nullopt);
  EXPECT_EQ(outcomes(answer(run)), (Outcomes{given})) << "it was not";
}

}  // namespace
}  // namespace earshot::service
