#include "core/record.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "model.h"
#include "random_records.h"

// Designated initializers leave the other members at their defaults on purpose.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

namespace earshot::core {
namespace {

// A store of plain maps that does what the comment of RecordTarget says.
class MapTarget final : public RecordTarget {
 public:
  Result<bool> has_company(CompanyId company) override { return companies.contains(company); }
  Result<bool> has_user(CompanyId company, UserId user) override {
    return users.contains({company, user});
  }
  Result<bool> has_call(CompanyId company, CallId call) override {
    return calls.contains({company, call});
  }
  Result<std::optional<std::pair<CompanyId, Key>>> find_key(std::string_view access_key) override {
    const auto found = keys.find(std::string(access_key));
    if (found == keys.end()) return std::optional<std::pair<CompanyId, Key>>{};
    return std::optional(found->second);
  }

  Status put(const Company& company) override { return change(companies[company.id], company); }
  Status put(CompanyId company, const Key& key) override {
    return change(keys[key.access_key], std::pair(company, key));
  }
  Status put(CompanyId company, const Workspace& thing) override {
    return change(workspaces[{company, thing.id}], thing);
  }
  Status put(CompanyId company, const Profile& thing) override {
    return change(profiles[{company, thing.id}], thing);
  }
  Status put(CompanyId company, const User& thing) override {
    return change(users[{company, thing.id}], thing);
  }
  Status put(CompanyId company, const Call& thing) override {
    return change(calls[{company, thing.id}], thing);
  }
  Status put_share(CompanyId company, CallId call, UserId user) override {
    changes += shares.insert({company, {call, user}}).second ? 1 : 0;
    return {};
  }
  Status put_grant(CompanyId company, CallId call, UserId user, const Grant& grant) override {
    const auto [place, is_new] = grants.try_emplace({company, {call, user}}, grant);
    changes += is_new || place->second != grant ? 1 : 0;
    place->second = grant;
    return {};
  }

  Status remove_company(CompanyId company) override {
    const auto of_company = [company](const auto& row) { return row.first.first == company; };
    companies.erase(company);
    std::erase_if(keys, [company](const auto& row) { return row.second.first == company; });
    std::erase_if(workspaces, of_company);
    std::erase_if(profiles, of_company);
    std::erase_if(users, of_company);
    std::erase_if(calls, of_company);
    std::erase_if(shares, [company](const auto& row) { return row.first == company; });
    std::erase_if(grants, of_company);
    return {};
  }
  Status remove_key(CompanyId, std::string_view access_key) override {
    keys.erase(std::string(access_key));
    return {};
  }
  Status remove_workspace(CompanyId company, WorkspaceId id) override {
    workspaces.erase({company, id});
    return {};
  }
  Status remove_profile(CompanyId company, ProfileId id) override {
    profiles.erase({company, id});
    return {};
  }
  Status remove_user(CompanyId company, UserId id) override {
    users.erase({company, id});
    std::erase_if(shares,
                  [&](const auto& row) { return row.first == company && row.second.second == id; });
    std::erase_if(grants, [&](const auto& row) {
      return row.first.first == company && row.first.second.second == id;
    });
    return {};
  }
  Status remove_call(CompanyId company, CallId id) override {
    calls.erase({company, id});
    std::erase_if(shares,
                  [&](const auto& row) { return row.first == company && row.second.first == id; });
    std::erase_if(grants, [&](const auto& row) {
      return row.first.first == company && row.first.second.first == id;
    });
    return {};
  }
  Status remove_share(CompanyId company, CallId call, UserId user) override {
    shares.erase({company, {call, user}});
    return {};
  }
  Status remove_grant(CompanyId company, CallId call, UserId user) override {
    grants.erase({company, {call, user}});
    return {};
  }

  // In the order of a store's dump.
  std::vector<Record> dump() const {
    std::vector<Record> records;
    for (const auto& [company, thing] : companies) {
      records.push_back({company, false, thing});
      for (const auto& [name, key] : keys) {
        if (key.first == company)
          records.push_back({company, false, KeyLine{key.second, std::nullopt}});
      }
      add(records, company, workspaces);
      add(records, company, profiles);
      add(records, company, users);
      for (const auto& [place, call] : calls) {
        if (place.first != company) continue;
        records.push_back({company, false, call});
        for (const auto& [of, pair] : shares) {
          if (of == company && pair.first == call.id)
            records.push_back({company, false, ShareLine{pair.first, pair.second}});
        }
        for (const auto& [row, grant] : grants) {
          if (row.first == company && row.second.first == call.id) {
            records.push_back(
                {company, false, GrantLine{row.second.first, row.second.second, grant}});
          }
        }
      }
    }
    return records;
  }

