// Loads records for a person: shows how far it is, and says what came of it. Shared by `load` and
// `serve`; the loading itself is in service/records.
#pragma once

#include <string>

#include "base/output.h"
#include "base/result.h"
#include "service/records.h"

namespace earshot::cli {

// Applies the whole of what the descriptor gives, or nothing of it. `name` is the file's, for
// messages. A bar is drawn on `progress` where that is a terminal. Errors: those of
// service::load_records, and unavailable where it was cancelled.
Result<service::LoadResult> load_with_progress(store::Store& store, const std::string& name, int fd,
                                               Output& progress, const Cancelled& cancelled);

// "fixtures.ndjson: 12 records, 3 changes"
std::string describe(const std::string& name, const service::LoadResult& loaded);

// What was taken but should not stay as it is; empty where there is nothing.
std::string describe_warnings(const records::Warnings& warnings);

}  // namespace earshot::cli
