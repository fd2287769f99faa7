// The three operations of /v2/calls/users-access: what was decoded goes to service/access.h, and
// what comes back is answered.
#include <algorithm>
#include <utility>
#include <variant>
#include <vector>

#include "api/encode.h"
#include "api/exchange.h"
#include "api/operations.h"
#include "api/routes.h"
#include "service/access.h"

namespace earshot::api {

void list_users_access(Exchange& exchange) {
  auto done = [self = exchange.shared_from_this()](Result<service::Access> access) {
    self->guard([&] {
      if (!access) return self->send_failure(access.error());
      if (!access->unknown.empty()) return self->send_problem(unknown_calls(access->unknown));
      // A clock that was put back revives no grant.
      const Time now = std::max(self->setting.options.clock(), access->time);
      AccessListEncoder encoder(std::string(self->id_text), std::move(access->calls),
                                std::move(access->entries), now);
      self->send_encoded(std::move(encoder),
                         self->at_least ? std::optional(access->revision) : std::nullopt);
    });
  };
  std::vector<CallId> calls = exchange.decoder->take_call_ids();
  exchange.decoder.reset();
  service::list_access(exchange.setting.store, *exchange.principal, std::move(calls),
                       exchange.at_least.value_or(0), std::move(done));
}

void change_users_access(Exchange& exchange) {
  auto done = [self = exchange.shared_from_this()](Result<store::Outcome> outcome) {
    self->guard([&] {
      if (!outcome) return self->send_failure(outcome.error());
      const core::Decision& decision = outcome->decision;
      if (const auto* calls = std::get_if<core::UnknownCalls>(&decision)) {
        return self->send_problem(unknown_calls(calls->ids));
      }
      if (const auto* users = std::get_if<core::UnknownUsers>(&decision)) {
        return self->send_problem(unknown_users(users->ids));
      }
      self->pairs_changed = std::get<0>(decision).size();
      self->revision = outcome->revision;
      http::Response response = self->make_response(200, kJson, encode_done(self->id_text));
      response.fields.add(kRevisionField, std::to_string(outcome->revision));
      self->send(std::move(response));
    });
  };
  const bool gives = exchange.route->operation == Operation::add_users_access;
  const auto change = gives ? service::give_access : service::remove_access;
  std::vector<core::CallUsers> calls = exchange.decoder->take_call_access_list();
  exchange.decoder.reset();
  change(exchange.setting.store, *exchange.principal, std::move(calls), exchange.id,
         std::move(done));
}

}  // namespace earshot::api
