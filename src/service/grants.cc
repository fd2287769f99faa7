#include "service/grants.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <utility>

#include "base/assert.h"
#include "base/digest.h"

namespace earshot::service {
namespace {

// The pairs of a request, each once, by call and user.
struct DistinctPairs {
  std::vector<core::CallUsers> calls;
  std::vector<core::Grant> terms;     // of each
  std::vector<std::size_t> first;     // where each was asked for first
  std::vector<std::size_t> place_of;  // of each pair asked for, its place among the distinct
};

std::variant<DistinctPairs, UnequalTerms> make_distinct(std::vector<PairTerms> pairs) {
  std::vector<std::size_t> order(pairs.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {},
                    [&](std::size_t i) { return std::tuple(pairs[i].call, pairs[i].user, i); });
  DistinctPairs out;
  out.place_of.resize(pairs.size());
  for (const std::size_t i : order) {
    const bool is_again = !out.first.empty() && pairs[out.first.back()].call == pairs[i].call &&
                          pairs[out.first.back()].user == pairs[i].user;
    if (is_again && out.terms.back() != pairs[i].grant) return UnequalTerms{out.first.back(), i};
    if (!is_again) {
      if (out.calls.empty() || out.calls.back().call != pairs[i].call) {
        out.calls.push_back({pairs[i].call, {}});
      }
      out.calls.back().users.push_back(pairs[i].user);
      out.terms.push_back(std::move(pairs[i].grant));
      out.first.push_back(i);
    }
    out.place_of[i] = out.first.size() - 1;
  }
  return out;
}

GrantsOutcome outcome_of(store::Outcome outcome, const DistinctPairs& pairs, bool is_of_pairs) {
  struct Refusal {
    const DistinctPairs& pairs;
    GrantsOutcome operator()(std::vector<core::GrantChange>&) const { ASSERT(false); }
    GrantsOutcome operator()(core::PastExpiries& past) const {
      for (std::size_t& pair : past.pairs) pair = pairs.first[pair];
      std::ranges::sort(past.pairs);
      return std::move(past);
    }
    GrantsOutcome operator()(core::UnknownCalls& refusal) const { return std::move(refusal); }
    GrantsOutcome operator()(core::UnknownUsers& refusal) const { return std::move(refusal); }
    GrantsOutcome operator()(core::ChangedCalls& refusal) const { return std::move(refusal); }
    GrantsOutcome operator()(core::TooManyGrants& refusal) const { return refusal; }
  };
  if (outcome.decision.index() != 0) return std::visit(Refusal{pairs}, outcome.decision);
  GrantsAnswer answer;
  answer.revision = outcome.revision;
  answer.repeated = outcome.repeated;
  const bool is_as_asked = !is_of_pairs || (pairs.first.size() == pairs.place_of.size() &&
                                            std::ranges::is_sorted(pairs.place_of));
  if (is_as_asked) {
    answer.results = std::move(outcome.results);
  } else {
    answer.results.reserve(pairs.place_of.size());
    for (const std::size_t place : pairs.place_of) {
      answer.results.push_back(outcome.results.at(place));
    }
  }
  return answer;
}

}  // namespace

store::IdempotencyKey make_idempotency_key(std::string_view key, store::Operation operation,
                                           const Digest& body) {
  const std::string_view name = operation == store::Operation::give ? "give\n" : "remove\n";
  return {sha256(key), sha256(name, {reinterpret_cast<const char*>(body.data()), body.size()})};
}

void change_grants(store::Store& store, const auth::Principal& principal, GrantsRequest request,
                   const RequestId& request_id, GrantsDone done) {
  const bool is_of_pairs = std::holds_alternative<std::monostate>(request.all_of);
  if (request.operation == store::Operation::remove) {
    for (PairTerms& pair : request.pairs) pair.grant = {};
  }
  auto distinct = make_distinct(std::move(request.pairs));
  if (const auto* const unequal = std::get_if<UnequalTerms>(&distinct)) return done(*unequal);
  auto pairs = std::make_shared<DistinctPairs>(std::get<DistinctPairs>(std::move(distinct)));

  auto with_results = std::make_shared<store::WithResults>();
  if (request.operation == store::Operation::give) with_results->terms = std::move(pairs->terms);
  with_results->all_of = request.all_of;
  with_results->all_of_max = request.all_of_max;
  with_results->is_dry_run = request.is_dry_run;
  with_results->if_revision = request.if_revision;
  if (!request.is_dry_run) with_results->idempotency_key = request.idempotency_key;

  store::GrantCommand command;
  command.operation = request.operation;
  command.company = principal.company();
  command.calls = std::move(pairs->calls);
  command.origin = {request_id, principal.key->key.access_key};
  command.asker = principal.asker;
  command.with_results = std::move(with_results);
  store.write(std::move(command), [pairs = std::move(pairs), is_of_pairs,
                                   done = std::move(done)](Result<store::Outcome> outcome) {
    if (!outcome) return done(std::move(outcome).error());
    done(outcome_of(std::move(*outcome), *pairs, is_of_pairs));
  });
}

}  // namespace earshot::service
