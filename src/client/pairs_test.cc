// Files of pairs.
#include "client/pairs.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "client/testing.h"

namespace earshot::client {
namespace {

TEST(Pairs, AreReadWithCommentsBlanksAndEveryLineEnd) {
  const File file("# people\n\n34 5\r\n  35\t6  \n{\"callId\":\"7\",\"userId\":\"36\"}\n \t\n37,8");
  const auto pairs = read_pairs(file.path());
  ASSERT_TRUE(pairs) << pairs.error().message;
  EXPECT_EQ(*pairs, (std::vector<Pair>{{UserId{34}, CallId{5}},
                                       {UserId{35}, CallId{6}},
                                       {UserId{36}, CallId{7}},
                                       {UserId{37}, CallId{8}}}));
  EXPECT_TRUE(read_pairs(File("").path())->empty());
}

TEST(Pairs, AreRefusedWithFileAndLine) {
  const File file("34 5\n\n# no\n34\n");
  const auto pairs = read_pairs(file.path());
  ASSERT_FALSE(pairs);
  EXPECT_EQ(pairs.error().code, Code::invalid_argument);
  EXPECT_TRUE(pairs.error().message.starts_with(file.path() + ":4: ")) << pairs.error().message;
  EXPECT_FALSE(read_pairs("/no/such/file"));
  EXPECT_FALSE(read_pairs("/tmp"));
}

TEST(Pairs, AreAsManyAsTheLimitOnly) {
  int ends[2];
  for (const std::size_t count : {3U, 4U}) {
    ASSERT_EQ(::pipe(ends), 0);
    std::string text;
    for (std::size_t i = 1; i <= count; ++i) text += "34 " + std::to_string(i) + "\n";
    ASSERT_EQ(::write(ends[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
    ::close(ends[1]);
    const auto pairs = read_pairs(ends[0], "standard input", 3);
    ::close(ends[0]);
    ASSERT_EQ(pairs.has_value(), count == 3) << count;
    if (pairs) continue;
    EXPECT_TRUE(pairs.error().message.starts_with("standard input:4: there are more than 3"))
        << pairs.error().message;
  }
}

TEST(Pairs, MayComeInPiecesAndInLinesUpToTheLimit) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const std::string pair = R"({"userId":"34","callId":"5","note":")";
  const std::string whole = pair + std::string(kPairLineBytesMax - pair.size() - 2, 'x') + "\"}";
  ASSERT_EQ(whole.size(), kPairLineBytesMax);
  std::thread writer([&] {
    for (const std::string& piece : {std::string("3"), std::string("3 4"), "\n" + whole + "\n"}) {
      for (std::size_t at = 0; at < piece.size(); at += 4096) {
        EXPECT_GT(
            ::write(ends[1], piece.data() + at, std::min<std::size_t>(4096, piece.size() - at)), 0);
      }
    }
    ::close(ends[1]);
  });
  const auto pairs = read_pairs(ends[0], "pipe");
  writer.join();
  ::close(ends[0]);
  ASSERT_TRUE(pairs) << pairs.error().message;
  EXPECT_EQ(pairs->size(), 2U);
  EXPECT_EQ((*pairs)[0], (Pair{UserId{33}, CallId{4}}));

  const File longer(whole + " \n");
  const auto refused = read_pairs(longer.path());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("longer than 65536 bytes"), std::string::npos);
  EXPECT_FALSE(read_pairs(File(std::string(1 << 20, 'x')).path())) << "without an end of line";
}

}  // namespace
}  // namespace earshot::client
