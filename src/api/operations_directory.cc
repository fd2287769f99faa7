// Putting records and reading single ones: what came goes to service/directory.h or to the store,
// and what comes back is answered.
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "api/exchange.h"
#include "api/operations.h"
#include "api/routes.h"
#include "base/text.h"
#include "records/writer.h"
#include "service/directory.h"

namespace earshot::api {
namespace {

http::Response make_answer(const Exchange& exchange, core::Revision revision, std::string body) {
  http::Response response = exchange.make_response(200, kJson, std::move(body));
  response.fields.add(kRevisionField, std::to_string(revision));
  return response;
}

std::string begin_body(const Exchange& exchange, core::Revision revision) {
  std::string body = R"({"requestId":")";
  body += exchange.id_text;
  body += R"(","revision":)";
  body += std::to_string(revision);
  return body;
}

void send_report(Exchange& exchange, const service::DirectoryReport& report) {
  exchange.has_loaded = report.changes > 0;
  exchange.revision = report.revision;
  std::string body = begin_body(exchange, report.revision);
  body += R"(,"records":)" + std::to_string(report.records);
  body += R"(,"changes":)" + std::to_string(report.changes);
  body += R"(,"warnings":[)";
  for (const std::string& warning : report.warnings) {
    if (body.back() != '[') body += ',';
    append_json_string(body, warning);
  }
  body += "]}";
  exchange.send(make_answer(exchange, report.revision, std::move(body)));
}

// On the thread of requests that wait.
void load(Exchange& exchange, service::SpoolFile lines) {
  if (!exchange.reply.is_open()) return;  // who asked has gone
  const auto outcome = service::load_directory(exchange.setting.store, *exchange.admission,
                                               std::move(lines), exchange.origin());
  if (!outcome && outcome.error().code == Code::invalid_argument) {
    return exchange.send_problem(bad_records(outcome.error().message));
  }
  if (!outcome) return exchange.send_failure(outcome.error());
  if (const auto* const lacking = std::get_if<service::ScopeLacking>(&*outcome)) {
    return exchange.send_problem(scope_lacking(lacking->message));
  }
  send_report(exchange, std::get<service::DirectoryReport>(*outcome));
}

}  // namespace

void put_records(Exchange& exchange) {
  const Status waits =
      exchange.upload->submit([self = exchange.shared_from_this()](service::SpoolFile lines) {
        self->guard([&] { load(*self, std::move(lines)); });
      });
  if (!waits) exchange.send_failure(waits.error());
}

void get_thing(Exchange& exchange) {
  store::ThingCommand command;
  command.company = exchange.principal->company();
  const bool is_call = exchange.route->operation == Operation::get_call;
  if (is_call) {
    command.thing = CallId{exchange.path_id};
  } else {
    command.thing = UserId{exchange.path_id};
  }
  command.at_least = exchange.at_least.value_or(0);
  command.asker = exchange.principal->asker;
  exchange.setting.store.read_thing(std::move(command), [self = exchange.shared_from_this(),
                                                         is_call](Result<store::ThingView> view) {
    self->guard([&] {
      if (!view) return self->send_failure(view.error());
      if (!view->record) {
        return self->send_problem(is_call ? no_such_call(CallId{self->path_id})
                                          : no_such_user(UserId{self->path_id}));
      }
      std::string body = begin_body(*self, view->revision);
      body += R"(,"record":)";
      records::append_record(body, *view->record, self->principal->company());
      body.back() = '}';  // in place of the line's end
      self->send(make_answer(*self, view->revision, std::move(body)));
    });
  });
}

}  // namespace earshot::api
