// The texts of explanations. That what they say would open a call does open it is tried against a
// server, in test/e2e/suites/cli.py.
#include "client/explanation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace earshot::client {
namespace {

const AsOf kAsOf{17, *parse_time("2026-03-01T10:00:00Z")};
const Moment kNow;
const Moment kThen{{}, kAsOf.time};
const Moment kRevision{17, {}};

Finding finding(const std::string& rest) {
  const auto answer = decode_check(
      R"({"revision":17,"at":"2026-03-01T10:00:00Z","results":[{"callId":"5","userId":"30",)" +
      rest + "}]}");
  EXPECT_TRUE(answer) << rest << ": " << answer.error().message;
  return answer ? answer->findings.at(0) : Finding();
}

Finding allowed(const std::string& ways) {
  return finding(R"("allowed":true,"ways":[)" + ways + "]");
}
Finding refused(const std::string& reason, const std::string& rest = "") {
  return finding(R"("allowed":false,"ways":[],"reason":")" + reason + "\"" + rest);
}
std::string profile(const std::string& level, const std::string& rest = "") {
  return R"(,"profile":{"profileId":"20","permissionLevel":")" + level + "\"" + rest + "}";
}

TEST(Explanation, TellsEveryWayWithItsReasons) {
  const auto found = allowed(
      R"({"way":"individual","expiresAt":"2027-01-01T00:00:00Z","note":"for Olga"},{"way":"shared"},
         {"way":"participant"},{"way":"profile","profileId":"20","permissionLevel":"report-to-them",
          "chain":["31","29","30"]})");
  EXPECT_EQ(explain(found, kAsOf, kNow), R"(Yes: user 30 may hear call 5, in 4 ways.

  individual   They were given it, until 2027-01-01T00:00:00Z. Its note: for
               Olga
  shared       It was shared with them.
  participant  They take part in it, as its host or as one of its parties.
  profile      Their profile 20 (report-to-them) covers the calls of their team,
               and 31, who takes part in this one, is in it:
               31
               └─ reports to 29
                  └─ reports to 30, the user

This is as of revision 17, 2026-03-01T10:00:00Z.
)");
  EXPECT_EQ(explain(found, kAsOf, kThen),
            R"(Yes: on 2026-03-01T10:00:00Z user 30 could hear call 5, in 4 ways.

  individual   They had been given it, until 2027-01-01T00:00:00Z. Its note: for
               Olga
  shared       It had been shared with them.
  participant  They took part in it, as its host or as one of its parties.
  profile      Their profile 20 (report-to-them) covered the calls of their
               team, and 31, who took part in this one, was in it:
               31
               └─ reported to 29
                  └─ reported to 30, the user

This is as of revision 17, 2026-03-01T10:00:00Z.
)");
}

TEST(Explanation, SaysWhoseTeamAProfileMeans) {
  const struct {
    const char* way;
    const char* text;
  } cases[] = {
      {R"("permissionLevel":"all","chain":[])",
       R"(  profile      Their profile 20 (all) covers every call of its workspace that is
               not private.
)"},
      {R"("permissionLevel":"own","chain":["30"])",
       R"(  profile      Their profile 20 (own) covers the calls that they take part in.
)"},
      {R"("permissionLevel":"report-to-them","chain":["30"])",
       R"(  profile      Their profile 20 (report-to-them) covers the calls of their team,
               and 30, who takes part in this one, is in it:
               30, the user
)"},
      {R"("permissionLevel":"managers-team","chain":["31","29"])",
       R"(  profile      Their profile 20 (managers-team) covers the calls of their
               manager's team, and 31, who takes part in this one, is in it:
               31
               └─ reports to 29, the user's manager
)"},
      {R"("permissionLevel":"managers-team","chain":["31","28"],"leadId":"28")",
       R"(  profile      Their profile 20 (managers-team) covers the calls of the teams of
               its team leads, and 31, who takes part in this one, is in it:
               31
               └─ reports to 28, a team lead of the profile
)"},
      {R"("permissionLevel":"report-to-them",
          "chain":["1","2","3","4","5","6","7","8","30"],"chainLeftOut":3)",
       R"(  profile      Their profile 20 (report-to-them) covers the calls of their team,
               and 1, who takes part in this one, is in it:
               1
               └─ reports to 2
                  └─ reports to 3
                     └─ reports to 4
                        └─ reports to 5
                           └─ reports to 6
                              └─ reports to 7
                                 └─ … 4 more …
                                    └─ reports to 30, the user
)"},
  };
  for (const auto& one : cases) {
    const auto found =
        allowed(R"({"way":"profile","profileId":"20",)" + std::string(one.way) + "}");
    const auto text = explain(found, kAsOf, kNow);
    EXPECT_EQ(text, "Yes: user 30 may hear call 5, in one way.\n\n" + std::string(one.text) +
                        "\nThis is as of revision 17, 2026-03-01T10:00:00Z.\n");
  }
}

