#include "api/exchange.h"

#include <cstdint>

#include "api/encode.h"
#include "api/routes.h"
#include "base/log.h"

namespace earshot::api {
namespace {

constexpr std::size_t kLoggedTextMax = 256;  // of what the client chose freely

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

}  // namespace

Exchange::Exchange(Setting& its_setting, std::string_view its_remote_address,
                   std::chrono::steady_clock::time_point its_received_at)
    : setting(its_setting), remote_address(its_remote_address), received_at(its_received_at) {}

std::optional<std::size_t> Exchange::bytes_max() const {
  if (route == nullptr || !route->takes_records) return std::nullopt;
  return setting.options.directory_bytes_max;
}

void Exchange::end() {
  guard([this] { settle(); });
}

void Exchange::too_long() {
  is_too_long = true;
  end();
}

void Exchange::settle() {
  if (awaited.fetch_sub(1, std::memory_order_acq_rel) == 1) answer();
}

void Exchange::answer() {
  if (is_too_long) {
    return refuse_content(route->takes_records
                              ? records_too_long(setting.options.directory_bytes_max)
                              : body_too_long(setting.options.body_bytes_max));
  }
  if (fault) return refuse_content(*fault);
  if (decoder) {
    if (auto error = decoder->finish()) {
      return refuse_content(error->kind == DecodeError::Kind::too_many_ids
                                ? too_many_ids(std::move(error->detail))
                                : bad_json(std::move(error->detail)));
    }
  }
  route->answer(*this);
}

// The store is asked for the key: a revoked one gets 401 whatever comes with it.
void Exchange::refuse_content(Problem problem) {
  confirm_key(
      [self = shared_from_this(), problem = std::move(problem)] { self->send_problem(problem); });
}

void Exchange::confirm_key(std::function<void()> go_on) {
  if (!is_key_from_memory) return go_on();
  setting.store.look_up_key(
      principal->key->key.access_key,
      [self = shared_from_this(), go_on = std::move(go_on)](Result<store::KeyPtr> key) {
        self->guard([&] {
          if (!key) return self->send_problem(failed(key.error()));
          if (!self->admission->is_admitted_with(*key)) return self->send_failure(denied({}));
          go_on();
        });
      });
}

void Exchange::wait_in(service::WaitingRequests& requests, std::function<void()> work) {
  auto place = requests.take_place(service::WaitingRequests::Kind::keys, principal->company());
  if (!place) return send_failure(unavailable("too many requests about keys"));
  requests.submit(std::move(*place),
                  [self = shared_from_this(), work = std::move(work)] { self->guard(work); });
}

void Exchange::send(http::Response response) {
  const int status = response.status;
  is_answered = true;
  reply.send(std::move(response));
  finish(status, nullptr);
}

void Exchange::send_problem(const Problem& problem) {
  is_answered = true;
  http::Response response = make_response(problem);
  response.close = problem.reason == Reason::body_too_long;
  reply.send(std::move(response));
  finish(problem.status, &problem);
}

void Exchange::send_failure(const Error& error) {
  const bool is_scope_missing = error.code == Code::denied && admission &&
                                admission->verdict() == auth::Verdict::scope_missing;
  send_problem(is_scope_missing ? scope_missing(route->scope) : failed(error));
}

void Exchange::fail(const std::exception& exception) {
  log(Level::error, "exception",
      {{"requestId", id_text}, {"what", std::string_view(exception.what())}});
  if (!is_answered) send_problem(failed(internal(exception.what())));
}

http::Response Exchange::make_response(int status, std::string_view content_type,
                                       std::string body) const {
  http::Response response;
  response.status = status;
  response.fields.add("content-type", content_type);
  response.fields.add("x-traceid", answer_id());
  if (repeated_) response.fields.add("idempotent-replayed", "true");
  response.body = std::move(body);
  return response;
}

http::Response Exchange::make_response(const Problem& problem) const {
  http::Response response =
      make_response(problem.status, kJson, encode_errors(id_text, problem.first, problem.more));
  if (!problem.field.first.empty()) {
    response.fields.add(problem.field.first, problem.field.second);
  }
  return response;
}

void Exchange::repeat(const RequestId& earlier) {
  repeated_ = true;
  earlier_text_ = format_request_id(earlier);
}

void Exchange::keep_path(std::string_view pattern) {
  if (pattern.find('{') == std::string_view::npos) {
    path = pattern;
  } else {
    path_text_ = path;
    path = path_text_;
  }
}

void Exchange::finish(int status, const Problem* problem) {
  const Operation operation = route ? route->operation : Operation::none;
  setting.metrics->count_request(operation, status, std::chrono::steady_clock::now() - received_at);
  if (problem != nullptr) {
    setting.metrics->count_refusal(problem->reason);
    if (is_kept(problem->reason)) keep_refusal(*problem);
  }
  const bool has_changed = pairs_changed > 0 || has_loaded;
  if (problem == nullptr && !has_changed && !is_sampled(id, setting.options.log_sample)) {
    return;
  }
  std::string company;
  std::string_view access_key;
  if (principal) {
    company = to_string(principal->company());
    access_key = principal->key->key.access_key;
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
      {{"requestId", id_text},
       {"operation", operation_name(operation)},
       {"method", method.substr(0, kLoggedTextMax)},
       {"path", path.substr(0, kLoggedTextMax)},
       {"status", status},
       {"companyId", company},
       {"accessKey", access_key},
       {"error", error},
       {"detail", detail.substr(0, kLoggedTextMax)},
       {"pairs", pairs_changed},
       {"repeats", earlier_text_},
       {"revision", revision},
       {"duration_us", micros_since(received_at)},
       {"remote", remote_address}});
}

// Of whom nobody knows, no name is kept: it may be a secret in the wrong place.
void Exchange::keep_refusal(const Problem& problem) {
  store::Refusal refusal;
  refusal.time = setting.options.clock();
  refusal.reason = reason_name(problem.reason);
  if (route) refusal.operation = operation_name(route->operation);
  refusal.remote_address = remote_address.substr(0, kRefusalTextBytesMax);
  refusal.request_id = id;
  if (principal) {
    refusal.company = principal->company();
    refusal.access_key = principal->key->key.access_key;
  } else if (refused_key) {
    refusal.company = refused_key->company;
    refusal.access_key = refused_key->key.access_key;
  }
  refusal.detail = problem.more.empty() ? problem.first : problem.more.front();
  if (refused_key) {
    const auto& expires_at = refused_key->key.expires_at;
    const bool is_past = expires_at && *expires_at <= refusal.time;
    refusal.detail = is_past ? "the key has expired" : "another secret than the key's";
  }
  if (refusal.detail.size() > kRefusalDetailBytesMax) {
    refusal.detail.resize(kRefusalDetailBytesMax - 3);  // ASCII: no text of a client's is in it
    refusal.detail += "...";
  }
  setting.refusals.collector().add(std::move(refusal));
}

}  // namespace earshot::api
