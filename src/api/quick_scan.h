// A first look at bodies, for those written as nearly all clients write them: only the members that
// we read, in the usual order, and no escapes. It knows no errors. Whatever it does not take,
// faulty or only written otherwise, is for the decoder, which reads everything.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "core/decide.h"
#include "service/explain.h"

namespace earshot::api {

// Reads {"filter":{"callIds":["…"…]}}, with white space where JSON allows it. False where the text
// is anything else, names no id or more than `ids_max`; `ids` is of no use then.
bool scan_filter(std::string_view text, std::size_t ids_max, std::vector<CallId>& ids);

// Reads {"callAccessList":[{"callId":"…","userIds":["…"…]}…]} in the same way; lists may be empty.
bool scan_call_access_list(std::string_view text, std::size_t ids_max,
                           std::vector<core::CallUsers>& items);

// Reads {"checks":[{"callId":"…","userId":"…"}…]} in the same way; there must be a pair.
bool scan_checks(std::string_view text, std::size_t checks_max, std::vector<service::Pair>& checks);

}  // namespace earshot::api
