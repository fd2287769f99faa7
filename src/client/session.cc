#include "client/session.h"

namespace earshot::client {

Error not_of_this_release() {
  return unavailable(
      "the answer is not about what was asked: is this address that of an Earshot server, and is "
      "it of this release?");
}

Status Session::print(std::string_view text) {
  if (const auto written = out.write(text); !written) return internal(written.error().message);
  return {};
}

Status Session::print(Table& table) {
  if (const auto written = table.print(); !written) return internal(written.error().message);
  return {};
}

Status Session::say(const std::string& text) {
  if (!err.write("earshot: " + clean(text) + "\n") || !err.flush()) {
    return internal("cannot write on standard error");
  }
  return {};
}

}  // namespace earshot::client
