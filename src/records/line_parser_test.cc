#include "records/line_parser.h"

#include <gtest/gtest.h>

#include <string>

namespace earshot::records {
namespace {

TEST(LineParser, StartsAfreshWithEveryLine) {
  LineParser parser;
  const std::string good = R"({"userId":"3","profileIds":["1","2"]})";
  for (const char* const before :
       {R"({"userId":["1",)", R"({"userId":"7","title":"x","x":[{"y":[)", R"({"callsAccess":{)",
        R"({"profileIds":[1,{}],"note":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\u00)", "", "7",
        R"({"profileIds":["8","9"],"userId":"7"})"}) {
    (void)parser.parse(before);
    const auto members = parser.parse(good);
    ASSERT_TRUE(members) << before;
    const Members& found = **members;
    EXPECT_EQ(found[Member::user_id].shape, Shape::string) << before;
    EXPECT_EQ(found[Member::user_id].text, "3") << before;
    EXPECT_FALSE(found[Member::user_id].is_twice) << before;
    ASSERT_EQ(found[Member::profile_ids].list.size(), 2U) << before;
    EXPECT_EQ(found[Member::profile_ids].list[0], "1") << before;
    EXPECT_EQ(found[Member::profile_ids].list[1], "2") << before;
    EXPECT_EQ(found[Member::title].shape, Shape::absent) << before;
    EXPECT_EQ(found[Member::calls_access].shape, Shape::absent) << before;
  }
}

TEST(PathOf, NamesWhereAMemberStands) {
  EXPECT_EQ(path_of(Member::kind), "kind");
  EXPECT_EQ(path_of(Member::note), "note");
  EXPECT_EQ(path_of(Member::permission_level), "callsAccess.permissionLevel");
  EXPECT_EQ(path_of(Member::team_lead_ids), "callsAccess.teamLeadIds");
}

}  // namespace
}  // namespace earshot::records
