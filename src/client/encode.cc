#include "client/encode.h"

#include <utility>

#include "base/text.h"

namespace earshot::client {
namespace {

// One JSON object, member by member.
class Object {
 public:
  explicit Object(std::string& out) : out_(out) { out_ += '{'; }
  void end() { out_ += '}'; }

  void name(std::string_view name) {
    if (out_.back() != '{') out_ += ',';
    append_json_string(out_, name);
    out_ += ':';
  }
  void text(std::string_view name_of_it, std::string_view text) {
    name(name_of_it);
    append_json_string(out_, text);
  }
  // Nothing where there is no text.
  void text_if_any(std::string_view name_of_it, std::string_view text_of_it) {
    if (!text_of_it.empty()) text(name_of_it, text_of_it);
  }
  void number(std::string_view name_of_it, std::uint64_t number) {
    name(name_of_it);
    append_number(out_, number);
  }
  void truth(std::string_view name_of_it, bool is_true) {
    name(name_of_it);
    out_ += is_true ? "true" : "false";
  }
  template <class Tag>
  void id(std::string_view name_of_it, Id<Tag> id) {
    text(name_of_it, to_string(id));
  }
  void time_if_any(std::string_view name_of_it, const std::optional<Time>& time) {
    if (time) text(name_of_it, format_time(*time));
  }
  template <class Items, class Append>
  void list(std::string_view name_of_it, const Items& items, Append append) {
    name(name_of_it);
    out_ += '[';
    for (const auto& item : items) {
      if (out_.back() != '[') out_ += ',';
      append(item);
    }
    out_ += ']';
  }
  void texts(std::string_view name_of_it, const std::vector<std::string>& texts) {
    list(name_of_it, texts, [this](const std::string& item) { append_json_string(out_, item); });
  }
  template <class IdType>
  void ids(std::string_view name_of_it, const std::vector<IdType>& ids) {
    list(name_of_it, ids, [this](IdType item) { append_json_string(out_, to_string(item)); });
  }
  void pair(const Pair& pair) {
    id("callId", pair.call);
    id("userId", pair.user);
  }

 private:
  std::string& out_;
};

void append_way(std::string& out, const Way& way) {
  Object object(out);
  object.text("way", way.name);
  object.time_if_any("expiresAt", way.expires_at);
  object.text_if_any("note", way.note);
  if (way.profile) {
    object.id("profileId", *way.profile);
    object.text("permissionLevel", way.level);
    object.ids("chain", way.chain);
    if (way.left_out > 0) object.number("chainLeftOut", way.left_out);
    if (way.lead) object.id("leadId", *way.lead);
  }
  object.end();
}

void put_finding(std::string& out, Object& object, const Finding& finding, const AsOf& as_of) {
  object.pair(finding.pair);
  object.truth("allowed", finding.allowed);
  object.list("ways", finding.ways, [&out](const Way& way) { append_way(out, way); });
  object.text_if_any("reason", finding.reason);
  if (const auto& profile = finding.profile) {
    object.name("profile");
    Object inner(out);
    inner.id("profileId", profile->id);
    inner.text("permissionLevel", profile->level);
    if (!profile->team_leads.empty()) inner.ids("teamLeadIds", profile->team_leads);
    if (profile->leads_left_out > 0) inner.number("teamLeadsLeftOut", profile->leads_left_out);
    inner.end();
  }
  object.time_if_any("expiredAt", finding.expired_at);
  if (finding.reason == "user inactive") object.texts("waysIfActive", finding.ways_if_active);
  object.number("revision", as_of.revision);
  object.text("at", format_time(as_of.time));
}

}  // namespace

std::string encode_checks(std::span<const Pair> pairs) {
  std::string body;
  Object object(body);
  object.list("checks", pairs, [&body](const Pair& pair) {
    Object check(body);
    check.pair(pair);
    check.end();
  });
  object.end();
  return body;
}

std::string encode_grants(std::span<const Pair> pairs, const ChangeGrants& change) {
  std::string body;
  Object object(body);
  if (change.all_of_user || change.all_of_call) {
    object.name("allOf");
    Object all(body);
    if (change.all_of_user) all.id("userId", *change.all_of_user);
    if (change.all_of_call) all.id("callId", *change.all_of_call);
    all.end();
  } else {
    object.list("grants", pairs, [&](const Pair& pair) {
      Object grant(body);
      grant.pair(pair);
      grant.time_if_any("expiresAt", change.expires_at);
      grant.text_if_any("note", change.note);
      grant.end();
    });
  }
  if (change.dry_run) object.truth("dryRun", true);
  if (change.if_revision) object.number("ifRevision", *change.if_revision);
  object.end();
  return body;
}

std::string encode_filter(const std::vector<CallId>& calls) {
  std::string body;
  Object object(body);
  object.name("filter");
  Object filter(body);
  filter.ids("callIds", calls);
  filter.end();
  object.end();
  return body;
}

std::string encode_new_key(const CreateKey& create) {
  std::string body;
  Object object(body);
  if (create.replaces.empty()) {
    object.texts("scopes", create.scopes);
  } else {
    object.text("replaces", create.replaces);
    if (create.overlap) {
      object.number("overlapSeconds", static_cast<std::uint64_t>(create.overlap->count()));
    }
  }
  object.time_if_any("expiresAt", create.expires_at);
  object.end();
  return body;
}

std::string encode_revocation(const RevokeKey& revoke) {
  std::string body;
  Object object(body);
  object.text("accessKey", revoke.access_key);
  object.end();
  return body;
}

std::string json_line(const Finding& finding, const AsOf& as_of) {
  std::string line;
  Object object(line);
  put_finding(line, object, finding, as_of);
  object.end();
  return line + '\n';
}

std::string json_line(const Finding& finding, const AsOf& as_of,
                      const std::vector<std::string>& alternatives) {
  std::string line;
  Object object(line);
  put_finding(line, object, finding, as_of);
  if (!finding.allowed) object.texts("alternatives", alternatives);
  object.end();
  return line + '\n';
}

std::string json_line(const GrantResult& result, const GrantsAnswer& answer, bool is_dry_run) {
  std::string line;
  Object object(line);
  object.pair(result.pair);
  object.text("result", result.result);
  if (!result.ways.empty()) object.texts("ways", result.ways);
  object.time_if_any("expiresAt", result.expires_at);
  object.text_if_any("note", result.note);
  if (is_dry_run) object.truth("dryRun", true);
  object.number("revision", answer.revision);
  object.text("requestId", answer.request_id);
  object.end();
  return line + '\n';
}

std::string json_line(const Pair& pair) {
  std::string line;
  Object object(line);
  object.pair(pair);
  object.end();
  return line + '\n';
}

}  // namespace earshot::client
