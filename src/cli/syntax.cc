#include "cli/syntax.h"

namespace earshot::cli {

std::string usage_of(const CommandSyntax& command) {
  std::string text = command.name;
  for (const auto& option : command.options) {
    if (!option.is_positional && !option.is_required) continue;
    text += " " + option.name;
    if (!option.is_positional && !option.type.empty()) text += " " + option.type;
    if (option.may_repeat) text += "...";
  }
  return text;
}

}  // namespace earshot::cli
