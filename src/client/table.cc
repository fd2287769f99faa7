#include "client/table.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "base/text.h"

namespace earshot::client {
namespace {

constexpr std::size_t kGap = 2;  // between columns

bool is_continuation(char c) { return (c & 0xC0) == 0x80; }

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return !is_continuation(c); }));
}

// The next character of valid UTF-8, which is taken from the text.
std::string_view take_character(std::string_view& text) {
  std::size_t size = 1;
  while (size < text.size() && is_continuation(text[size])) ++size;
  const std::string_view character = text.substr(0, size);
  text.remove_prefix(size);
  return character;
}

// C1 controls, marks and overrides of direction, and separators of lines: what stands on the screen
// must be what stands in the text, in its order.
bool changes_the_screen(std::string_view character) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kRanges = {{
      {"\u0080", "\u009F"},
      {"\u061C", "\u061C"},
      {"\u200B", "\u200F"},
      {"\u2028", "\u202E"},
      {"\u2060", "\u206F"},
  }};
  return std::ranges::any_of(kRanges, [&](const auto& range) {
    return character >= range.first && character <= range.second;
  });
}

}  // namespace

std::string clean(std::string_view text) {
  const bool is_utf8 = is_valid_utf8(text);
  std::string result;
  while (!text.empty()) {
    std::string_view character = is_utf8 ? take_character(text) : text.substr(0, 1);
    if (!is_utf8) text.remove_prefix(1);
    const auto first = static_cast<std::uint8_t>(character[0]);
    if (first == '\t' || first == '\n' || first == '\r') {
      result += ' ';
    } else if (first < 0x20 || first == 0x7F || (first >= 0x80 && !is_utf8) ||
               (first >= 0x80 && changes_the_screen(character))) {
      result += '?';
    } else {
      result += character;
    }
  }
  return result;
}

Table::Table(Output& output, std::vector<std::string> heading)
    : output_(output),
      is_aligned_(output.is_terminal()),
      heading_(std::move(heading)),
      widths_(heading_.size()) {}

void Table::add(std::vector<std::string> row) {
  if (is_aligned_ && !heading_.empty()) rows_.push_back(std::exchange(heading_, {}));
  for (auto& cell : row) cell = clean(cell);
  rows_.push_back(std::move(row));
}

Status Table::print() {
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths_[i] = std::max(widths_[i], width_of(row[i]));
    }
  }
  for (const auto& row : rows_) TRY(output_.write(line_of(row)));
  rows_.clear();
  return output_.flush();
}

std::string Table::line_of(const std::vector<std::string>& row) const {
  std::string line;
  for (std::size_t i = 0; i < row.size(); ++i) {
    line += row[i];
    if (i + 1 == row.size()) break;
    line += is_aligned_ ? std::string(widths_[i] - width_of(row[i]) + kGap, ' ') : "\t";
  }
  if (is_aligned_) line.erase(line.find_last_not_of(' ') + 1);
  return line + '\n';
}

}  // namespace earshot::client
