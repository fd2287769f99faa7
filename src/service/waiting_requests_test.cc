#include "service/waiting_requests.h"

#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <utility>
#include <vector>

namespace earshot::service {
namespace {

using namespace std::chrono_literals;
using Kind = WaitingRequests::Kind;

TEST(WaitingRequests, EachKindHasSoManyPlaces) {
  WaitingRequests requests({.directory = 2, .keys = 1});
  auto first = requests.take_place(Kind::directory);
  auto second = requests.take_place(Kind::directory);
  EXPECT_TRUE(first && second);
  EXPECT_FALSE(requests.take_place(Kind::directory));
  EXPECT_TRUE(requests.take_place(Kind::keys)) << "they have their own, and it is free again";
  second.reset();
  second = requests.take_place(Kind::directory);
  ASSERT_TRUE(second);
  requests.submit(std::move(*second), [] {});
  ASSERT_TRUE(requests.wait_until_idle(30s));
  EXPECT_TRUE(requests.take_place(Kind::directory)) << "what was carried out has left";
}

TEST(WaitingRequests, KeysGoFirstAndOthersInTheirOrder) {
  WaitingRequests requests({});
  std::promise<void> begun, goes_on;
  std::vector<int> order;
  const auto submit = [&](Kind kind, std::function<void()> work) {
    requests.submit(*requests.take_place(kind), std::move(work));
  };
  submit(Kind::directory, [&] {
    begun.set_value();
    goes_on.get_future().wait();
    order.push_back(0);
  });
  begun.get_future().wait();
  submit(Kind::directory, [&] { order.push_back(3); });
  submit(Kind::directory, [&] { order.push_back(4); });
  submit(Kind::keys, [&] { order.push_back(1); });
  submit(Kind::keys, [&] { order.push_back(2); });
  EXPECT_FALSE(requests.wait_until_idle(20ms));
  goes_on.set_value();
  ASSERT_TRUE(requests.wait_until_idle(30s));
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST(WaitingRequests, CarryOutWhatWaitsBeforeTheyEnd) {
  int done = 0;
  {
    WaitingRequests requests({});
    for (int i = 0; i < 5; ++i) {
      requests.submit(*requests.take_place(Kind::directory), [&] { ++done; });
    }
  }
  EXPECT_EQ(done, 5);
}

}  // namespace
}  // namespace earshot::service
