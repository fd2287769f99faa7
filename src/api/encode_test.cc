#include "api/encode.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace earshot::api {
namespace {

constexpr Time kNow{1'780'000'000'000'000};
constexpr std::uint64_t kGreatest = 9'223'372'036'854'775'807;

core::PackedEntryPtr entry_of(
    const std::vector<std::pair<std::uint64_t, std::optional<Time>>>& grants) {
  core::CallEntry entry;
  entry.call = core::CallFacts{};
  std::uint32_t n = 0;
  for (const auto& [user, expires_at] : grants) {
    entry.put_grant(UserId{user}, core::Grant{expires_at, {}}, {1, n++});
  }
  return core::PackedEntry::pack(entry);
}

std::string encode_in_pieces(AccessListEncoder encoder, std::size_t piece_bytes,
                             std::size_t* longest = nullptr) {
  std::string all;
  for (bool ended = false; !ended;) {
    std::string piece;
    ended = encoder.append(piece, piece_bytes);
    if (longest != nullptr) *longest = std::max(*longest, piece.size());
    all += piece;
  }
  return all;
}

TEST(Encode, Envelopes) {
  EXPECT_EQ(encode_done("abc"), R"({"requestId":"abc"})");
  EXPECT_EQ(encode_state("abc", "ok"), R"({"requestId":"abc","status":"ok"})");
  EXPECT_EQ(encode_errors("abc", "Not Found", {}), R"({"requestId":"abc","errors":["Not Found"]})");
  const std::vector<std::string> more = {"a \"b\"", "1–19"};
  EXPECT_EQ(encode_errors("abc", "X", more),
            R"({"requestId":"abc","errors":["X","a \"b\"","1–19"]})");
}

TEST(AccessListEncoder, WritesLiveGrantsOfEachCallInOrder) {
  const AccessListEncoder encoder(
      "abc", {CallId{9}, CallId{1}, CallId{kGreatest}, CallId{4}},
      {entry_of({{30, std::nullopt}, {4, std::nullopt}, {7, Time{kNow.micros + 1}}}), entry_of({}),
       entry_of({{kGreatest, std::nullopt}}), entry_of({{5, kNow}, {6, Time{0}}})},
      kNow);
  const std::string expected =
      R"({"requestId":"abc","callAccessList":[)"
      R"({"callId":"9","users":[{"userId":"4"},{"userId":"7"},{"userId":"30"}]},)"
      R"({"callId":"1","users":[]},)"
      R"({"callId":"9223372036854775807","users":[{"userId":"9223372036854775807"}]},)"
      R"({"callId":"4","users":[]}]})";
  EXPECT_EQ(encode_in_pieces(encoder, encoder.bytes_max()), expected);
  for (std::size_t piece = 1; piece < 400; ++piece) {
    ASSERT_EQ(encode_in_pieces(encoder, piece), expected) << piece;
  }
}

TEST(AccessListEncoder, OfNoCallsIsAnEmptyList) {
  EXPECT_EQ(encode_in_pieces(AccessListEncoder("abc", {}, {}, kNow), 1),
            R"({"requestId":"abc","callAccessList":[]})");
}

TEST(AccessListEncoder, HoldsItsBounds) {
  std::vector<std::pair<std::uint64_t, std::optional<Time>>> grants;
  for (std::uint64_t i = 0; i < 5000; ++i) grants.emplace_back(kGreatest - i, std::nullopt);
  const AccessListEncoder encoder("abc", {CallId{kGreatest}, CallId{kGreatest - 1}},
                                  {entry_of(grants), entry_of(grants)}, kNow);
  std::size_t longest = 0;
  const std::string all = encode_in_pieces(encoder, 10'000, &longest);
  EXPECT_LE(all.size(), encoder.bytes_max());
  EXPECT_GT(all.size() + all.size() / 8, encoder.bytes_max());
  EXPECT_LT(longest, 10'200u);
  EXPECT_EQ(encode_in_pieces(encoder, encoder.bytes_max()), all);
}

}  // namespace
}  // namespace earshot::api
