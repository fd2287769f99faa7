// How much of the past the embedded store reads for one answer.
#include <gtest/gtest.h>

#include "conformance/places.h"
#include "conformance/store_suite.h"
#include "store/embedded.h"
#include "store/history.h"

namespace earshot::test {
namespace {

constexpr std::uint64_t kCalls = 3 * store::kWholeCallsMax - 1;

// A store with a company 1, whose revision 2 gave users 1 and 2 every call and whose revision 3
// took them from user 1 again.
class EmbeddedPast : public testing::Test {
 protected:
  void open(std::uint64_t past_page_reads_max) {
    store::EmbeddedOptions options;
    options.directory = directory_.path() + "/store";
    options.free_bytes_min = 0;
    options.past_page_reads_max = past_page_reads_max;
    store_ = *store::open_embedded(options);
    std::vector<core::Record> records = {{{1}, false, core::Company{{1}, "One"}}};
    for (const std::uint64_t id : {1, 2}) {
      core::User user;
      user.id = {id};
      records.push_back({{1}, false, user});
    }
    std::vector<core::Record> given, taken;
    for (std::uint64_t id = 1; id <= kCalls; ++id) {
      core::Call call;
      call.id = {id};
      records.push_back({{1}, false, call});
      for (const std::uint64_t user : {1, 2}) {
        given.push_back({{1}, false, core::GrantLine{{id}, {user}, {}}});
      }
      taken.push_back({{1}, true, core::GrantLine{{id}, {1}, {}}});
    }
    for (const auto& load : {records, given, taken}) ASSERT_TRUE(load_now(*store_, load));
  }

  // How many calls each page of the user's calls has at revision 2, all of which are the user's.
  std::vector<std::size_t> pages_of(UserId user, core::Ways ways) {
    store::UserCallsCommand command;
    command.company = {1};
    command.user = user;
    command.ways = ways;
    command.calls_max = kCalls;
    command.moment.revision = 2;
    std::vector<std::size_t> pages;
    std::uint64_t calls = 0;
    while (true) {
      const auto page = read_user_calls_now(*store_, command);
      EXPECT_TRUE(page.has_value()) << page.error().message;
      if (!page) return pages;
      pages.push_back(page->calls.size());
      for (std::size_t i = 0; i < page->calls.size(); ++i) {
        EXPECT_EQ(page->calls[i], CallId{++calls});
        EXPECT_EQ(page->entries[i]->granted().size(), 1U) << "the rows of others are not kept";
        EXPECT_EQ(core::ways(*page->directory, *page->entries[i], user, page->as_of.time),
                  static_cast<core::Ways>(core::Way::individual));
      }
      if (!page->last) break;
      EXPECT_EQ(*page->last, CallId{calls});
      command.after = *page->last;
    }
    EXPECT_EQ(calls, kCalls);
    return pages;
  }

  TemporaryDirectory directory_;
  std::unique_ptr<store::Store> store_;
};

constexpr core::Ways kIndividual = static_cast<core::Ways>(core::Way::individual);
constexpr std::size_t kChunk = store::kWholeCallsMax;

TEST_F(EmbeddedPast, APageOfAUsersCallsEndsWhereEnoughWasReadAndTheNextGoesOn) {
  open(1);
  const std::vector<std::size_t> pages = {kChunk, kChunk, kChunk - 1};
  for (const std::uint64_t user : {1, 2}) {
    EXPECT_EQ(pages_of({user}, kIndividual), pages) << user;
    EXPECT_EQ(pages_of({user}, core::kAllWays), pages) << user;
  }
}

TEST_F(EmbeddedPast, APageOfAUsersCallsHasAllWhereLittleIsRead) {
  open(store::EmbeddedOptions().past_page_reads_max);
  for (const std::uint64_t user : {1, 2}) {
    EXPECT_EQ(pages_of({user}, kIndividual), std::vector<std::size_t>{kCalls}) << user;
  }
}

TEST_F(EmbeddedPast, AccessToManyCallsIsToldWhole) {
  open(1);
  store::AccessCommand command;
  command.company = {1};
  command.moment.revision = 2;
  for (std::uint64_t id = 1; id <= kCalls; ++id) command.calls.push_back({{id}, {{1 + id % 2}}});
  const auto view = read_access_now(*store_, command);
  ASSERT_TRUE(view.has_value()) << view.error().message;
  ASSERT_EQ(view->entries.size(), kCalls);
  for (std::size_t i = 0; i < kCalls; ++i) {
    const auto granted = view->entries[i]->granted();
    EXPECT_EQ(std::vector(granted.begin(), granted.end()), command.calls[i].users);
  }
}

}  // namespace
}  // namespace earshot::test
