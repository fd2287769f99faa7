#include "http/message.h"

#include "http/parser.h"

namespace earshot::http {

std::string_view RequestHead::find(std::string_view name) const {
  for (const Field& field : fields) {
    if (equals_ignoring_case(field.name, name)) return field.value;
  }
  return {};
}

std::size_t RequestHead::count(std::string_view name) const {
  std::size_t found = 0;
  for (const Field& field : fields) found += equals_ignoring_case(field.name, name);
  return found;
}

}  // namespace earshot::http
