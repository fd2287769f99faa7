#include "records/decode.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/secret.h"
#include "base/time.h"
#include "core/access_key.h"
#include "records/limits.h"

namespace earshot::records {
namespace {

Error bad(Member member, const std::string& reason) {
  return invalid_argument(path_of(member) + ": " + reason);
}

Error bad(Member member, std::size_t index, const std::string& reason) {
  return invalid_argument(path_of(member) + "[" + std::to_string(index) + "]: " + reason);
}

constexpr const char* kIdReason = "must be a string of 1-19 digits, from 1 to 9223372036854775807";

bool is_scope(std::string_view text) {
  return !text.empty() && text.size() <= kScopeCharsMax &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == ':' || c == '-';
         });
}

bool is_secret(std::string_view text) {
  return !text.empty() && text.size() <= kSecretBytesMax &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7F; });
}

std::optional<core::PermissionLevel> parse_level(std::string_view text) {
  using core::PermissionLevel;
  if (text == "none") return PermissionLevel::none;
  if (text == "own") return PermissionLevel::own;
  if (text == "report-to-them") return PermissionLevel::report_to_them;
  if (text == "managers-team") return PermissionLevel::managers_team;
  if (text == "all") return PermissionLevel::all;
  return std::nullopt;
}

// Reads the members of one line that its kind has; the others are as unknown as any.
class Decoder {
 public:
  Decoder(const Members& members, std::optional<CompanyId> current)
      : members_(members), current_(current) {}

  Result<core::Record> record() const {
    const std::string_view kind = TRY(required_text(Member::kind));
    if (kind == "company") return company();
    if (kind == "key") return make([this](bool remove) { return key(remove); });
    if (kind == "workspace") return make([this](bool remove) { return workspace(remove); });
    if (kind == "profile") return make([this](bool remove) { return profile(remove); });
    if (kind == "user") return make([this](bool remove) { return user(remove); });
    if (kind == "call") return make([this](bool remove) { return call(remove); });
    if (kind == "share") return make([this](bool) { return share(); });
    if (kind == "grant") return make([this](bool remove) { return grant(remove); });
    return bad(Member::kind,
               "must be company, key, workspace, profile, user, call, share or grant");
  }

 private:
  Result<core::Record> company() const {
    core::Company thing;
    thing.id = TRY(required_id<CompanyId>(Member::company_id));
    const bool remove = TRY(flag(Member::remove, false));
    if (!remove) thing.name = TRY(text(Member::name));
    return core::Record{thing.id, remove, std::move(thing)};
  }

  // A record of a thing in a company.
  template <class MakeThing>
  Result<core::Record> make(MakeThing make_thing) const {
    core::Record record;
    record.company = TRY(id<CompanyId>(Member::company_id));
    if (record.company == CompanyId{}) {
      if (!current_) return bad(Member::company_id, "required, as no company line came before");
      record.company = *current_;
    }
    record.remove = TRY(flag(Member::remove, false));
    record.thing = TRY(make_thing(record.remove));
    return record;
  }

  Result<core::KeyLine> key(bool remove) const {
    core::KeyLine line;
    const std::string_view access_key = TRY(required_text(Member::access_key));
    if (!core::is_access_key(access_key)) {
      return bad(Member::access_key, "must be 1-128 visible ASCII characters without a colon");
    }
    line.key.access_key = access_key;
    if (remove) return line;
    TRY(decode_secret(line));
    line.key.scopes = TRY(scopes());
    line.key.expires_at = TRY(moment(Member::expires_at));
    return line;
  }

