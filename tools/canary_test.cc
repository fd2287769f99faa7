// Tests that must fail, so that we know the harness can tell. Run one by one by `./dev test`; never
// part of a suite.
#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>
#include <memory>

namespace {

TEST(Canary, Passes) { EXPECT_TRUE(true); }

TEST(Canary, Fails) { EXPECT_TRUE(false); }

TEST(Canary, Aborts) { std::abort(); }

TEST(Canary, ReadsFreedMemory) {
  auto owner = std::make_unique<int>(1);
  volatile int* freed = owner.get();
  owner.reset();
  EXPECT_EQ(*freed, *freed);
}

TEST(Canary, Overflows) {
  volatile int number = std::numeric_limits<int>::max();
  number = number + 1;
  EXPECT_NE(number, 1);
}

}  // namespace
