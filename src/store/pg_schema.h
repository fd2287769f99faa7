// The tables of the store over PostgreSQL: which version a database has, and bringing it to ours.
//
// The rule for migrations, files NNNN_name.sql that are never changed once released: servers of the
// release before go on serving while and after one runs. So it only adds: tables, indexes, and
// columns that may be NULL or have a default. What is added is not relied upon by name alone
// (statements list their columns), and nothing is renamed, retyped or dropped before the second
// release after the one that used it last. A constraint is added NOT VALID, and validated by a
// migration of its own. Over Citus a column and its CHECK are two commands.
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"
#include "store/pg_session.h"
#include "store/postgres.h"

namespace earshot::store {

struct Migration {
  int version = 0;  // 1, 2, 3, …
  std::string_view name;
  std::string_view sql;
};

// All of this release, ascending.
std::span<const Migration> migrations();

struct SchemaState {
  int version = 0;
  bool is_distributed = false;  // over Citus
};

// Whether this release can work on the database. invalid_argument, with what to do, where it was
// not migrated, or was by a newer release.
Result<SchemaState> check_schema(PgSession& session);

}  // namespace earshot::store
