#include "http/message.h"

#include "base/text.h"
#include "http/parser.h"

namespace earshot::http {

void FieldLines::add(std::string_view name, std::string_view value) {
  constexpr std::size_t kUsualBytes = 128;
  if (text_.empty()) text_.reserve(kUsualBytes);
  const std::size_t begin = text_.size();
  text_ += name;
  text_ += ": ";
  text_ += value;
  for (std::size_t at = begin; (at = find_control(text_, at)) < text_.size();) text_[at] = ' ';
  text_ += "\r\n";
}

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
