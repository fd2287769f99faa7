#include "api/media_type.h"

#include <algorithm>
#include <cstddef>
#include <string>

#include "base/text.h"

namespace earshot::api {
namespace {

bool is_token_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

// Walks over what is left of a field's value.
class ParameterReader {
 public:
  explicit ParameterReader(std::string_view rest) : rest_(rest) {}

  bool done() const { return rest_.empty(); }

  void skip_space() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\t')) rest_.remove_prefix(1);
  }

  bool take(char c) {
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  bool at(char c) const { return !rest_.empty() && rest_[0] == c; }

  // Empty where there is none.
  std::string_view take_token() {
    std::size_t size = 0;
    while (size < rest_.size() && is_token_char(rest_[size])) ++size;
    const std::string_view token = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return token;
  }

  // What stands between the quotes, without the backslashes that quote single characters.
  bool take_quoted(std::string& text) {
    if (!take('"')) return false;
    while (!rest_.empty()) {
      const char c = rest_[0];
      rest_.remove_prefix(1);
      if (c == '"') return true;
      if (c != '\\') {
        text.push_back(c);
        continue;
      }
      if (rest_.empty()) return false;
      text.push_back(rest_[0]);
      rest_.remove_prefix(1);
    }
    return false;
  }

 private:
  std::string_view rest_;
};

std::string_view trim(std::string_view text) {
  const std::size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

bool take_parameter(ParameterReader& reader) {
  const std::string_view name = reader.take_token();
  if (name.empty() || !reader.take('=')) return false;
  std::string quoted;
  std::string_view value;
  if (reader.at('"')) {
    if (!reader.take_quoted(quoted)) return false;
    value = quoted;
  } else {
    value = reader.take_token();
    if (value.empty()) return false;
  }
  return !equals_ignoring_case(name, "charset") || equals_ignoring_case(value, "utf-8");
}

bool is_media_type(std::string_view content_type, std::string_view wanted) {
  if (content_type == wanted) return true;
  if (content_type.size() < wanted.size() ||
      !equals_ignoring_case(content_type.substr(0, wanted.size()), wanted)) {
    return false;
  }
  ParameterReader reader(content_type.substr(wanted.size()));
  for (;;) {
    reader.skip_space();
    if (reader.done()) return true;
    if (!reader.take(';')) return false;
    reader.skip_space();
    if (reader.done() || reader.at(';')) continue;  // an empty parameter is allowed
    if (!take_parameter(reader)) return false;
  }
}

// In thousandths, of the parameters of a range, each with its semicolon in front. RFC 9110, 12.4.2;
// what is no weight by it weighs as if it were not there.
int weight_of(std::string_view parameters) {
  constexpr int kHighest = 1000;
  while (!parameters.empty()) {
    parameters.remove_prefix(1);
    const std::size_t next = std::min(parameters.find(';'), parameters.size());
    std::string_view value = trim(parameters.substr(0, next));
    parameters.remove_prefix(next);
    if (!value.starts_with("q=") && !value.starts_with("Q=")) continue;
    value.remove_prefix(2);
    if (value.size() > 1 && value[1] != '.') return kHighest;
    if (value.empty() || value[0] != '0') return kHighest;
    int weight = 0;
    int worth = kHighest / 10;
    for (const char digit : value.substr(std::min<std::size_t>(2, value.size()))) {
      if (digit < '0' || digit > '9' || worth == 0) return kHighest;
      weight += (digit - '0') * worth;
      worth /= 10;
    }
    return weight;
  }
  return kHighest;
}

}  // namespace

bool is_json_media_type(std::string_view content_type) {
  return is_media_type(content_type, "application/json");
}

bool is_ndjson_media_type(std::string_view content_type) {
  return is_media_type(content_type, "application/x-ndjson");
}

void AcceptedTypes::add(std::string_view accept) {
  while (!accept.empty()) {
    const std::size_t end = std::min(accept.find(','), accept.size());
    const std::string_view range = accept.substr(0, end);
    accept.remove_prefix(std::min(end + 1, accept.size()));
    const std::size_t semicolon = std::min(range.find(';'), range.size());
    const std::string_view type = trim(range.substr(0, semicolon));
    if (equals_ignoring_case(type, "application/json")) {
      json = std::max(json, weight_of(range.substr(semicolon)));
    } else if (equals_ignoring_case(type, "text/event-stream")) {
      events = std::max(events, weight_of(range.substr(semicolon)));
    }
  }
}

}  // namespace earshot::api
