// What may stand on the command line, as values: made from the options as they are declared, for
// completion and the manual.
#pragma once

#include <string>
#include <vector>

namespace earshot::cli {

struct OptionSyntax {
  std::string name;  // "--store"; of a positional argument what stands for it: "FILE"
  std::string type;  // what it takes: "STORE", "FILE"; empty: it is a flag
  std::string help;
  std::string default_text;        // empty: none, or none that can be said
  std::string variable;            // "EARSHOT_STORE"; empty: it is no variable
  std::vector<std::string> words;  // what it takes, or mostly takes; empty: anything
  bool is_positional = false;
  bool is_required = false;
  bool may_repeat = false;
  friend bool operator==(const OptionSyntax&, const OptionSyntax&) = default;
};

struct CommandSyntax {
  std::string name;     // "key create"
  std::string summary;  // one line without a full stop
  std::string description;
  std::vector<OptionSyntax> options;
  bool asks_server = false;  // over HTTP
};

// "key create --company ID --scope SCOPE...": the name, and what must stand behind it.
std::string usage_of(const CommandSyntax& command);

}  // namespace earshot::cli
