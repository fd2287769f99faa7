// Connection URLs of PostgreSQL, taken apart so that each host can be tried on its own.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace earshot::store {

// One host of a URL, with all else that the URL says.
struct PgTarget {
  std::string name;  // "db1:5432", for messages
  std::vector<std::pair<std::string, std::string>> parameters;
  int connect_seconds = 5;  // how long a connection may take to come up

  // What PQconnectStartParams() wants, each with a null at its end. Good as long as this is.
  std::vector<const char*> keywords() const;
  std::vector<const char*> values() const;
};

// One target for each host, in the order of the URL. Where the URL does not say otherwise,
// target_session_attrs is `session_attrs`, connect_timeout 5 and application_name earshot;
// client_encoding is always UTF8. invalid_argument, without the URL, where libpq cannot read it.
Result<std::vector<PgTarget>> parse_postgres_url(const std::string& url,
                                                 std::string_view session_attrs = "read-write");

// The URL for operators and logs: user, hosts and database, and no secret.
std::string describe_postgres_url(const std::string& url);

}  // namespace earshot::store
