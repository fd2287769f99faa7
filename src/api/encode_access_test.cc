#include "api/encode_access.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <memory>
#include <string>
#include <vector>

namespace earshot::api {
namespace {

namespace json = boost::json;

constexpr Time kNow{1'780'000'000'000'000};
constexpr std::uint64_t kGreatest = 9'223'372'036'854'775'807;

template <class Encoder>
std::string encode_in_pieces(Encoder encoder, std::size_t piece_bytes,
                             std::size_t* longest = nullptr) {
  std::string all;
  for (bool ended = false; !ended;) {
    std::string piece;
    ended = encoder.append(piece, piece_bytes);
    EXPECT_FALSE(piece.empty());
    if (longest != nullptr) *longest = std::max(*longest, piece.size());
    all += piece;
  }
  return all;
}

core::Explanation individual(std::string note) {
  core::Explanation explanation;
  explanation.ways = explanation.ways_if_active = static_cast<core::Ways>(core::Way::individual);
  explanation.grant = core::Grant{Time{INT64_MAX - 1}, std::move(note)};
  return explanation;
}

core::Explanation by_profile(std::size_t chain) {
  core::Explanation explanation;
  explanation.ways = core::kAllWays;
  explanation.grant = core::Grant{};
  core::ProfileSeen profile;
  profile.id = ProfileId{kGreatest};
  profile.level = core::PermissionLevel::report_to_them;
  profile.covers = true;
  for (std::size_t i = 0; i < chain; ++i) profile.chain.push_back(UserId{kGreatest - i});
  profile.chain_left_out = chain > 0 ? 12'345 : 0;
  profile.lead = UserId{kGreatest};
  explanation.profile = profile;
  return explanation;
}

core::Explanation refusal(core::Refusal reason) {
  core::Explanation explanation;
  explanation.refusal = reason;
  return explanation;
}

service::CheckAnswer answer_of(std::vector<core::Explanation> explanations) {
  return {{42, kNow}, std::make_shared<const core::Directory>(), std::move(explanations)};
}

TEST(CheckEncoder, GivesTheSameBytesInPiecesOfAnySize) {
  std::vector<service::Pair> pairs(40, {CallId{kGreatest}, UserId{kGreatest}});
  std::vector<core::Explanation> explanations;
  for (std::size_t i = 0; i < 20; ++i) {
    explanations.push_back(by_profile(i * 5));
    explanations.push_back(i % 2 == 0 ? individual(std::string(i * 50, '\n'))
                                      : refusal(core::Refusal::call_is_private));
  }
  const CheckEncoder encoder("abc", pairs, answer_of(explanations));
  const std::string whole = encode_in_pieces(encoder, 1 << 20);
  EXPECT_EQ(json::serialize(json::parse(whole)), whole);
  for (std::size_t piece = 1; piece < whole.size() + 2; piece += 1 + piece / 7) {
    std::size_t longest = 0;
    ASSERT_EQ(encode_in_pieces(encoder, piece, &longest), whole) << piece;
    EXPECT_LT(longest, piece + 6000u) << "an item and no more beyond what was asked for";
  }
}

TEST(CheckEncoder, OfOnePair) {
  const CheckEncoder encoder("abc", {{CallId{1}, UserId{2}}}, answer_of({individual("ü\"\x01")}));
  EXPECT_EQ(encode_in_pieces(encoder, 1 << 20),
            R"({"requestId":"abc","revision":42,"at":"2026-05-28T20:26:40Z","results":[)"
            R"({"callId":"1","userId":"2","allowed":true,"ways":[{"way":"individual",)"
            R"("expiresAt":"9999-12-31T23:59:59.999999Z","note":"ü\"\u0001"}]}]})");
}

TEST(CheckEncoder, TellsOfALongChainAndOfManyLeads) {
  std::vector<UserId> leads;
  for (std::uint64_t i = 0; i < 250; ++i) leads.push_back(UserId{kGreatest - i});
  core::Explanation refused = refusal(core::Refusal::no_report_of_a_team_lead);
  refused.profile = core::ProfileSeen{};
  refused.profile->id = ProfileId{7};
  refused.profile->level = core::PermissionLevel::managers_team;
  refused.profile->wanted_leads = leads;
  const CheckEncoder encoder("abc", {{CallId{1}, UserId{2}}, {CallId{1}, UserId{3}}},
                             answer_of({by_profile(100), refused}));
  const auto results = json::parse(encode_in_pieces(encoder, 1 << 20)).at("results").as_array();
  const auto& way = results[0].at("ways").as_array().at(3);
  EXPECT_EQ(way.at("chain").as_array().size(), 100u);
  EXPECT_EQ(way.at("chainLeftOut").to_number<int>(), 12'345);
  EXPECT_EQ(way.at("leadId").as_string(), std::to_string(kGreatest));
  const auto& profile = results[1].at("profile");
  EXPECT_EQ(profile.at("teamLeadIds").as_array().size(), kLeadsNamedMax);
  EXPECT_EQ(profile.at("teamLeadsLeftOut").to_number<int>(), 150);
}

TEST(CheckEncoder, NamesEveryRefusalWithoutWordsOfUnknownIds) {
  for (int i = 1; i <= static_cast<int>(core::Refusal::no_report_of_a_team_lead); ++i) {
    const std::string name(name_of(static_cast<core::Refusal>(i)));
    EXPECT_FALSE(name.empty());
    EXPECT_EQ(name.find("not found"), std::string::npos) << name;
    EXPECT_EQ(name.find("invalid"), std::string::npos) << name;
  }
}

TEST(PageEncoder, GivesTheSameBytesInPiecesOfAnySize) {
  service::CallPage page;
  page.as_of = {42, kNow};
  page.directory = std::make_shared<const core::Directory>();
  for (std::uint64_t user = 1; user <= 30; ++user) {
    page.users.emplace_back(UserId{user}, by_profile(user));
  }
  const PageEncoder encoder("abc", CallId{7}, page, "c0ffee");
  const std::string whole = encode_in_pieces(encoder, 1 << 20);
  EXPECT_EQ(json::serialize(json::parse(whole)), whole);
  EXPECT_TRUE(whole.ends_with(R"(],"records":{"currentPageSize":30,"cursor":"c0ffee"}})"));
  for (std::size_t piece = 1; piece < whole.size() + 2; piece += 1 + piece / 7) {
    ASSERT_EQ(encode_in_pieces(encoder, piece), whole) << piece;
  }
}

TEST(PageEncoder, OfNobody) {
  service::UserPage page;
  page.as_of = {42, kNow};
  page.is_active = true;
  EXPECT_EQ(encode_in_pieces(PageEncoder("abc", UserId{7}, page, ""), 1),
            R"({"requestId":"abc","revision":42,"at":"2026-05-28T20:26:40Z","userId":"7",)"
            R"("calls":[],"records":{"currentPageSize":0}})");
}

}  // namespace
}  // namespace earshot::api
