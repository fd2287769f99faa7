// `earshot serve`: opens the store, applies what is to be loaded, and serves until it is told to
// end.
#pragma once

#include "cli/options.h"

namespace earshot::cli {

// The exit code: 0 after SIGTERM or SIGINT, 2 where the options cannot be honoured, with one line
// on standard error. REQUIRES: block_signals() was called before any thread was made.
int serve(const ServeOptions& options);

// Signals are waited for, not handled: blocks those that serve() waits for in this thread and all
// that it makes.
void block_signals();

}  // namespace earshot::cli
