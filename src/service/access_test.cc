#include "service/access.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/secret.h"
#include "model_store.h"

namespace earshot::service {
namespace {

std::string describe(const std::vector<core::CallUsers>& calls) {
  std::string text;
  for (const auto& item : calls) {
    text += to_string(item.call) + ":";
    for (const UserId user : item.users) text += to_string(user) + ",";
    text += ";";
  }
  return text;
}

std::vector<core::CallUsers> calls_of(
    std::initializer_list<std::pair<std::uint64_t, std::vector<std::uint64_t>>> items) {
  std::vector<core::CallUsers> calls;
  for (const auto& [call, users] : items) {
    calls.push_back({CallId{call}, {}});
    for (const std::uint64_t user : users) calls.back().users.push_back(UserId{user});
  }
  return calls;
}

TEST(MergeCalls, KeepsOrderOfCallsAndSortsUsers) {
  EXPECT_EQ(describe(merge_calls({})), "");
  EXPECT_EQ(describe(merge_calls(calls_of({{9, {3, 1, 3}}}))), "9:1,3,;");
  EXPECT_EQ(describe(merge_calls(calls_of({{9, {3}}, {1, {}}, {5, {2, 2}}}))), "9:3,;1:;5:2,;");
  EXPECT_EQ(describe(merge_calls(calls_of({{9, {3}}, {1, {4}}, {9, {2, 3}}, {1, {}}}))),
            "9:2,3,;1:4,;");
}

TEST(DistinctCalls, KeepsTheFirstMention) {
  const auto distinct = [](std::vector<std::uint64_t> ids) {
    std::vector<CallId> calls;
    for (const std::uint64_t id : ids) calls.push_back(CallId{id});
    std::string text;
    for (const CallId call : distinct_calls(std::move(calls))) text += to_string(call) + ",";
    return text;
  };
  EXPECT_EQ(distinct({}), "");
  EXPECT_EQ(distinct({4}), "4,");
  EXPECT_EQ(distinct({4, 2, 9}), "4,2,9,");
  EXPECT_EQ(distinct({4, 2, 4, 9, 2, 4}), "4,2,9,");
}

TEST(DistinctCalls, FindsRepeatsAmongManyAndAmongThoseChosenToCollide) {
  for (const int shift : {0, 20, 48}) {  // of 48, all hash to one place
    std::vector<CallId> calls;
    for (std::uint64_t id = 1; id <= 5000; ++id) calls.push_back(CallId{id << shift});
    EXPECT_EQ(distinct_calls(calls), calls) << shift;
    auto repeated = calls;
    repeated.push_back(calls[4321]);
    repeated.push_back(calls[17]);
    EXPECT_EQ(distinct_calls(std::move(repeated)), calls) << shift;
  }
}

class AccessOperations : public testing::Test {
 protected:
  AccessOperations() {
    store_.apply({kAcme, false, core::Company{kAcme, "Acme"}});
    core::User user;
    user.id = UserId{33};
    store_.apply({kAcme, false, user});
    core::Call call;
    call.id = CallId{7};
    store_.apply({kAcme, false, call});
    auto key = std::make_shared<store::KeyEntry>();
    key->company = kAcme;
    key->key.access_key = "ACME";
    principal_.key = key;
  }