  Status decode_secret(core::KeyLine& line) const {
    const std::string_view secret = TRY(optional_text(Member::secret));
    const std::string_view hash = TRY(optional_text(Member::secret_hash));
    if (is_given(Member::secret) && is_given(Member::secret_hash)) {
      return bad(Member::secret_hash, "not together with secret");
    }
    if (is_given(Member::secret_hash)) {
      const auto parsed = parse_secret_hash(hash);
      if (!parsed) return bad(Member::secret_hash, "must be as written by dump");
      line.key.secret = *parsed;
      return {};
    }
    if (!is_given(Member::secret)) return bad(Member::secret, "required, or secretHash");
    if (!is_secret(secret)) {
      return bad(Member::secret, "must be 1-512 bytes without control characters");
    }
    line.secret_text = std::string(secret);
    line.key.secret = hash_secret(secret);
    return {};
  }

  Result<std::vector<std::string>> scopes() const {
    if (!is_given(Member::scopes)) return bad(Member::scopes, "required");
    const TextList& list = *TRY(this->list(Member::scopes, kScopesMax));
    std::vector<std::string> scopes;
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (!is_scope(list[i])) {
        return bad(Member::scopes, i,
                   "must be a string of 1-64 characters out of a-z, 0-9, : and -");
      }
      scopes.emplace_back(list[i]);
    }
    return scopes;
  }

  Result<core::Workspace> workspace(bool remove) const {
    core::Workspace thing;
    thing.id = TRY(required_id<WorkspaceId>(Member::workspace_id));
    if (!remove) thing.name = TRY(text(Member::name));
    return thing;
  }

  Result<core::Profile> profile(bool remove) const {
    core::Profile thing;
    thing.id = TRY(required_id<ProfileId>(Member::profile_id));
    if (remove) return thing;
    thing.workspace = TRY(id<WorkspaceId>(Member::workspace_id));
    thing.name = TRY(text(Member::name));
    const Slot& access = members_[Member::calls_access];
    TRY(check_once(Member::calls_access));
    if (access.shape == Shape::absent || access.shape == Shape::null) return thing;
    if (access.shape != Shape::object) return bad(Member::calls_access, "must be an object");
    if (is_given(Member::permission_level)) {
      const auto level = parse_level(TRY(optional_text(Member::permission_level)));
      if (!level) {
        return bad(Member::permission_level,
                   "must be none, own, report-to-them, managers-team or all");
      }
      thing.level = *level;
    }
    thing.team_leads = TRY(ids<UserId>(Member::team_lead_ids));
    return thing;
  }

  Result<core::User> user(bool remove) const {
    core::User thing;
    thing.id = TRY(required_id<UserId>(Member::user_id));
    if (remove) return thing;
    thing.email_address = TRY(text(Member::email_address));
    thing.first_name = TRY(text(Member::first_name));
    thing.last_name = TRY(text(Member::last_name));
    thing.manager = TRY(id<UserId>(Member::manager_id));
    thing.active = TRY(flag(Member::active, true));
    thing.profiles = TRY(ids<ProfileId>(Member::profile_ids));
    return thing;
  }

  Result<core::Call> call(bool remove) const {
    core::Call thing;
    thing.id = TRY(required_id<CallId>(Member::call_id));
    if (remove) return thing;
    thing.workspace = TRY(id<WorkspaceId>(Member::workspace_id));
    thing.title = TRY(text(Member::title));
    if (TRY(moment(Member::started))) thing.started = members_[Member::started].text;
    thing.primary_user = TRY(id<UserId>(Member::primary_user_id));
    thing.parties = TRY(ids<UserId>(Member::party_user_ids));
    thing.is_private = TRY(flag(Member::is_private, false));
    return thing;
  }

  Result<core::ShareLine> share() const {
    core::ShareLine line;
    line.call = TRY(required_id<CallId>(Member::call_id));
    line.user = TRY(required_id<UserId>(Member::user_id));
    return line;
  }

  Result<core::GrantLine> grant(bool remove) const {
    core::GrantLine line;
    line.call = TRY(required_id<CallId>(Member::call_id));
    line.user = TRY(required_id<UserId>(Member::user_id));
    if (remove) return line;
    line.grant.expires_at = TRY(moment(Member::expires_at));
    line.grant.note = TRY(text(Member::note, kNoteBytesMax));
    return line;
  }

  // Neither absent nor null.
  bool is_given(Member member) const {
    const Shape shape = members_[member].shape;
    return shape != Shape::absent && shape != Shape::null;
  }

  Status check_once(Member member) const {
    if (members_[member].is_twice) return bad(member, "given twice");
    return {};
  }

  // The text, empty where it is absent or null; as long as the line lets it be.
  Result<std::string_view> optional_text(Member member) const {
    TRY(check_once(member));
    if (!is_given(member)) return std::string_view();
    const Slot& slot = members_[member];
    if (slot.shape != Shape::string) return bad(member, "must be a string");
    return std::string_view(slot.text);
  }

  Result<std::string_view> required_text(Member member) const {
    const std::string_view text = TRY(optional_text(member));
    if (!is_given(member)) return bad(member, "required");
    return text;
  }

  Result<std::string> text(Member member, std::size_t bytes_max = kTextBytesMax) const {
    const std::string_view text = TRY(optional_text(member));
    if (text.size() > bytes_max) {
      return bad(member, "longer than " + std::to_string(bytes_max) + " bytes");
    }
    // PostgreSQL has no place for one, and what is taken here must fit into every store.
    if (text.find('\0') != text.npos) return bad(member, "must not contain NUL");
    return std::string(text);
  }

  Result<bool> flag(Member member, bool otherwise) const {
    TRY(check_once(member));
    if (!is_given(member)) return otherwise;
    const Shape shape = members_[member].shape;
    if (shape != Shape::yes && shape != Shape::no) return bad(member, "must be true or false");
    return shape == Shape::yes;
  }

  // No id (0) where it is absent or null.
  template <class IdType>
  Result<IdType> id(Member member) const {
    TRY(check_once(member));
    if (!is_given(member)) return IdType{};
    const Slot& slot = members_[member];
    const auto id = slot.shape == Shape::string ? parse_id<IdType>(slot.text) : std::nullopt;
    if (!id) return bad(member, kIdReason);
    return *id;
  }

  template <class IdType>
  Result<IdType> required_id(Member member) const {
    const IdType found = TRY(id<IdType>(member));
    if (found == IdType{}) return bad(member, "required");
    return found;
  }

  // The elements, none where the list is absent or null. Lives as long as the members.
  Result<const TextList*> list(Member member, std::size_t size_max) const {
    static const TextList none;
    TRY(check_once(member));
    if (!is_given(member)) return &none;
    const Slot& slot = members_[member];
    if (slot.shape != Shape::list) return bad(member, "must be an array");
    if (slot.list.size() > size_max) {
      return bad(member, "more than " + std::to_string(size_max) + " elements");
    }
    return &slot.list;
  }

  template <class IdType>
  Result<std::vector<IdType>> ids(Member member) const {
    const TextList& list = *TRY(this->list(member, kListIdsMax));
    std::vector<IdType> ids;
    ids.reserve(list.size());
    for (std::size_t i = 0; i < list.size(); ++i) {
      const auto id = parse_id<IdType>(list[i]);
      if (!id) return bad(member, i, kIdReason);
      ids.push_back(*id);
    }
    return ids;
  }

  // Nothing where it is absent or null.
  Result<std::optional<Time>> moment(Member member) const {
    const std::string_view text = TRY(optional_text(member));
    if (!is_given(member)) return std::optional<Time>();
    const auto found = text.size() <= kTextBytesMax ? parse_time(text) : std::nullopt;
    if (!found) {
      return bad(member, "must be a time with an offset, as in 2026-03-01T10:00:00Z");
    }
    return found;
  }

  const Members& members_;
  const std::optional<CompanyId> current_;
};

}  // namespace

Result<core::Record> decode_record(const Members& members, std::optional<CompanyId> current) {
  return Decoder(members, current).record();
}

}  // namespace earshot::records
