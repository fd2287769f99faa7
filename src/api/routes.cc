#include "api/routes.h"

#include <array>

#include "api/operations.h"
#include "auth/scopes.h"

namespace earshot::api {
namespace {

constexpr std::string_view kUsersAccess = "/v2/calls/users-access";
constexpr std::string_view kGrants = "/earshot/v1/grants";
constexpr std::string_view kKeys = "/earshot/v1/keys";
constexpr Parameters kOfMoment = Parameter::at | Parameter::revision;
constexpr Parameters kOfPages = kOfMoment | Parameter::limit | Parameter::cursor;

// The methods of a path stand in the order of their names, as `allow` lists them.
constexpr std::array kRoutes = {
    Route{.path = kUsersAccess,
          .method = "DELETE",
          .operation = Operation::delete_users_access,
          .scope = auth::kScopeCallAccessWrite,
          .body = Shape::call_access_list,
          .answer = change_users_access},
    Route{.path = kUsersAccess,
          .method = "POST",
          .operation = Operation::get_users_access,
          .scope = auth::kScopeCallAccessRead,
          .body = Shape::filter,
          .takes_revision = true,
          .answer = list_users_access},
    Route{.path = kUsersAccess,
          .method = "PUT",
          .operation = Operation::add_users_access,
          .scope = auth::kScopeCallAccessWrite,
          .body = Shape::call_access_list,
          .answer = change_users_access},
    Route{.path = "/earshot/v1/access/check",
          .method = "POST",
          .operation = Operation::check_access,
          .surface = Surface::earshot,
          .scope = auth::kScopeAccessRead,
          .body = Shape::checks,
          .takes_revision = true,
          .parameters = kOfMoment,
          .answer = check_access},
    Route{.path = "/earshot/v1/calls/{callId}/access",
          .method = "GET",
          .operation = Operation::list_call_access,
          .surface = Surface::earshot,
          .scope = auth::kScopeAccessRead,
          .takes_revision = true,
          .parameters = kOfPages,
          .answer = list_call_access},
    Route{.path = "/earshot/v1/users/{userId}/access",
          .method = "GET",
          .operation = Operation::list_user_access,
          .surface = Surface::earshot,
          .scope = auth::kScopeAccessRead,
          .takes_revision = true,
          .parameters = kOfPages | Parameter::way,
          .answer = list_user_access},
    Route{.path = kGrants,
          .method = "DELETE",
          .operation = Operation::remove_grants,
          .surface = Surface::earshot,
          .scope = auth::kScopeGrantsWrite,
          .body = Shape::grants_to_remove,
          .takes_idempotency_key = true,
          .answer = change_grants},
    Route{.path = kGrants,
          .method = "PUT",
          .operation = Operation::give_grants,
          .surface = Surface::earshot,
          .scope = auth::kScopeGrantsWrite,
          .body = Shape::grants_to_give,
          .takes_idempotency_key = true,
          .answer = change_grants},
    Route{.path = "/earshot/v1/calls/{callId}",
          .method = "GET",
          .operation = Operation::get_call,
          .surface = Surface::earshot,
          .scope = auth::kScopeDirectoryWrite,
          .takes_revision = true,
          .answer = get_thing},
    Route{.path = "/earshot/v1/changes",
          .method = "GET",
          .operation = Operation::list_changes,
          .surface = Surface::earshot,
          .scope = auth::kScopeAuditRead,
          .parameters = Parameter::limit | Parameter::after | Parameter::call_id |
                        Parameter::user_id | Parameter::wait,
          .takes_readers = true,
          .answer = list_changes},
    Route{.path = "/earshot/v1/changes/head",
          .method = "GET",
          .operation = Operation::get_changes_head,
          .surface = Surface::earshot,
          .scope = auth::kScopeAuditRead,
          .answer = get_changes_head},
    Route{.path = "/earshot/v1/directory",
          .method = "POST",
          .operation = Operation::put_records,
          .surface = Surface::earshot,
          .scope = auth::kScopeDirectoryWrite,
          .takes_records = true,
          .waits = true,
          .answer = put_records},
    Route{.path = kKeys,
          .method = "DELETE",
          .operation = Operation::revoke_key,
          .surface = Surface::earshot,
          .scope = auth::kScopeKeysWrite,
          .body = Shape::key_to_revoke,
          .waits = true,
          .answer = revoke_key},
    Route{.path = kKeys,
          .method = "GET",
          .operation = Operation::list_keys,
          .surface = Surface::earshot,
          .scope = auth::kScopeKeysWrite,
          .waits = true,
          .answer = list_keys},
    Route{.path = kKeys,
          .method = "POST",
          .operation = Operation::create_key,
          .surface = Surface::earshot,
          .scope = auth::kScopeKeysWrite,
          .body = Shape::key_to_make,
          .waits = true,
          .answer = create_key},
    Route{.path = "/earshot/v1/refusals",
          .method = "GET",
          .operation = Operation::list_refusals,
          .surface = Surface::earshot,
          .scope = auth::kScopeAuditRead,
          .parameters = Parameter::limit | Parameter::cursor,
          .answer = list_refusals},
    Route{.path = "/earshot/v1/users/{userId}",
          .method = "GET",
          .operation = Operation::get_user,
          .surface = Surface::earshot,
          .scope = auth::kScopeDirectoryWrite,
          .takes_revision = true,
          .answer = get_thing},
    Route{.path = "/healthz",
          .method = "GET",
          .operation = Operation::healthz,
          .surface = Surface::neighbour},
    Route{.path = "/readyz",
          .method = "GET",
          .operation = Operation::readyz,
          .surface = Surface::neighbour},
    Route{.path = "/metrics",
          .method = "GET",
          .operation = Operation::metrics,
          .surface = Surface::neighbour},
    Route{.path = "/openapi.json",
          .method = "GET",
          .operation = Operation::openapi,
          .surface = Surface::neighbour},
};

// Whether the path is the pattern's, and what stands in it for "{…}". A segment with a percent sign
// or a dot is none: nothing is decoded or resolved, so that no proxy can see another path here.
bool matches(std::string_view pattern, std::string_view path, RouteMatch& match) {
  const std::size_t open = pattern.find('{');
  if (open == std::string_view::npos) return path == pattern;
  const std::size_t close = pattern.find('}', open);
  const std::string_view before = pattern.substr(0, open);
  const std::string_view behind = pattern.substr(close + 1);
  if (path.size() <= before.size() + behind.size() || !path.starts_with(before) ||
      !path.ends_with(behind)) {
    return false;
  }
  const auto segment = path.substr(before.size(), path.size() - before.size() - behind.size());
  if (segment.find_first_of("/%.") != std::string_view::npos) return false;
  match.segment = segment;
  match.segment_name = pattern.substr(open + 1, close - open - 1);
  return true;
}

}  // namespace

RouteMatch find_route(std::string_view path, std::string_view method, Served served) {
  RouteMatch match;
  for (const Route& route : kRoutes) {
    if (!(route.surface == Surface::neighbour ? served.neighbours : served.operations)) continue;
    if (!matches(route.path, path, match)) continue;
    if (route.method == method) {
      match.route = &route;
      return match;
    }
    if (!match.allow.empty()) match.allow += ", ";
    match.allow += route.method;
  }
  return match;
}

}  // namespace earshot::api
