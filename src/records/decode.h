// From the members of one line to the record they mean: types, ids, times, limits. Not for users of
// records.
#pragma once

#include <optional>

#include "base/ids.h"
#include "base/result.h"
#include "core/record.h"
#include "records/members.h"

namespace earshot::records {

// The record. A line without companyId means the current company. Errors: invalid_argument, naming
// the member and never its value.
Result<core::Record> decode_record(const Members& members, std::optional<CompanyId> current);

}  // namespace earshot::records
