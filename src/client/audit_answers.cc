#include "client/audit_answers.h"

#include <array>

#include "client/members.h"

namespace earshot::client {
namespace {

using namespace members;

std::optional<Position> as_position(const json::value& value) {
  return value.is_string() ? parse_position(value.get_string()) : std::nullopt;
}

// The text of the member; empty where there is none.
Result<std::string> text_of(const json::object& object, std::string_view name) {
  return TRY(optional(object, name, as_text)).value_or("");
}

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

// What is known of a thing besides its id: what people call it.
Result<std::string> name_of(const json::object& record, std::string_view kind) {
  std::string name;
  if (kind == "call") {
    name = TRY(text_of(record, "title"));
  } else if (kind == "user") {
    name = TRY(text_of(record, "emailAddress"));
  } else {
    name = TRY(text_of(record, "name"));
  }
  return name.empty() ? name : " \"" + name + "\"";
}

// Why a grant or share goes that nobody took.
Result<std::string> ending_of(const json::object& change, const json::object* before) {
  if (const auto revision = TRY(optional(change, "deadSince", as_number)); revision.value_or(0)) {
    return ", which gave no access since revision " + std::to_string(*revision);
  }
  const auto until = before == nullptr ? "" : TRY(text_of(*before, "expiresAt"));
  return until.empty() ? until : ", which was until " + until;
}

Result<std::string> describe_grant(const json::object& change, const json::object& record,
                                   const json::object* before) {
  const std::string user = TRY(required(record, "userId", as_text));
  const std::string call = "the call " + TRY(required(record, "callId", as_text));
  if (TRY(optional(record, "remove", as_bool)).value_or(false)) {
    return "took " + call + " from " + user + TRY(ending_of(change, before));
  }
  std::string text = "gave " + user + " " + call;
  if (before != nullptr) text += " anew";
  const std::string until = TRY(text_of(record, "expiresAt"));
  if (!until.empty()) text += ", until " + until;
  const std::string note = TRY(text_of(record, "note"));
  if (!note.empty()) text += ", noting \"" + note + "\"";
  return text;
}

Result<std::string> describe_share(const json::object& change, const json::object& record) {
  const std::string call = "call " + TRY(required(record, "callId", as_text));
  const std::string user = TRY(required(record, "userId", as_text));
  if (TRY(optional(record, "remove", as_bool)).value_or(false)) {
    return "ended the share of " + call + " with " + user + TRY(ending_of(change, nullptr));
  }
  return "shared " + call + " with " + user;
}

Result<std::string> describe_key(const json::object& record) {
  std::string text = "put key " + TRY(required(record, "accessKey", as_text));
  const std::string scopes = join(TRY(list(record, "scopes", as_text)));
  if (!scopes.empty()) text += " for " + scopes;
  const std::string until = TRY(text_of(record, "expiresAt"));
  return until.empty() ? text : text + ", until " + until;
}

Result<std::string> describe(const json::object& change) {
  const json::object& record = *TRY(required(change, "record", as_object));
  const auto before = TRY(optional(change, "before", as_object));
  const std::string kind = TRY(required(record, "kind", as_text));
  if (kind == "grant") return describe_grant(change, record, before ? *before : nullptr);
  if (kind == "share") return describe_share(change, record);
  const bool is_key = kind == "key";
  const std::string id = TRY(text_of(record, is_key ? "accessKey" : kind + "Id"));
  if (TRY(optional(record, "remove", as_bool)).value_or(false)) return "removed " + kind + " " + id;
  if (is_key) return describe_key(record);
  return "put " + kind + " " + id + TRY(name_of(record, kind));
}

Result<Revision> decode_revision(const json::object& object) {
  Revision revision;
  revision.revision = TRY(required(object, "revision", as_number));
  revision.time = TRY(required(object, "time", as_text));
  const std::string operation = TRY(required(object, "operation", as_text));
  revision.by = TRY(text_of(object, "accessKey"));
  if (revision.by.empty()) revision.by = operation == "sweep" ? operation : "operator";
  for (const auto* change : TRY(required_list(object, "changes", as_object))) {
    revision.changes.push_back({TRY(required(*change, "n", as_number)), TRY(describe(*change))});
  }
  revision.json = json::serialize(object);
  return revision;
}

}  // namespace

Result<ChangesPage> decode_changes(std::string_view body) {
  const json::object object = TRY(decode_answer(body));
  ChangesPage page;
  page.oldest = TRY(required(object, "oldest", as_number));
  for (const auto* revision : TRY(required_list(object, "revisions", as_object))) {
    page.revisions.push_back(TRY(decode_revision(*revision)));
  }
  page.next = TRY(required(object, "next", as_position));
  page.is_end = TRY(required(object, "atEnd", as_bool));
  return page;
}

Result<std::uint64_t> decode_head(std::string_view body) {
  return required(TRY(decode_answer(body)), "revision", as_number);
}

Result<std::vector<KeyEntry>> decode_keys(std::string_view body) {
  const json::object object = TRY(decode_answer(body));
  std::vector<KeyEntry> keys;
  for (const auto* key : TRY(required_list(object, "keys", as_object))) {
    keys.push_back({TRY(required(*key, "accessKey", as_text)),
                    join(TRY(required_list(*key, "scopes", as_text))),
                    TRY(text_of(*key, "expiresAt")), TRY(text_of(*key, "lastUsed")),
                    json::serialize(*key)});
  }
  return keys;
}

Result<MadeKey> decode_made_key(std::string_view body) {
  const json::object object = TRY(decode_answer(body));
  const json::object& key = *TRY(required(object, "key", as_object));
  MadeKey made;
  made.access_key = TRY(required(key, "accessKey", as_text));
  made.secret = TRY(required(key, "secret", as_text));
  if (const auto replaced = TRY(optional(object, "replaced", as_object))) {
    made.replaced = TRY(required(**replaced, "accessKey", as_text));
    made.replaced_at = TRY(required(**replaced, "expiresAt", as_text));
  }
  made.json = json::serialize(object);
  return made;
}

Result<RefusalsPage> decode_refusals(std::string_view body) {
  const json::object object = TRY(decode_answer(body));
  RefusalsPage page;
  for (const auto* refusal : TRY(required_list(object, "refusals", as_object))) {
    RefusalEntry entry;
    entry.time = TRY(required(*refusal, "time", as_text));
    entry.reason = TRY(required(*refusal, "reason", as_text));
    entry.operation = TRY(text_of(*refusal, "operation"));
    entry.access_key = TRY(text_of(*refusal, "accessKey"));
    entry.remote_address = TRY(text_of(*refusal, "remoteAddress"));
    entry.detail = TRY(text_of(*refusal, "detail"));
    entry.requests = TRY(required(*refusal, "requests", as_number));
    entry.json = json::serialize(*refusal);
    page.refusals.push_back(std::move(entry));
  }
  page.cursor = TRY(optional(object, "cursor", as_text));
  return page;
}

}  // namespace earshot::client
