#include "api/query.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "base/ids.h"
#include "base/text.h"

namespace earshot::api {
namespace {

struct Name {
  Parameter parameter;
  std::string_view text;
};

constexpr std::array<Name, 9> kNames = {{
    {Parameter::limit, "limit"},
    {Parameter::cursor, "cursor"},
    {Parameter::at, "at"},
    {Parameter::revision, "revision"},
    {Parameter::way, "way"},
    {Parameter::after, "after"},
    {Parameter::call_id, "callId"},
    {Parameter::user_id, "userId"},
    {Parameter::wait, "wait"},
}};

struct WayName {
  core::Way way;
  std::string_view text;
};

constexpr std::array<WayName, 4> kWayNames = {{
    {core::Way::individual, "individual"},
    {core::Way::shared, "shared"},
    {core::Way::participant, "participant"},
    {core::Way::profile, "profile"},
}};

// Takes what stands before the separator off the text, and the separator too.
std::string_view take_until(std::string_view& text, char separator) {
  const std::size_t end = std::min(text.find(separator), text.size());
  const std::string_view taken = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return taken;
}

std::optional<std::string> decode_percent(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    const auto byte = parse_hex(text.substr(i + 1, 2));
    if (!byte || byte->size() != 1) return std::nullopt;
    decoded += *byte;
    i += 2;
  }
  return decoded;
}

Error unknown_parameter(Parameters allowed) {
  std::string known;
  for (const Name& name : kNames) {
    if (!has(allowed, name.parameter)) continue;
    if (!known.empty()) known += ", ";
    known += name.text;
  }
  if (known.empty()) return invalid_argument("query: this operation takes no parameters");
  return invalid_argument("query: the parameters are " + known);
}

Status take_ways(std::string_view list, core::Ways& ways) {
  for (bool is_last = false; !is_last;) {
    is_last = list.find(',') == std::string_view::npos;
    const std::string_view text = take_until(list, ',');
    const auto* const found = std::ranges::find(kWayNames, text, &WayName::text);
    if (found == kWayNames.end()) {
      return invalid_argument("way: must be individual, shared, participant or profile");
    }
    ways = static_cast<core::Ways>(ways | static_cast<core::Ways>(found->way));
  }
  return {};
}

template <class IdType>
Status take_id(std::string_view name, std::string_view text, std::optional<IdType>& id) {
  const auto number = parse_id_number(text);
  if (!number) return invalid_argument(std::string(name) + ": " + std::string(kNoId));
  id = IdType{*number};
  return {};
}

Status take_value(Parameter parameter, std::string value, Query& query) {
  switch (parameter) {
    case Parameter::limit: {
      const auto number = parse_id_number(value);
      if (!number || *number > kPageLimitMax) {
        return invalid_argument("limit: must be a number from 1 to " +
                                std::to_string(kPageLimitMax));
      }
      query.limit = static_cast<std::size_t>(*number);
      return {};
    }
    case Parameter::cursor:
      query.cursor = std::move(value);
      return {};
    case Parameter::at:
      query.at = parse_time(value);
      if (!query.at) {
        return invalid_argument("at: must be a time like 2026-03-01T10:00:00Z (RFC 3339)");
      }
      return {};
    case Parameter::revision:
      query.revision = parse_revision(value);
      if (!query.revision) return invalid_argument("revision: " + std::string(kNoRevision));
      return {};
    case Parameter::way:
      return take_ways(value, query.ways);
    case Parameter::after: {
      const auto position = parse_position(value);
      if (!position) return invalid_argument("after: " + std::string(kNoPosition));
      query.after = *position;
      return {};
    }
    case Parameter::call_id:
      return take_id("callId", value, query.call);
    case Parameter::user_id:
      return take_id("userId", value, query.user);
    case Parameter::wait: {
      const auto number = parse_revision(value);
      if (!number || *number > static_cast<std::uint64_t>(kWaitMax.count())) {
        return invalid_argument("wait: must be a number of seconds from 0 to " +
                                std::to_string(kWaitMax.count()));
      }
      query.wait = std::chrono::seconds(*number);
      return {};
    }
  }
  return {};
}

}  // namespace

std::optional<core::Revision> parse_revision(std::string_view text) {
  if (text == "0") return core::Revision{0};
  return parse_id_number(text);
}

std::optional<store::ChangesPosition> parse_position(std::string_view text) {
  const std::size_t dot = text.find('.');
  if (dot == std::string_view::npos) {
    const auto revision = parse_revision(text);
    if (!revision) return std::nullopt;
    return store::ChangesPosition{*revision, std::nullopt};
  }
  const auto revision = parse_id_number(text.substr(0, dot));
  const auto changes = parse_id_number(text.substr(dot + 1));
  if (!revision || !changes || *changes > std::numeric_limits<std::uint32_t>::max()) {
    return std::nullopt;
  }
  return store::ChangesPosition{*revision, static_cast<std::uint32_t>(*changes)};
}

std::string format_position(const store::ChangesPosition& position) {
  std::string text = std::to_string(position.revision);
  if (position.changes) text += "." + std::to_string(*position.changes);
  return text;
}

Result<Query> parse_query(std::string_view text, Parameters allowed) {
  Query query;
  query.ways = 0;
  while (!text.empty()) {
    std::string_view value = take_until(text, '&');
    if (value.empty()) continue;
    const std::string_view raw_name = take_until(value, '=');
    const auto name = decode_percent(raw_name);
    auto decoded = decode_percent(value);
    if (!name || !decoded) {
      return invalid_argument("query: a percent sign needs two hexadecimal digits behind it");
    }
    const auto* const found = std::ranges::find(kNames, *name, &Name::text);
    if (found == kNames.end() || !has(allowed, found->parameter)) return unknown_parameter(allowed);
    if (has(query.given, found->parameter) && found->parameter != Parameter::way) {
      return invalid_argument(std::string(found->text) + ": is given more than once");
    }
    query.given = query.given | static_cast<Parameters>(found->parameter);
    TRY(take_value(found->parameter, std::move(*decoded), query));
  }
  if (query.at && query.revision) {
    return invalid_argument("at, revision: only one of the two may be given");
  }
  if (query.ways == 0) query.ways = core::kAllWays;
  return query;
}

}  // namespace earshot::api
