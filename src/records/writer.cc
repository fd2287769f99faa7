#include "records/writer.h"

#include <string_view>
#include <vector>

#include "base/assert.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/time.h"

namespace earshot::records {
namespace {

// Appends the members of one object, commas between.
class ObjectWriter {
 public:
  explicit ObjectWriter(std::string& out) : out_(out) { out_ += '{'; }
  void end() { out_ += '}'; }

  void text(std::string_view name, std::string_view value) {
    begin(name);
    append_json_string(out_, value);
  }
  void text_unless_empty(std::string_view name, std::string_view value) {
    if (!value.empty()) text(name, value);
  }
  void flag(std::string_view name, bool value) {
    begin(name);
    out_ += value ? "true" : "false";
  }
  template <class Tag>
  void id(std::string_view name, Id<Tag> value) {
    begin(name);
    append_quoted(value);
  }
  template <class Tag>
  void id_unless_none(std::string_view name, Id<Tag> value) {
    if (value != Id<Tag>{}) id(name, value);
  }
  template <class Tag>
  void ids_unless_empty(std::string_view name, const std::vector<Id<Tag>>& values) {
    if (values.empty()) return;
    begin(name);
    char before = '[';
    for (const Id<Tag> value : values) {
      out_ += before;
      append_quoted(value);
      before = ',';
    }
    out_ += ']';
  }
  void texts(std::string_view name, const std::vector<std::string>& values) {
    begin(name);
    out_ += '[';
    bool is_first = true;
    for (const std::string& value : values) {
      if (!is_first) out_ += ',';
      append_json_string(out_, value);
      is_first = false;
    }
    out_ += ']';
  }
  void time_unless_none(std::string_view name, const std::optional<Time>& value) {
    if (value) text(name, format_time(*value));
  }
  ObjectWriter object(std::string_view name) {
    begin(name);
    return ObjectWriter(out_);
  }

 private:
  void begin(std::string_view name) {
    if (!is_first_) out_ += ',';
    is_first_ = false;
    out_ += '"';
    out_ += name;
    out_ += "\":";
  }
  template <class Tag>
  void append_quoted(Id<Tag> value) {
    out_ += '"';
    append_id(out_, value);
    out_ += '"';
  }

  std::string& out_;
  bool is_first_ = true;
};

std::string_view kind_of(const core::Company&) { return "company"; }
std::string_view kind_of(const core::KeyLine&) { return "key"; }
std::string_view kind_of(const core::Workspace&) { return "workspace"; }
std::string_view kind_of(const core::Profile&) { return "profile"; }
std::string_view kind_of(const core::User&) { return "user"; }
std::string_view kind_of(const core::Call&) { return "call"; }
std::string_view kind_of(const core::ShareLine&) { return "share"; }
std::string_view kind_of(const core::GrantLine&) { return "grant"; }

// What names the thing beside its company.
void write_ids(ObjectWriter&, const core::Company&) {}
void write_ids(ObjectWriter& out, const core::KeyLine& line) {
  out.text("accessKey", line.key.access_key);
}
void write_ids(ObjectWriter& out, const core::Workspace& thing) { out.id("workspaceId", thing.id); }
void write_ids(ObjectWriter& out, const core::Profile& thing) { out.id("profileId", thing.id); }
void write_ids(ObjectWriter& out, const core::User& thing) { out.id("userId", thing.id); }
void write_ids(ObjectWriter& out, const core::Call& thing) { out.id("callId", thing.id); }
template <class Line>
void write_ids(ObjectWriter& out, const Line& line) {
  out.id("callId", line.call);
  out.id("userId", line.user);
}

void write_rest(ObjectWriter& out, KeyHashes, const core::Company& thing) {
  out.text_unless_empty("name", thing.name);
}
void write_rest(ObjectWriter& out, KeyHashes hashes, const core::KeyLine& line) {
  if (hashes == KeyHashes::written) out.text("secretHash", format_secret_hash(line.key.secret));
  out.texts("scopes", line.key.scopes);
  out.time_unless_none("expiresAt", line.key.expires_at);
}
void write_rest(ObjectWriter& out, KeyHashes, const core::Workspace& thing) {
  out.text_unless_empty("name", thing.name);
}
void write_rest(ObjectWriter& out, KeyHashes, const core::Profile& thing) {
  out.id_unless_none("workspaceId", thing.workspace);
  out.text_unless_empty("name", thing.name);
  if (thing.level == core::PermissionLevel::none && thing.team_leads.empty()) return;
  ObjectWriter access = out.object("callsAccess");
  access.text("permissionLevel", name_of(thing.level));
  access.ids_unless_empty("teamLeadIds", thing.team_leads);
  access.end();
}
void write_rest(ObjectWriter& out, KeyHashes, const core::User& thing) {
  out.text_unless_empty("emailAddress", thing.email_address);
  out.text_unless_empty("firstName", thing.first_name);
  out.text_unless_empty("lastName", thing.last_name);
  out.id_unless_none("managerId", thing.manager);
  if (!thing.active) out.flag("active", false);
  out.ids_unless_empty("profileIds", thing.profiles);
}
void write_rest(ObjectWriter& out, KeyHashes, const core::Call& thing) {
  out.id_unless_none("workspaceId", thing.workspace);
  out.text_unless_empty("title", thing.title);
  out.text_unless_empty("started", thing.started);
  out.id_unless_none("primaryUserId", thing.primary_user);
  out.ids_unless_empty("partyUserIds", thing.parties);
  if (thing.is_private) out.flag("isPrivate", true);
}
void write_rest(ObjectWriter&, KeyHashes, const core::ShareLine&) {}
void write_rest(ObjectWriter& out, KeyHashes, const core::GrantLine& line) {
  out.time_unless_none("expiresAt", line.grant.expires_at);
  out.text_unless_empty("note", line.grant.note);
}

}  // namespace

std::string_view name_of(core::PermissionLevel level) {
  switch (level) {
    case core::PermissionLevel::none:
      return "none";
    case core::PermissionLevel::own:
      return "own";
    case core::PermissionLevel::report_to_them:
      return "report-to-them";
    case core::PermissionLevel::managers_team:
      return "managers-team";
    case core::PermissionLevel::all:
      return "all";
  }
  ASSERT(false);
}

void append_record(std::string& out, const core::Record& record,
                   std::optional<CompanyId> current_company, KeyHashes key_hashes) {
  ObjectWriter line(out);
  const bool is_company = std::holds_alternative<core::Company>(record.thing);
  std::visit(
      [&](const auto& thing) {
        line.text("kind", kind_of(thing));
        if (is_company || record.company != current_company) line.id("companyId", record.company);
        write_ids(line, thing);
        if (record.remove) {
          line.flag("remove", true);
        } else {
          write_rest(line, key_hashes, thing);
        }
      },
      record.thing);
  line.end();
  out += '\n';
}

}  // namespace earshot::records
