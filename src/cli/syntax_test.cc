// Completion and the manual say what the command line takes: all of it, and nothing else. That the
// scripts work in their shells is tried in test/e2e/suites/shells.py.
#include "cli/syntax.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "cli/completion.h"
#include "cli/manual.h"
#include "cli/options.h"

namespace earshot::cli {
namespace {

const CommandSyntax& find(const std::vector<CommandSyntax>& commands, const std::string& name) {
  const auto found = std::ranges::find(commands, name, &CommandSyntax::name);
  EXPECT_NE(found, commands.end()) << name;
  return *found;
}

const OptionSyntax& find(const CommandSyntax& command, const std::string& name) {
  const auto found = std::ranges::find(command.options, name, &OptionSyntax::name);
  EXPECT_NE(found, command.options.end()) << name;
  return *found;
}

TEST(Syntax, IsThatOfTheOptionsAsTheyAreDeclared) {
  const auto commands = describe_commands();
  std::vector<std::string> names;
  for (const auto& command : commands) names.push_back(command.name);
  EXPECT_EQ(names, (std::vector<std::string>{
                       "serve",       "load",         "dump",       "key create", "key list",
                       "key revoke",  "refusal list", "backup",     "verify",     "migrate",
                       "why",         "check",        "who",        "list",       "give",
                       "remove",      "changes",      "refusals",   "keys list",  "keys create",
                       "keys rotate", "keys revoke",  "completion", "man",        "version",
                       "help"}));
  EXPECT_EQ(find(find(commands, "changes"), "--last").variable, "EARSHOT_LAST") << "not of -n";
  const auto& list = find(commands, "list");
  EXPECT_TRUE(list.asks_server);
  EXPECT_FALSE(find(commands, "serve").asks_server);
  const auto& way = find(list, "--way");
  EXPECT_EQ(way.words,
            (std::vector<std::string>{"individual", "shared", "participant", "profile"}));
  EXPECT_EQ(way.type, "WAY");
  EXPECT_EQ(way.variable, "EARSHOT_WAY");
  EXPECT_TRUE(way.may_repeat);
  const auto& json = find(list, "--json");
  EXPECT_EQ(json.type, "") << "a flag";
  EXPECT_FALSE(json.may_repeat);
  const auto& server = find(list, "--server");
  EXPECT_EQ(server.default_text, "http://127.0.0.1:8080");
  EXPECT_FALSE(server.is_required);
  const auto& user = find(find(commands, "why"), "USER");
  EXPECT_TRUE(user.is_positional && user.is_required && !user.may_repeat);
  EXPECT_EQ(user.variable, "");
  EXPECT_TRUE(find(find(commands, "load"), "FILE").may_repeat);
  EXPECT_EQ(usage_of(find(commands, "key create")), "key create --company ID --scope SCOPE...");
  EXPECT_EQ(usage_of(find(commands, "check")), "check USER CALL...");
}

TEST(Completion, KnowsEveryCommandAndOption) {
  const auto commands = describe_commands();
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    const auto script = make_completion(shell, commands);
    for (const auto& command : commands) {
      EXPECT_NE(script.find(command.name.substr(command.name.find(' ') + 1)), std::string::npos);
      for (const auto& option : command.options) {
        if (option.is_positional) continue;
        const auto word = shell == "fish"
                              ? "__earshot_is " + command.name + "' -l " + option.name.substr(2)
                              : option.name;
        const bool is_there =
            script.find(word) != std::string::npos || (shell == "fish" && !option.words.empty());
        EXPECT_TRUE(is_there) << shell << ": " << command.name << " " << option.name;
      }
    }
  }
}

TEST(Manual, KnowsEveryCommandAndOptionOnce) {
  const auto commands = describe_commands();
  const auto manual = make_manual(commands);
  const auto count = [&](const std::string& text) {
    std::size_t times = 0;
    for (auto at = manual.find(text); at != std::string::npos; at = manual.find(text, at + 1)) {
      ++times;
    }
    return times;
  };
  const auto escaped = [](const std::string& text) {
    std::string result;
    for (const char c : text) result += c == '-' ? std::string("\\-") : std::string(1, c);
    return result;
  };
  std::set<std::string> names;
  for (const auto& command : commands) {
    EXPECT_EQ(count(".SS " + escaped("earshot " + usage_of(command)) + "\n"), 1U) << command.name;
    for (const auto& option : command.options) names.insert(option.name);
  }
  for (const auto& name : names) {
    if (name.starts_with("--")) {
      EXPECT_GE(count(".TP\n\\fB" + escaped(name) + "\\fR"), 1U) << name;
    }
  }
  // What all that ask a server have is said once for them.
  for (const std::string name : {"--server", "--key-file", "--retries"}) {
    EXPECT_EQ(count(".TP\n\\fB" + escaped(name) + "\\fR"), 1U) << name;
  }
}

}  // namespace
}  // namespace earshot::cli
