// Bodies of the answers about changes, and the events of a stream of them. Each comes in pieces, so
// that revisions of any size pass through bounded memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "records/writer.h"
#include "store/changes.h"

namespace earshot::api {

// {"requestId":"…","revision":N,"oldest":N,"revisions":[…],"next":"…","atEnd":…}.
class ChangesEncoder {
 public:
  ChangesEncoder(std::string_view request_id, store::ChangesView view,
                 records::KeyHashes key_hashes);

  // Appends what comes next, at least until `out` holds `size` bytes. Returns whether this was the
  // end.
  bool append(std::string& out, std::size_t size);

 private:
  std::string head_;  // until it is written
  const store::ChangesView view_;
  const records::KeyHashes key_hashes_;
  std::size_t revision_ = 0;
  std::size_t change_ = 0;  // the next of the revision
};

// What of a page of changes is sent at once to those who read a stream of them.
struct EventPage {
  std::string text;                  // of events; empty where the page has no revisions
  store::ChangesPosition last;       // behind these events
  bool is_end = false;               // that is the head
  core::Revision head_revision = 0;  // of the snapshot
  // Of the newest revision in the text; absent where there is none.
  std::optional<core::Revision> directory_revision{};
};

// An event for each revision that the page holds, until the text has at least `bytes_max` bytes:
// then it ends, within a revision too. At most one change goes beyond.
EventPage encode_events(const store::ChangesView& view, records::KeyHashes key_hashes,
                        std::size_t bytes_max);

// What a stream begins with: how long to wait before coming again.
inline constexpr std::string_view kFirstEvents = "retry: 1000\n\n";

// Keeps a connection from being taken for dead. A position moves the one from which the reader
// would go on, without an event.
std::string encode_heartbeat(const std::optional<store::ChangesPosition>& position);

// The last event of a stream. It does not move the position.
std::string encode_end(std::string_view reason, std::string_view message,
                       const store::ChangesPosition& after);

}  // namespace earshot::api
