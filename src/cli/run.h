// The program: from its arguments to its exit code.
#pragma once

namespace earshot::cli {

// Exit codes: 0 done; 1 the command was not done; 2 it could not be honoured as given, with one
// line on standard error; of commands that ask a server those of client/run.h. REQUIRES: called
// once, before any thread is made.
int run(int argc, const char* const* argv);

}  // namespace earshot::cli
