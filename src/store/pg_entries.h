// What decides about access to calls, between statements and entries.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/decide.h"
#include "core/entry.h"
#include "core/packed_entry.h"
#include "store/pg_connection.h"

namespace earshot::store {

// What the statements of reads begin with; where the company is not known they have no row.
inline constexpr int kRevisionColumn = 0, kDirectoryColumn = 1, kTimeColumn = 2, kEntryColumn = 3;

// An entry of a call that is not there. Immutable, and never null.
const core::PackedEntryPtr& absent_entry();

void sort_distinct(auto& values) {
  std::ranges::sort(values);
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

// Asks for the calls with the rows of the users named; where a call is named several times, of all
// of its users.
PgQuery query_access(CompanyId company, std::vector<const core::CallUsers*> named);
// With the rows of all users.
PgQuery query_access_of_all(CompanyId company, std::span<const core::CallUsers> named);

// Adds users with a grant, and their expiries, from `column` on.
void read_grants(core::CallEntry& entry, const PgResult& result, int row, int column);
// A row of such a query's answer. REQUIRES: the call is not NULL. Its stamps are all of the
// revision read, since nobody asks for those of a read.
core::CallEntry read_entry(const PgResult& result, int row);

}  // namespace earshot::store
