#include "api/application.h"

#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "api/encode.h"
#include "api/media_type.h"
#include "api/openapi.h"
#include "api/problem.h"
#include "api/routes.h"
#include "auth/credentials.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "service/access.h"

namespace earshot::api {

// One request on its way to its answer, and the body that it takes. Lives until the answer left.
// Used by one thread at a time, save that a body may come while its key is looked up: `awaited`
// says how that goes.
class Exchange final : public http::Body, public std::enable_shared_from_this<Exchange> {
 public:
  explicit Exchange(Application& its_application) : application(its_application) {}

  // Of the three operations. What the head alone could not decide is answered at the end of the
  // body, because a body that is too long goes first.
  void piece(std::string_view bytes) override {
    if (media_type_fault.empty()) decoder->piece(bytes);
  }
  void end() override;
  void too_long() override;

  Application& application;
  http::Reply reply;
  bool is_answered = false;
  RequestId id;
  RequestIdText id_text;
  const Route* route = nullptr;
  std::string_view method;  // of the route; of the head while the head is there
  std::string_view path;
  std::string remote_address;
  std::chrono::steady_clock::time_point received_at;
  std::optional<auth::Principal> principal;
  std::shared_ptr<const auth::Admission> admission;  // the principal's asker, where it has one
  bool is_key_from_memory = false;                   // and the store may know better
  std::string_view media_type_fault;  // what is wrong with the body's type; empty where nothing is
  std::string_view revision_fault;    // and with the revision
  std::optional<core::Revision> at_least;  // of a read, where it says
  std::optional<Decoder> decoder;          // until the body has been read
  bool is_too_long = false;
  // What has to be there before the request can be answered: the end of the body, and a key that
  // was looked up and lets it in. Who brings the last of it answers.
  std::atomic<int> awaited{1};
  // What a change came to.
  std::size_t pairs_changed = 0;
  core::Revision revision = 0;
};

namespace {

constexpr std::string_view kJson = "application/json;charset=UTF-8";
constexpr std::string_view kMetricsText = "text/plain; version=0.0.4; charset=utf-8";
constexpr std::string_view kRevisionField = "x-earshot-revision";
constexpr std::size_t kStreamPieceBytes = 256 << 10;
constexpr std::size_t kLoggedTextMax = 256;  // of what the client chose freely

// The fields of a request that decide about it. Of one that is there twice, the first and the
// count.
struct Fields {
  std::string_view authorization;
  std::size_t authorizations = 0;
  std::string_view content_type;
  std::size_t content_types = 0;
  std::string_view revision;
  std::size_t revisions = 0;
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
    }
  }
  return found;
}

// What is wrong with the body's type; empty where nothing is.
std::string_view check_media_type(const Fields& fields) {
  if (fields.content_types == 0) return "content-type: is required: application/json";
  if (fields.content_types > 1) return "content-type: is given more than once";
  if (!is_json_media_type(fields.content_type)) {
    return "content-type: must be application/json, in UTF-8";
  }
  if (fields.is_encoded) return "content-encoding: must be absent or identity";
  return {};
}

std::optional<core::Revision> parse_revision(std::string_view text) {
  if (text == "0") return core::Revision{0};
  return parse_id_number(text);
}

// Takes the revision that a read asks for, or what is wrong with it.
void read_revision(const Fields& fields, Exchange& exchange) {
  if (fields.revisions == 0) return;
  if (fields.revisions > 1) {
    exchange.revision_fault = "x-earshot-revision: is given more than once";
    return;
  }
  exchange.at_least = parse_revision(fields.revision);
  if (!exchange.at_least) {
    exchange.revision_fault = "x-earshot-revision: must be a number from 0 to 9223372036854775807";
  }
}

http::Response make_response(const Exchange& exchange, int status, std::string_view content_type,
                             std::string body) {
  http::Response response;
  response.status = status;
  response.fields.add("content-type", content_type);
  response.fields.add("x-traceid", exchange.id_text);
  response.body = std::move(body);
  return response;
}

