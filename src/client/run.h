// Carries out the commands that ask a server.
#pragma once

#include "base/output.h"
#include "client/command.h"
#include "client/remote.h"

namespace earshot::client {

// What a command came to, as scripts see it. In docs/cli.md.
enum ExitCode : int {
  kYes = 0,       // done; of check and why: there is access
  kNo = 1,        // of check and why: there is none; of give and remove: an id is unknown
  kMisused = 2,   // the command line, the key or a file cannot be used; nothing was asked
  kRefused = 3,   // the server refused the request
  kNoAnswer = 4,  // the server cannot be reached, is too busy or failed, or is no Earshot
  kBroken = 5,    // the output cannot be written, or the program is at fault
};

// Asks, prints the answer on `out` as it comes, and says on `err` what went wrong. REQUIRES:
// SIGPIPE is ignored.
ExitCode run(const Command& command, Output& out, Output& err, const Pause& pause);

}  // namespace earshot::client
