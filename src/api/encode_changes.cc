#include "api/encode_changes.h"

#include <utility>

#include "api/query.h"
#include "base/assert.h"
#include "base/ids.h"
#include "base/random.h"
#include "base/text.h"
#include "base/time.h"

namespace earshot::api {
namespace {

std::string_view text_of(store::Operation operation) {
  switch (operation) {
    case store::Operation::give:
      return "give";
    case store::Operation::remove:
      return "remove";
    case store::Operation::records:
      return "records";
    case store::Operation::sweep:
      return "sweep";
  }
  ASSERT(false);
}

// Up to the array of changes.
void append_head(std::string& out, const store::RecordedRevision& revision) {
  out += "{\"revision\":";
  append_number(out, revision.revision);
  out.append(",\"time\":\"").append(format_time(revision.time));
  out.append("\",\"operation\":\"").append(text_of(revision.operation));
  out.append("\",\"requestId\":\"").append(format_request_id(revision.origin.request_id).view());
  out += "\",\"accessKey\":";
  if (revision.origin.access_key.empty()) {
    out += "null";
  } else {
    append_json_string(out, revision.origin.access_key);
  }
  out += ",\"directoryRevision\":";
  append_number(out, revision.directory_revision);
  out += ",\"changes\":[";
}

void append_record(std::string& out, const core::Record& record, records::KeyHashes key_hashes) {
  records::append_record(out, record, record.company, key_hashes);
  out.pop_back();  // the end of the line
}

void append_change(std::string& out, const store::RecordedChange& change,
                   records::KeyHashes key_hashes) {
  out += "{\"n\":";
  append_number(out, change.n);
  out += ",\"record\":";
  append_record(out, change.record, key_hashes);
  const auto& thing = change.record.thing;
  const bool says_before = std::holds_alternative<core::Call>(thing) ||
                           std::holds_alternative<core::ShareLine>(thing) ||
                           std::holds_alternative<core::GrantLine>(thing);
  if (says_before) out += ",\"before\":";
  if (says_before && change.before) append_record(out, *change.before, key_hashes);
  if (says_before && !change.before) out += "null";
  if (change.dead_since != 0) {
    out += ",\"deadSince\":";
    append_number(out, change.dead_since);
  }
  out += '}';
}

void append_tail(std::string& out, const store::RecordedRevision& revision, bool is_complete) {
  if (!is_complete) {
    out += "],\"complete\":false}";
    return;
  }
  out.append("],\"complete\":true,\"hash\":\"").append(to_hex(revision.hash)) += "\"}";
}

}  // namespace

ChangesEncoder::ChangesEncoder(std::string_view request_id, store::ChangesView view,
                               records::KeyHashes key_hashes)
    : view_(std::move(view)), key_hashes_(key_hashes) {
  head_.append("{\"requestId\":\"").append(request_id).append("\",\"revision\":");
  append_number(head_, view_.head.revision);
  head_ += ",\"oldest\":";
  append_number(head_, view_.head.horizon);
  head_ += ",\"revisions\":[";
}

bool ChangesEncoder::append(std::string& out, std::size_t size) {
  out += std::exchange(head_, {});
  for (; revision_ < view_.revisions.size(); ++revision_, change_ = 0) {
    const store::RecordedRevision& revision = view_.revisions[revision_];
    if (change_ == 0) {
      if (revision_ > 0) out += ',';
      append_head(out, revision);
    }
    while (change_ < revision.changes.size()) {
      if (change_ > 0) out += ',';
      append_change(out, revision.changes[change_++], key_hashes_);
      if (out.size() >= size) return false;
    }
    append_tail(out, revision, revision.is_complete);
  }
  out.append("],\"next\":\"").append(format_position(view_.last));
  out.append("\",\"atEnd\":").append(view_.is_end ? "true}" : "false}");
  return true;
}

EventPage encode_events(const store::ChangesView& view, records::KeyHashes key_hashes,
                        std::size_t bytes_max) {
  EventPage page{{}, view.last, view.is_end, view.head.revision, {}};
  for (std::size_t i = 0; i < view.revisions.size(); ++i) {
    const store::RecordedRevision& revision = view.revisions[i];
    std::string data;
    append_head(data, revision);
    std::size_t taken = 0;
    while (taken < revision.changes.size() &&
           (taken == 0 || page.text.size() + data.size() < bytes_max)) {
      if (taken > 0) data += ',';
      append_change(data, revision.changes[taken++], key_hashes);
    }
    const bool is_cut = taken < revision.changes.size();
    const bool is_complete = revision.is_complete && !is_cut;
    append_tail(data, revision, is_complete);
    store::ChangesPosition last{revision.revision, std::nullopt};
    if (!is_complete && taken > 0) last.changes = revision.changes[taken - 1].n + 1;
    page.text.append("id: ").append(format_position(last));
    page.text.append("\nevent: revision\ndata: ").append(data).append("\n\n");
    page.directory_revision = revision.directory_revision;
    const bool is_last = i + 1 == view.revisions.size();
    if (is_cut || (page.text.size() >= bytes_max && !is_last)) {
      page.last = last;
      page.is_end = false;
      break;
    }
  }
  return page;
}

std::string encode_heartbeat(const std::optional<store::ChangesPosition>& position) {
  return position ? ":\nid: " + format_position(*position) + "\n\n" : ":\n\n";
}

std::string encode_end(std::string_view reason, std::string_view message,
                       const store::ChangesPosition& after) {
  std::string text = "event: end\ndata: {\"reason\":\"";
  text.append(reason).append("\",\"message\":");
  append_json_string(text, message);
  return text.append(",\"after\":\"").append(format_position(after)).append("\"}\n\n");
}

}  // namespace earshot::api
