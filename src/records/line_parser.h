// From the bytes of one line to its members: JSON, and nothing of what the members mean. The only
// place here that knows the JSON library.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "base/result.h"
#include "records/members.h"

namespace earshot::records {

// Arrays and objects inside each other, in members that nobody reads too.
inline constexpr std::size_t kNestingMax = 64;

class LineParser {
 public:
  LineParser();
  ~LineParser();

  // The members of the JSON object that the line is; they stay until the next call. Members with
  // unknown names are checked and forgotten. Errors: invalid_argument, without a word of the line's
  // own text.
  Result<const Members*> parse(std::string_view line);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace earshot::records
