// The options of one command, over CLI11: declared once, for reading them, for help, and for what
// completion and the manual say of them. The only place that knows CLI11.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/options.h"
#include "cli/syntax.h"
#include "cli/values.h"

namespace earshot::cli {

// What a command is asked for: to be read from its arguments, or to say what may stand there.
struct Invocation {
  std::span<const std::string> arguments;  // behind the command's name
  const Environment& environment;
  CommandSyntax* syntax = nullptr;  // where not null: parse() fills it in and reads nothing
};

class Parser {
 public:
  Parser(const std::string& command, const std::string& description);

  // Only options of this command may stand in the file.
  void refuse_unknown_in_file() { app_.allow_config_extras(CLI::config_extras_mode::error); }

  CLI::Option* text(const std::string& name, std::string& value, const std::string& help,
                    const std::string& type) {
    return with_type(app_.add_option(name, value, help), type);
  }

  CLI::Option* texts(const std::string& name, std::vector<std::string>& values,
                     const std::string& help, const std::string& type) {
    auto* option = with_type(app_.add_option(name, values, help), type);
    // Else it takes every word after it, and a stray word is no error.
    return name.starts_with("--") ? option->allow_extra_args(false) : option;
  }

  void flag(const std::string& name, bool& value, const std::string& help) {
    app_.add_flag(name, value, help);
  }

  // An option that `read` makes a value of, and `keep` keeps.
  template <class Read, class Keep>
  CLI::Option* value(const std::string& name, const std::string& help, const std::string& type,
                     Read read, Keep keep) {
    const auto take = [name = long_name(name), read, keep](const std::string& text) {
      auto result = read(text);
      if (!result) throw CLI::ValidationError(name, result.error().message);
      keep(*result);
    };
    return with_type(app_.add_option_function<std::string>(name, take, help), type);
  }

  template <class Number>
  void bytes(const std::string& name, Number& number, const std::string& help) {
    value(name, help, "BYTES", parse_bytes, [&number](std::uint64_t bytes) {
      number = static_cast<Number>(bytes);
    })->default_str(format_bytes(number));
  }

  void duration(const std::string& name, std::chrono::milliseconds& duration,
                const std::string& help);

  // What completion offers for an option that takes other words too.
  void suggest(const std::string& name, std::vector<std::string> words) {
    words_[name] = std::move(words);
  }

  // An option that takes some words only.
  CLI::Option* choice(const std::string& name, std::vector<std::string>& values,
                      std::vector<std::string> words, const std::string& help,
                      const std::string& type);

  template <class Number>
  void count(const std::string& name, Number& number, std::uint64_t min, std::uint64_t max,
             const std::string& help) {
    value(
        name, help, "N",
        [min, max](const std::string& text) { return parse_count(text, min, max); },
        [&number](std::uint64_t parsed) { number = static_cast<Number>(parsed); })
        ->default_str(std::to_string(number));
  }

  // --scope, of a key that is made.
  void scopes(std::vector<std::string>& scopes);

  // Whether it was said by any means. REQUIRES: parse() was called, and the option is declared.
  bool is_given(const std::string& name) const { return app_.get_option(name)->count() > 0; }

  // Nothing where all is well; Text where help was asked for, or what was asked for is done.
  Result<std::optional<Text>> parse(const Invocation& invocation);

 private:
  // "-n,--last" is called --last.
  static std::string long_name(const std::string& name) { return name.substr(name.find(',') + 1); }
  static CLI::Option* with_type(CLI::Option* option, const std::string& type) {
    // The name of a positional argument says it already.
    return option->type_name(option->get_positional() ? "" : type);
  }
  std::vector<std::string> with_environment(const Invocation& invocation) const;
  void describe(CommandSyntax& syntax) const;
  OptionSyntax describe(const CLI::Option& option) const;

  CLI::App app_;
  std::map<std::string, std::vector<std::string>> words_;  // by the option's name
};

}  // namespace earshot::cli
