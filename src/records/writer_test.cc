#include "records/writer.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "random_records.h"
#include "records/reader.h"

namespace earshot::records {
namespace {

using core::Record;

std::string write(const Record& record, std::optional<CompanyId> current = std::nullopt) {
  std::string out;
  append_record(out, record, current);
  return out;
}

TEST(AppendRecord, WritesTheCanonicalLine) {
  const CompanyId one{1};
  core::KeyLine key;
  key.key.access_key = "ACME";
  key.key.scopes = {"a:b", "c-d"};
  key.key.expires_at = parse_time("2030-01-01T00:00:00Z");
  key.secret_text = "never written";
  core::Profile profile;
  profile.id = {20};
  profile.workspace = {10};
  profile.name = "Managers";
  profile.level = core::PermissionLevel::report_to_them;
  profile.team_leads = {{2}, {1}};
  core::Profile own;
  own.id = {21};
  own.level = core::PermissionLevel::own;
  core::Profile leads;
  leads.id = {22};
  leads.team_leads = {{1}};
  core::User user;
  user.id = {234599484848423};
  user.email_address = "a@acme.test";
  user.first_name = "A";
  user.last_name = "\"B\"";
  user.manager = {31};
  user.active = false;
  user.profiles = {{20}, {19}};
  core::Call call;
  call.id = {7782342274025937895};
  call.workspace = {10};
  call.title = "Intro";
  call.started = "2026-03-01T10:00:00.50Z";
  call.primary_user = {31};
  call.parties = {{32}, {30}};
  call.is_private = true;
  core::User plain_user;
  plain_user.id = {33};
  core::Call plain_call;
  plain_call.id = {34};
  core::GrantLine grant{{7}, {8}, {parse_time("2030-01-01T00:00:00.000001Z"), "why"}};
  const struct {
    Record record;
    std::string line;
  } cases[] = {
      {{one, false, core::Company{one, "Acme"}},
       R"({"kind":"company","companyId":"1","name":"Acme"})"},
      {{one, false, core::Company{one, ""}}, R"({"kind":"company","companyId":"1"})"},
      {{one, false, key},
       R"({"kind":"key","accessKey":"ACME","secretHash":"sha256:)" + std::string(32, '0') + ":" +
           std::string(64, '0') +
           R"(","scopes":["a:b","c-d"],"expiresAt":"2030-01-01T00:00:00Z"})"},
      {{one, false, core::Workspace{{10}, "Sales"}},
       R"({"kind":"workspace","workspaceId":"10","name":"Sales"})"},
      {{one, false, profile},
       R"({"kind":"profile","profileId":"20","workspaceId":"10","name":"Managers",)"
       R"("callsAccess":{"permissionLevel":"report-to-them","teamLeadIds":["2","1"]}})"},
      {{one, false, own},
       R"({"kind":"profile","profileId":"21","callsAccess":{"permissionLevel":"own"}})"},
      {{one, false, leads},
       R"({"kind":"profile","profileId":"22","callsAccess":{"permissionLevel":"none",)"
       R"("teamLeadIds":["1"]}})"},
      {{one, false, user},
       R"({"kind":"user","userId":"234599484848423","emailAddress":"a@acme.test",)"
       R"("firstName":"A","lastName":"\"B\"",)"
       R"("managerId":"31","active":false,"profileIds":["20","19"]})"},
      {{one, false, plain_user}, R"({"kind":"user","userId":"33"})"},
      {{one, false, call},
       R"({"kind":"call","callId":"7782342274025937895","workspaceId":"10","title":"Intro",)"
       R"("started":"2026-03-01T10:00:00.50Z","primaryUserId":"31","partyUserIds":["32",)"
       R"("30"],"isPrivate":true})"},
      {{one, false, plain_call}, R"({"kind":"call","callId":"34"})"},
      {{one, false, core::ShareLine{{7}, {8}}}, R"({"kind":"share","callId":"7","userId":"8"})"},
      {{one, false, grant},
       R"({"kind":"grant","callId":"7","userId":"8",)"
       R"("expiresAt":"2030-01-01T00:00:00.000001Z","note":"why"})"},
      {{one, true, core::Company{one, "Acme"}},
       R"({"kind":"company","companyId":"1","remove":true})"},
      {{one, true, key}, R"({"kind":"key","accessKey":"ACME","remove":true})"},
      {{one, true, profile}, R"({"kind":"profile","profileId":"20","remove":true})"},
      {{one, true, user}, R"({"kind":"user","userId":"234599484848423","remove":true})"},
      {{one, true, call}, R"({"kind":"call","callId":"7782342274025937895","remove":true})"},
      {{one, true, grant}, R"({"kind":"grant","callId":"7","userId":"8","remove":true})"},
  };
  for (const auto& c : cases) EXPECT_EQ(write(c.record, one), c.line + "\n");
}

