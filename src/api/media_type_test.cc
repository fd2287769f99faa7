#include "api/media_type.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace earshot::api {
namespace {

TEST(MediaType, TakesJsonInUtf8) {
  const std::vector<std::string_view> cases = {
      "application/json",
      "Application/JSON",
      "application/json;charset=UTF-8",
      "application/json; charset=utf-8",
      "application/json ;\tcharset=\"utf-8\"",
      "application/json; charset=\"u\\tf-8\"",
      "application/json; CHARSET=Utf-8",
      "application/json;",
      "application/json; ; charset=utf-8;",
      "application/json; version=1; x=\"a;charset=latin1\"",
      "application/json; charset=utf-8; charset=utf-8",
  };
  for (const std::string_view value : cases) EXPECT_TRUE(is_json_media_type(value)) << value;
}

TEST(MediaType, RefusesAllElse) {
  const std::vector<std::string_view> cases = {
      "",
      "*/*",
      "application/*",
      "text/json",
      "text/plain",
      "application/jso",
      "application/jsonx",
      "application/json-patch+json",
      "application/problem+json",
      "application/x-www-form-urlencoded",
      " application/json",
      "application/json, application/json",
      "application/json charset=utf-8",
      "application/json; charset",
      "application/json; charset=",
      "application/json; charset =utf-8",
      "application/json; charset= utf-8",
      "application/json; =utf-8",
      "application/json; charset=\"utf-8",
      "application/json; charset=\"utf-8\\",
      "application/json; charset=\"utf-8\"x",
      "application/json; charset=utf8",
      "application/json; charset=utf-16",
      "application/json; charset=iso-8859-1",
      "application/json; charset=utf-8; charset=latin1",
  };
  for (const std::string_view value : cases) EXPECT_FALSE(is_json_media_type(value)) << value;
}

bool prefers_events(std::initializer_list<std::string_view> values) {
  AcceptedTypes accepted;
  for (const std::string_view value : values) accepted.add(value);
  return accepted.prefer_events();
}

TEST(MediaType, SeesThatEventsAreAskedFor) {
  for (const std::string_view value :
       {"text/event-stream", "Text/Event-Stream", "*/*, text/event-stream;q=0.1",
        " text/event-stream ; charset=utf-8", ",,text/event-stream,", "text/event-stream;q=0.001",
        "application/json;q=0.9, text/event-stream", "text/event-stream;q=1.000",
        "application/json;q=0.89,text/event-stream;x=1;q=0.9",
        "application/json;q=0, */*, text/event-stream;q=0.5"}) {
    EXPECT_TRUE(prefers_events({value})) << value;
  }
  for (const std::string_view value :
       {"", "*/*", "text/*", "application/json", "text/event-stream2", "text/event-stream;q=0",
        "text/event-stream; Q=0.000", "x-text/event-stream", ",", ";", "text/event-stream;q=0;x",
        "application/json, text/event-stream", "text/event-stream, application/json",
        "Application/JSON;q=0.5, text/event-stream;q=0.5",
        "application/json; q=1, text/event-stream"}) {
    EXPECT_FALSE(prefers_events({value})) << value;
  }
  EXPECT_TRUE(prefers_events({"application/json;q=0.5", "text/event-stream"}));
  EXPECT_FALSE(prefers_events({"text/event-stream", "application/json"}));
}

TEST(MediaType, TakesNoWeightThatIsNone) {
  for (const std::string_view value : {"q=0.0001", "q=2", "q=", "q=0x", "q=0.1x", "q=-1", "q=00"}) {
    AcceptedTypes accepted;
    accepted.add("text/event-stream;" + std::string(value));
    EXPECT_EQ(accepted.events, 1000) << value;
  }
}

}  // namespace
}  // namespace earshot::api
