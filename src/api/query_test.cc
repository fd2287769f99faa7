#include "api/query.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace earshot::api {
namespace {

constexpr Parameters kAll =
    Parameter::limit | Parameter::cursor | Parameter::at | Parameter::revision | Parameter::way;

std::string describe(const Result<Query>& query) {
  if (!query) return "! " + query.error().message;
  std::string text = std::to_string(query->limit) + " ways=" + std::to_string(query->ways);
  if (query->cursor) text += " cursor=" + *query->cursor;
  if (query->at) text += " at=" + format_time(*query->at);
  if (query->revision) text += " revision=" + std::to_string(*query->revision);
  return text;
}

struct Case {
  std::string text;
  std::string expected;
};

TEST(ParseQuery, ReadsParameters) {
  for (const auto& [text, expected] : std::vector<Case>{
           {"", "100 ways=15"},
           {"&", "100 ways=15"},
           {"limit=1", "1 ways=15"},
           {"limit=1000&", "1000 ways=15"},
           {"%6cimit=%31%32", "12 ways=15"},
           {"cursor=abc", "100 ways=15 cursor=abc"},
           {"cursor=", "100 ways=15 cursor="},
           {"cursor", "100 ways=15 cursor="},
           {"cursor=a=b", "100 ways=15 cursor=a=b"},
           {"revision=0", "100 ways=15 revision=0"},
           {"revision=9223372036854775807", "100 ways=15 revision=9223372036854775807"},
           {"at=2026-03-01T10:00:00Z", "100 ways=15 at=2026-03-01T10:00:00Z"},
           {"at=2026-03-01T11%3A00%3A00.5%2B01%3A00", "100 ways=15 at=2026-03-01T10:00:00.500Z"},
           {"at=2026-03-01T11:00:00+01:00", "100 ways=15 at=2026-03-01T10:00:00Z"},
           {"way=individual", "100 ways=8"},
           {"way=individual,shared", "100 ways=10"},
           {"way=individual%2Cprofile", "100 ways=12"},
           {"way=participant&limit=5&&way=shared", "5 ways=3"},
           {"way=individual,individual&way=individual", "100 ways=8"},
       }) {
    EXPECT_EQ(describe(parse_query(text, kAll)), expected) << text;
  }
}

TEST(ParseQuery, TellsWhatIsWrong) {
  const std::string known = "! query: the parameters are limit, cursor, at, revision, way";
  const std::string limit = "! limit: must be a number from 1 to 1000";
  const std::string at = "! at: must be a time like 2026-03-01T10:00:00Z (RFC 3339)";
  const std::string revision = "! revision: must be a number from 0 to 9223372036854775807";
  const std::string way = "! way: must be individual, shared, participant or profile";
  const std::string percent = "! query: a percent sign needs two hexadecimal digits behind it";
  for (const auto& [text, expected] : std::vector<Case>{
           {"x=1", known},
           {"Limit=1", known},
           {"=1", known},
           {" limit=1", known},
           {"limit", limit},
           {"limit=", limit},
           {"limit=0", limit},
           {"limit=-1", limit},
           {"limit=+1", limit},
           {"limit=01", limit},
           {"limit=1001", limit},
           {"limit=1e2", limit},
           {"limit=99999999999999999999", limit},
           {"limit=1&limit=1", "! limit: is given more than once"},
           {"cursor=a&x=1&cursor=a", known},
           {"cursor=a&%63ursor=a", "! cursor: is given more than once"},
           {"at=", at},
           {"at=now", at},
           {"at=2026-03-01", at},
           {"at=2026-03-01T10:00:00", at},
           {"at=2026-03-01%2010:00:00Z", at},
           {"at=2026-03-01T10:00:00Z%00", at},
           {"revision=", revision},
           {"revision=-1", revision},
           {"revision=00", revision},
           {"revision=9223372036854775808", revision},
           {"at=2026-03-01T10:00:00Z&revision=1",
            "! at, revision: only one of the two may be given"},
           {"way=", way},
           {"way=all", way},
           {"way=Individual", way},
           {"way=individual,", way},
           {"way=,individual", way},
           {"way=individual;shared", way},
           {"way=individual%", percent},
           {"way=individual%2", percent},
           {"way=individual%2x", percent},
           {"limi%=1", percent},
       }) {
    EXPECT_EQ(describe(parse_query(text, kAll)), expected) << text;
  }
}

TEST(ParseQuery, TakesOnlyWhatIsAllowed) {
  EXPECT_EQ(describe(parse_query("", 0)), "100 ways=15");
  EXPECT_EQ(describe(parse_query("limit=1", 0)), "! query: this operation takes no parameters");
  EXPECT_EQ(describe(parse_query("way=shared", Parameter::at | Parameter::revision)),
            "! query: the parameters are at, revision");
  EXPECT_EQ(describe(parse_query("revision=3", Parameter::at | Parameter::revision)),
            "100 ways=15 revision=3");
}

TEST(Positions, AreReadOnlyAsTheyAreWritten) {
  for (const std::string text : {"0", "1", "7.1", "9223372036854775807.4294967295"}) {
    const auto position = parse_position(text);
    ASSERT_TRUE(position) << text;
    EXPECT_EQ(format_position(*position), text);
  }
  for (const std::string text :
       {"", ".", "0.0", "0.1", "1.0", "1.", ".1", "01", "1.01", "1.2.3", "+1", "-1", "1 ", " 1",
        "1,2", "1.4294967296", "9223372036854775808", "7.-1", "x"}) {
    EXPECT_FALSE(parse_position(text)) << text;
  }
  EXPECT_FALSE(parse_position(std::string_view("1\0", 2)));
}

TEST(ParseQuery, ReadsWhatReadersOfChangesSay) {
  constexpr Parameters kOfReaders =
      Parameter::after | Parameter::call_id | Parameter::user_id | Parameter::wait;
  const auto query = parse_query("after=7.2&callId=5&userId=6&wait=60", kOfReaders);
  ASSERT_TRUE(query);
  EXPECT_EQ(query->after, (store::ChangesPosition{7, 2}));
  EXPECT_EQ(query->call, CallId{5});
  EXPECT_EQ(query->user, UserId{6});
  EXPECT_EQ(query->wait, std::chrono::seconds(60));
  EXPECT_EQ(query->given, kOfReaders);
  for (const std::string text : {"wait=61", "wait=", "wait=-1", "wait=1.5", "callId=0",
                                 "userId=", "after=x", "after=1&after=1", "limit=1"}) {
    EXPECT_FALSE(parse_query(text, kOfReaders)) << text;
  }
}

}  // namespace
}  // namespace earshot::api
