// Writes records as text: the one form that `dump` has. What it writes, the reader reads back as
// the same record.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "core/record.h"

namespace earshot::records {

// As records say it: "report-to-them".
std::string_view name_of(core::PermissionLevel level);

enum class KeyHashes : bool { left_out, written };

// Appends the record as a line of compact JSON, with its end. Members at their defaults are left
// out, and companyId where it is the current company: the one of the last company line. Of a key
// the hash is written, unless it is to be left out (a line that cannot be read back then), never a
// secret; of a removal the ids alone. REQUIRES: texts are UTF-8.
void append_record(std::string& out, const core::Record& record,
                   std::optional<CompanyId> current_company = std::nullopt,
                   KeyHashes key_hashes = KeyHashes::written);

}  // namespace earshot::records
