#include "api/encode_refusals.h"

#include <string_view>

#include "base/ids.h"
#include "base/random.h"
#include "base/text.h"
#include "base/time.h"

namespace earshot::api {
namespace {

void append_member(std::string& out, std::string_view name, std::string_view text) {
  out += out.back() == '{' ? R"(")" : R"(,")";
  out += name;
  out += R"(":)";
  append_json_string(out, text);
}

}  // namespace

void append_refusal(std::string& out, const store::Refusal& refusal, bool with_company) {
  out += '{';
  if (with_company) append_member(out, "companyId", to_string(refusal.company));
  append_member(out, "time", format_time(refusal.time));
  append_member(out, "reason", refusal.reason);
  if (!refusal.operation.empty()) append_member(out, "operation", refusal.operation);
  if (!refusal.access_key.empty()) append_member(out, "accessKey", refusal.access_key);
  if (!refusal.remote_address.empty()) append_member(out, "remoteAddress", refusal.remote_address);
  // Of those that were only counted there is no first.
  if (refusal.request_id != RequestId{}) {
    append_member(out, "requestId", format_request_id(refusal.request_id));
  }
  append_member(out, "detail", refusal.detail);
  out += R"(,"requests":)";
  append_number(out, refusal.requests);
  out += '}';
}

}  // namespace earshot::api
