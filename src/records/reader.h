// Reads records from text: JSON objects, one a line. In bounded memory, whatever comes. Applies
// nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "core/record.h"
#include "records/limits.h"
#include "records/line_parser.h"

namespace earshot::records {

// What is taken, but should not stay as it is.
struct Warnings {
  static constexpr std::size_t kPositionsMax = 5;
  std::uint64_t short_secrets = 0;
  std::vector<std::string> short_secret_positions;  // of the first few: "keys.ndjson:12"
};

class Reader {
 public:
  // Fills some of the buffer and says how much; 0 at the end of the text.
  using ReadBytes = std::function<Result<std::size_t>(std::span<char>)>;

  struct Options {
    std::size_t line_bytes_max = kLineBytesMax;
    std::optional<CompanyId>
        company;  // meant by lines without companyId that stand before the first company line
  };

  // `name` is the file's, for positions; empty: there is no file, and they are "line 12".
  Reader(std::string name, ReadBytes read_bytes)
      : Reader(std::move(name), std::move(read_bytes), Options{}) {}
  Reader(std::string name, ReadBytes read_bytes, Options options);

  // The next record, or nothing at the end. Empty lines are passed over, CRLF ends a line too.
  // Errors, after which every call gives the same: invalid_argument "FILE:LINE: reason", where the
  // reason never repeats what stands in the line, since that may be a secret; or the error of
  // `read_bytes`.
  Result<std::optional<core::Record>> next();

  // Where the record just given, or the bad one, stands: "FILE:LINE", or "line LINE".
  std::string position() const { return position(line_); }
  // The same for the record of a line, by its number from line().
  std::string position(std::uint64_t line) const {
    return (name_.empty() ? "line " : name_ + ':') + std::to_string(line);
  }
  std::uint64_t line() const { return line_; }

  const Warnings& warnings() const { return warnings_; }

 private:
  Result<std::optional<std::string_view>> next_line();
  Result<std::optional<core::Record>> next_record();
  Status fill();
  void warn(const core::Record& record);

  const std::string name_;
  const ReadBytes read_bytes_;
  const Options options_;
  LineParser parser_;
  std::optional<CompanyId> company_;  // meant by lines without companyId
  std::vector<char> buffer_;
  std::size_t begin_ = 0;  // of what was not given out yet
  std::size_t end_ = 0;    // of what was read
  bool at_end_ = false;
  std::uint64_t line_ = 0;  // counted from 1
  std::optional<Error> failure_;
  Warnings warnings_;
};

// Reads from a stream, which must outlive the reader.
Reader::ReadBytes read_from(std::istream& in);

// Reads from a text, which must outlive the reader.
Reader::ReadBytes read_from(std::string_view text);

}  // namespace earshot::records
