// When a reader's key is asked for again, and what holds without.
#include "api/reader_key.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/scopes.h"
#include "base/secret.h"
#include "model_store.h"

namespace earshot::api {
namespace {

class ReaderKeyTest : public testing::Test {
 protected:
  ReaderKeyTest() {
    store_.apply({CompanyId{1}, false, core::Company{CompanyId{1}, "C"}});
    store_.is_one_of_many = true;
  }

  std::shared_ptr<const auth::Admission> admit(const std::string& name,
                                               std::vector<std::string> scopes,
                                               std::optional<Time> expires_at = std::nullopt) {
    core::KeyLine line;
    line.key = {name, hash_secret("s3cret"), std::move(scopes), expires_at};
    store_.apply({CompanyId{1}, false, line});
    store_.remember(name);
    return std::make_shared<auth::Admission>(store_.find_key(name),
                                             auth::Credentials(name + ":s3cret", name.size()),
                                             auth::kScopeAuditRead, [this] { return now_; });
  }

  test::ModelStore store_;
  Time now_{1'000'000};
};

const std::string kRead(auth::kScopeAuditRead), kWrite(auth::kScopeKeysWrite);

// What a page may prove of a key: that its own asker was let through, with whatever scopes; or that
// nothing has changed since the key was read.
TEST_F(ReaderKeyTest, OfManyServersIsAskedForUnlessThePageProvesIt) {
  const auto reader = admit("READER", {kRead}), writer = admit("WRITER", {kRead, kWrite});
  const core::Revision read_at = reader->key()->holds_until,
                       written_at = writer->key()->holds_until;
  struct Case {
    std::string name;
    std::shared_ptr<const auth::Admission> whose;
    store::AskerPtr read_for;
    std::optional<core::Revision> directory;
    bool is_asked;
  };
  const Case cases[] = {
      {"nothing is known", reader, nullptr, std::nullopt, true},
      {"its own page", reader, reader, std::nullopt, false},
      {"another's page", reader, writer, std::nullopt, true},
      {"its own page, whose scopes count", writer, writer, std::nullopt, true},
      {"the directory is older", reader, nullptr, read_at - 1, false},
      {"the directory is the same", reader, nullptr, read_at, false},
      {"the directory is newer", reader, nullptr, read_at + 1, true},
      {"the same, whose scopes count", writer, nullptr, written_at, false},
      {"newer, but its own page", reader, reader, read_at + 1, false},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.name);
    ReaderKey key(store_, one.whose, one.whose);
    store_.look_ups.clear();
    std::optional<Result<bool>> answer;
    key.check_after(one.read_for, one.directory, [&](Result<bool> is) { answer = is; });
    ASSERT_TRUE(answer && *answer);
    EXPECT_TRUE(**answer);
    EXPECT_EQ(store_.look_ups.size(), one.is_asked ? 1U : 0U);
  }
}

TEST_F(ReaderKeyTest, WhatIsProvenMayHaveExpired) {
  const auto admission = admit("READER", {kRead}, Time{2'000'000});
  ReaderKey key(store_, admission, admission);
  std::vector<bool> answers;
  const auto check = [&] {
    key.check_after(admission, std::nullopt, [&](Result<bool> is) { answers.push_back(*is); });
  };
  check();
  now_ = Time{2'000'000};
  check();
  EXPECT_EQ(answers, (std::vector<bool>{true, false}));
  EXPECT_TRUE(store_.look_ups.empty());
}

TEST_F(ReaderKeyTest, ShowsHashesByTheScopesThatTheKeyHasNow) {
  const auto admission = admit("WRITER", {kRead, kWrite});
  ReaderKey key(store_, admission, admission);
  EXPECT_TRUE(key.shows_hashes());
  admit("WRITER", {kRead});
  EXPECT_TRUE(key.shows_hashes()) << "nobody has asked yet";
  key.check([](Result<bool> is) { EXPECT_TRUE(*is); });
  EXPECT_FALSE(key.shows_hashes());
  // One that lets nobody in any more says nothing of scopes.
  admit("WRITER", {kWrite});
  key.check([](Result<bool> is) { EXPECT_FALSE(*is); });
  EXPECT_FALSE(key.shows_hashes());
}

TEST_F(ReaderKeyTest, AStoreThatCannotSayIsNoAnswer) {
  const auto admission = admit("READER", {kRead});
  ReaderKey key(store_, admission, admission);
  store_.look_up_failure = unavailable("not now");
  std::optional<Result<bool>> answer;
  key.check([&](Result<bool> is) { answer = is; });
  ASSERT_TRUE(answer && !*answer);
  EXPECT_EQ(answer->error().message, "not now");
}

TEST_F(ReaderKeyTest, OfOneServerIsAlwaysAskedFor) {
  store_.is_one_of_many = false;
  const auto admission = admit("READER", {kRead});
  ReaderKey key(store_, admission, nullptr);
  std::vector<bool> answers;
  const auto check = [&] {
    key.check_after(nullptr, std::nullopt, [&](Result<bool> is) { answers.push_back(*is); });
  };
  check();
  core::KeyLine line;
  line.key.access_key = "READER";
  store_.apply({CompanyId{1}, true, line});
  check();
  EXPECT_EQ(answers, (std::vector<bool>{true, false}));
}

}  // namespace
}  // namespace earshot::api