http::Response make_response(const Exchange& exchange, const Problem& problem) {
  http::Response response =
      make_response(exchange, problem.status, kJson,
                    encode_errors(exchange.id_text, problem.first, problem.more));
  if (!problem.field.first.empty()) {
    response.fields.add(problem.field.first, problem.field.second);
  }
  return response;
}

http::Response make_response(const Exchange& exchange, std::string body, core::Revision revision) {
  http::Response response = make_response(exchange, 200, kJson, std::move(body));
  response.fields.add(kRevisionField, std::to_string(revision));
  return response;
}

// Requests without a special reason are logged by their share; their id is as good as a die.
bool is_sampled(const RequestId& id, double share) {
  if (share <= 0) return false;
  const std::uint32_t die = static_cast<std::uint32_t>(id.bytes[8]) << 24 |
                            static_cast<std::uint32_t>(id.bytes[9]) << 16 |
                            static_cast<std::uint32_t>(id.bytes[10]) << 8 | id.bytes[11];
  return static_cast<double>(die) < share * 4294967296.0;
}

std::int64_t micros_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() -
                                                               start)
      .count();
}

// Sends an answer piece by piece, each when there is room for it. The first piece may leave from
// another thread than the rest, and the client may go at any time: hence the lock, which nothing is
// sent under.
class AccessListStream : public std::enable_shared_from_this<AccessListStream> {
 public:
  explicit AccessListStream(AccessListEncoder encoder) : encoder_(std::move(encoder)) {}

  void start(http::Reply& reply, http::Response head) {
    // Weak, because the stream must not hold what holds it; until the end its drained callback
    // does.
    auto stream = reply.stream(std::move(head), [self = weak_from_this()] {
      if (const auto here = self.lock()) here->leave();
    });
    {
      const std::lock_guard lock(mutex_);
      if (!has_left_) stream_ = std::move(stream);
    }
    write();
  }

 private:
  void leave() {
    const std::lock_guard lock(mutex_);
    has_left_ = true;
    stream_.reset();
  }

  // Writes pieces as long as there is room at once: a loop, since a callback from within write()
  // would recurse.
  void write() {
    std::unique_lock lock(mutex_);
    has_room_ = true;
    while (stream_ && has_room_ && !is_writing_) {
      is_writing_ = true;
      has_room_ = false;
      const auto stream = stream_;
      lock.unlock();
      std::string piece;
      const bool is_last = encoder_.append(piece, kStreamPieceBytes);
      stream->write(std::move(piece), [self = shared_from_this()] { self->write(); });
      if (is_last) stream->end();
      lock.lock();
      is_writing_ = false;
      if (is_last) stream_.reset();
    }
  }

  AccessListEncoder encoder_;  // of whoever set is_writing_
  std::mutex mutex_;
  std::shared_ptr<http::Stream> stream_;  // null once all is sent, or the client has left
  bool has_left_ = false;
  bool has_room_ = false;
  bool is_writing_ = false;
};

}  // namespace

void Exchange::end() {
  application.guard(*this, [this] { application.settle(*this); });
}

void Exchange::too_long() {
  is_too_long = true;
  end();
}

Application::Application(store::Store& store, auth::RateLimiter& limiter, Options options)
    : store_(store), limiter_(limiter), options_(std::move(options)) {
  // The store may commit longer than the application lives.
  store_.observe_commits([metrics = metrics_](std::size_t commands, double sync_seconds) {
    metrics->count_commit(commands, sync_seconds);
  });
}

Application::~Application() = default;

// Exceptions mean a bug or exhaustion; here they become 500, whichever thread they came up on.
template <class Work>
void Application::guard(Exchange& exchange, Work&& work) {
  try {
    work();
  } catch (const std::exception& exception) {
    log(Level::error, "exception",
        {{"requestId", exchange.id_text}, {"what", std::string_view(exception.what())}});
    if (!exchange.is_answered) send_problem(exchange, failed(internal(exception.what())));
  }
}

