#include "base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <thread>
#include <vector>

namespace earshot {
namespace {

RequestId id_of(std::array<std::uint8_t, 12> bytes) { return RequestId{bytes}; }

TEST(FormatRequestId, IsBase36WithoutPadding) {
  const struct {
    RequestId id;
    const char* text;
  } cases[] = {
      {id_of({}), "0"},
      {id_of({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}), "1"},
      {id_of({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 35}), "z"},
      {id_of({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 36}), "10"},
      // 36^12 - 1, 36^12 and 36^12 + 1, where the two halves meet
      {id_of({0, 0, 0, 0, 0x41, 0xC2, 0x1C, 0xB8, 0xE0, 0xFF, 0xFF, 0xFF}), "zzzzzzzzzzzz"},
      {id_of({0, 0, 0, 0, 0x41, 0xC2, 0x1C, 0xB8, 0xE1, 0, 0, 0}), "1000000000000"},
      {id_of({0, 0, 0, 0, 0x41, 0xC2, 0x1C, 0xB8, 0xE1, 0, 0, 1}), "1000000000001"},
      {id_of({255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}), "7oiylpimjg5u2ca1ypr"},
  };
  for (const auto& c : cases) EXPECT_EQ(format_request_id(c.id).view(), c.text);
}

TEST(FormatRequestId, AgreesWithLongDivision) {
  for (int round = 0; round < 1000; ++round) {
    const RequestId id = make_request_id();
    auto rest = id.bytes;
    std::string expected;
    while (std::any_of(rest.begin(), rest.end(), [](auto byte) { return byte != 0; })) {
      unsigned carry = 0;
      for (auto& byte : rest) {
        carry = carry << 8 | byte;
        byte = static_cast<std::uint8_t>(carry / 36);
        carry %= 36;
      }
      expected.insert(expected.begin(), "0123456789abcdefghijklmnopqrstuvwxyz"[carry]);
    }
    EXPECT_EQ(format_request_id(id).view(), expected);
  }
}

TEST(ParseRequestId, ReadsWhatFormatWrites) {
  for (int round = 0; round < 1000; ++round) {
    RequestId id = make_request_id();
    std::fill_n(id.bytes.begin(), round % 13, std::uint8_t{0});  // short ones too
    EXPECT_EQ(parse_request_id(format_request_id(id)), id);
  }
}

TEST(ParseRequestId, RefusesAnyOtherText) {
  EXPECT_TRUE(parse_request_id("7oiylpimjg5u2ca1ypr"));  // the largest
  for (const char* text : {"", "00", "01", "A", "-1", " 1", "7oiylpimjg5u2ca1yps",
                           "zzzzzzzzzzzzzzzzzzz", "10000000000000000000"}) {
    EXPECT_FALSE(parse_request_id(text)) << text;
  }
}

TEST(MakeRequestId, IsDifferentEachTimeAndOnEachThread) {
  constexpr std::size_t kThreads = 4;
  constexpr std::size_t kEach = 2000;  // many times what the buffer of a thread holds
  std::vector<std::vector<std::string>> made(kThreads);
  std::vector<std::thread> threads;
  for (auto& ids : made) {
    threads.emplace_back([&ids] {
      for (std::size_t i = 0; i < kEach; ++i)
        ids.emplace_back(format_request_id(make_request_id()));
    });
  }
  for (auto& thread : threads) thread.join();
  std::set<std::string> distinct;
  for (const auto& ids : made) distinct.insert(ids.begin(), ids.end());
  EXPECT_EQ(distinct.size(), kThreads * kEach);
}

TEST(FillRandom, FillsEveryByteOfAnySize) {
  for (const std::size_t size : {0, 1, 16, 4095, 4096, 4097, 100'000}) {
    std::vector<std::uint8_t> seen(size, 0);
    for (int round = 0; round < 20; ++round) {
      std::vector<std::uint8_t> bytes(size, 0);
      fill_random(bytes);
      for (std::size_t i = 0; i < size; ++i) seen[i] |= bytes[i];
    }
    EXPECT_EQ(std::count(seen.begin(), seen.end(), 0), 0) << size;
  }
}

TEST(MakeRandomText, UsesEveryCharacterEvenly) {
  const std::string text = make_random_text(62'000);
  ASSERT_EQ(text.size(), 62'000U);
  std::array<int, 256> counts{};
  for (const char c : text) ++counts[static_cast<unsigned char>(c)];
  int used = 0;
  for (int c = 0; c < 256; ++c) {
    if (counts[static_cast<std::size_t>(c)] == 0) continue;
    ++used;
    EXPECT_TRUE(std::isalnum(c)) << c;
    // 1000 expected with a deviation of 31; without the rest taken out, some would have 1211.
    EXPECT_NEAR(counts[static_cast<std::size_t>(c)], 1000, 180) << c;
  }
  EXPECT_EQ(used, 62);
  EXPECT_EQ(make_random_text(0), "");
}

}  // namespace
}  // namespace earshot
