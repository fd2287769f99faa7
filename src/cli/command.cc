#include "cli/command.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace earshot::cli {
namespace {

constexpr std::array<std::pair<Verb, std::string_view>, 8> kVerbs = {{
    {Verb::load, "load"},
    {Verb::dump, "dump"},
    {Verb::key_create, "key create"},
    {Verb::key_list, "key list"},
    {Verb::key_revoke, "key revoke"},
    {Verb::refusal_list, "refusal list"},
    {Verb::backup, "backup"},
    {Verb::verify, "verify"},
}};

Error not_understood() {
  return invalid_argument("the command was not understood; the server may be of another version");
}

Result<std::string_view> take_field(std::string_view& text) {
  const auto end = text.find('\0');
  if (end == std::string_view::npos) return not_understood();
  const auto field = text.substr(0, end);
  text.remove_prefix(end + 1);
  return field;
}

Status set_field(Command& command, std::string_view name, std::string_view value) {
  if (name == "name") {
    command.name = value;
  } else if (name == "directory") {
    command.directory = value;
  } else if (name == "company") {
    const bool is_of_none = value == "0" && command.verb == Verb::refusal_list;
    command.company = is_of_none ? CompanyId{} : parse_id<CompanyId>(value);
    if (!command.company) return not_understood();
  } else if (name == "scope") {
    command.scopes.emplace_back(value);
  } else if (name == "expires") {
    Time time;
    const auto end = value.data() + value.size();
    const auto parsed = std::from_chars(value.data(), end, time.micros);
    if (parsed.ec != std::errc{} || parsed.ptr != end) return not_understood();
    command.expires_at = time;
  } else if (name == "access-key") {
    command.access_key = value;
  } else if (name == "public-key") {
    command.public_key = value;
  } else if (name == "json") {
    command.as_json = true;
  } else {
    return not_understood();
  }
  return {};
}

}  // namespace

std::string_view name_of(Verb verb) {
  return std::ranges::find(kVerbs, verb, &std::pair<Verb, std::string_view>::first)->second;
}

std::string encode_command(const Command& command) {
  std::string text(name_of(command.verb));
  text += '\0';
  const auto add = [&](std::string_view name, std::string_view value) {
    text.append(name).append("=").append(value) += '\0';
  };
  if (!command.name.empty()) add("name", command.name);
  if (!command.directory.empty()) add("directory", command.directory);
  if (command.company) add("company", to_string(*command.company));
  for (const auto& scope : command.scopes) add("scope", scope);
  if (command.expires_at) add("expires", std::to_string(command.expires_at->micros));
  if (!command.access_key.empty()) add("access-key", command.access_key);
  if (!command.public_key.empty()) add("public-key", command.public_key);
  if (command.as_json) add("json", "");
  return text;
}

Result<Command> decode_command(std::string_view text) {
  Command command;
  const auto verb = TRY(take_field(text));
  const auto known = std::ranges::find(kVerbs, verb, &std::pair<Verb, std::string_view>::second);
  if (known == kVerbs.end()) return not_understood();
  command.verb = known->first;
  while (!text.empty()) {
    const auto field = TRY(take_field(text));
    const auto equals = field.find('=');
    if (equals == std::string_view::npos) return not_understood();
    TRY(set_field(command, field.substr(0, equals), field.substr(equals + 1)));
  }
  return command;
}

}  // namespace earshot::cli
