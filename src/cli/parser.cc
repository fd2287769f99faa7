#include "cli/parser.h"

#include <algorithm>

#include "auth/scopes.h"
#include "records/limits.h"

namespace earshot::cli {
namespace {

constexpr std::string_view kPrecedence =
    "Every option is also a variable (--rate-per-day: EARSHOT_RATE_PER_DAY) and a line of the file "
    "given with --config (rate-per-day=10000). The command line outweighs variables, and these the "
    "file.";

std::string variable_of(std::string_view option) {
  std::string name = "EARSHOT_";
  for (const char c : option.substr(2)) {
    name += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  }
  return name;
}

// A URL in the wrong place is quoted by the parser; what stands before its host is nobody's
// business.
std::string without_credentials(std::string message) {
  for (std::size_t at = message.find("://"); at != std::string::npos;
       at = message.find("://", at + 3)) {
    const std::size_t begin = at + 3;
    const std::size_t end = std::min(message.find_first_of(" '", begin), message.size());
    const std::size_t sign = message.substr(begin, end - begin).rfind('@');
    if (sign != std::string::npos) message.replace(begin, sign, "...");
  }
  return message;
}

}  // namespace

Parser::Parser(const std::string& command, const std::string& description)
    : app_(description, "earshot " + command) {
  app_.set_config("--config", "", "read options from this file")->type_name("FILE");
  app_.footer(std::string(kPrecedence));
  // Lines for other commands: one file may serve them all.
  app_.allow_config_extras(CLI::config_extras_mode::ignore);
}

void Parser::duration(const std::string& name, std::chrono::milliseconds& duration,
                      const std::string& help) {
  value(name, help, "TIME", parse_duration, [&duration](std::chrono::milliseconds parsed) {
    duration = parsed;
  })->default_str(format_duration(duration));
}

CLI::Option* Parser::choice(const std::string& name, std::vector<std::string>& values,
                            std::vector<std::string> words, const std::string& help,
                            const std::string& type) {
  std::string known;
  for (const auto& word : words) known += (known.empty() ? "" : ", ") + word;
  auto* const option = texts(name, values, help + ": " + known, type);
  option->check([words, known](const std::string& word) {
    const bool is_known = std::ranges::find(words, word) != words.end();
    return is_known ? std::string() : "'" + word + "' is none of " + known;
  });
  suggest(name, std::move(words));
  return option;
}

void Parser::scopes(std::vector<std::string>& scopes) {
  // "api:call-user-access:read": words of letters, digits and dashes, with colons between.
  const auto check = [](const std::string& scope) {
    const bool is_scope =
        !scope.empty() && scope.size() <= records::kScopeCharsMax && scope.front() != ':' &&
        scope.back() != ':' && std::ranges::all_of(scope, [](char c) {
          return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == ':';
        });
    return is_scope ? std::string() : "'" + scope + "' is no scope";
  };
  std::string known;
  for (const auto scope : auth::kKnownScopes) known += "\n" + std::string(scope);
  suggest("--scope", {auth::kKnownScopes.begin(), auth::kKnownScopes.end()});
  texts("--scope", scopes, "what the key may do; may come again:" + known, "SCOPE")
      ->required()
      ->check(check);
}

Result<std::optional<Text>> Parser::parse(const Invocation& invocation) {
  if (invocation.syntax != nullptr) {
    describe(*invocation.syntax);
    return std::optional(Text{});
  }
  std::vector<std::string> all = with_environment(invocation);
  std::ranges::reverse(all);  // as CLI11 wants them
  try {
    app_.parse(std::move(all));
  } catch (const CLI::CallForHelp&) {
    return std::optional(Text{app_.help()});
  } catch (const CLI::RequiredError& error) {
    CommandSyntax syntax;
    describe(syntax);
    syntax.name = app_.get_name();
    return invalid_argument(std::string(error.what()) + "; usage: " + usage_of(syntax));
  } catch (const CLI::Error& error) {
    std::string message = error.what();
    if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
      message += "; see " + app_.get_name() + " --help";
    }
    std::ranges::replace(message, '\n', ' ');
    return invalid_argument(without_credentials(std::move(message)));
  }
  return std::optional<Text>();
}

// CLI11 would let the file outweigh variables; so they come in as arguments, where none is given.
std::vector<std::string> Parser::with_environment(const Invocation& invocation) const {
  std::vector<std::string> all;
  for (const CLI::Option* option : app_.get_options()) {
    const std::string name = option->get_name();
    if (!name.starts_with("--") || name == "--help") continue;
    const bool is_given =
        std::ranges::any_of(invocation.arguments, [&](const std::string& argument) {
          return argument == name || argument.starts_with(name + "=") ||
                 std::ranges::any_of(option->get_snames(), [&](const std::string& letter) {
                   return argument.starts_with("-" + letter);
                 });
        });
    if (is_given) continue;
    if (const auto value = invocation.environment(variable_of(name))) {
      all.push_back(name + "=" + *value);
    }
  }
  all.insert(all.end(), invocation.arguments.begin(), invocation.arguments.end());
  return all;
}

void Parser::describe(CommandSyntax& syntax) const {
  syntax.description = app_.get_description();
  for (const CLI::Option* option : app_.get_options()) syntax.options.push_back(describe(*option));
}

OptionSyntax Parser::describe(const CLI::Option& option) const {
  OptionSyntax syntax;
  syntax.name = option.get_name();
  syntax.is_positional = option.get_positional();
  syntax.help = option.get_description();
  syntax.default_text = option.get_default_str();
  syntax.is_required = option.get_required();
  syntax.may_repeat = option.get_items_expected_max() > 1;
  const bool is_flag = option.get_items_expected_max() == 0;
  if (!is_flag) syntax.type = syntax.is_positional ? syntax.name : option.get_type_name();
  if (!syntax.is_positional && syntax.name != "--help") syntax.variable = variable_of(syntax.name);
  if (const auto found = words_.find(syntax.name); found != words_.end()) {
    syntax.words = found->second;
  }
  return syntax;
}

}  // namespace earshot::cli
