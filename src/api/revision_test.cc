// The header x-earshot-revision: what writes answer with it, and what reads ask for.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "api/testing.h"

namespace earshot::api {
namespace {

constexpr const char* kRevision = "x-earshot-revision";

class RevisionTest : public ApplicationTest {
 protected:
  std::shared_ptr<Got> read(std::vector<std::string> revisions, std::string body) {
    Request request{.fields = kAuthorized, .body = std::move(body)};
    for (auto& text : revisions) request.fields.emplace_back("X-Earshot-Revision", std::move(text));
    return ask(request);
  }
  std::string write(std::string method, std::string body) {
    const auto got = ask(std::move(method), std::move(body));
    EXPECT_EQ(got->response->status, 200);
    return got->field(kRevision);
  }
};

TEST_F(RevisionTest, EveryWriteAnswersIt) {
  const std::string first = write("PUT", access("107", R"("134")"));
  ASSERT_FALSE(first.empty());
  EXPECT_EQ(write("PUT", access("107", R"("134")")), first) << "nothing changed";
  EXPECT_EQ(write("PUT", access("108", "")), first);
  EXPECT_EQ(write("PUT", R"({"callAccessList":[]})"), first);
  EXPECT_EQ(write("DELETE", R"({"callAccessList":[]})"), first);
  const std::string second = write("DELETE", access("107", R"("134")"));
  EXPECT_EQ(std::stoul(second), std::stoul(first) + 1);
  EXPECT_EQ(write("DELETE", access("107", R"("134")")), second);
  EXPECT_TRUE(ask("PUT", access("5", ""))->field(kRevision).empty()) << "refused";
}

TEST_F(RevisionTest, AReadIsAsOfTheOneItAsksFor) {
  const std::string body = list(R"("107")");
  EXPECT_TRUE(ask("POST", body)->field(kRevision).empty()) << "it did not ask";
  const std::string revision = write("PUT", access("107", R"("134")"));
  for (const std::string& asked : {revision, std::string("0"), std::string("1")}) {
    const auto got = read({asked}, body);
    expect_envelope(*got);
    EXPECT_EQ(got->response->status, 200);
    EXPECT_EQ(got->field(kRevision), revision);
    EXPECT_EQ(store_.reads.back().at_least, std::stoul(asked));
  }
  const auto ahead = read({std::to_string(std::stoul(revision) + 1)}, body);
  expect_envelope(*ahead);
  EXPECT_EQ(ahead->response->status, 503);
  EXPECT_EQ(ahead->field("retry-after"), "1");
  EXPECT_TRUE(ahead->field(kRevision).empty());
  EXPECT_EQ(read({"9223372036854775807"}, body)->response->status, 503);

  make({.answer_bytes_whole = 1});
  const auto streamed = read({revision}, list(R"("107","108")"));
  EXPECT_TRUE(streamed->is_stream);
  EXPECT_EQ(streamed->field(kRevision), revision);
}

TEST_F(RevisionTest, AMalformedOneIsRefusedBeforeTheBody) {
  const std::string number = "x-earshot-revision: must be a number from 0 to 9223372036854775807";
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{""}, number},
      {{"-1"}, number},
      {{"+1"}, number},
      {{"1 "}, number},
      {{"01"}, number},
      {{"00"}, number},
      {{"1,2"}, number},
      {{"0x1"}, number},
      {{"1.0"}, number},
      {{"newest"}, number},
      {{"9223372036854775808"}, number},
      {{"18446744073709551616"}, number},
      {{"1", "1"}, "x-earshot-revision: is given more than once"},
  };
  for (const auto& [revisions, detail] : cases) {
    for (const std::string& body : {list(R"("107")"), std::string("{")}) {
      const auto got = read(revisions, body);
      expect_envelope(*got);
      EXPECT_EQ(got->response->status, 400) << revisions[0];
      EXPECT_EQ(got->errors(), (std::vector{kBadJson, detail})) << revisions[0];
    }
  }
  EXPECT_TRUE(store_.reads.empty());

  Request request{.fields = {kAuthorized[0], {kRevision, "x"}}, .body = "{"};
  EXPECT_EQ(ask(request)->response->status, 415);
  request.is_too_long = true;
  EXPECT_EQ(ask(request)->response->status, 413);
}

TEST_F(RevisionTest, IsForReadsAlone) {
  for (const std::string method : {"PUT", "DELETE"}) {
    Request request{.method = method, .fields = kAuthorized, .body = R"({"callAccessList":[]})"};
    request.fields.emplace_back(kRevision, "nonsense");
    EXPECT_EQ(ask(request)->response->status, 200);
  }
}

}  // namespace
}  // namespace earshot::api
