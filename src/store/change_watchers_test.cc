#include "store/change_watchers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace earshot::store {
namespace {

constexpr CompanyId kAcme{1};
constexpr CompanyId kOther{2};

struct Watching : testing::Test {
  std::unique_ptr<ChangesWatch> watch(CompanyId company, int& told) {
    return watchers->add(company, [&told] { ++told; });
  }
  std::shared_ptr<ChangeWatchers> watchers = std::make_shared<ChangeWatchers>();
};

TEST_F(Watching, EachRevisionIsToldOnceToAllWhoWatchTheCompany) {
  int first = 0, second = 0, of_other = 0;
  const auto one = watch(kAcme, first), two = watch(kAcme, second);
  const auto other = watch(kOther, of_other);
  watchers->tell(kAcme, 1);
  watchers->tell(kAcme, 1);
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 1);
  watchers->tell(kAcme, 3);
  EXPECT_EQ(first, 2);
  EXPECT_EQ(of_other, 0);
  watchers->tell({3}, 1);
  EXPECT_EQ(first + second + of_other, 4);
}

// As a database whose standby took over before it had all.
TEST_F(Watching, ARecordThatHasBecomeShorterIsNews) {
  int told = 0;
  const auto one = watch(kAcme, told);
  watchers->tell(kAcme, 7);
  watchers->tell(kAcme, 5);
  EXPECT_EQ(told, 2);
  watchers->tell(kAcme, 6);
  watchers->tell(kAcme, 7);
  EXPECT_EQ(told, 4);
}

TEST_F(Watching, WhoHasLeftIsToldNothingAndNothingIsKeptOfThem) {
  int first = 0, second = 0;
  EXPECT_TRUE(watchers->is_empty());
  auto one = watch(kAcme, first), two = watch(kAcme, second);
  const auto other = watch(kOther, second);
  EXPECT_FALSE(watchers->is_empty());
  one.reset();
  watchers->tell(kAcme, 1);
  EXPECT_EQ(first, 0);
  EXPECT_EQ(second, 1);
  EXPECT_EQ(watchers->companies().size(), 2U);
  two.reset();
  EXPECT_EQ(watchers->companies(), std::vector<CompanyId>{kOther});
  EXPECT_FALSE(watchers->is_empty());
  // Who comes again may have missed what was told last.
  watchers->tell(kAcme, 1);
  one = watch(kAcme, first);
  watchers->tell(kAcme, 1);
  EXPECT_EQ(first, 1);
}

TEST_F(Watching, AWatchMayOutliveTheStore) {
  int told = 0;
  auto one = watch(kAcme, told);
  watchers.reset();
  one.reset();
  EXPECT_EQ(told, 0);
}

TEST_F(Watching, ACallThatIsUnderWayIsWaitedFor) {
  std::atomic<bool> has_begun{false}, has_ended{false};
  auto one = watchers->add(kAcme, [&] {
    has_begun = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    has_ended = true;
  });
  std::thread teller([&] { watchers->tell(kAcme, 1); });
  while (!has_begun) std::this_thread::yield();
  one.reset();
  EXPECT_TRUE(has_ended);
  teller.join();
}

}  // namespace
}  // namespace earshot::store
