#include "cli/run.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <thread>
#include <utility>

#include "cli/control.h"
#include "cli/options.h"
#include "cli/run_command.h"
#include "cli/serve.h"
#include "client/run.h"
#include "service/records.h"
#include "store/embedded.h"
#include "store/postgres.h"

namespace earshot::cli {
namespace {

int refuse(const Error& error) {
  std::fprintf(stderr, "earshot: %s\n", error.message.c_str());
  return 2;
}

std::optional<std::string> read_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return value;
}

class Input {
 public:
  explicit Input(int fd) : fd_(fd) {}
  Input(Input&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Input(const Input&) = delete;
  ~Input() {
    if (fd_ >= 0) close(fd_);
  }
  Input& operator=(Input&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

Error cannot(const std::string& what) {
  return invalid_argument("cannot " + what + ": " + std::strerror(errno));
}

Result<Input> open_input(const Command& command) {
  const bool has_input = !command.name.empty();
  const bool is_standard_input = has_input && command.name == "-";
  const std::string path = has_input ? command.name : "/dev/null";
  Input input(is_standard_input ? dup(STDIN_FILENO) : open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (input.get() < 0) return cannot("open " + path);
  struct stat info {};
  if (fstat(input.get(), &info) != 0) return cannot("open " + path);
  if (S_ISDIR(info.st_mode)) return invalid_argument(path + " is a directory");
  return input;
}

// What a server may read: it shall wait for a disk, not for whoever writes to a pipe.
Result<Input> input_for_server(const Command& command, Input input) {
  struct stat info {};
  if (fstat(input.get(), &info) != 0) return cannot("read " + command.name);
  if (command.name.empty() || S_ISREG(info.st_mode)) return input;
  return Input(TRY(service::spool(input.get(), command.name)));
}

// Opens the store for commands, or has the server that has it open run them.
class CommandRunner {
 public:
  CommandRunner(std::string directory, std::uint64_t load_memory_bytes)
      : directory_(std::move(directory)), load_memory_bytes_(load_memory_bytes) {}

  Result<int> run(const Command& command) {
    Input input = TRY(open_input(command));
    // A server that is starting has the lock before it takes commands, one that ends after it does.
    constexpr int kTries = 20;
    constexpr std::chrono::milliseconds kPause{100};
    for (int tries = 1; !store_; ++tries) {
      auto opened = open_store(command);
      if (opened) {
        store_ = std::move(*opened);
        break;
      }
      if (opened.error().code != Code::conflict) return opened.error();
      input = TRY(input_for_server(command, std::move(input)));
      const auto code =
          TRY(run_in_server(directory_, command, input.get(), STDOUT_FILENO, STDERR_FILENO));
      if (code) return *code;
      if (tries == kTries) return opened.error();
      std::this_thread::sleep_for(kPause);
    }
    Output out(STDOUT_FILENO), err(STDERR_FILENO);
    CommandIo io{input.get(), &out, &err, [] { return false; }};
    return run_command(*store_, command, io);
  }

 private:
  Result<std::unique_ptr<store::Store>> open_store(const Command& command) {
    store::EmbeddedOptions options;
    options.directory = directory_;
    options.create_if_missing = command.verb == Verb::load;
    options.load_memory_bytes = load_memory_bytes_;
    return store::open_embedded(std::move(options));
  }

  const std::string directory_;
  const std::uint64_t load_memory_bytes_;
  std::unique_ptr<store::Store> store_;
};

// A database is open to all at once: nobody else has to carry commands out.
Result<int> run_on_database(store::Store& store, const Command& command) {
  Input input = TRY(open_input(command));
  Output out(STDOUT_FILENO), err(STDERR_FILENO);
  CommandIo io{input.get(), &out, &err, [] { return false; }};
  return run_command(store, command, io);
}

int run_database_commands(const StoreCommands& task) {
  store::PostgresOptions options;
  options.url = task.store;
  options.connections = options.write_connections = 1;
  const auto store = store::open_postgres(std::move(options));
  if (!store) return refuse(store.error());
  for (const auto& command : task.commands) {
    const auto code = run_on_database(**store, command);
    if (!code) return refuse(code.error());
    if (*code != 0) return *code;
  }
  return 0;
}

int run_migrate(const Migrate& task) {
  const auto report = store::migrate_postgres(task.url, task.citus);
  if (!report) return refuse(report.error());
  const std::string distributed = report->is_distributed ? ", distributed by company" : "";
  if (report->from == report->to) {
    std::printf("the tables are of version %d already%s\n", report->to, distributed.c_str());
  } else {
    std::printf("the tables were of version %d and are of version %d now%s\n", report->from,
                report->to, distributed.c_str());
  }
  return std::fflush(stdout) == 0 ? 0 : 1;
}

int run_store_commands(const StoreCommands& task) {
  std::signal(SIGPIPE, SIG_IGN);  // an output that has gone is an error of the command
  if (store::is_postgres_url(task.store)) return run_database_commands(task);
  CommandRunner runner(task.store, task.load_memory_bytes);
  for (const auto& command : task.commands) {
    const auto code = runner.run(command);
    if (!code) return refuse(code.error());
    if (*code != 0) return *code;
  }
  return 0;
}

int run_client(const client::Command& command) {
  std::signal(SIGPIPE, SIG_IGN);  // an output or a connection that has gone is an error
  Output out(STDOUT_FILENO), err(STDERR_FILENO);
  try {
    return client::run(command, out, err, [](auto time) { std::this_thread::sleep_for(time); });
  } catch (const std::exception& error) {
    // Not 1, which says that there is no access.
    std::fprintf(stderr, "earshot: internal error: %s\n", error.what());
    return client::kBroken;
  }
}

// Connections are descriptors, and so are the files that a large load waits in; the usual soft
// limit is 1024.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int run_task(const Task& task) {
  raise_descriptor_limit();
  if (const auto* text = std::get_if<Text>(&task)) {
    std::fputs(text->text.c_str(), stdout);
    return std::fflush(stdout) == 0 ? 0 : 1;
  }
  if (const auto* commands = std::get_if<StoreCommands>(&task))
    return run_store_commands(*commands);
  if (const auto* migrate = std::get_if<Migrate>(&task)) return run_migrate(*migrate);
  if (const auto* command = std::get_if<client::Command>(&task)) return run_client(*command);
  block_signals();
  return serve(std::get<ServeOptions>(task));
}

}  // namespace

int run(int argc, const char* const* argv) {
  try {
    const std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
    const auto task = parse_command_line(arguments, read_environment);
    return task ? run_task(*task) : refuse(task.error());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "earshot: internal error: %s\n", error.what());
    return 1;
  }
}

}  // namespace earshot::cli
