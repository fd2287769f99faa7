// Records that a company's own key puts: lines, as one unit. Never a company's own record, never
// another company's, and never more than the key may give itself.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "service/asked_load.h"
#include "service/spool.h"
#include "service/waiting_requests.h"
#include "store/store.h"

namespace earshot::service {

// The lines of a request on their way in, kept in a file: what comes slowly must hold nothing of
// the store's. Any thread.
class RecordsUpload {
 public:
  explicit RecordsUpload(WaitingRequests& requests) : requests_(requests) {}

  // Whose lines they are. Until then they hold one of the few places that strangers have, and none
  // of a company's. Once only, before submit().
  void admit(CompanyId company);

  // The first one takes a place among the requests, which is kept until the lines are loaded. Where
  // there is none, or no room for them, what comes is dropped.
  void piece(std::string_view bytes);

  // The lines are complete. `load` is called on the thread of the requests, with the lines' file at
  // its beginning, unless there is an error: unavailable (too many requests wait, or the lines
  // could not be kept). Once only.
  Status submit(std::function<void(SpoolFile lines)> load);

 private:
  // REQUIRE: mutex_ is held.
  void begin();
  void take_place();
  void give_up(Error error);

  WaitingRequests& requests_;
  std::mutex mutex_;  // guards all that follows
  std::optional<CompanyId> company_;
  bool has_begun_ = false;
  std::optional<WaitingRequests::Place> place_;
  std::optional<SpoolFile> lines_;
  Status status_;
};

struct DirectoryReport {
  core::Revision revision = 0;  // that holds the records
  std::uint64_t records = 0;    // those that changed nothing included
  std::uint64_t changes = 0;
  std::vector<std::string> warnings;  // for the client: "line 3: …"
};
using DirectoryOutcome = std::variant<DirectoryReport, ScopeLacking>;

// Applies all lines as one durable unit, or nothing of them. Waits. Errors: invalid_argument
// ("line 12: …", for the client), denied (the key does not let the request in any more), or the
// store's.
Result<DirectoryOutcome> load_directory(store::Store& store, const store::Asker& asker,
                                        SpoolFile lines, const store::Origin& origin);

}  // namespace earshot::service
