// Scripts that make shells complete the commands and options of the program.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "cli/syntax.h"

namespace earshot::cli {

// REQUIRES: the shell is bash, zsh or fish.
std::string make_completion(std::string_view shell, std::span<const CommandSyntax> commands);

}  // namespace earshot::cli
