// The commands that work on a store, as values: what the command line asks for, and what goes over
// the control socket. Running them is in run_command.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"

namespace earshot::cli {

enum class Verb : std::uint8_t {
  load,
  dump,
  key_create,
  key_list,
  key_revoke,
  refusal_list,
  backup,
  verify
};

struct Command {
  Verb verb = Verb::verify;
  // load, verify --head: the file's, for messages; what is in it comes as a descriptor
  std::string name;
  std::string directory;  // backup: absolute
  // key create; key list, refusal list: only of this one. 0: refusals of none
  std::optional<CompanyId> company;
  std::vector<std::string> scopes;  // key create
  std::optional<Time> expires_at;   // key create
  std::string access_key;           // key revoke
  std::string public_key;           // verify --head: PEM
  bool as_json = false;             // key create, key list, refusal list, verify
  friend bool operator==(const Command&, const Command&) = default;
};

// "key create"
std::string_view name_of(Verb verb);

// The text form: fields that end in NUL each. decode of encode is the identity for texts without
// NUL.
std::string encode_command(const Command& command);
Result<Command> decode_command(std::string_view text);

}  // namespace earshot::cli
