// Tables for people and for scripts, and text that must not reach a terminal as it is.
#include "client/table.h"

#include <gtest/gtest.h>

#include "client/testing.h"

namespace earshot::client {
namespace {

TEST(Table, IsColumnsUnderAHeadingOnATerminal) {
  Terminal terminal;
  Output output(terminal.descriptor());
  Table table(output, {"USER", "CALL", "BY"});
  table.add({"34", "7782342274025937895", "shared"});
  table.add({"é", "5", ""});
  ASSERT_TRUE(table.print());
  table.add({"234599484848423", "5", "individual"});
  ASSERT_TRUE(table.print());
  EXPECT_EQ(terminal.text(),
            "USER  CALL                 BY\n"
            "34    7782342274025937895  shared\n"
            "é     5\n"
            "234599484848423  5                    individual\n");
}

TEST(Table, HasTabsAndNoHeadingElsewhere) {
  Pipe pipe;
  Output output(pipe.descriptor());
  Table table(output, {"USER", "CALL", "BY"});
  table.add({"34", "7782342274025937895", "a\tb\nc"});
  table.add({"35", "5", ""});
  ASSERT_TRUE(table.print());
  EXPECT_EQ(pipe.text(), "34\t7782342274025937895\ta b c\n35\t5\t\n");
}

TEST(Table, OfNothingIsNothing) {
  Terminal terminal;
  Output output(terminal.descriptor());
  Table table(output, {"USER", "CALL"});
  ASSERT_TRUE(table.print());
  ASSERT_TRUE(output.write("end"));
  ASSERT_TRUE(output.flush());
  EXPECT_EQ(terminal.text(), "end");
}

TEST(Clean, TakesAwayWhatATerminalWouldObey) {
  const struct {
    std::string text, clean;
  } cases[] = {
      {"plain é 你 🎧", "plain é 你 🎧"},
      {"a\tb\r\nc", "a b  c"},
      {std::string("\x1b[31mred\x07\x7f\0x", 12), "?[31mred???x"},
      {"\u0085\u009b", "??"},
      {"\u00a0\u00ff", "\u00a0\u00ff"},
      {"\u202e\u2066\u2028\u200f\u061c\u200b", "??????"},
      {"\u2018\u2030", "\u2018\u2030"},
      {"no \xff UTF-8 \xc3", "no ? UTF-8 ?"},
      {"", ""},
  };
  for (const auto& one : cases) EXPECT_EQ(clean(one.text), one.clean) << one.text;
}

}  // namespace
}  // namespace earshot::client