std::shared_ptr<http::Body> Application::begin(const http::RequestHead& head, http::Reply reply) {
  auto exchange = std::make_shared<Exchange>(*this);
  exchange->reply = std::move(reply);
  exchange->id = make_request_id();
  exchange->id_text = format_request_id(exchange->id);
  exchange->method = head.method;
  exchange->path = head.path;
  exchange->remote_address = head.remote_address;
  exchange->received_at = head.received_at;

  bool takes_body = false;
  guard(*exchange, [&] {
    const Served served{!head.is_admin, head.is_admin || options_.admin_on_main};
    const RouteMatch match = find_route(head.path, head.method, served);
    if (match.route == nullptr) {
      send_problem(*exchange, match.allow.empty() ? unknown_path() : wrong_method(match.allow));
      return;
    }
    exchange->route = match.route;
    exchange->method = match.route->method;
    exchange->path = match.route->path;
    if (match.route->is_neighbour) {
      answer_neighbour(*exchange);
    } else {
      takes_body = begin_operation(head, *exchange);
    }
  });
  if (!takes_body) return nullptr;
  return exchange;
}

// What the head alone decides, in the order of the contract. Whether the body is wanted.
bool Application::begin_operation(const http::RequestHead& head, Exchange& exchange) {
  const Fields fields = find_fields(head);
  std::optional<std::string_view> authorization;
  if (fields.authorizations == 1) authorization = fields.authorization;
  auth::Presented presented = auth::read_credentials(authorization);
  const Time now = options_.clock();
  const Route& route = *exchange.route;
  store::KeyPtr key = store_.find_key(presented.credentials.access_key());
  const auth::Verdict verdict = auth::judge(key, presented.credentials, route.scope, now);
  exchange.media_type_fault = check_media_type(fields);
  if (route.operation == Operation::get_users_access) read_revision(fields, exchange);
  exchange.is_key_from_memory = !store_.knows_all_keys();
  if (verdict != auth::Verdict::admitted && exchange.is_key_from_memory &&
      presented.is_well_formed) {
    exchange.decoder.emplace(route.shape, options_.limits);
    look_up_key(exchange, std::move(presented.credentials));
    return true;
  }
  if (!admit(exchange, verdict, std::move(key), std::move(presented.credentials), now)) {
    return false;
  }
  exchange.decoder.emplace(route.shape, options_.limits);
  return true;
}