  int changes = 0;
  std::map<CompanyId, Company> companies;
  std::map<std::string, std::pair<CompanyId, Key>> keys;
  std::map<std::pair<CompanyId, WorkspaceId>, Workspace> workspaces;
  std::map<std::pair<CompanyId, ProfileId>, Profile> profiles;
  std::map<std::pair<CompanyId, UserId>, User> users;
  std::map<std::pair<CompanyId, CallId>, Call> calls;
  std::set<std::pair<CompanyId, std::pair<CallId, UserId>>> shares;
  std::map<std::pair<CompanyId, std::pair<CallId, UserId>>, Grant> grants;

 private:
  template <class Thing>
  Status change(Thing& place, const Thing& thing) {
    changes += place != thing ? 1 : 0;
    place = thing;
    return {};
  }
  static void add(std::vector<Record>& records, CompanyId company, const auto& things) {
    for (const auto& [place, thing] : things) {
      if (place.first == company) records.push_back({company, false, thing});
    }
  }
};

KeyLine key_line(const std::string& secret) {
  KeyLine line;
  line.key.access_key = "ACME";
  line.key.secret = hash_secret(secret);
  line.secret_text = secret;
  return line;
}

std::string reason(const Status& status) {
  if (status) return "none";
  EXPECT_EQ(status.error().code, Code::invalid_argument);
  return status.error().message;
}

// Company 1 with call 10 and user 20; company 2 with key ACME.
MapTarget two_companies() {
  MapTarget target;
  for (const Record& record :
       {Record{{1}, false, Company{{1}, "one"}}, Record{{2}, false, Company{{2}, "two"}},
        Record{{1}, false, Call{.id = {10}}}, Record{{1}, false, User{.id = {20}}},
        Record{{2}, false, key_line("of two")}}) {
    EXPECT_TRUE(apply_record(record, target));
  }
  return target;
}

TEST(ApplyRecord, RefusesWhatNeedsSomethingElseToBeThere) {
  MapTarget target = two_companies();
  const auto before = target.dump();
  const struct {
    Record record;
    const char* reason;
  } cases[] = {
      {{{7}, false, User{.id = {1}}}, "company 7 is not there: put a company line first"},
      {{{7}, false, Call{.id = {1}}}, "company 7 is not there: put a company line first"},
      {{{7}, false, Workspace{.id = {1}}}, "company 7 is not there: put a company line first"},
      {{{7}, false, Profile{.id = {1}}}, "company 7 is not there: put a company line first"},
      {{{7}, false, key_line("x")}, "company 7 is not there: put a company line first"},
      {{{7}, false, ShareLine{{10}, {20}}}, "company 7 is not there: put a company line first"},
      {{{7}, false, GrantLine{{10}, {20}, {}}}, "company 7 is not there: put a company line first"},
      {{{1}, false, ShareLine{{11}, {20}}}, "call 11 is not there: put it first"},
      {{{1}, false, ShareLine{{10}, {21}}}, "user 21 is not there: put it first"},
      {{{1}, false, GrantLine{{11}, {20}, {}}}, "call 11 is not there: put it first"},
      {{{1}, false, GrantLine{{10}, {21}, {}}}, "user 21 is not there: put it first"},
      {{{2}, false, GrantLine{{10}, {20}, {}}},
       "call 10 is not there: put it first"},  // another company's
      {{{1}, false, key_line("of two")}, "the access key is taken"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(reason(apply_record(c.record, target)), c.reason);
    EXPECT_EQ(target.dump(), before) << c.reason;
  }
}

TEST(ApplyRecord, RemovesWhatIsNotThereWithoutError) {
  MapTarget target = two_companies();
  const auto before = target.dump();
  for (const CompanyId company : {CompanyId{1}, CompanyId{7}}) {
    for (const Record& record :
         {Record{company, true, User{.id = {99}}}, Record{company, true, Call{.id = {99}}},
          Record{company, true, Workspace{.id = {99}}}, Record{company, true, Profile{.id = {99}}},
          Record{company, true, ShareLine{{10}, {99}}},
          Record{company, true, GrantLine{{99}, {20}, {}}}, Record{company, true, key_line("x")}}) {
      EXPECT_EQ(reason(apply_record(record, target)), "none");
    }
  }
  EXPECT_EQ(reason(apply_record({{7}, true, Company{.id = {7}, .name = {}}}, target)), "none");
  EXPECT_EQ(target.dump(), before);  // ACME is company 2's: not for company 1 to remove
}

TEST(ApplyRecord, KeepsTheHashOfASecretThatStaysTheSame) {
  MapTarget target = two_companies();
  const SecretHash hash = target.keys.at("ACME").second.secret;
  target.changes = 0;
  EXPECT_TRUE(apply_record({{2}, false, key_line("of two")}, target));
  EXPECT_EQ(target.changes, 0);
  EXPECT_EQ(target.keys.at("ACME").second.secret, hash);

  KeyLine widened = key_line("of two");
  widened.key.scopes = {"earshot:audit:read"};
  EXPECT_TRUE(apply_record({{2}, false, widened}, target));
  EXPECT_EQ(target.keys.at("ACME").second.secret, hash);
  EXPECT_EQ(target.keys.at("ACME").second.scopes, widened.key.scopes);

  const KeyLine other = key_line("another");
  EXPECT_TRUE(apply_record({{2}, false, other}, target));
  EXPECT_EQ(target.keys.at("ACME").second.secret, other.key.secret);

  KeyLine hashed;  // as dump writes it
  hashed.key.access_key = "ACME";
  hashed.key.secret = hash;
  EXPECT_TRUE(apply_record({{2}, false, hashed}, target));
  EXPECT_EQ(target.keys.at("ACME").second, hashed.key);
}

TEST(ApplyRecord, FreesAnAccessKeyWithItsRemovalOrItsCompany) {
  MapTarget target = two_companies();
  EXPECT_TRUE(apply_record({{2}, true, key_line("")}, target));
  EXPECT_TRUE(apply_record({{1}, false, key_line("of one")}, target));
  EXPECT_EQ(reason(apply_record({{2}, false, key_line("of two")}, target)),
            "the access key is taken");
  EXPECT_TRUE(apply_record({{1}, true, Company{.id = {1}, .name = {}}}, target));
  EXPECT_TRUE(apply_record({{2}, false, key_line("of two")}, target));
}

// Fails at the n-th question, as a store whose disk fails.
class FailingTarget final : public RecordTarget {
 public:
  explicit FailingTarget(int good_answers) : left_(good_answers) {}
  Result<bool> has_company(CompanyId) override { return answer(true); }
  Result<bool> has_user(CompanyId, UserId) override { return answer(true); }
  Result<bool> has_call(CompanyId, CallId) override { return answer(true); }
  Result<std::optional<std::pair<CompanyId, Key>>> find_key(std::string_view) override {
    return answer(std::optional(std::pair(CompanyId{1}, Key{})));
  }
  Status put(const Company&) override { return done(); }
  Status put(CompanyId, const Key&) override { return done(); }
  Status put(CompanyId, const Workspace&) override { return done(); }
  Status put(CompanyId, const Profile&) override { return done(); }
  Status put(CompanyId, const User&) override { return done(); }
  Status put(CompanyId, const Call&) override { return done(); }
  Status put_share(CompanyId, CallId, UserId) override { return done(); }
  Status put_grant(CompanyId, CallId, UserId, const Grant&) override { return done(); }
  Status remove_company(CompanyId) override { return done(); }
  Status remove_key(CompanyId, std::string_view) override { return done(); }
  Status remove_workspace(CompanyId, WorkspaceId) override { return done(); }
  Status remove_profile(CompanyId, ProfileId) override { return done(); }
  Status remove_user(CompanyId, UserId) override { return done(); }
  Status remove_call(CompanyId, CallId) override { return done(); }
  Status remove_share(CompanyId, CallId, UserId) override { return done(); }
  Status remove_grant(CompanyId, CallId, UserId) override { return done(); }

 private:
  template <class T>
  Result<T> answer(T good) {
    if (left_-- == 0) return internal("disk");
    return good;
  }
  Status done() {
    if (left_-- == 0) return internal("disk");
    return {};
  }
  int left_;
};

TEST(ApplyRecord, PassesOnEveryErrorOfTheTarget) {
  const std::uint64_t seed = test::test_seed();
  test::RandomRecords random(seed, {.companies = 1});
  for (int i = 0; i < 500; ++i) {
    const Record record = random.next();
    int good_answers = 0;
    for (;; ++good_answers) {
      FailingTarget target(good_answers);
      const Status status = apply_record(record, target);
      if (status) break;
      ASSERT_EQ(status.error().code, Code::internal) << "EARSHOT_SEED=" << seed;
      ASSERT_EQ(status.error().message, "disk");
    }
    // At least the change itself could fail, and there is an end to questions.
    ASSERT_GE(good_answers, 1);
    ASSERT_LE(good_answers, 4);
  }
}

TEST(ApplyRecord, AgreesWithTheModelOnRandomRecords) {
  const std::uint64_t seed = test::test_seed();
  std::size_t good = 0;
  std::size_t bad = 0;
  for (std::uint64_t i = 0; i < 100; ++i) {
    SCOPED_TRACE("EARSHOT_SEED=" + std::to_string(seed + i));
    test::RandomRecords random(seed + i);
    test::Model model;
    MapTarget target;
    for (int n = 0; n < 150; ++n) {
      const Record record = random.next();
      const Status status = apply_record(record, target);
      ASSERT_EQ(static_cast<bool>(status), static_cast<bool>(model.apply(record)));
      ++(status ? good : bad);
      ASSERT_EQ(target.dump(), model.dump());
    }
    // What a dump says makes the same again, applied once or twice.
    test::Model again;
    for (int round = 0; round < 2; ++round) {
      for (const Record& record : model.dump()) ASSERT_TRUE(again.apply(record));
      ASSERT_EQ(again.dump(), model.dump());
    }
  }
  EXPECT_GT(good, 1000U) << "EARSHOT_SEED=" << seed;
  EXPECT_GT(bad, 1000U) << "EARSHOT_SEED=" << seed;
}

}  // namespace
}  // namespace earshot::core
