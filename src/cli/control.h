// The control socket of a store's directory: a command whose --store a server has open is carried
// out by that server. A client sends one command and its open descriptors; the answer is the exit
// code.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/output.h"
#include "base/result.h"
#include "cli/command.h"

namespace earshot::cli {

// What a command reads and writes. `in` is a file from its beginning.
struct CommandIo {
  int in = -1;
  Output* out = nullptr;
  Output* err = nullptr;
  Cancelled cancelled;
};

inline constexpr std::size_t kControlCommandsMax = 4;  // at once; more are told to come back

class ControlServer {
 public:
  // Runs a command to its end and returns its exit code. Several threads at once.
  using Run = std::function<int(const Command&, CommandIo&)>;

  // Listens on control.sock in the directory, for this user and root alone. What stands there is
  // taken away first. REQUIRES: the caller holds the lock of the directory.
  static Result<std::unique_ptr<ControlServer>> open(const std::string& directory, Run run);
  virtual ~ControlServer() = default;  // stops and waits for every command

  // Takes no more commands and cancels those that run. Whether all have ended within `grace`.
  virtual bool stop(std::chrono::milliseconds grace) = 0;
};

// Has the server of the directory run the command with these descriptors; its exit code, or nothing
// where no server listens. When this process ends, the command is cancelled. `in` must be a regular
// file or /dev/null: the server would wait for anything else.
Result<std::optional<int>> run_in_server(const std::string& directory, const Command& command,
                                         int in, int out, int err);

}  // namespace earshot::cli
