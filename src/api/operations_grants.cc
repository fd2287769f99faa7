// Giving and removing grants: what was decoded goes to service/grants.h, and what comes back is
// answered.
#include <algorithm>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "api/encode_grants.h"
#include "api/exchange.h"
#include "api/operations.h"
#include "api/routes.h"
#include "service/grants.h"

namespace earshot::api {
namespace {

std::string place_of(std::size_t pair) { return "grants[" + std::to_string(pair) + "]"; }

bool is_change(const core::PairResult& result) {
  return result.outcome == core::PairOutcome::given ||
         result.outcome == core::PairOutcome::changed ||
         result.outcome == core::PairOutcome::removed;
}

// What the request came to, each kind of it answered.
struct Answer {
  Exchange& exchange;
  bool is_dry_run;

  void operator()(service::GrantsAnswer& answer) const {
    const core::Revision revision = answer.revision;
    const auto repeated = answer.repeated;
    if (!repeated && !is_dry_run) {
      exchange.pairs_changed =
          static_cast<std::size_t>(std::ranges::count_if(answer.results, is_change));
    }
    exchange.revision = revision;
    if (repeated) exchange.repeat(*repeated);
    exchange.send_encoded(GrantsEncoder(exchange.answer_id(), std::move(answer), is_dry_run),
                          revision);
  }
  void operator()(const service::UnequalTerms& refusal) const {
    exchange.send_problem(bad_json(place_of(refusal.second) + ": says something else than " +
                                   place_of(refusal.first) + " of the same call and user"));
  }
  void operator()(const core::PastExpiries& refusal) const {
    exchange.send_problem(
        bad_json(place_of(refusal.pairs.front()) + ".expiresAt: must be later than now"));
  }
  void operator()(const core::ChangedCalls& refusal) const {
    exchange.send_problem(calls_changed(refusal.ids));
  }
  void operator()(const core::TooManyGrants& refusal) const {
    exchange.send_problem(
        too_many_ids("allOf: are " + std::to_string(refusal.count) + " grants, at most " +
                     std::to_string(exchange.setting.options.limits.ids_max) + " in one request"));
  }
  void operator()(const core::UnknownCalls& refusal) const {
    exchange.send_problem(no_such_call(refusal.ids.front()));
  }
  void operator()(const core::UnknownUsers& refusal) const {
    exchange.send_problem(no_such_user(refusal.ids.front()));
  }
};

void send_change_failure(Exchange& exchange, const Error& error) {
  switch (error.code) {
    case Code::conflict:
      return exchange.send_problem(key_in_use());
    case Code::invalid_argument:
      return exchange.send_problem(key_used());
    case Code::not_found:
      return exchange.send_problem(bad_request("ifRevision: " + error.message));
    case Code::gone:
      return exchange.send_problem(history_gone(error.message));
    default:
      return exchange.send_failure(error);
  }
}

}  // namespace

void change_grants(Exchange& exchange) {
  GrantsBody body = exchange.decoder->take_grants();
  exchange.decoder.reset();
  service::GrantsRequest request;
  request.operation = exchange.route->operation == Operation::give_grants
                          ? store::Operation::give
                          : store::Operation::remove;
  request.pairs = std::move(body.pairs);
  request.all_of = body.all_of;
  request.all_of_max = exchange.setting.options.limits.ids_max;
  request.is_dry_run = body.is_dry_run;
  request.if_revision = body.if_revision;
  if (exchange.idempotency) {
    request.idempotency_key = service::make_idempotency_key(
        exchange.idempotency->key, request.operation, exchange.idempotency->body.finish());
  }
  const bool is_dry_run = request.is_dry_run;
  service::change_grants(
      exchange.setting.store, *exchange.principal, std::move(request), exchange.id,
      [self = exchange.shared_from_this(), is_dry_run](Result<service::GrantsOutcome> outcome) {
        self->guard([&] {
          if (!outcome) return send_change_failure(*self, outcome.error());
          std::visit(Answer{*self, is_dry_run}, *outcome);
        });
      });
}

}  // namespace earshot::api
