// Rows of earshot.changes: a part of the record of changes as columns, that its value, and so the
// chain of hashes, can be made from again.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "store/change_record.h"
#include "store/pg_wire.h"

namespace earshot::store {

struct PgChangeRow {
  ChangeKey key;
  ChangeHead head;
  std::vector<std::uint64_t> call_ids;  // ascending, distinct
  std::uint64_t items_count = 0;
  std::string items;

  // As the embedded store keeps it.
  std::string value() const {
    return encode_change(head, static_cast<std::uint32_t>(items_count), items);
  }
  Digest hash() const { return hash_change(encode_key(key), value()); }
};

// The row of the changes that were written. `head.previous_hash` is the link to the row before; the
// next row's is hash() of this one.
PgChangeRow make_change_row(const ChangeKey& key, ChangeHead head, ChangeItems items);

// "give", "remove", "records" or "sweep", as the table holds it.
std::string_view operation_text(Operation operation);
std::optional<Operation> parse_operation(std::string_view text);

// Puts any number of rows of one company in. $1 is the company; params_of() makes the parameters.
inline constexpr PgStatement kInsertChanges = {
    "insert_changes",
    "INSERT INTO earshot.changes (company_id, revision, first_n, is_last, at, directory_revision,"
    " operation, request_id, access_key, call_ids, items_count, items, previous_hash)"
    " SELECT $1::bigint, x.revision, x.first_n, x.is_last, x.at, x.directory_revision,"
    " x.operation, x.request_id, x.access_key, x.call_ids::bigint[], x.items_count, x.items,"
    " x.previous_hash"
    " FROM unnest($2::bigint[], $3::bigint[], $4::boolean[], $5::timestamptz[], $6::bigint[],"
    " $7::text[], $8::text[], $9::text[], $10::text[], $11::bigint[], $12::bytea[], $13::bytea[])"
    " AS x(revision, first_n, is_last, at, directory_revision, operation, request_id, access_key,"
    " call_ids, items_count, items, previous_hash)"};
// REQUIRES: all rows are of one company.
PgParams params_of(std::span<const PgChangeRow> rows);

// Of a result with the columns that kInsertChanges names, in its order, without the company.
// Nothing where a column holds what no release wrote. They begin with `first_column`.
std::optional<PgChangeRow> read_change_row(CompanyId company, const PgResult& result, int row,
                                           int first_column = 0);

}  // namespace earshot::store
