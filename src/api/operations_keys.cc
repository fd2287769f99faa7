// A company's own keys: what was decoded goes to service/keys.h, and what comes back is answered.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "api/exchange.h"
#include "api/operations.h"
#include "base/text.h"
#include "service/keys.h"

namespace earshot::api {
namespace {

void send_key_failure(Exchange& exchange, const Error& error) {
  switch (error.code) {
    case Code::not_found:
      return exchange.send_problem(no_such_key());
    case Code::invalid_argument:
      return exchange.send_problem(bad_request(error.message));
    default:
      return exchange.send_failure(error);
  }
}

std::string begin_body(const Exchange& exchange) {
  std::string body = R"({"requestId":")";
  body += exchange.id_text;
  body += '"';
  return body;
}

void append_member(std::string& body, std::string_view name, std::string_view text) {
  if (body.back() != '{') body += ',';
  append_json_string(body, name);
  body += ':';
  append_json_string(body, text);
}

void append_scopes(std::string& body, const std::vector<std::string>& scopes) {
  body += R"(,"scopes":[)";
  for (const std::string& scope : scopes) {
    if (body.back() != '[') body += ',';
    append_json_string(body, scope);
  }
  body += ']';
}

void send_changed(Exchange& exchange, core::Revision revision, std::string body) {
  exchange.has_loaded = true;
  exchange.revision = revision;
  http::Response response = exchange.make_response(200, kJson, std::move(body));
  response.fields.add(kRevisionField, std::to_string(revision));
  response.fields.add("cache-control", "no-store");  // a secret may be in it
  exchange.send(std::move(response));
}

void send_made(Exchange& exchange, const service::OwnKeyRequest& request,
               const service::OwnKey& made) {
  std::string body = begin_body(exchange);
  body += R"(,"revision":)" + std::to_string(made.revision) + R"(,"key":{)";
  append_member(body, "accessKey", made.key.access_key);
  append_member(body, "secret", made.key.secret);
  append_scopes(body, made.scopes);
  if (request.expires_at) append_member(body, "expiresAt", format_time(*request.expires_at));
  body += '}';
  if (made.replaced_expires_at) {
    body += R"(,"replaced":{)";
    append_member(body, "accessKey", request.replaces);
    append_member(body, "expiresAt", format_time(*made.replaced_expires_at));
    body += '}';
  }
  body += '}';
  send_changed(exchange, made.revision, std::move(body));
}

void list_all(Exchange& exchange) {
  const auto keys = service::list_own_keys(exchange.setting.store, exchange.setting.key_uses,
                                           exchange.principal->company());
  if (!keys) return exchange.send_failure(keys.error());
  std::string body = begin_body(exchange) + R"(,"keys":[)";
  for (const service::ListedKey& listed : *keys) {
    const core::Key& key = listed.key->key;
    if (body.back() != '[') body += ',';
    body += '{';
    append_member(body, "accessKey", key.access_key);
    append_scopes(body, key.scopes);
    if (key.expires_at) append_member(body, "expiresAt", format_time(*key.expires_at));
    if (listed.last_used) append_member(body, "lastUsed", format_time(*listed.last_used));
    body += '}';
  }
  body += "]}";
  exchange.send(exchange.make_response(200, kJson, std::move(body)));
}

}  // namespace

void create_key(Exchange& exchange) {
  auto request =
      std::make_shared<const service::OwnKeyRequest>(exchange.decoder->take_key().to_make);
  exchange.decoder.reset();
  exchange.wait_in(exchange.setting.waiting, [&exchange, request] {
    if (!exchange.reply.is_open()) return;  // nobody would get the secret
    const auto outcome =
        service::make_own_key(exchange.setting.store, *exchange.admission, *request,
                              exchange.origin(), exchange.setting.options.clock());
    if (!outcome) return send_key_failure(exchange, outcome.error());
    if (const auto* const lacking = std::get_if<service::ScopeLacking>(&*outcome)) {
      return exchange.send_problem(scope_lacking(lacking->message));
    }
    send_made(exchange, *request, std::get<service::OwnKey>(*outcome));
  });
}

void list_keys(Exchange& exchange) {
  exchange.confirm_key([&exchange] {
    exchange.wait_in(exchange.setting.listing, [&exchange] {
      if (exchange.reply.is_open()) list_all(exchange);
    });
  });
}

void revoke_key(Exchange& exchange) {
  const std::string access_key = exchange.decoder->take_key().to_revoke;
  exchange.decoder.reset();
  // Also for a client that has gone: it wanted the key to let nobody in.
  exchange.wait_in(exchange.setting.waiting, [&exchange, access_key] {
    const auto revision = service::revoke_own_key(exchange.setting.store, *exchange.admission,
                                                  access_key, exchange.origin());
    if (!revision) return send_key_failure(exchange, revision.error());
    std::string body = begin_body(exchange);
    body += R"(,"revision":)" + std::to_string(*revision) + '}';
    send_changed(exchange, *revision, std::move(body));
  });
}

}  // namespace earshot::api
