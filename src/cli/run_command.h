// Runs a command on an open store: the one implementation of each, whether this process opened the
// store for it or is the server that has it open.
#pragma once

#include "cli/command.h"
#include "cli/control.h"
#include "store/store.h"

namespace earshot::cli {

// Of verify --head: a head stands where retention has cut the record off, so nobody can tell.
inline constexpr int kHeadCutOff = 3;

// The exit code: 0 done, 1 not done or, of verify, not sound, kHeadCutOff. What went wrong is on
// io.err. Any thread.
int run_command(store::Store& store, const Command& command, CommandIo& io);

}  // namespace earshot::cli
