// The manual page, made from the commands and options as they are declared.
#pragma once

#include <span>
#include <string>

#include "cli/syntax.h"

namespace earshot::cli {

// For man(7).
std::string make_manual(std::span<const CommandSyntax> commands);

}  // namespace earshot::cli
