// The options of the commands that ask a server, from texts to client/command.h.
#pragma once

#include "base/result.h"
#include "cli/options.h"
#include "cli/parser.h"

namespace earshot::cli {

// Errors of all: invalid_argument with one line that names the option and what is wrong, and shows
// no secret.
Result<Task> parse_give(const Invocation& invocation);
Result<Task> parse_remove(const Invocation& invocation);
Result<Task> parse_list(const Invocation& invocation);
Result<Task> parse_check(const Invocation& invocation);
Result<Task> parse_who(const Invocation& invocation);
Result<Task> parse_why(const Invocation& invocation);
Result<Task> parse_changes(const Invocation& invocation);
Result<Task> parse_refusals(const Invocation& invocation);
Result<Task> parse_keys_list(const Invocation& invocation);
Result<Task> parse_keys_create(const Invocation& invocation);
Result<Task> parse_keys_rotate(const Invocation& invocation);
Result<Task> parse_keys_revoke(const Invocation& invocation);

}  // namespace earshot::cli
