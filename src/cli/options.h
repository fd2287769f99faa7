// What the command line, the environment and the configuration file ask for, checked and as values.
// Does nothing of it.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "api/application.h"
#include "auth/rate_limit.h"
#include "base/result.h"
#include "cli/command.h"
#include "cli/syntax.h"
#include "client/command.h"
#include "http/server.h"
#include "store/embedded.h"
#include "store/postgres.h"

namespace earshot::cli {

struct ServeOptions {
  http::ServerOptions server;
  store::EmbeddedOptions store;     // unless
  store::PostgresOptions postgres;  // has a URL
  api::Options api;
  auth::RateLimits rates;
  std::vector<std::string> load;  // files of records, applied in this order before serving
  bool demo = false;
  std::chrono::milliseconds drain_delay{0};     // /readyz says 503, all else is as before
  std::chrono::milliseconds drain_time{30000};  // then: for what was begun
};

// Commands that work on a store, one after the other until one fails.
struct StoreCommands {
  std::string store;  // a directory or a URL
  std::uint64_t load_memory_bytes = store::EmbeddedOptions().load_memory_bytes;
  std::vector<Command> commands;
};

// Bringing the tables of a database to this release's version.
struct Migrate {
  std::string url;
  bool citus = false;
};

// What only has to be printed: help, the version, completion, the manual.
struct Text {
  std::string text;
};

using Task = std::variant<ServeOptions, StoreCommands, Migrate, client::Command, Text>;

// The value of an environment variable.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// Reads the arguments after the program's name. What an option says on the command line outweighs
// its variable (--rate-per-day: EARSHOT_RATE_PER_DAY), which outweighs the file given with
// --config. Errors: invalid_argument with one line that names the option and what is wrong.
Result<Task> parse_command_line(std::span<const std::string> arguments,
                                const Environment& environment);

// What may stand on the command line, made from what parse_command_line() reads it with.
std::vector<CommandSyntax> describe_commands();

}  // namespace earshot::cli