// Whom memory would refuse may have been given a key through another server. The body is taken
// meanwhile, perhaps on another thread.
void Application::look_up_key(Exchange& exchange, auth::Credentials credentials) {
  exchange.awaited.store(2, std::memory_order_relaxed);
  exchange.is_key_from_memory = false;
  std::string access_key(credentials.access_key());
  store_.look_up_key(
      std::move(access_key), [this, self = exchange.shared_from_this(),
                              credentials = std::move(credentials)](Result<store::KeyPtr> key) {
        guard(*self, [&] {
          if (!key) return send_problem(*self, failed(key.error()));
          const Time now = options_.clock();
          const auto verdict = auth::judge(*key, credentials, self->route->scope, now);
          if (admit(*self, verdict, std::move(*key), credentials, now)) settle(*self);
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
    send_problem(exchange, not_admitted(verdict, route.scope));
    return false;
  }
  auth::Principal& principal = *exchange.principal;
  const auto refusal = limiter_.check(principal.company(), exchange.received_at, now);
  if (refusal) {
    send_problem(exchange, rate_exceeded(*refusal, limiter_.limits()));
    return false;
  }
  if (!store_.knows_all_keys()) {
    exchange.admission = std::make_shared<auth::Admission>(principal.key, std::move(credentials),
                                                           route.scope, options_.clock);
    principal.asker = exchange.admission;
  }
  return true;
}

// One thing less is awaited.
void Application::settle(Exchange& exchange) {
  if (exchange.awaited.fetch_sub(1, std::memory_order_acq_rel) == 1) answer_operation(exchange);
}

// The body is complete, or too long, and the request is let in.
void Application::answer_operation(Exchange& exchange) {
  if (exchange.is_too_long) {
    refuse_content(exchange, body_too_long(options_.body_bytes_max));
  } else if (!exchange.media_type_fault.empty()) {
    refuse_content(exchange, unsupported_media_type(std::string(exchange.media_type_fault)));
  } else if (!exchange.revision_fault.empty()) {
    refuse_content(exchange, bad_json(std::string(exchange.revision_fault)));
  } else if (auto error = exchange.decoder->finish()) {
    refuse_content(exchange, error->kind == DecodeError::Kind::too_many_ids
                                 ? too_many_ids(std::move(error->detail))
                                 : bad_json(std::move(error->detail)));
  } else if (exchange.route->operation == Operation::get_users_access) {
    list_access(exchange);
  } else {
    change_access(exchange);
  }
}

// Refuses what was sent. The store is not asked for that, so it is asked for the key: a revoked one
// gets 401 whatever comes with it.
void Application::refuse_content(Exchange& exchange, Problem problem) {
  if (!exchange.is_key_from_memory) return send_problem(exchange, problem);
  store_.look_up_key(exchange.principal->key->key.access_key,
                     [this, self = exchange.shared_from_this(),
                      problem = std::move(problem)](Result<store::KeyPtr> key) {
                       guard(*self, [&] {
                         if (!key) return send_problem(*self, failed(key.error()));
                         if (!self->admission->is_admitted_with(*key)) {
                           return send_failure(*self, denied({}));
                         }
                         send_problem(*self, problem);
                       });
                     });
}

void Application::list_access(Exchange& exchange) {
  auto done = [this, self = exchange.shared_from_this()](Result<service::Access> access) {
    guard(*self, [&] {
      if (!access) return send_failure(*self, access.error());
      if (!access->unknown.empty()) return send_problem(*self, unknown_calls(access->unknown));
      const core::Revision revision = access->revision;
      const auto respond = [&](std::string body) {
        return self->at_least ? make_response(*self, std::move(body), revision)
                              : make_response(*self, 200, kJson, std::move(body));
      };
      AccessListEncoder encoder(std::string(self->id_text), std::move(access->calls),
                                std::move(access->entries), options_.clock());
      if (encoder.bytes_max() > options_.answer_bytes_whole) {
        self->is_answered = true;
        std::make_shared<AccessListStream>(std::move(encoder))->start(self->reply, respond({}));
        return finish(*self, 200, nullptr);
      }
      std::string body;
      body.reserve(encoder.bytes_max());
      encoder.append(body, encoder.bytes_max());
      send(*self, respond(std::move(body)));
    });
  };
  std::vector<CallId> calls = exchange.decoder->take_call_ids();
  exchange.decoder.reset();
  service::list_access(store_, *exchange.principal, std::move(calls), exchange.at_least.value_or(0),
                       std::move(done));
}

void Application::change_access(Exchange& exchange) {
  auto done = [this, self = exchange.shared_from_this()](Result<store::Outcome> outcome) {
    guard(*self, [&] {
      if (!outcome) return send_failure(*self, outcome.error());
      const core::Decision& decision = outcome->decision;
      if (const auto* calls = std::get_if<core::UnknownCalls>(&decision)) {
        return send_problem(*self, unknown_calls(calls->ids));
      }
      if (const auto* users = std::get_if<core::UnknownUsers>(&decision)) {
        return send_problem(*self, unknown_users(users->ids));
      }
      self->pairs_changed = std::get<0>(decision).size();
      self->revision = outcome->revision;
      send(*self, make_response(*self, encode_done(self->id_text), outcome->revision));
    });
  };
  const bool gives = exchange.route->operation == Operation::add_users_access;
  const auto change = gives ? service::give_access : service::remove_access;
  std::vector<core::CallUsers> calls = exchange.decoder->take_call_access_list();
  exchange.decoder.reset();
  change(store_, *exchange.principal, std::move(calls), exchange.id, std::move(done));
}

void Application::answer_neighbour(Exchange& exchange) {
  switch (exchange.route->operation) {
    case Operation::healthz:
      return send(exchange,
                  make_response(exchange, 200, kJson, encode_state(exchange.id_text, "ok")));
    case Operation::readyz: {
      if (draining_.load(std::memory_order_relaxed)) {
        return send_problem(exchange, not_ready("draining: the server is about to stop"));
      }
      const store::Health health = store_.health();
      if (!health.readable || !health.writable) {
        return send_problem(exchange, not_ready(health.reason));
      }
      return send(exchange,
                  make_response(exchange, 200, kJson, encode_state(exchange.id_text, "ready")));
    }
    case Operation::metrics: {
      const std::size_t connections = connection_count_ ? connection_count_() : 0;
      return send(exchange, make_response(exchange, 200, kMetricsText,
                                          metrics_->render(store_.figures(), connections)));
    }
    default:
      return send(exchange, make_response(exchange, 200, kJson, std::string(openapi_document())));
  }
}

http::Response Application::refuse(int status, std::string_view remote_address) {
  Exchange exchange(*this);
  exchange.id = make_request_id();
  exchange.id_text = format_request_id(exchange.id);
  exchange.remote_address = remote_address;
  exchange.received_at = std::chrono::steady_clock::now();
  const Problem problem = refused(status);
  finish(exchange, problem.status, &problem);
  http::Response response = make_response(exchange, problem);
  response.close = true;
  return response;
}

void Application::send(Exchange& exchange, http::Response response) {
  const int status = response.status;
  exchange.is_answered = true;
  exchange.reply.send(std::move(response));
  finish(exchange, status, nullptr);
}

// What a store answered in place of a result.
void Application::send_failure(Exchange& exchange, const Error& error) {
  const bool is_scope_missing = error.code == Code::denied && exchange.admission &&
                                exchange.admission->verdict() == auth::Verdict::scope_missing;
  send_problem(exchange, is_scope_missing ? scope_missing(exchange.route->scope) : failed(error));
}

void Application::send_problem(Exchange& exchange, const Problem& problem) {
  exchange.is_answered = true;
  http::Response response = make_response(exchange, problem);
  response.close = problem.reason == Reason::body_too_long;
  exchange.reply.send(std::move(response));
  finish(exchange, problem.status, &problem);
}

// Counts and logs what was answered. A line for every request that changed something or was
// refused.
void Application::finish(Exchange& exchange, int status, const Problem* problem) {
  const Operation operation = exchange.route ? exchange.route->operation : Operation::none;
  metrics_->count_request(operation, status,
                          std::chrono::steady_clock::now() - exchange.received_at);
  if (problem != nullptr) metrics_->count_refusal(problem->reason);
  if (problem == nullptr && exchange.pairs_changed == 0 &&
      !is_sampled(exchange.id, options_.log_sample)) {
    return;
  }
  std::string company;
  std::string_view access_key;
  if (exchange.principal) {
    company = to_string(exchange.principal->company());
    access_key = exchange.principal->key->key.access_key;
  }
  std::string_view error;
  std::string_view detail;
  if (problem != nullptr) {
    error = problem->first;
    if (!problem->cause.empty()) {
      detail = problem->cause;
    } else if (!problem->more.empty()) {
      detail = problem->more.front();
    }
  }
  const Level level = status == 500 ? Level::error : status > 500 ? Level::warn : Level::info;
  log(level, "request",
      {{"requestId", exchange.id_text},
       {"operation", operation_name(operation)},
       {"method", exchange.method.substr(0, kLoggedTextMax)},
       {"path", exchange.path.substr(0, kLoggedTextMax)},
       {"status", status},
       {"companyId", company},
       {"accessKey", access_key},
       {"error", error},
       {"detail", detail.substr(0, kLoggedTextMax)},
       {"pairs", exchange.pairs_changed},
       {"revision", exchange.revision},
       {"duration_us", micros_since(exchange.received_at)},
       {"remote", exchange.remote_address}});
}

}  // namespace earshot::api
