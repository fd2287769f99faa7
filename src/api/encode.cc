#include "api/encode.h"

#include <algorithm>
#include <utility>

#include "api/pen.h"
#include "base/assert.h"
#include "base/decimal.h"
#include "base/text.h"

namespace earshot::api {
namespace {

constexpr std::string_view kRequestId = R"({"requestId":")";  // the id has nothing to escape
constexpr std::string_view kList = R"(","callAccessList":[)";
constexpr std::string_view kCall = R"({"callId":")";
constexpr std::string_view kUsers = R"(","users":[)";
constexpr std::string_view kUser = R"({"userId":")";

// With the comma before and all that closes it.
constexpr std::size_t kCallBytesMax = 1 + kCall.size() + kIdDigitsMax + kUsers.size() + 2;
constexpr std::size_t kUserBytesMax = 1 + kUser.size() + kIdDigitsMax + 2;
constexpr std::size_t kEndBytesMax = 2 + kDecimalSlack;

}  // namespace

std::string encode_done(std::string_view request_id) {
  std::string body;
  body.reserve(kRequestId.size() + request_id.size() + 2);
  body += kRequestId;
  body += request_id;
  body += "\"}";
  return body;
}

std::string encode_state(std::string_view request_id, std::string_view state) {
  std::string body(kRequestId);
  body += request_id;
  body += R"(","status":)";
  append_json_string(body, state);
  body += '}';
  return body;
}

std::string encode_errors(std::string_view request_id, std::string_view first,
                          std::span<const std::string> more) {
  std::string body(kRequestId);
  body += request_id;
  body += R"(","errors":[)";
  append_json_string(body, first);
  for (const std::string& error : more) {
    body += ',';
    append_json_string(body, error);
  }
  body += "]}";
  return body;
}

AccessListEncoder::AccessListEncoder(std::string request_id, std::vector<CallId> calls,
                                     std::vector<core::PackedEntryPtr> entries, Time now)
    : request_id_(std::move(request_id)),
      calls_(std::move(calls)),
      entries_(std::move(entries)),
      now_(now) {
  ASSERT(calls_.size() == entries_.size());
  bytes_max_ = kRequestId.size() + request_id_.size() + kList.size() + kEndBytesMax;
  for (const auto& entry : entries_) {
    bytes_max_ += kCallBytesMax + entry->granted().size() * kUserBytesMax;
  }
  bytes_left_ = bytes_max_;
}

bool AccessListEncoder::append(std::string& out, std::size_t size) {
  const std::size_t begin = out.size();
  const std::size_t size_max = begin + bytes_left_;
  size = std::min(std::max(size, begin), size_max);
  // What is begun before `size` is reached goes on a little behind it.
  const std::size_t overrun = kRequestId.size() + request_id_.size() + kList.size() +
                              kCallBytesMax + kUserBytesMax + kEndBytesMax;
  out.resize(std::min(size + overrun, size_max));
  Pen pen(out.data() + begin);
  if (!std::exchange(began_, true)) {
    pen.write(kRequestId);
    pen.write(request_id_);
    pen.write(kList);
  }
  const char* const enough = out.data() + size;
  bool wrote = false;
  while (call_ < calls_.size() && (!wrote || pen.at() < enough)) {
    pen = Pen(write_call(pen.at(), enough));
    wrote = true;
  }
  const bool ended = call_ == calls_.size();
  if (ended) pen.write("]}");
  const auto written = static_cast<std::size_t>(pen.at() - out.data());
  ASSERT(written <= out.size());
  bytes_left_ -= written - begin;
  out.resize(written);
  return ended;
}

// Writes the next call, or as many of its users as are enough, but at least one.
char* AccessListEncoder::write_call(char* at, const char* enough) {
  constexpr std::size_t kAhead = 8;  // entries of a long answer have left the nearest memory
  if (call_ + kAhead < entries_.size()) core::PackedEntry::prefetch(entries_[call_ + kAhead].get());
  const core::PackedEntry& entry = *entries_[call_];
  Pen pen(at);
  if (!std::exchange(call_began_, true)) {
    pen.write_comma_if(call_ > 0);
    pen.write(kCall);
    pen.write(calls_[call_].value);
    pen.write(kUsers);
  }
  const std::span<const UserId> granted = entry.granted();
  bool user_written = user_written_;
  std::size_t grant = grant_;
  while (grant < granted.size()) {
    const std::size_t i = grant++;
    if (!entry.is_live(i, now_)) continue;
    pen.write_comma_if(user_written);
    user_written = true;
    pen.write(kUser);
    pen.write(granted[i].value);
    pen.write("\"}");
    if (pen.at() >= enough) break;
  }
  if (grant < granted.size()) {
    grant_ = grant;
    user_written_ = user_written;
    return pen.at();
  }
  pen.write("]}");
  ++call_;
  grant_ = 0;
  call_began_ = user_written_ = false;
  return pen.at();
}

}  // namespace earshot::api