TEST(AppendRecord, NamesTheCompanyUnlessItIsTheCurrentOne) {
  const Record share{{1}, false, core::ShareLine{{7}, {8}}};
  EXPECT_EQ(write(share),
            "{\"kind\":\"share\",\"companyId\":\"1\",\"callId\":\"7\",\"userId\":\"8\"}\n");
  EXPECT_EQ(write(share, CompanyId{2}), write(share));
  EXPECT_EQ(write(share, CompanyId{1}), "{\"kind\":\"share\",\"callId\":\"7\",\"userId\":\"8\"}\n");
}

// A thing as its removal says it.
struct OnlyIds {
  core::Company operator()(const core::Company& thing) const { return {thing.id, ""}; }
  core::KeyLine operator()(const core::KeyLine& line) const {
    core::KeyLine only;
    only.key.access_key = line.key.access_key;
    return only;
  }
  core::Workspace operator()(const core::Workspace& thing) const { return {thing.id, ""}; }
  core::ShareLine operator()(const core::ShareLine& line) const { return line; }
  core::GrantLine operator()(const core::GrantLine& line) const {
    return {line.call, line.user, {}};
  }
  core::Profile operator()(const core::Profile& thing) const { return only_id(thing); }
  core::User operator()(const core::User& thing) const { return only_id(thing); }
  core::Call operator()(const core::Call& thing) const { return only_id(thing); }
  template <class Thing>
  static Thing only_id(const Thing& thing) {
    Thing only;
    only.id = thing.id;
    return only;
  }
};

// The record as a line can say it: of a key no secret, of a removal nothing but the ids.
Record sayable(const Record& record) {
  Record said = record;
  if (auto* const key = std::get_if<core::KeyLine>(&said.thing)) key->secret_text.reset();
  if (!record.remove) return said;
  said.thing = std::visit([](const auto& thing) { return decltype(said.thing)(OnlyIds{}(thing)); },
                          record.thing);
  return said;
}

TEST(AppendRecord, IsReadBackAsTheSameRecord) {
  const std::uint64_t seed = test::test_seed();
  SCOPED_TRACE("EARSHOT_SEED=" + std::to_string(seed));
  // Small ids and those of the whole range.
  for (const std::uint64_t space : {std::uint64_t{9}, kIdMax}) {
    test::RandomRecords random(seed, {space, space, space, space, space, space, 20});
    std::vector<Record> written;
    std::string text;
    std::optional<CompanyId> current;
    for (int i = 0; i < 5000; ++i) {
      written.push_back(random.next());
      append_record(text, written.back(), current);
      if (std::holds_alternative<core::Company>(written.back().thing))
        current = written.back().company;
    }
    ASSERT_TRUE(is_valid_utf8(text));
    Reader reader("random", read_from(text));
    std::string again;
    current.reset();
    for (const Record& record : written) {
      const auto read = reader.next();
      ASSERT_TRUE(read) << read.error().message;
      ASSERT_TRUE(*read);
      ASSERT_EQ(**read, sayable(record)) << write(record);
      append_record(again, **read, current);
      if (std::holds_alternative<core::Company>(record.thing)) current = record.company;
    }
    EXPECT_FALSE(*reader.next());
    EXPECT_EQ(again, text);
  }
}

}  // namespace
}  // namespace earshot::records