TEST(Explanation, DrawsAChainThatJustFitsWhole) {
  const auto text =
      explain(allowed(R"({"way":"profile","profileId":"20","permissionLevel":"report-to-them",
                  "chain":["1","2","3","4","5","6","7","30"]})"),
              kAsOf, kNow);
  static_assert(kChainDrawnMax == 8);
  EXPECT_EQ(text.find("more"), std::string::npos) << text;
  EXPECT_NE(text.find("└─ reports to 7\n"), std::string::npos) << text;
  EXPECT_NE(text.find("└─ reports to 30, the user\n"), std::string::npos) << text;
  const auto cut =
      explain(allowed(R"({"way":"profile","profileId":"20","permissionLevel":"report-to-them",
                  "chain":["1","30"],"chainLeftOut":3})"),
              kAsOf, kNow);
  EXPECT_NE(cut.find("└─ … 3 more …\n"), std::string::npos) << cut;
}

TEST(Explanation, OfARefusalSaysWhatWouldHaveToChange) {
  const auto found = refused("no participant reports to the user", profile("report-to-them"));
  EXPECT_EQ(explain(found, kAsOf, kNow), R"(No: user 30 may not hear call 5.

They take no part in the call, it was not shared with them, and they were not
given it. Their profile 20 (report-to-them) covers the calls of their team, and
nobody who takes part in this one reports to them.

Any one of these would open it to them:
  - an individual grant
      earshot give 30 5
  - a share
      the record {"kind":"share","callId":"5","userId":"30"}
  - a part in the call, as its host or as a party
      primaryUserId or partyUserIds of the call's record
  - level all of profile 20
      permissionLevel of its record; it then holds for all who have the profile
  - a chain of managers from somebody who takes part up to them
      managerId of users' records

This is as of revision 17, 2026-03-01T10:00:00Z.
)");
  EXPECT_EQ(explain(found, kAsOf, kRevision), R"(No: at revision 17 user 30 could not hear call 5.

They took no part in the call, it had not been shared with them, and they had
not been given it. Their profile 20 (report-to-them) covered the calls of their
team, and nobody who took part in this one reported to them.

Any one of these would have opened it to them:
  - an individual grant
  - a share
  - a part in the call, as its host or as a party
  - level all of profile 20
  - a chain of managers from somebody who takes part up to them

This is as of revision 17, 2026-03-01T10:00:00Z.
)");
}

