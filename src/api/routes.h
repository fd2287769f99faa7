// Which path and method mean which operation. A constant table: nothing of a path is decoded,
// merged or resolved.
#pragma once

#include <array>
#include <string_view>

#include "api/decode.h"
#include "api/metrics.h"
#include "auth/scopes.h"

namespace earshot::api {

struct Route {
  std::string_view path;
  std::string_view method;
  Operation operation = Operation::none;
  bool is_neighbour = false;  // served where operators look, and without credentials
  std::string_view scope;
  Shape shape = Shape::filter;
};

inline constexpr std::string_view kUsersAccessPath = "/v2/calls/users-access";

inline constexpr std::array<Route, 7> kRoutes = {{
    {kUsersAccessPath, "POST", Operation::get_users_access, false, auth::kScopeCallAccessRead,
     Shape::filter},
    {kUsersAccessPath, "PUT", Operation::add_users_access, false, auth::kScopeCallAccessWrite,
     Shape::call_access_list},
    {kUsersAccessPath, "DELETE", Operation::delete_users_access, false, auth::kScopeCallAccessWrite,
     Shape::call_access_list},
    {"/healthz", "GET", Operation::healthz, true, {}, {}},
    {"/readyz", "GET", Operation::readyz, true, {}, {}},
    {"/metrics", "GET", Operation::metrics, true, {}, {}},
    {"/openapi.json", "GET", Operation::openapi, true, {}, {}},
}};

// Which tables an address serves.
struct Served {
  bool operations = true;
  bool neighbours = false;
};

struct RouteMatch {
  const Route* route = nullptr;  // null where path or method is unknown
  std::string_view allow;        // the methods of the path; empty where the path is unknown
};

constexpr RouteMatch find_route(std::string_view path, std::string_view method, Served served) {
  RouteMatch match;
  for (const Route& route : kRoutes) {
    if (route.path != path) continue;
    if (!(route.is_neighbour ? served.neighbours : served.operations)) continue;
    if (route.method == method) {
      match.route = &route;
      return match;
    }
    match.allow = route.is_neighbour ? "GET" : "DELETE, POST, PUT";
  }
  return match;
}

}  // namespace earshot::api
