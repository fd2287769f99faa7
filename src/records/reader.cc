#include "records/reader.h"

#include <algorithm>
#include <cstring>
#include <istream>
#include <utility>

#include "records/decode.h"

namespace earshot::records {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::size_t kReadBytes = 64 * 1024;

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == line.npos; }

}  // namespace

Reader::Reader(std::string name, ReadBytes read_bytes, Options options)
    : name_(std::move(name)),
      read_bytes_(std::move(read_bytes)),
      options_(options),
      company_(options.company) {}

Result<std::optional<core::Record>> Reader::next() {
  if (failure_) return *failure_;
  auto record = next_record();
  if (!record) failure_ = record.error();
  return record;
}

Result<std::optional<core::Record>> Reader::next_record() {
  const auto bad_line = [this](const Error& error) {
    return Error{error.code, position() + ": " + error.message};
  };
  for (;;) {
    const auto line = TRY(next_line());
    if (!line) return std::optional<core::Record>();
    if (line_ == 1 && line->starts_with(kByteOrderMark)) {
      return bad_line(invalid_argument("a byte-order mark: save the file as UTF-8 without one"));
    }
    if (is_blank(*line)) continue;
    const auto members = parser_.parse(*line);
    if (!members) return bad_line(members.error());
    auto record = decode_record(**members, company_);
    if (!record) return bad_line(record.error());
    if (std::holds_alternative<core::Company>(record->thing)) company_ = record->company;
    warn(*record);
    return std::optional(std::move(*record));
  }
}

// The next line without its end, counted; valid until the next call.
Result<std::optional<std::string_view>> Reader::next_line() {
  std::size_t searched = 0;
  for (;;) {
    const char* const from = buffer_.data() + begin_;
    const std::size_t waiting = end_ - begin_;
    const void* const newline =
        waiting > searched ? std::memchr(from + searched, '\n', waiting - searched) : nullptr;
    const bool is_last = newline == nullptr && at_end_;
    if (is_last && waiting == 0) return std::optional<std::string_view>();
    const std::size_t size =
        newline ? static_cast<std::size_t>(static_cast<const char*>(newline) - from) : waiting;
    if (size > options_.line_bytes_max) {
      ++line_;
      return invalid_argument(position() + ": longer than " +
                              std::to_string(options_.line_bytes_max) + " bytes");
    }
    if (newline != nullptr || is_last) {
      ++line_;
      begin_ += size + (newline ? 1 : 0);
      return std::optional(std::string_view(from, size));
    }
    searched = waiting;
    TRY(fill());
  }
}

// Reads more behind what waits. The buffer holds at most one line that is too long by one reading.
Status Reader::fill() {
  if (begin_ > 0) {
    std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_),
              buffer_.begin() + static_cast<std::ptrdiff_t>(end_), buffer_.begin());
    end_ -= begin_;
    begin_ = 0;
  }
  if (buffer_.size() - end_ < kReadBytes) buffer_.resize(end_ + kReadBytes);
  const auto got = read_bytes_(std::span(buffer_).subspan(end_));
  if (!got) {
    const std::string of_file = name_.empty() ? "" : name_ + ": ";
    return Error{got.error().code, of_file + got.error().message};
  }
  end_ += *got;
  at_end_ = *got == 0;
  return {};
}

void Reader::warn(const core::Record& record) {
  const auto* const line = std::get_if<core::KeyLine>(&record.thing);
  if (line == nullptr || !line->secret_text) return;
  if (line->secret_text->size() >= kSecretCharsAdvised) return;
  ++warnings_.short_secrets;
  if (warnings_.short_secret_positions.size() < Warnings::kPositionsMax) {
    warnings_.short_secret_positions.push_back(position());
  }
}

Reader::ReadBytes read_from(std::istream& in) {
  return [&in](std::span<char> buffer) -> Result<std::size_t> {
    in.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    if (in.bad()) return internal("cannot be read");
    return static_cast<std::size_t>(in.gcount());
  };
}

Reader::ReadBytes read_from(std::string_view text) {
  return [text](std::span<char> buffer) mutable -> Result<std::size_t> {
    const std::size_t size = std::min(buffer.size(), text.size());
    std::copy_n(text.data(), size, buffer.data());
    text.remove_prefix(size);
    return size;
  };
}

}  // namespace earshot::records
