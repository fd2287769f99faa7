#include "client/members.h"

namespace earshot::client::members {

Error not_understood(std::string_view what) {
  return unavailable("the answer was not understood (" + std::string(what) +
                     "): is this address that of an Earshot server, and is it of this release?");
}

std::optional<json::object> parse_object(std::string_view text) {
  json::error_code error;
  json::value value = json::parse(text, error);
  if (error || !value.is_object()) return std::nullopt;
  return std::move(value.get_object());
}

Result<json::object> decode_answer(std::string_view body) {
  if (auto object = parse_object(body)) return std::move(*object);
  return not_understood("it is no JSON object");
}

const json::value* find(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::optional<std::string> as_text(const json::value& value) {
  if (!value.is_string()) return std::nullopt;
  return std::string(value.get_string());
}

std::optional<bool> as_bool(const json::value& value) {
  if (!value.is_bool()) return std::nullopt;
  return value.get_bool();
}

std::optional<std::uint64_t> as_number(const json::value& value) {
  json::error_code error;
  const auto number = value.to_number<std::uint64_t>(error);
  if (error) return std::nullopt;
  return number;
}

std::optional<Time> as_time(const json::value& value) {
  return value.is_string() ? parse_time(value.get_string()) : std::nullopt;
}

std::optional<const json::object*> as_object(const json::value& value) {
  if (!value.is_object()) return std::nullopt;
  return &value.get_object();
}

}  // namespace earshot::client::members
