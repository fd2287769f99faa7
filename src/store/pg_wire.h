// Parameters and results of PostgreSQL statements in its binary form, as values. Pure bytes, but
// for libpq's result.
#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/time.h"

namespace earshot::store {

// A statement with a name, under which connections prepare it when they first use it. Parameters
// are cast in its text ($1::bigint), so that the server knows their types.
struct PgStatement {
  const char* name;
  const char* text;
};

// The parameters of one execution, in order.
class PgParams {
 public:
  PgParams& add(std::uint64_t number);          // bigint
  PgParams& add_id(std::uint64_t id);           // bigint; 0 is NULL
  PgParams& add(bool value);                    // boolean
  PgParams& add(Time time);                     // timestamptz
  PgParams& add_day(std::uint32_t days);        // date; days since 1970-01-01
  PgParams& add_text(std::string_view text);    // text
  PgParams& add_bytes(std::string_view bytes);  // bytea
  PgParams& add_null();

  // Arrays, each all that a column of many rows holds: for unnest().
  PgParams& add_numbers(std::span<const std::uint64_t> numbers);           // bigint[]
  PgParams& add_ids(std::span<const std::uint64_t> ids);                   // bigint[]; 0 is NULL
  PgParams& add_bools(const std::vector<bool>& values);                    // boolean[]
  PgParams& add_times(std::span<const std::optional<Time>> times);         // timestamptz[]
  PgParams& add_texts(std::span<const std::string> texts);                 // text[]
  PgParams& add_texts(std::span<const std::optional<std::string>> texts);  // text[]
  PgParams& add_byte_strings(std::span<const std::string> strings);        // bytea[]

  template <class Tag>
  PgParams& add(Id<Tag> id) {
    return add(id.value);
  }
  template <class Tag>
  PgParams& add_all(std::span<const Id<Tag>> ids) {  // bigint[]
    static_assert(sizeof(Id<Tag>) == sizeof(std::uint64_t));
    return add_numbers({reinterpret_cast<const std::uint64_t*>(ids.data()), ids.size()});
  }

  int count() const { return static_cast<int>(places_.size()); }
  // What libpq wants. Good until the next change.
  std::vector<const char*> values() const;
  const std::vector<int>& lengths() const { return lengths_; }
  std::vector<int> formats() const { return std::vector<int>(places_.size(), 1); }

 private:
  void begin();
  PgParams& end();
  void begin_array(std::uint32_t element_type, std::size_t size, bool has_null);
  void append_sized(std::string_view element);
  void append_null() { append_int(-1); }
  void append_int(std::int32_t number);
  void append_bigint(std::int64_t number);

  std::string bytes_;
  std::vector<std::size_t> places_;  // where each begins; npos is NULL
  std::vector<int> lengths_;
};

// "{1,2}": a list of ids as an element of a text[], to be cast to bigint[] by the statement.
std::string array_text(std::span<const std::uint64_t> ids);

// A result of a statement, asked for in binary form. The columns must be of the types asked for:
// another is a bug of ours, and ends the process.
class PgResult {
 public:
  PgResult() = default;
  explicit PgResult(PGresult* result) : result_(result) {}

  explicit operator bool() const { return result_ != nullptr; }
  PGresult* get() const { return result_.get(); }

  ExecStatusType status() const { return PQresultStatus(result_.get()); }
  bool is_good() const { return status() == PGRES_TUPLES_OK || status() == PGRES_COMMAND_OK; }
  // "40001"; empty where the connection was lost rather than a statement refused.
  std::string_view sqlstate() const;
  // Of what went wrong, for operators and logs: the server's primary message alone, which holds no
  // parameters.
  std::string message() const;
  // "COMMIT", "ROLLBACK", "INSERT 0 5".
  std::string_view command_tag() const { return PQcmdStatus(result_.get()); }

  int rows() const { return PQntuples(result_.get()); }
  bool is_null(int row, int column) const { return PQgetisnull(result_.get(), row, column) != 0; }
  std::uint64_t number(int row, int column) const;   // bigint
  std::uint64_t id(int row, int column) const;       // bigint; NULL is 0
  bool boolean(int row, int column) const;           // boolean
  Time timestamp(int row, int column) const;         // timestamptz
  std::uint32_t day(int row, int column) const;      // date; days since 1970-01-01
  std::string_view text(int row, int column) const;  // text, bytea; good while this lives
  std::vector<std::uint64_t> numbers(int row, int column) const;           // bigint[]; NULL is 0
  std::vector<std::optional<Time>> timestamps(int row, int column) const;  // timestamptz[]
  std::vector<std::string> texts(int row, int column) const;               // text[], without NULL

 private:
  struct Clear {
    void operator()(PGresult* result) const { PQclear(result); }
  };
  std::string_view value(int row, int column) const;

  std::unique_ptr<PGresult, Clear> result_;
};

}  // namespace earshot::store
