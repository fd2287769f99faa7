// Pages that several streams share: who shares one, how many are kept, and where each is answered.
#include "api/shared_pages.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "api/feed.h"
#include "auth/credentials.h"
#include "auth/scopes.h"
#include "base/loop.h"
#include "base/secret.h"
#include "model_store.h"

namespace earshot::api {
namespace {

using PagePtr = SharedPages::PagePtr;
using Answer = std::optional<Result<PagePtr>>;

class SharedPagesTest : public testing::Test {
 protected:
  SharedPagesTest() : feed_(store_, driven()), pages_(store_, feed_) {
    for (core::Revision number = 1; number <= 2; ++number) {
      store::RecordedRevision revision;
      revision.revision = number;
      revision.is_complete = true;
      core::GrantLine line;
      line.call = CallId{107};
      line.user = UserId{132};
      for (std::uint32_t n = 0; n < 3; ++n) {
        revision.changes.push_back({n, {CompanyId{1}, false, line}, std::nullopt, 0});
      }
      store_.recorded.push_back(std::move(revision));
    }
  }

  static FeedOptions driven() {
    FeedOptions options;
    options.is_driven = true;
    return options;
  }
  std::shared_ptr<Answer> read(const SharedPages::Wanted& wanted, store::AskerPtr asker = nullptr) {
    auto answer = std::make_shared<Answer>();
    pages_.read(wanted, feed_.news(), std::move(asker),
                [answer](Result<PagePtr> page) { answer->emplace(std::move(page)); });
    return answer;
  }
  std::size_t reads() const { return store_.changes_reads.size(); }

  store::AskerPtr make_asker(const std::string& name) {
    core::KeyLine line;
    line.key = {name, hash_secret("s3cret"), {std::string(auth::kScopeAuditRead)}, std::nullopt};
    store_.apply({CompanyId{1}, false, core::Company{CompanyId{1}, "C"}});
    store_.apply({CompanyId{1}, false, line});
    store_.remember(name);
    return std::make_shared<auth::Admission>(store_.find_key(name),
                                             auth::Credentials(name + ":s3cret", name.size()),
                                             auth::kScopeAuditRead, [] { return Time{1}; });
  }

