// The query string: whatever comes, what is taken can be written again and means the same.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "api/query.h"
#include "base/assert.h"
#include "base/text.h"

namespace {

using namespace earshot;
using namespace earshot::api;

constexpr Parameters kAll = Parameter::limit | Parameter::cursor | Parameter::at |
                            Parameter::revision | Parameter::way | Parameter::after |
                            Parameter::call_id | Parameter::user_id | Parameter::wait;

std::string write(const Query& query) {
  std::string text = "limit=" + std::to_string(query.limit);
  if (query.cursor) {
    text += "&cursor=";
    for (const char c : *query.cursor) {
      const auto byte = static_cast<std::uint8_t>(c);
      text += "%" + to_hex({&byte, 1});
    }
  }
  if (query.at) text += "&at=" + format_time(*query.at);
  if (query.revision) text += "&revision=" + std::to_string(*query.revision);
  if (core::has(query.ways, core::Way::individual)) text += "&way=individual";
  if (core::has(query.ways, core::Way::shared)) text += "&way=shared";
  if (core::has(query.ways, core::Way::participant)) text += "&way=participant";
  if (core::has(query.ways, core::Way::profile)) text += "&way=profile";
  text += "&after=" + format_position(query.after);
  if (query.call) text += "&callId=" + to_string(*query.call);
  if (query.user) text += "&userId=" + to_string(*query.user);
  return text + "&wait=" + std::to_string(query.wait.count());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto position = parse_position(text)) ASSERT(format_position(*position) == text);
  const auto query = parse_query(text, kAll);
  if (!query) {
    ASSERT(is_valid_utf8(query.error().message));
    return 0;
  }
  ASSERT(query->limit >= 1 && query->limit <= kPageLimitMax);
  ASSERT(query->ways != 0 && query->ways <= core::kAllWays);
  ASSERT(!query->at || !query->revision);
  ASSERT(query->wait >= std::chrono::seconds(0) && query->wait <= kWaitMax);
  const auto again = parse_query(write(*query), kAll);
  ASSERT(again.has_value());
  ASSERT(again->limit == query->limit && again->cursor == query->cursor && again->at == query->at);
  ASSERT(again->revision == query->revision && again->ways == query->ways);
  ASSERT(again->after == query->after && again->call == query->call);
  ASSERT(again->user == query->user && again->wait == query->wait);
  return 0;
}
