#include "store/pg_changes.h"

#include <algorithm>
#include <array>

#include "base/assert.h"

namespace earshot::store {
namespace {

constexpr std::array<std::pair<Operation, std::string_view>, 4> kOperations = {{
    {Operation::give, "give"},
    {Operation::remove, "remove"},
    {Operation::records, "records"},
    {Operation::sweep, "sweep"},
}};

// The columns of many rows, each as what PgParams takes.
struct Columns {
  std::vector<std::uint64_t> revisions, firsts, directory_revisions, counts;
  std::vector<bool> lasts;
  std::vector<std::optional<Time>> times;
  std::vector<std::string> operations, request_ids, access_keys, calls, items, hashes;

  void add(const PgChangeRow& row) {
    revisions.push_back(row.key.revision);
    firsts.push_back(row.key.first_n);
    lasts.push_back(row.head.last_part);
    times.emplace_back(row.head.time);
    directory_revisions.push_back(row.head.directory_revision);
    operations.emplace_back(operation_text(row.head.operation));
    request_ids.emplace_back(format_request_id(row.head.origin.request_id).view());
    access_keys.push_back(row.head.origin.access_key);
    calls.push_back(array_text(row.call_ids));
    counts.push_back(row.items_count);
    items.push_back(row.items);
    const Digest& hash = row.head.previous_hash;
    hashes.emplace_back(hash.begin(), hash.end());
  }
};

}  // namespace

PgChangeRow make_change_row(const ChangeKey& key, ChangeHead head, ChangeItems items) {
  PgChangeRow row{.key = key,
                  .head = std::move(head),
                  .call_ids = {},
                  .items_count = items.count,
                  .items = std::move(items.bytes)};
  row.call_ids.reserve(items.calls.size());
  for (const CallId call : items.calls) row.call_ids.push_back(call.value);
  std::ranges::sort(row.call_ids);
  row.call_ids.erase(std::unique(row.call_ids.begin(), row.call_ids.end()), row.call_ids.end());
  return row;
}

std::string_view operation_text(Operation operation) {
  const auto found =
      std::ranges::find(kOperations, operation, [](const auto& o) { return o.first; });
  ASSERT(found != kOperations.end());
  return found->second;
}

std::optional<Operation> parse_operation(std::string_view text) {
  const auto found = std::ranges::find(kOperations, text, [](const auto& o) { return o.second; });
  if (found == kOperations.end()) return std::nullopt;
  return found->first;
}

PgParams params_of(std::span<const PgChangeRow> rows) {
  ASSERT(!rows.empty());
  Columns columns;
  for (const PgChangeRow& row : rows) {
    ASSERT(row.key.company == rows.front().key.company);
    columns.add(row);
  }
  PgParams params;
  params.add(rows.front().key.company)
      .add_numbers(columns.revisions)
      .add_numbers(columns.firsts)
      .add_bools(columns.lasts)
      .add_times(columns.times)
      .add_numbers(columns.directory_revisions)
      .add_texts(std::span<const std::string>(columns.operations))
      .add_texts(std::span<const std::string>(columns.request_ids))
      .add_texts(std::span<const std::string>(columns.access_keys))
      .add_texts(std::span<const std::string>(columns.calls))
      .add_numbers(columns.counts)
      .add_byte_strings(columns.items)
      .add_byte_strings(columns.hashes);
  return params;
}

std::optional<PgChangeRow> read_change_row(CompanyId company, const PgResult& result, int row,
                                           int first_column) {
  enum {
    revision,
    first_n,
    is_last,
    at,
    directory_revision,
    operation,
    request_id,
    access_key,
    call_ids,
    items_count,
    items,
    previous_hash
  };
  const auto parsed_operation = parse_operation(result.text(row, first_column + operation));
  const auto parsed_id = parse_request_id(result.text(row, first_column + request_id));
  const std::string_view hash = result.text(row, first_column + previous_hash);
  PgChangeRow read;
  const std::uint64_t first = result.number(row, first_column + first_n);
  const std::uint64_t count = result.number(row, first_column + items_count);
  if (!parsed_operation || !parsed_id || hash.size() != read.head.previous_hash.size() ||
      first > UINT32_MAX || count > UINT32_MAX) {
    return std::nullopt;
  }
  read.key = {company, result.number(row, first_column + revision),
              static_cast<std::uint32_t>(first)};
  std::copy(hash.begin(), hash.end(), read.head.previous_hash.begin());
  read.head.last_part = result.boolean(row, first_column + is_last);
  read.head.time = result.timestamp(row, first_column + at);
  read.head.directory_revision = result.number(row, first_column + directory_revision);
  read.head.operation = *parsed_operation;
  read.head.origin = {*parsed_id, std::string(result.text(row, first_column + access_key))};
  read.call_ids = result.numbers(row, first_column + call_ids);
  read.items_count = count;
  read.items = result.text(row, first_column + items);
  return read;
}

}  // namespace earshot::store
