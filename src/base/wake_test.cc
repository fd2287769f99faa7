#include "base/wake.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>

namespace earshot {
namespace {

struct Counting final : Sleeper {
  void wake() override { ++wakes; }
  int wakes = 0;
};

TEST(Wake, IsAtOnceWhereNothingHoldsIt) {
  const auto sleeper = std::make_shared<Counting>();
  wake(sleeper);
  wake(sleeper);
  EXPECT_EQ(sleeper->wakes, 2);
}

TEST(HeldWakes, WakeEachOnceAtTheOutermostEnd) {
  const auto one = std::make_shared<Counting>();
  const auto other = std::make_shared<Counting>();
  {
    const HeldWakes outer;
    wake(one);
    {
      const HeldWakes inner;
      wake(other);
      wake(one);
    }
    EXPECT_EQ(one->wakes + other->wakes, 0);
  }
  EXPECT_EQ(one->wakes, 1);
  EXPECT_EQ(other->wakes, 1);
  wake(one);
  EXPECT_EQ(one->wakes, 2);
}

TEST(HeldWakes, KeepWhomTheyWillWake) {
  std::weak_ptr<Counting> gone;
  {
    const HeldWakes held;
    auto sleeper = std::make_shared<Counting>();
    gone = sleeper;
    wake(std::move(sleeper));
    EXPECT_FALSE(gone.expired());
  }
  EXPECT_TRUE(gone.expired());
}

TEST(HeldWakes, HoldOnlyThoseOfTheirThread) {
  const HeldWakes held;
  const auto sleeper = std::make_shared<Counting>();
  std::thread([&] { wake(sleeper); }).join();
  EXPECT_EQ(sleeper->wakes, 1);
}

}  // namespace
}  // namespace earshot
