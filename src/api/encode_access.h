// Bodies of the answers about access: who may hear a call, and why. Each gives its bytes in pieces,
// so that an answer of any size passes through bounded memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "core/explain.h"
#include "service/explain.h"

namespace earshot::api {

// What a refusal is called. REQUIRES: it is one.
std::string_view name_of(core::Refusal refusal);

// How many team leads a refusal names before it only counts them.
inline constexpr std::size_t kLeadsNamedMax = 100;

// {"requestId":"…","revision":N,"at":"…","results":[…]}, in the order of the pairs.
class CheckEncoder {
 public:
  // REQUIRES: the answer is to these pairs.
  CheckEncoder(std::string_view request_id, std::vector<service::Pair> pairs,
               service::CheckAnswer answer);

  // Appends what comes next, at least until `out` holds `size` bytes. Returns whether this was the
  // end.
  bool append(std::string& out, std::size_t size);

 private:
  std::string head_;  // until it is written
  std::vector<service::Pair> pairs_;
  service::CheckAnswer answer_;
  std::size_t next_ = 0;
};

// {"requestId":"…","revision":N,"at":"…","callId":"…","users":[…],"records":{…}}, or of a user and
// calls.
class PageEncoder {
 public:
  // `cursor` is empty where no page follows.
  PageEncoder(std::string_view request_id, CallId call, service::CallPage page,
              std::string_view cursor);
  PageEncoder(std::string_view request_id, UserId user, service::UserPage page,
              std::string_view cursor);

  // As CheckEncoder's.
  bool append(std::string& out, std::size_t size);

 private:
  std::string head_;  // until it is written
  std::string tail_;
  std::string_view item_begin_;
  // What the explanations refer to.
  std::shared_ptr<const core::Directory> directory_;
  std::vector<std::pair<std::uint64_t, core::Explanation>> items_;
  std::size_t next_ = 0;
};

}  // namespace earshot::api
