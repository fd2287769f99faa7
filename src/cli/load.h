// Applies records from an open file to a store, and shows how far it is. Shared by `load` and
// `serve`.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/output.h"
#include "records/reader.h"
#include "store/store.h"

namespace earshot::cli {

struct Loaded {
  store::LoadReport report;
  records::Warnings warnings;
};

// Applies the whole of what the descriptor gives from where it stands, or nothing of it. `name` is
// the file's, for messages. A bar is drawn on `progress` where that is a terminal. Errors:
// invalid_argument for a bad line ("FILE:LINE: reason"), unavailable where it was cancelled, and
// the store's.
Result<Loaded> load_records(store::Store& store, const std::string& name, int fd, Output& progress,
                            const Cancelled& cancelled);

// "fixtures.ndjson: 12 records, 3 changes", and a line for what should not stay as it is.
std::string describe(const std::string& name, const Loaded& loaded);
std::string describe_warnings(const records::Warnings& warnings);  // without end; empty: none

}  // namespace earshot::cli