  static constexpr CompanyId kAcme{1};
  test::ModelStore store_;
  auth::Principal principal_;
};

TEST_F(AccessOperations, ACommandSaysWhoAskedForWhat) {
  const RequestId id = make_request_id();
  bool is_done = false;
  give_access(store_, principal_, calls_of({{7, {33}}, {7, {33}}}), id,
              [&](Result<store::Outcome> outcome) {
                ASSERT_TRUE(outcome);
                EXPECT_EQ(std::get<0>(outcome->decision).size(), 1u);
                is_done = true;
              });
  EXPECT_TRUE(is_done);
  ASSERT_EQ(store_.commands.size(), 1u);
  const store::GrantCommand& command = store_.commands[0];
  EXPECT_EQ(command.operation, store::Operation::give);
  EXPECT_EQ(command.company, kAcme);
  EXPECT_EQ(command.origin.access_key, "ACME");
  EXPECT_EQ(command.origin.request_id, id);
  EXPECT_EQ(describe(command.calls), "7:33,;");

  remove_access(store_, principal_, calls_of({{7, {33}}}), id, [](Result<store::Outcome>) {});
  EXPECT_EQ(store_.commands[1].operation, store::Operation::remove);
}

TEST_F(AccessOperations, AskingForNothingSaysTheRevision) {
  core::Revision newest = 0;
  give_access(store_, principal_, calls_of({{7, {33}}}), {},
              [&](Result<store::Outcome> outcome) { newest = outcome->revision; });
  bool is_done = false;
  give_access(store_, principal_, {}, {}, [&](Result<store::Outcome> outcome) {
    ASSERT_TRUE(outcome);
    EXPECT_TRUE(std::get<0>(outcome->decision).empty());
    EXPECT_EQ(outcome->revision, newest);
    is_done = true;
  });
  EXPECT_TRUE(is_done);
}

TEST_F(AccessOperations, AListIsOfTheRevisionAskedForOrLater) {
  core::Revision newest = 0;
  give_access(store_, principal_, calls_of({{7, {33}}}), {},
              [&](Result<store::Outcome> outcome) { newest = outcome->revision; });
  ASSERT_GT(newest, 0u);
  int answers = 0;
  list_access(store_, principal_, {CallId{7}}, newest, [&](Result<service::Access> access) {
    ASSERT_TRUE(access);
    EXPECT_EQ(access->revision, newest);
    ++answers;
  });
  list_access(store_, principal_, {CallId{7}}, newest + 1, [&](Result<service::Access> access) {
    ASSERT_FALSE(access);
    EXPECT_EQ(access.error().code, Code::unavailable);
    ++answers;
  });
  EXPECT_EQ(answers, 2);
}

TEST_F(AccessOperations, SayWhoAsksWhereTheStoreMustKnow) {
  store_.is_one_of_many = true;
  core::KeyLine line;
  line.key = {"ACME", hash_secret("s3cret"), {"scope"}, std::nullopt};
  store_.apply({kAcme, false, line});
  principal_.asker = std::make_shared<auth::Admission>(
      principal_.key, auth::Credentials("ACME:s3cret", 4), "scope", wall_now);
  for (const bool is_denied : {false, true}) {
    if (is_denied) store_.apply({kAcme, true, line});
    int answers = 0;
    const auto expect = [&](const auto& result) {
      EXPECT_EQ(result.has_value(), !is_denied);
      EXPECT_TRUE(result || result.error().code == Code::denied);
      ++answers;
    };
    list_access(store_, principal_, {CallId{7}}, 0,
                [&](Result<service::Access> access) { expect(access); });
    give_access(store_, principal_, calls_of({{7, {33}}}), {},
                [&](Result<store::Outcome> outcome) { expect(outcome); });
    EXPECT_EQ(answers, 2);
  }
}

TEST_F(AccessOperations, AListNamesUnknownCallsInTheOrderAsked) {
  bool is_done = false;
  list_access(store_, principal_, {CallId{9}, CallId{7}, CallId{8}, CallId{9}}, 0,
              [&](Result<service::Access> access) {
                ASSERT_TRUE(access);
                EXPECT_EQ(access->unknown, (std::vector{CallId{9}, CallId{8}}));
                EXPECT_TRUE(access->entries.empty());
                is_done = true;
              });
  EXPECT_TRUE(is_done);
}

TEST_F(AccessOperations, FailuresPassThrough) {
  store_.failure = unavailable("full");
  int failures = 0;
  list_access(store_, principal_, {CallId{7}}, 0,
              [&](Result<service::Access> access) { failures += !access; });
  remove_access(store_, principal_, calls_of({{7, {}}}), {},
                [&](Result<store::Outcome> outcome) { failures += !outcome; });
  EXPECT_EQ(failures, 2);
}

}  // namespace
}  // namespace earshot::service
