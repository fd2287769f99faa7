// Reading the JSON that servers answer with, member by member. Members that nobody asks for are
// passed over.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"

namespace earshot::client::members {

namespace json = boost::json;

// The error of all here: unavailable.
Error not_understood(std::string_view what);

std::optional<json::object> parse_object(std::string_view text);
// The same of an answer's body.
Result<json::object> decode_answer(std::string_view body);

// The member, or null where it is absent or says null.
const json::value* find(const json::object& object, std::string_view name);

// Reading one value: nothing where it is of another kind.
std::optional<std::string> as_text(const json::value& value);
std::optional<bool> as_bool(const json::value& value);
std::optional<std::uint64_t> as_number(const json::value& value);
std::optional<Time> as_time(const json::value& value);
template <class IdType>
std::optional<IdType> as_id(const json::value& value) {
  return value.is_string() ? parse_id<IdType>(value.get_string()) : std::nullopt;
}
// Of the whole that was parsed.
std::optional<const json::object*> as_object(const json::value& value);

template <class Read>
auto optional(const json::object& object, std::string_view name, Read read)
    -> Result<std::optional<typename decltype(read(json::value()))::value_type>> {
  using Value = typename decltype(read(json::value()))::value_type;
  const json::value* value = find(object, name);
  if (value == nullptr) return std::optional<Value>();
  if (auto read_value = read(*value)) return std::optional<Value>(std::move(*read_value));
  return not_understood(name);
}

template <class Read>
auto required(const json::object& object, std::string_view name, Read read)
    -> Result<typename decltype(read(json::value()))::value_type> {
  if (auto value = TRY(optional(object, name, read))) return std::move(*value);
  return not_understood(name);
}

// What is missing is an empty list.
template <class Read>
auto list(const json::object& object, std::string_view name, Read read)
    -> Result<std::vector<typename decltype(read(json::value()))::value_type>> {
  std::vector<typename decltype(read(json::value()))::value_type> items;
  const json::value* value = find(object, name);
  if (value == nullptr) return items;
  if (!value->is_array()) return not_understood(name);
  for (const auto& element : value->get_array()) {
    auto item = read(element);
    if (!item) return not_understood(name);
    items.push_back(std::move(*item));
  }
  return items;
}

template <class Read>
auto required_list(const json::object& object, std::string_view name, Read read)
    -> decltype(list(object, name, read)) {
  if (find(object, name) == nullptr) return not_understood(name);
  return list(object, name, read);
}

}  // namespace earshot::client::members
