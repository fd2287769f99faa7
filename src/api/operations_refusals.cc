// GET /earshot/v1/refusals: the thread that brings refusals to the store reads them there, too.
#include <string>
#include <utility>

#include "api/cursor.h"
#include "api/encode_refusals.h"
#include "api/exchange.h"
#include "api/operations.h"
#include "api/refusal_log.h"
#include "api/routes.h"
#include "base/text.h"

namespace earshot::api {
namespace {

std::string encode_refusals(std::string_view request_id, const store::RefusalsView& view,
                            std::string_view cursor) {
  std::string body = R"({"requestId":")";
  body += request_id;
  body += R"(","refusals":[)";
  for (const store::KeptRefusal& one : view.refusals) {
    if (body.back() != '[') body += ',';
    append_refusal(body, one.refusal, false);
  }
  body += ']';
  if (!cursor.empty()) {
    body += R"(,"cursor":)";
    append_json_string(body, cursor);
  }
  body += '}';
  return body;
}

void list_some(Exchange& exchange, const store::RefusalsCommand& command, const PagedQuery& query) {
  store::Store& store = exchange.setting.store;
  const Result<store::RefusalsView> view = store.list_refusals(command);
  if (!view) return exchange.send_failure(view.error());
  std::string cursor;
  if (!view->is_end && !view->refusals.empty()) {
    cursor = encode_cursor(store.cursor_secret(), query, {0, {}, view->refusals.back().number});
  }
  exchange.send(
      exchange.make_response(200, kJson, encode_refusals(exchange.id_text, *view, cursor)));
}

}  // namespace

void list_refusals(Exchange& exchange) {
  const PagedQuery query{.company = exchange.principal->company(),
                         .operation = operation_name(exchange.route->operation)};
  store::RefusalsCommand command{query.company, 0, exchange.query.limit};
  if (exchange.query.cursor) {
    const auto cursor =
        decode_cursor(exchange.setting.store.cursor_secret(), query, *exchange.query.cursor);
    if (!cursor) {
      return exchange.refuse_content(bad_request("cursor: is not one that was answered here"));
    }
    command.before = cursor->after;
  }
  exchange.confirm_key([self = exchange.shared_from_this(), command, query] {
    const bool is_taken = self->setting.refusals.submit([self, command, query] {
      if (!self->reply.is_open()) return;  // so that the server's end waits for nobody's pages
      self->guard([&] { list_some(*self, command, query); });
    });
    if (!is_taken) self->send_failure(unavailable("too many wait for the refusals"));
  });
}

}  // namespace earshot::api