  test::ModelStore store_;
  Feed feed_;
  SharedPages pages_;
};

TEST_F(SharedPagesTest, AreSharedOnlyByThoseWhoWantTheSame) {
  const SharedPages::Wanted wanted = {CompanyId{1}, {1, 1}, CallId{107}, UserId{132}, false};
  struct Case {
    std::string differs;
    SharedPages::Wanted other;
  };
  const Case cases[] = {
      {"company", {CompanyId{2}, {1, 1}, CallId{107}, UserId{132}, false}},
      {"revision", {CompanyId{1}, {2, 1}, CallId{107}, UserId{132}, false}},
      {"place in the revision", {CompanyId{1}, {1, 2}, CallId{107}, UserId{132}, false}},
      {"all of the revision", {CompanyId{1}, {1, std::nullopt}, CallId{107}, UserId{132}, false}},
      {"call", {CompanyId{1}, {1, 1}, CallId{108}, UserId{132}, false}},
      {"no call", {CompanyId{1}, {1, 1}, std::nullopt, UserId{132}, false}},
      {"user", {CompanyId{1}, {1, 1}, CallId{107}, UserId{133}, false}},
      {"no user", {CompanyId{1}, {1, 1}, CallId{107}, std::nullopt, false}},
      {"hashes", {CompanyId{1}, {1, 1}, CallId{107}, UserId{132}, true}},
  };
  // While the page is read, and once it was.
  const auto first = read(wanted);
  store_.is_deferred = true;
  for (const Case& one : cases) {
    store_.changes_reads.clear();
    const auto same = read(wanted);
    ASSERT_TRUE(*same);
    EXPECT_EQ(***same, ***first);
    EXPECT_EQ(reads(), 0U);
    const auto other = read(one.other);
    ASSERT_EQ(reads(), 1U) << one.differs;
    const auto again = read(one.other);
    EXPECT_EQ(reads(), 1U) << one.differs;
    EXPECT_FALSE(*other || *again);
    store_.answer_deferred();
    ASSERT_TRUE(*other && *again);
    EXPECT_EQ(***again, ***other) << one.differs;
    EXPECT_NE(***other, ***first) << one.differs;
    const auto& command = store_.changes_reads[0];
    EXPECT_EQ(command.company, one.other.company);
    EXPECT_EQ(command.after, one.other.after);
    EXPECT_EQ(command.call, one.other.call);
    EXPECT_EQ(command.user, one.other.user);
  }
}

TEST_F(SharedPagesTest, OfThePastOnlySoManyAreKept) {
  const auto page_of = [](std::uint64_t call) {
    return SharedPages::Wanted{CompanyId{1}, {}, CallId{call}, std::nullopt, false};
  };
  for (std::uint64_t i = 1; i <= kPagesKept + 1; ++i) read(page_of(i));
  EXPECT_EQ(reads(), kPagesKept + 1);
  for (std::uint64_t i = kPagesKept + 1; i > 1; --i) read(page_of(i));
  EXPECT_EQ(reads(), kPagesKept + 1) << "kept";
  read(page_of(1));
  EXPECT_EQ(reads(), kPagesKept + 2) << "the oldest is not";
}

TEST_F(SharedPagesTest, AFailedReadIsTriedAgain) {
  store_.is_deferred = true;
  const SharedPages::Wanted wanted = {CompanyId{1}, {}, std::nullopt, std::nullopt, false};
  const auto first = read(wanted), second = read(wanted);
  store_.failure = unavailable("not now");
  store_.answer_deferred();
  for (const auto& answer : {first, second}) {
    ASSERT_TRUE(*answer);
    ASSERT_FALSE(**answer);
    EXPECT_EQ((**answer).error().message, "not now");
  }
  store_.failure.reset();
  const auto third = read(wanted);
  store_.answer_deferred();
  ASSERT_TRUE(*third && **third);
  EXPECT_FALSE((****third).events.text.empty());
}

// Only the one whose key was asked for is refused; who waited for its page has another one read.
TEST_F(SharedPagesTest, OneKeyThatWasRevokedSaysNothingOfTheOthers) {
  store_.is_one_of_many = true;
  const auto revoked = make_asker("GOES"), good = make_asker("STAYS");
  store_.is_deferred = true;
  const SharedPages::Wanted wanted = {CompanyId{1}, {}, std::nullopt, std::nullopt, false};
  const auto first = read(wanted, revoked), second = read(wanted, good);
  core::KeyLine line;
  line.key.access_key = "GOES";
  store_.apply({CompanyId{1}, true, line});  // through another server
  store_.answer_deferred();
  ASSERT_TRUE(*first && *second);
  ASSERT_FALSE(**first);
  EXPECT_EQ((**first).error().code, Code::denied);
  ASSERT_TRUE(**second) << (**second).error().message;
  EXPECT_EQ(***second, nullptr);
  const auto again = read(wanted, good);
  store_.answer_deferred();
  ASSERT_TRUE(*again && **again);
  EXPECT_EQ((****again).read_for.lock(), good);
}

TEST_F(SharedPagesTest, AreAnsweredOnTheLoopOfWhoAsked) {
  const SharedPages::Wanted wanted = {CompanyId{1}, {}, std::nullopt, std::nullopt, false};
  store_.is_deferred = true;
  std::promise<Loop*> answered[2];
  std::unique_ptr<LoopThread> loops[2];  // end before what they set
  for (int i = 0; i < 2; ++i) {
    auto started = LoopThread::start();
    ASSERT_TRUE(started) << started.error().message;
    loops[i] = std::move(*started);
    std::promise<void> asked;
    loops[i]->loop().post([&, i] {
      pages_.read(wanted, feed_.news(), nullptr,
                  [&, i](Result<PagePtr>) { answered[i].set_value(Loop::current()); });
      asked.set_value();
    });
    asked.get_future().wait();
  }
  EXPECT_EQ(reads(), 1U);
  store_.answer_deferred();
  for (int i = 0; i < 2; ++i) {
    auto where = answered[i].get_future();
    ASSERT_EQ(where.wait_for(std::chrono::seconds(30)), std::future_status::ready);
    EXPECT_EQ(where.get(), &loops[i]->loop());
  }
}

}  // namespace
}  // namespace earshot::api
