#include <algorithm>
#include <limits>

#include "client/audit.h"
#include "client/audit_answers.h"

namespace earshot::client {
namespace {

constexpr std::uint64_t kRefusalsOfPage = 1000;  // as many as the server gives

}  // namespace

Status list_refusals(Session& session, const ListRefusals& list) {
  Table table(session.out,
              {"TIME", "REASON", "OPERATION", "ACCESS KEY", "FROM", "REQUESTS", "DETAIL"});
  std::uint64_t rest = list.limit.value_or(std::numeric_limits<std::uint64_t>::max());
  std::optional<std::string> cursor;
  bool has_printed = false;
  while (rest > 0) {
    std::string target =
        path_of("/refusals?limit=" + std::to_string(std::min(rest, kRefusalsOfPage)));
    if (cursor) target += "&cursor=" + *cursor;
    const auto answer = session.remote.ask({"GET", target});
    auto page = answer ? decode_refusals(answer->body) : Result<RefusalsPage>(answer.error());
    if (page && page->cursor && page->cursor == cursor) page = not_of_this_release();
    if (!page) {
      if (has_printed) TRY(session.say("the list above is not complete"));
      return page.error();
    }
    for (const auto& refusal : page->refusals) {
      if (rest-- == 0) return not_of_this_release();
      has_printed = true;
      if (session.as_json) {
        TRY(session.print(refusal.json + "\n"));
      } else {
        table.add({refusal.time, refusal.reason, refusal.operation, refusal.access_key,
                   refusal.remote_address, std::to_string(refusal.requests), refusal.detail});
      }
    }
    TRY(session.print(table));
    if (!page->cursor) break;
    cursor = page->cursor;
  }
  return {};
}

}  // namespace earshot::client
