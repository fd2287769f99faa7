// One line of records as a value, and what applying it means. The text form is in records/.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/result.h"
#include "core/types.h"

namespace earshot::core {

// A key as a line gives it: with its secret, of which only a hash will be kept, or with that hash.
struct KeyLine {
  Key key;  // with `secret_text`, key.secret is a fresh hash of it
  std::optional<std::string> secret_text;
  friend bool operator==(const KeyLine&, const KeyLine&) = default;
};
struct ShareLine {
  CallId call;
  UserId user;
  friend bool operator==(const ShareLine&, const ShareLine&) = default;
};
struct GrantLine {
  CallId call;
  UserId user;
  Grant grant;
  friend bool operator==(const GrantLine&, const GrantLine&) = default;
};

// Puts one thing in place, or takes it away; then only the ids of the thing count.
struct Record {
  CompanyId company;  // of a company record, its own id
  bool remove = false;
  std::variant<Company, KeyLine, Workspace, Profile, User, Call, ShareLine, GrantLine> thing;
  friend bool operator==(const Record&, const Record&) = default;
};

// What records are applied to: the working state of one store transaction. What is not there is not
// removed twice: removing it does nothing.
class RecordTarget {
 public:
  virtual ~RecordTarget() = default;

  virtual Result<bool> has_company(CompanyId company) = 0;
  virtual Result<bool> has_user(CompanyId company, UserId user) = 0;
  virtual Result<bool> has_call(CompanyId company, CallId call) = 0;
  // The key and its company, whichever company that is.
  virtual Result<std::optional<std::pair<CompanyId, Key>>> find_key(
      std::string_view access_key) = 0;

  // Each puts the whole thing in place. One that is there already, the same in every member, stays
  // unchanged.
  virtual Status put(const Company& company) = 0;
  virtual Status put(CompanyId company, const Key& key) = 0;
  virtual Status put(CompanyId company, const Workspace& workspace) = 0;
  virtual Status put(CompanyId company, const Profile& profile) = 0;
  virtual Status put(CompanyId company, const User& user) = 0;
  virtual Status put(CompanyId company, const Call& call) = 0;
  virtual Status put_share(CompanyId company, CallId call, UserId user) = 0;
  virtual Status put_grant(CompanyId company, CallId call, UserId user, const Grant& grant) = 0;

  // Removing a company removes everything in it; a user or call, its grants and shares; a workspace
  // or profile, only itself. Access ends with this change; rows may be swept later.
  virtual Status remove_company(CompanyId company) = 0;
  virtual Status remove_key(CompanyId company, std::string_view access_key) = 0;
  virtual Status remove_workspace(CompanyId company, WorkspaceId id) = 0;
  virtual Status remove_profile(CompanyId company, ProfileId id) = 0;
  virtual Status remove_user(CompanyId company, UserId id) = 0;
  virtual Status remove_call(CompanyId company, CallId id) = 0;
  virtual Status remove_share(CompanyId company, CallId call, UserId user) = 0;
  virtual Status remove_grant(CompanyId company, CallId call, UserId user) = 0;
};

// Applies one record: everything but a company needs its company to be there; a share or grant
// needs its call and user; an access key of another company is refused. invalid_argument says why a
// record is bad, and then nothing of it was applied; other errors are the target's.
Status apply_record(const Record& record, RecordTarget& target);

}  // namespace earshot::core
