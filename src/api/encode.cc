#include "api/encode.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/text.h"

namespace earshot::api {
namespace {

constexpr std::string_view kRequestId = R"({"requestId":")";  // the id has nothing to escape
constexpr std::string_view kList = R"(","callAccessList":[)";
constexpr std::string_view kCall = R"({"callId":")";
constexpr std::string_view kUsers = R"(","users":[)";
constexpr std::string_view kUser = R"({"userId":")";

constexpr std::size_t kDigitsMax = 20;
// With the comma before and all that closes it.
constexpr std::size_t kCallBytesMax = 1 + kCall.size() + kDigitsMax + kUsers.size() + 2;
constexpr std::size_t kUserBytesMax = 1 + kUser.size() + kDigitsMax + 2;

// Writes into memory known to be long enough: the hot path of reading, twice as fast as appends
// that check.
class Pen {
 public:
  explicit Pen(char* at) : at_(at) {}
  void write(std::string_view text) {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  void write(char c) { *at_++ = c; }
  void write(std::uint64_t number) { at_ = std::to_chars(at_, at_ + kDigitsMax, number).ptr; }
  char* at() const { return at_; }

 private:
  char* at_;
};

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
                                     std::vector<core::EntryPtr> entries, Time now)
    : request_id_(std::move(request_id)),
      calls_(std::move(calls)),
      entries_(std::move(entries)),
      now_(now) {
  ASSERT(calls_.size() == entries_.size());
  bytes_max_ = kRequestId.size() + request_id_.size() + kList.size() + 2;
  for (const auto& entry : entries_) {
    bytes_max_ += kCallBytesMax + entry->grants.size() * kUserBytesMax;
  }
}

bool AccessListEncoder::append(std::string& out, std::size_t size) {
  if (!std::exchange(began_, true)) {
    out += kRequestId;
    out += request_id_;
    out += kList;
  }
  while (call_ < calls_.size()) {
    const auto& grants = entries_[call_]->grants;
    // As many users as surely fit, at least one.
    const std::size_t room = size > out.size() ? (size - out.size()) / kUserBytesMax + 1 : 1;
    const std::size_t last = std::min(grants.size(), grant_ + room);
    const std::size_t written = out.size();
    out.resize(written + kCallBytesMax + (last - grant_) * kUserBytesMax);
    Pen pen(out.data() + written);
    if (!std::exchange(call_began_, true)) {
      if (call_ > 0) pen.write(',');
      pen.write(kCall);
      pen.write(calls_[call_].value);
      pen.write(kUsers);
    }
    for (; grant_ < last; ++grant_) {
      if (!core::is_live(grants[grant_], now_)) continue;
      if (std::exchange(user_written_, true)) pen.write(',');
      pen.write(kUser);
      pen.write(grants[grant_].user.value);
      pen.write("\"}");
    }
    const bool call_ended = grant_ == grants.size();
    if (call_ended) pen.write("]}");
    out.resize(static_cast<std::size_t>(pen.at() - out.data()));
    if (call_ended) {
      ++call_;
      grant_ = 0;
      call_began_ = user_written_ = false;
    }
    if (out.size() >= size) return false;
  }
  out += "]}";
  return true;
}

}  // namespace earshot::api