TEST(Explanation, HasASentenceAndTheRightAlternativesForEveryReason) {
  const std::vector<std::string> always = {"an individual grant", "a share",
                                           "a part in the call, as its host or as a party"};
  const auto and_also = [&](std::vector<std::string> more) {
    more.insert(more.begin(), always.begin(), always.end());
    return more;
  };
  const std::string all = "level all of profile 20";
  const struct {
    Finding finding;
    std::string sentence, past;
    std::vector<std::string> alternatives;
  } cases[] = {
      {refused("unknown call"), "There is no such call", "There was no such call", {}},
      {refused("unknown user"), "There is no such user", "There was no such user", {}},
      {refused("user inactive", R"(,"waysIfActive":["individual","profile"])"),
       "if they were active, they could hear it (individual and profile)",
       "had they been active, they could have heard it (individual and profile)",
       {"that they are active"}},
      {refused("user inactive", R"(,"waysIfActive":[])"),
       "no way would be open to them either",
       "no way would have been open to them either",
       {"that they are active, and an individual grant", "that they are active, and a share",
        "that they are active, and a part in the call, as its host or as a party"}},
      {refused("grant expired", R"(,"expiredAt":"2026-02-01T00:00:00Z")"),
       "given it until 2026-02-01T00:00:00Z. That is over", "That was over", always},
      {refused("grant expired", R"(,"expiredAt":"2026-02-01T00:00:00Z")" + profile("own")),
       "given it until 2026-02-01T00:00:00Z", "That was over", and_also({all})},
      // A profile opens no private call, so none is offered.
      {refused("call is private"), "The call is private", "The call was private", always},
      {refused("unknown workspace"), "is in no workspace that has a record",
       "was in no workspace that had a record", always},
      {refused("no profile in this workspace"), "they have no permission profile",
       "they had no permission profile",
       and_also({"a permission profile of level all in the call's workspace"})},
      {refused("profile gives no calls", profile("none")), "profile 20 (none) covers no calls",
       "profile 20 (none) covered no calls", and_also({all})},
      {refused("not a participant", profile("own")), "covers only calls that they take part in",
       "covered only calls that they took part in", and_also({all})},
      {refused("user has no manager", profile("managers-team")), "they have no manager",
       "they had no manager",
       and_also(
           {all, "a manager who is above somebody who takes part, directly or through others"})},
      {refused("no participant reports to the user's manager", profile("managers-team")),
       "nobody who takes part in this one is in it", "nobody who took part in this one was in it",
       and_also(
           {all, "a manager who is above somebody who takes part, directly or through others"})},
      {refused("no participant reports to a team lead",
               profile("report-to-them", R"(,"teamLeadIds":["28","29"],"teamLeadsLeftOut":3)")),
       "its team leads (28, 29 and 3 more)", "its team leads (28, 29 and 3 more)",
       and_also({all, "a chain of managers from somebody who takes part up to 28, 29 or 3 more"})},
      {refused("of a later release"), "Reason: of a later release.", "Reason: of a later release.",
       always},
  };
  for (const auto& one : cases) {
    const auto unwrapped = [](std::string text) {
      std::ranges::replace(text, '\n', ' ');
      return text;
    };
    const auto text = explain(one.finding, kAsOf, kNow);
    EXPECT_NE(unwrapped(text).find(one.sentence), std::string::npos) << text;
    const auto past = explain(one.finding, kAsOf, kThen);
    EXPECT_NE(unwrapped(past).find(one.past), std::string::npos) << past;
    EXPECT_EQ(past.find("earshot give"), std::string::npos) << "nobody can give it then: " << past;
    EXPECT_EQ(list_alternatives(one.finding), one.alternatives) << one.finding.reason;
  }
}

TEST(Explanation, LetsNoTextOfOthersReachTheTerminalAsACommand) {
  const auto found = allowed(R"({"way":"individual","note":"\u001b[2J\u202egone\nYes: user 1"})");
  const auto text = explain(found, kAsOf, kNow);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_NE(text.find("?[2J?gone Yes: user 1"), std::string::npos) << text;
}

TEST(Summary, IsShortEnoughForACell) {
  EXPECT_EQ(
      summarize(allowed(
          R"({"way":"individual","expiresAt":"2027-01-01T00:00:00Z","note":"n"},{"way":"shared"},
                   {"way":"profile","profileId":"20","permissionLevel":"own","chain":["30"]})")),
      "individual until 2027-01-01T00:00:00Z, shared, profile 20 (own)");
  EXPECT_EQ(summarize(refused("call is private")), "call is private");
  EXPECT_EQ(summarize(refused("grant expired", R"(,"expiredAt":"2026-02-01T00:00:00Z")")),
            "grant expired on 2026-02-01T00:00:00Z");
}

}  // namespace
}  // namespace earshot::client
