#include "api/encode_grants.h"

#include <algorithm>
#include <utility>

#include "api/results.h"
#include "base/assert.h"
#include "base/ids.h"

namespace earshot::api {
namespace {

using core::PairOutcome;

std::string_view result_name(PairOutcome outcome) {
  switch (outcome) {
    case PairOutcome::given:
      return "given";
    case PairOutcome::changed:
      return "changed";
    case PairOutcome::already:
      return "already";
    case PairOutcome::no_effect:
      return "no effect: ";  // and the first way that holds
    case PairOutcome::removed:
      return "removed";
    case PairOutcome::not_found:
      return "not found";
    case PairOutcome::unknown_call:
      return "unknown call";
    case PairOutcome::unknown_user:
      return "unknown user";
  }
  ASSERT(false);
}

core::Way first_way(core::Ways ways) {
  return *std::ranges::find_if(kWaysInOrder, [&](core::Way way) { return core::has(ways, way); });
}

void write_result(GrowingPen& pen, const core::PairResult& result) {
  pen.write(R"({"callId":")");
  pen.write(result.call.value);
  pen.write(R"(","userId":")");
  pen.write(result.user.value);
  pen.write(R"(","result":")");
  pen.write(result_name(result.outcome));
  if (result.outcome == PairOutcome::no_effect) {
    pen.write(name_of(first_way(result.ways)));
    pen.write(R"(","ways":)");
    write_way_names(pen, result.ways);
  } else {
    pen.write("\"");
  }
  if (result.grant && result.grant->expires_at) {
    pen.write(R"(,"expiresAt":)");
    write_time(pen, *result.grant->expires_at);
  }
  if (result.grant && !result.grant->note.empty()) {
    pen.write(R"(,"note":)");
    pen.write_string(result.grant->note);
    pen.make_room(1);
  }
  pen.write("}");
}

}  // namespace

GrantsEncoder::GrantsEncoder(std::string_view request_id, service::GrantsAnswer answer,
                             bool is_dry_run)
    : answer_(std::move(answer)) {
  head_ = R"({"requestId":")";
  head_ += request_id;
  head_ += R"(","revision":)";
  append_number(head_, answer_.revision);
  if (is_dry_run) head_ += R"(,"dryRun":true)";
  head_ += R"(,"results":[)";
}

bool GrantsEncoder::append(std::string& out, std::size_t size) {
  return append_items(
      out, size, head_, "]}", next_, answer_.results.size(),
      [&](GrowingPen& pen, std::size_t i) { write_result(pen, answer_.results[i]); });
}

}  // namespace earshot::api
