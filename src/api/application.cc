#include "api/application.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/encode.h"
#include "api/exchange.h"
#include "api/media_type.h"
#include "api/openapi.h"
#include "api/problem.h"
#include "api/query.h"
#include "api/routes.h"
#include "auth/credentials.h"
#include "base/text.h"

namespace earshot::api {
namespace {

constexpr std::string_view kMetricsText = "text/plain; version=0.0.4; charset=utf-8";

// The fields of a request that decide about it. Of one that is there twice, the first and the
// count.
struct Fields {
  std::string_view authorization;
  std::size_t authorizations = 0;
  std::string_view content_type;
  std::size_t content_types = 0;
  std::string_view revision;
  std::size_t revisions = 0;
  std::string_view idempotency_key;
  std::size_t idempotency_keys = 0;
  std::string_view last_event;
  std::size_t last_events = 0;
  AcceptedTypes accepted;
  bool is_encoded = false;
};

Fields find_fields(const http::RequestHead& head) {
  Fields found;
  for (const http::Field& field : head.fields) {
    if (equals_ignoring_case(field.name, "authorization")) {
      if (found.authorizations++ == 0) found.authorization = field.value;
    } else if (equals_ignoring_case(field.name, "content-type")) {
      if (found.content_types++ == 0) found.content_type = field.value;
    } else if (equals_ignoring_case(field.name, "content-encoding")) {
      // "identity" is no encoding, and an empty list names none.
      if (!field.value.empty() && !equals_ignoring_case(field.value, "identity")) {
        found.is_encoded = true;
      }
    } else if (equals_ignoring_case(field.name, kRevisionField)) {
      if (found.revisions++ == 0) found.revision = field.value;
    } else if (equals_ignoring_case(field.name, "idempotency-key")) {
      if (found.idempotency_keys++ == 0) found.idempotency_key = field.value;
    } else if (equals_ignoring_case(field.name, "accept")) {
      found.accepted.add(field.value);
    } else if (equals_ignoring_case(field.name, "last-event-id")) {
      if (found.last_events++ == 0) found.last_event = field.value;
    }
  }
  return found;
}

// What is wrong with the body's type; empty where nothing is.
std::string_view check_media_type(const Fields& fields, const Route& route) {
  const bool is_lines = route.takes_records;
  if (fields.content_types == 0) {
    return is_lines ? "content-type: is required: application/x-ndjson"
                    : "content-type: is required: application/json";
  }
  if (fields.content_types > 1) return "content-type: is given more than once";
  if (is_lines && !is_ndjson_media_type(fields.content_type)) {
    return "content-type: must be application/x-ndjson, in UTF-8";
  }
  if (!is_lines && !is_json_media_type(fields.content_type)) {
    return "content-type: must be application/json, in UTF-8";
  }
  if (fields.is_encoded) return "content-encoding: must be absent or identity";
  return {};
}

// Takes the revision that a read asks for.
Status read_revision(const Fields& fields, Exchange& exchange) {
  if (fields.revisions == 0) return {};
  if (fields.revisions > 1) return invalid_argument("x-earshot-revision: is given more than once");
  exchange.at_least = parse_revision(fields.revision);
  if (exchange.at_least) return {};
  return invalid_argument("x-earshot-revision: " + std::string(kNoRevision));
}

Status read_idempotency_key(const Fields& fields, Exchange& exchange) {
  if (fields.idempotency_keys == 0) return {};
  if (fields.idempotency_keys > 1) {
    return invalid_argument("idempotency-key: is given more than once");
  }
  const std::string_view key = fields.idempotency_key;
  const bool is_visible = std::ranges::all_of(key, [](char c) { return c > ' ' && c < '\x7F'; });
  if (key.empty() || key.size() > kIdempotencyKeyCharsMax || !is_visible) {
    return invalid_argument("idempotency-key: must be 1 to " +
                            std::to_string(kIdempotencyKeyCharsMax) +
                            " visible characters of ASCII, without spaces");
  }
  exchange.idempotency.emplace(key);
  return {};
}

// How a reader of changes wants them.
Status read_reader(const Fields& fields, Exchange& exchange) {
  if (!fields.accepted.prefer_events()) return {};
  exchange.wants_events = true;
  for (const auto& [parameter, name] :
       {std::pair(Parameter::limit, "limit"), std::pair(Parameter::wait, "wait")}) {
    if (!has(exchange.query.given, parameter)) continue;
    return invalid_argument(std::string(name) + ": is for pages, not for text/event-stream");
  }
  if (fields.last_events == 0 || fields.last_event.empty()) return {};
  if (fields.last_events > 1) return invalid_argument("last-event-id: is given more than once");
  exchange.last_event = parse_position(fields.last_event);
  if (exchange.last_event) return {};
  return invalid_argument("last-event-id: " + std::string(kNoPosition));
}

Status read_path_id(const RouteMatch& match, Exchange& exchange) {
  if (match.segment_name.empty()) return {};
  const auto id = parse_id_number(match.segment);
  if (!id) return invalid_argument(std::string(match.segment_name) + ": " + std::string(kNoId));
  exchange.path_id = *id;
  return {};
}

// Takes what the head says beside its credentials; what is wrong with it.
Status read_head(const http::RequestHead& head, const Fields& fields, const RouteMatch& match,
                 Exchange& exchange) {
  const Route& route = *match.route;
  if (route.takes_revision) TRY(read_revision(fields, exchange));
  if (route.surface == Surface::gong) return {};
  if (route.takes_idempotency_key) TRY(read_idempotency_key(fields, exchange));
  TRY(read_path_id(match, exchange));
  const std::size_t question_mark = head.target.find('?');
  if (question_mark != std::string_view::npos) {
    exchange.query = TRY(parse_query(head.target.substr(question_mark + 1), route.parameters));
  }
  return route.takes_readers ? read_reader(fields, exchange) : Status();
}

// What is wrong with the head, in the order in which it is told; null where nothing is.
std::unique_ptr<const Problem> find_fault(const http::RequestHead& head, const Fields& fields,
                                          const RouteMatch& match, Exchange& exchange) {
  if (match.route->takes_body()) {
    const std::string_view fault = check_media_type(fields, *match.route);
    if (!fault.empty()) {
      return std::make_unique<Problem>(unsupported_media_type(std::string(fault)));
    }
  }
  const Status status = read_head(head, fields, match, exchange);
  if (status) return nullptr;
  const auto refuse = match.route->surface == Surface::gong ? bad_json : bad_request;
  return std::make_unique<Problem>(refuse(status.error().message));
}

}  // namespace

Application::Application(store::Store& store, auth::RateLimiter& limiter, Options options)
    : setting_{store, std::move(options)},
      feed_(store, setting_.options.feed),
      pages_(store, feed_),
      limiter_(limiter) {
  setting_.feed = &feed_;
  setting_.pages = &pages_;
  // The store may commit longer than the application lives.
  store.observe_commits([metrics = setting_.metrics](std::size_t commands, double sync_seconds) {
    metrics->count_commit(commands, sync_seconds);
  });
}

Application::~Application() = default;

std::shared_ptr<http::Body> Application::begin(const http::RequestHead& head, http::Reply reply) {
  auto exchange = std::make_shared<Exchange>(setting_, head.remote_address, head.received_at);
  exchange->reply = std::move(reply);
  exchange->method = head.method;
  exchange->path = head.path;

  bool takes_body = false;
  exchange->guard([&] {
    const Served served{!head.is_admin, head.is_admin || setting_.options.admin_on_main};
    const RouteMatch match = find_route(head.path, head.method, served);
    if (match.route == nullptr) {
      exchange->send_problem(match.allow.empty() ? unknown_path() : wrong_method(match.allow));
      return;
    }
    exchange->route = match.route;
    exchange->method = match.route->method;
    exchange->keep_path(match.route->path);
    if (match.route->surface == Surface::neighbour) {
      answer_neighbour(*exchange);
    } else {
      takes_body = begin_operation(head, match, *exchange);
    }
  });
  if (!takes_body) return nullptr;
  return exchange;
}

// What the head alone decides, in the order of the contract. Whether the body is wanted.
bool Application::begin_operation(const http::RequestHead& head, const RouteMatch& match,
                                  Exchange& exchange) {
  const Route& route = *match.route;
  const Fields fields = find_fields(head);
  std::optional<std::string_view> authorization;
  if (fields.authorizations == 1) authorization = fields.authorization;
  auth::Presented presented = auth::read_credentials(authorization);
  const Time now = setting_.options.clock();
  store::Store& store = setting_.store;
  store::KeyPtr key = store.find_key(presented.credentials.access_key());
  const auth::Verdict verdict = auth::judge(key, presented.credentials, route.scope, now);
  exchange.fault = find_fault(head, fields, match, exchange);
  exchange.is_key_from_memory = !store.knows_all_keys();
  if (route.takes_records && !exchange.fault) exchange.upload.emplace(exchange.setting.waiting);
  const bool is_looked_up =
      verdict != auth::Verdict::admitted && exchange.is_key_from_memory && presented.is_well_formed;
  if (!is_looked_up &&
      !admit(exchange, verdict, std::move(key), std::move(presented.credentials), now)) {
    return false;
  }
  if (route.body && !exchange.fault) exchange.decoder.emplace(*route.body, setting_.options.limits);
  exchange.awaited.store((route.takes_body() ? 1 : 0) + (is_looked_up ? 1 : 0),
                         std::memory_order_relaxed);
  if (is_looked_up) {
    look_up_key(exchange, std::move(presented.credentials));
  } else if (!route.takes_body()) {
    exchange.answer();
  }
  return route.takes_body();
}

// Whom memory would refuse may have been given a key through another server. The body is taken
// meanwhile, perhaps on another thread.
void Application::look_up_key(Exchange& exchange, auth::Credentials credentials) {
  exchange.is_key_from_memory = false;
  std::string access_key(credentials.access_key());
  setting_.store.look_up_key(
      std::move(access_key), [this, self = exchange.shared_from_this(),
                              credentials = std::move(credentials)](Result<store::KeyPtr> key) {
        self->guard([&] {
          if (!key) return self->send_problem(failed(key.error()));
          const Time now = setting_.options.clock();
          const auto verdict = auth::judge(*key, credentials, self->route->scope, now);
          if (admit(*self, verdict, std::move(*key), credentials, now)) self->settle();
        });
      });
}

// Lets a request in whose key was judged, or refuses it.
bool Application::admit(Exchange& exchange, auth::Verdict verdict, store::KeyPtr key,
                        auth::Credentials credentials, Time now) {
  const Route& route = *exchange.route;
  if (verdict != auth::Verdict::access_denied) {
    exchange.principal = auth::Principal{std::move(key), nullptr};
  }
  if (verdict != auth::Verdict::admitted) {
    if (!exchange.principal) exchange.refused_key = std::move(key);
    exchange.send_problem(not_admitted(verdict, route.scope));
    return false;
  }
  auth::Principal& principal = *exchange.principal;
  const auto refusal = limiter_.check(principal.company(), exchange.received_at, now);
  if (refusal) {
    exchange.send_problem(rate_exceeded(*refusal, limiter_.limits()));
    return false;
  }
  setting_.key_uses.note(*principal.key, now);
  if (exchange.upload) exchange.upload->admit(principal.company());
  const bool is_asked_again = !setting_.store.knows_all_keys();
  if (is_asked_again || route.waits || route.takes_readers) {
    exchange.admission = std::make_shared<auth::Admission>(principal.key, std::move(credentials),
                                                           route.scope, setting_.options.clock);
    if (is_asked_again) principal.asker = exchange.admission;
  }
  return true;
}

void Application::answer_neighbour(Exchange& exchange) {
  switch (exchange.route->operation) {
    case Operation::healthz:
      return exchange.send(
          exchange.make_response(200, kJson, encode_state(exchange.id_text, "ok")));
    case Operation::readyz: {
      if (draining_.load(std::memory_order_relaxed)) {
        return exchange.send_problem(not_ready("draining: the server is about to stop"));
      }
      const store::Health health = setting_.store.health();
      if (!health.readable || !health.writable) {
        return exchange.send_problem(not_ready(health.reason));
      }
      return exchange.send(
          exchange.make_response(200, kJson, encode_state(exchange.id_text, "ready")));
    }
    case Operation::metrics: {
      const std::size_t connections = connection_count_ ? connection_count_() : 0;
      std::vector<store::Store::Figure> figures = setting_.store.figures();
      figures.push_back({"refusals_dropped_total", "Refused requests that were not kept one by one",
                         true, static_cast<double>(setting_.refusals.collector().dropped())});
      return exchange.send(exchange.make_response(
          200, kMetricsText, setting_.metrics->render(figures, connections, feed_.count())));
    }
    default:
      return exchange.send(exchange.make_response(200, kJson, std::string(openapi_document())));
  }
}

http::Response Application::refuse(int status, std::string_view remote_address) {
  Exchange exchange(setting_, remote_address, std::chrono::steady_clock::now());
  const Problem problem = refused(status);
  exchange.finish(problem.status, &problem);
  http::Response response = exchange.make_response(problem);
  response.close = true;
  return response;
}

}  // namespace earshot::api
