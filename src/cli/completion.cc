#include "cli/completion.h"

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "base/assert.h"

namespace earshot::cli {
namespace {

bool takes_file(const OptionSyntax& option) {
  constexpr std::array<std::string_view, 4> kTypes = {"FILE", "DIR", "PEM", "STORE"};
  return std::ranges::find(kTypes, option.type) != kTypes.end();
}

std::string joined(const std::vector<std::string>& items, std::string_view between) {
  std::string text;
  for (const auto& item : items) text += (text.empty() ? "" : std::string(between)) + item;
  return text;
}

std::string replaced(std::string_view text, char what, std::string_view with) {
  std::string result;
  for (const char c : text) {
    if (c == what) {
      result += with;
    } else {
      result += c;
    }
  }
  return result;
}

// In single quotes, for bash and zsh.
std::string shell_quoted(std::string_view text) {
  return "'" + replaced(text, '\'', "'\\''") + "'";
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// The first words of commands, each with the second words that may follow it.
std::map<std::string, std::vector<std::string>> words_of(std::span<const CommandSyntax> commands) {
  std::map<std::string, std::vector<std::string>> words;
  for (const auto& command : commands) {
    const auto space = command.name.find(' ');
    auto& second = words[command.name.substr(0, space)];
    if (space != std::string::npos) second.push_back(command.name.substr(space + 1));
  }
  return words;
}

std::string first_words(std::span<const CommandSyntax> commands) {
  std::vector<std::string> words;
  for (const auto& [word, second] : words_of(commands)) words.push_back(word);
  return joined(words, " ");
}

constexpr std::string_view kBashHead =
    R"(# Completion of earshot in bash: source <(earshot completion bash)
_earshot() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
  local command=${COMP_WORDS[1]} options= words= files=
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W "@COMMANDS@" -- "$current")
    return
  fi
)";

constexpr std::string_view kBashTail =
    R"(  if [[ $current == -* && -z $files$words || $current == --* ]]; then
    words=$options
    files=
  fi
  if [[ -n $files ]]; then
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  elif [[ -n $words ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  fi
}
complete -F _earshot earshot
)";

// What follows an option, or stands where no option does.
std::string bash_values(const OptionSyntax& option) {
  if (!option.words.empty()) return "words=\"" + joined(option.words, " ") + "\"";
  return takes_file(option) ? "files=yes" : "words=";
}

std::string bash_command(const CommandSyntax& command) {
  std::vector<std::string> names;
  std::map<std::string, std::vector<std::string>> options_of;  // by what follows them
  std::string positional = ":";
  for (const auto& option : command.options) {
    if (option.is_positional) {
      positional = bash_values(option);
      continue;
    }
    names.push_back(option.name);
    if (!option.type.empty()) options_of[bash_values(option)].push_back(option.name);
  }
  std::string text = "    \"" + command.name + "\")\n";
  text += "      options=\"" + joined(names, " ") + "\"\n      case $previous in\n";
  for (const auto& [values, options] : options_of) {
    text += "        " + joined(options, " | ") + ") " + values + "; options= ;;\n";
  }
  return text + "        *) " + positional + " ;;\n      esac\n      ;;\n";
}

std::string make_bash(std::span<const CommandSyntax> commands) {
  std::string text(kBashHead);
  text.replace(text.find("@COMMANDS@"), 10, first_words(commands));
  for (const auto& [word, second] : words_of(commands)) {
    if (second.empty()) continue;
    text += "  if [[ $command == " + word + " ]]; then\n";
    text += "    if ((COMP_CWORD == 2)); then\n";
    text += "      mapfile -t COMPREPLY < <(compgen -W \"" + joined(second, " ") +
            "\" -- \"$current\")\n      return\n    fi\n";
    text += "    command=\"$command ${COMP_WORDS[2]}\"\n  fi\n";
  }
  text += "  case $command in\n";
  for (const auto& command : commands) text += bash_command(command);
  return text + "  esac\n" + std::string(kBashTail);
}

// What _arguments wants of an option: '*--load=[apply the records of this file]:FILE:_files'.
std::string zsh_option(const OptionSyntax& option) {
  const auto escaped = [](std::string_view text) {
    return replaced(replaced(replaced(text, '[', "("), ']', ")"), ':', "\\:");
  };
  std::string action;
  if (!option.words.empty()) {
    action = "(" + replaced(joined(option.words, " "), ':', "\\:") + ")";
  } else if (takes_file(option)) {
    action = "_files";
  }
  if (option.is_positional) {
    return (option.may_repeat ? "*:" : ":") + escaped(option.name) + ":" + action;
  }
  std::string spec = option.may_repeat ? "*" : "";
  spec +=
      option.name + (option.type.empty() ? "" : "=") + "[" + escaped(first_line(option.help)) + "]";
  if (!option.type.empty()) spec += ":" + escaped(option.type) + ":" + action;
  return spec;
}

std::string zsh_arguments(const CommandSyntax& command, const std::string& indent) {
  std::string text = "_arguments";
  for (const auto& option : command.options) {
    text += " \\\n" + indent + "  " + shell_quoted(zsh_option(option));
  }
  return text;
}

std::string make_zsh(std::span<const CommandSyntax> commands) {
  std::string text =
      "#compdef earshot\n"
      "# Completion of earshot in zsh: source <(earshot completion zsh), or a file _earshot in "
      "$fpath\n"
      "_earshot() {\n"
      "  local -a commands\n"
      "  local command=$words[2]\n"
      "  if ((CURRENT == 2)); then\n"
      "    commands=(\n";
  for (const auto& [word, second] : words_of(commands)) {
    const std::string summary =
        second.empty() ? std::ranges::find(commands, word, &CommandSyntax::name)->summary
                       : joined(second, ", ");
    std::string described = word;
    text += "      " + shell_quoted(described.append(":").append(summary)) + "\n";
  }
  text += "    )\n    _describe command commands\n    return\n  fi\n";
  for (const auto& [word, second] : words_of(commands)) {
    if (second.empty()) continue;
    text += "  if [[ $command == " + word + " ]]; then\n    if ((CURRENT == 3)); then\n";
    text += "      commands=(" + joined(second, " ") + ")\n";
    text += "      _describe command commands\n      return\n    fi\n";
    text += "    command=\"$command $words[3]\"\n    shift words\n    ((CURRENT--))\n  fi\n";
  }
  text += "  shift words\n  ((CURRENT--))\n  case $command in\n";
  for (const auto& command : commands) {
    if (command.options.empty()) continue;
    text += "    " + shell_quoted(command.name) + ")\n      " + zsh_arguments(command, "      ") +
            "\n      ;;\n";
  }
  return text +
         "  esac\n}\n"
         "if [[ $funcstack[1] == _earshot ]]; then\n  _earshot \"$@\"\nelse\n"
         "  compdef _earshot earshot\nfi\n";
}

std::string make_fish(std::span<const CommandSyntax> commands) {
  const auto quoted_for_fish = [](std::string_view text) {
    return "'" + replaced(replaced(text, '\\', "\\\\"), '\'', "\\'") + "'";
  };
  std::string text =
      "# Completion of earshot in fish: earshot completion fish | source\n"
      "function __earshot_is --description 'whether these are the words so far, and what follows "
      "is its own'\n"
      "    set -l words (commandline -opc)\n"
      "    set -l size (math (count $argv) + 1)\n"
      "    test (count $words) -ge $size; and test \"$words[2..$size]\" = \"$argv\"\n"
      "end\n"
      "function __earshot_begins --description 'whether these are all the words so far'\n"
      "    set -l words (commandline -opc)\n"
      "    test \"$words[2..]\" = \"$argv\"\n"
      "end\n"
      "complete -c earshot -f\n";
  const auto offer = [&](const std::string& behind, const std::string& word,
                         const std::string& summary) {
    text += "complete -c earshot -n '__earshot_begins" + behind + "' -a " + word + " -d " +
            quoted_for_fish(summary) + "\n";
  };
  for (const auto& [word, second] : words_of(commands)) {
    if (!second.empty()) offer("", word, joined(second, ", "));
  }
  for (const auto& command : commands) {
    const auto space = command.name.find(' ');
    if (space == std::string::npos) {
      offer("", command.name, command.summary);
    } else {
      offer(" " + command.name.substr(0, space), command.name.substr(space + 1), command.summary);
    }
  }
  for (const auto& command : commands) {
    for (const auto& option : command.options) {
      std::string line = "complete -c earshot -n '__earshot_is " + command.name + "'";
      if (!option.words.empty()) line += " -a " + quoted_for_fish(joined(option.words, " "));
      if (option.is_positional) {
        if (takes_file(option)) line += " -F";
        if (!takes_file(option) && option.words.empty()) continue;
      } else {
        line += " -l " + option.name.substr(2) + " -d " + quoted_for_fish(first_line(option.help));
        if (!option.type.empty()) line += takes_file(option) ? " -r -F" : " -x";
      }
      text += line + "\n";
    }
  }
  return text;
}

}  // namespace

std::string make_completion(std::string_view shell, std::span<const CommandSyntax> commands) {
  if (shell == "bash") return make_bash(commands);
  if (shell == "zsh") return make_zsh(commands);
  ASSERT(shell == "fish");
  return make_fish(commands);
}

}  // namespace earshot::cli
