// Loading and dumping records: from files and pipes into a store, and back. What records mean is
// core's, how they are written is records'.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "records/reader.h"
#include "store/store.h"

namespace earshot::service {

// Told before the first record and every so often: how many records were applied, and how much of
// the input was read, from 0 to 1; 0 where nobody knows how much there is. At the end it is 1. Its
// error ends the load, and nothing stays applied; after the last record it is too late for that.
using LoadProgress = std::function<Status(std::uint64_t records, double part)>;

struct LoadOptions {
  LoadProgress progress;
};

struct LoadResult {
  store::LoadReport report;
  records::Warnings warnings;
};

// Applies everything that can be read from the descriptor, as one durable unit, in bounded memory.
// Another thread reads and decodes ahead of the store. Other writes wait meanwhile, so that where
// there may be any, input that comes slowly is to be spooled before. `name` is for positions; the
// descriptor stays the caller's. Errors: invalid_argument "NAME:LINE: reason", or the store's; then
// nothing was applied.
Result<LoadResult> load_records(store::Store& store, int fd, const std::string& name,
                                const LoadOptions& options, const store::Origin& origin);

// Keeps all that can be read from the descriptor in a file without a name in the directory (empty:
// $TMPDIR or /tmp), and gives a descriptor of that, at its beginning, which is the caller's.
Result<int> spool(int fd, const std::string& name, const std::string& directory = "");

// The same for a file. Errors also: not_found.
Result<LoadResult> load_file(store::Store& store, const std::string& path,
                             const LoadOptions& options, const store::Origin& origin);

// Writes every record, sorted, as lines. `write` gets pieces of many lines; its error ends the
// dump.
Status dump_records(store::Store& store, const std::function<Status(std::string_view)>& write);

// The same to a descriptor, which stays the caller's.
Status dump_to_fd(store::Store& store, int fd);

}  // namespace earshot::service
