// The questions about access: what was decoded goes to service/explain.h, and what comes back is
// answered.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/cursor.h"
#include "api/encode_access.h"
#include "api/exchange.h"
#include "api/operations.h"
#include "api/routes.h"
#include "service/explain.h"

namespace earshot::api {
namespace {

constexpr std::string_view kNoCursor =
    "cursor: is not one that was answered to this query, asked with the same parameters but limit";

void send_read_failure(Exchange& exchange, const Error& error) {
  switch (error.code) {
    case Code::gone:
      return exchange.send_problem(history_gone(error.message));
    case Code::invalid_argument:
      return exchange.send_problem(bad_request(error.message));
    default:
      return exchange.send_failure(error);
  }
}

PagedQuery paged_query(const Exchange& exchange) {
  return {exchange.principal->company(),
          operation_name(exchange.route->operation),
          exchange.path_id,
          exchange.query.ways,
          exchange.query.at,
          exchange.query.revision};
}

// What a page is to be as of, and where it begins.
struct PageStart {
  store::Moment moment;
  core::Revision at_least = 0;
  std::uint64_t after = 0;
};

// Nothing where the cursor is none; that is answered then.
std::optional<PageStart> find_page_start(Exchange& exchange) {
  const Query& query = exchange.query;
  PageStart start{{query.revision, query.at}, exchange.at_least.value_or(0), 0};
  if (!query.cursor) return start;
  const auto cursor =
      decode_cursor(exchange.setting.store.cursor_secret(), paged_query(exchange), *query.cursor);
  if (!cursor) {
    exchange.refuse_content(bad_request(std::string(kNoCursor)));
    return std::nullopt;
  }
  start.moment = {cursor->revision, cursor->time};
  start.at_least = std::max(start.at_least, cursor->revision);
  start.after = cursor->after;
  return start;
}

// The cursor of the page behind this one; empty where there is none.
template <class Page>
std::string next_cursor(const Exchange& exchange, const Page& page) {
  if (!page.last) return {};
  return encode_cursor(exchange.setting.store.cursor_secret(), paged_query(exchange),
                       {page.as_of.revision, page.as_of.time, page.last->value});
}

}  // namespace

void check_access(Exchange& exchange) {
  std::vector<service::Pair> pairs = exchange.decoder->take_checks();
  exchange.decoder.reset();
  auto asked = pairs;
  const Query& query = exchange.query;
  service::check(exchange.setting.store, *exchange.principal, std::move(asked),
                 {query.revision, query.at}, exchange.at_least.value_or(0),
                 [self = exchange.shared_from_this(),
                  pairs = std::move(pairs)](Result<service::CheckAnswer> answer) mutable {
                   self->guard([&] {
                     if (!answer) return send_read_failure(*self, answer.error());
                     const core::Revision revision = answer->as_of.revision;
                     self->send_encoded(
                         CheckEncoder(self->id_text, std::move(pairs), std::move(*answer)),
                         revision);
                   });
                 });
}

void list_call_access(Exchange& exchange) {
  const auto start = find_page_start(exchange);
  if (!start) return;
  const CallId call{exchange.path_id};
  service::explain_call(
      exchange.setting.store, *exchange.principal, call, UserId{start->after}, exchange.query.limit,
      start->moment, start->at_least,
      [self = exchange.shared_from_this(), call](Result<service::CallPage> page) {
        self->guard([&] {
          if (!page) return send_read_failure(*self, page.error());
          if (!page->call_exists) return self->send_problem(no_such_call(call));
          const core::Revision revision = page->as_of.revision;
          const std::string cursor = next_cursor(*self, *page);
          self->send_encoded(PageEncoder(self->id_text, call, std::move(*page), cursor), revision);
        });
      });
}

void list_user_access(Exchange& exchange) {
  const auto start = find_page_start(exchange);
  if (!start) return;
  const UserId user{exchange.path_id};
  service::explain_user(
      exchange.setting.store, *exchange.principal, user, exchange.query.ways, CallId{start->after},
      exchange.query.limit, start->moment, start->at_least,
      [self = exchange.shared_from_this(), user](Result<service::UserPage> page) {
        self->guard([&] {
          if (!page) return send_read_failure(*self, page.error());
          if (!page->user_exists) return self->send_problem(no_such_user(user));
          const core::Revision revision = page->as_of.revision;
          const std::string cursor = next_cursor(*self, *page);
          self->send_encoded(PageEncoder(self->id_text, user, std::move(*page), cursor), revision);
        });
      });
}

}  // namespace earshot::api
