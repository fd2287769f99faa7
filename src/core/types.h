// The things Earshot keeps, as plain values. What each means is in docs/api.md; how records write
// them is in records/. An id of 0 is "none".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/secret.h"
#include "base/time.h"

namespace earshot::core {

struct Company {
  CompanyId id;
  std::string name;
  friend bool operator==(const Company&, const Company&) = default;
};

struct Workspace {
  WorkspaceId id;
  std::string name;
  friend bool operator==(const Workspace&, const Workspace&) = default;
};

enum class PermissionLevel : std::uint8_t { none, own, report_to_them, managers_team, all };

// A permission profile, as far as it decides about calls.
struct Profile {
  ProfileId id;
  WorkspaceId workspace;
  std::string name;
  PermissionLevel level = PermissionLevel::none;
  std::vector<UserId> team_leads;
  friend bool operator==(const Profile&, const Profile&) = default;
};

struct User {
  UserId id;
  std::string email_address;
  std::string first_name;
  std::string last_name;
  UserId manager;
  bool active = true;
  std::vector<ProfileId> profiles;  // in order: the first of a workspace is the user's there
  friend bool operator==(const User&, const User&) = default;
};

struct Call {
  CallId id;
  WorkspaceId workspace;
  std::string title;
  std::string started;  // RFC 3339, as given
  UserId primary_user;
  std::vector<UserId> parties;
  bool is_private = false;
  friend bool operator==(const Call&, const Call&) = default;
};

// An access key of a company. The secret itself is never kept.
struct Key {
  std::string access_key;  // unique over all companies
  SecretHash secret;
  std::vector<std::string> scopes;
  std::optional<Time> expires_at;
  friend bool operator==(const Key&, const Key&) = default;
};

// What an individual grant says beside its call and user.
struct Grant {
  std::optional<Time> expires_at;
  std::string note;
  friend bool operator==(const Grant&, const Grant&) = default;
};

}  // namespace earshot::core
