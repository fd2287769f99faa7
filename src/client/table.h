// Rows on standard output: for people in columns under a heading, for scripts with tabs between.
// And text of others' making, so that a terminal takes none of it for a command.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/output.h"
#include "base/result.h"

namespace earshot::client {

// The text without control characters, and without those that change the direction of what follows.
// White space among them becomes a space, other ones and bytes that are no UTF-8 a question mark.
std::string clean(std::string_view text);

class Table {
 public:
  // On a terminal in columns; elsewhere without the heading. The output must outlive it.
  Table(Output& output, std::vector<std::string> heading);

  // One cell for each of the heading. It is kept until print().
  void add(std::vector<std::string> row);

  // Writes the rows that were added, before the first of them the heading. A column is as wide as
  // what was printed in it so far.
  Status print();

 private:
  std::string line_of(const std::vector<std::string>& row) const;

  Output& output_;
  const bool is_aligned_;
  std::vector<std::string> heading_;  // until it is printed
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::size_t> widths_;
};

}  // namespace earshot::client
