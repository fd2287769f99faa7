// Bodies of answers: compact JSON, requestId first. Knows no HTTP.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "core/packed_entry.h"

namespace earshot::api {

// {"requestId":"…"}
std::string encode_done(std::string_view request_id);

// {"requestId":"…","status":"…"}
std::string encode_state(std::string_view request_id, std::string_view state);

// {"requestId":"…","errors":["…",…]}
std::string encode_errors(std::string_view request_id, std::string_view first,
                          std::span<const std::string> more);

// {"requestId":"…","callAccessList":[{"callId":"…","users":[{"userId":"…"}…]}…]}: the live grants
// of each entry, in pieces, so that an answer of any size passes through bounded memory.
class AccessListEncoder {
 public:
  // REQUIRES: an entry for each call.
  AccessListEncoder(std::string request_id, std::vector<CallId> calls,
                    std::vector<core::PackedEntryPtr> entries, Time now);

  // No answer is longer than this.
  std::size_t bytes_max() const { return bytes_max_; }

  // Appends what comes next, at least until `out` holds `size` bytes. Returns whether this was the
  // end.
  bool append(std::string& out, std::size_t size);

 private:
  char* write_call(char* at, const char* enough);

  std::string request_id_;
  std::vector<CallId> calls_;
  std::vector<core::PackedEntryPtr> entries_;
  Time now_;
  std::size_t bytes_max_ = 0;
  std::size_t bytes_left_ = 0;  // no more is to come
  bool began_ = false;
  std::size_t call_ = 0;  // the call to write next
  bool call_began_ = false;
  bool user_written_ = false;  // of this call
  std::size_t grant_ = 0;      // the grant of this call to look at next
};

}  // namespace earshot::api
