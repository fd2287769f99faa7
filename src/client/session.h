// One command on its way: whom it asks, and where it prints.
#pragma once

#include <string>
#include <string_view>

#include "base/output.h"
#include "client/remote.h"
#include "client/table.h"

namespace earshot::client {

// The path of an operation behind /earshot/v1.
inline std::string path_of(const std::string& operation) { return "/earshot/v1" + operation; }

// The error of an answer that is to another question.
Error not_of_this_release();

struct Session {
  Remote remote;
  Output& out;
  Output& err;
  const Pause& pause;
  const bool as_json;

  // Output that cannot be written is no fault of the server. Errors: internal.
  Status print(std::string_view text);
  Status print(Table& table);  // and all that was printed before it, at once
  Status say(const std::string& text);
};

}  // namespace earshot::client
