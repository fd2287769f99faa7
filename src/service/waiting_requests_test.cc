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

constexpr CompanyId kAcme{1};
constexpr CompanyId kOther{2};

TEST(WaitingRequests, EachKindHasSoManyPlaces) {
  WaitingRequests requests({.directory = 2, .keys = 1, .strangers = 2});
  auto first = requests.take_place(Kind::directory, {1});
  auto second = requests.take_place(Kind::directory, {2});
  EXPECT_TRUE(first && second);
  EXPECT_FALSE(requests.take_place(Kind::directory, {3}));
  EXPECT_TRUE(requests.take_place(Kind::keys, {3})) << "they have their own, and it is free again";
  second.reset();
  second = requests.take_place(Kind::directory, {2});
  ASSERT_TRUE(second);
  requests.submit(std::move(*second), [] {});
  ASSERT_TRUE(requests.wait_until_idle(30s));
  EXPECT_TRUE(requests.take_place(Kind::directory, {3})) << "what was carried out has left";
  const auto stranger = requests.take_place(Kind::strangers, {});
  const auto another = requests.take_place(Kind::strangers, {});
  EXPECT_TRUE(stranger && another);
  EXPECT_FALSE(requests.take_place(Kind::strangers, {}));
}

TEST(WaitingRequests, ACompanyHoldsAPartOfThePlaces) {
  constexpr std::size_t kPlaces = 8;
  WaitingRequests requests({.directory = kPlaces, .keys = kPlaces});
  for (const Kind kind : {Kind::directory, Kind::keys}) {
    std::vector<WaitingRequests::Place> held;
    for (std::size_t i = 0; i < kPlaces / WaitingRequests::kCompanyPart; ++i) {
      auto place = requests.take_place(kind, kAcme);
      ASSERT_TRUE(place);
      held.push_back(std::move(*place));
    }
    EXPECT_FALSE(requests.take_place(kind, kAcme));
    EXPECT_TRUE(requests.take_place(kind, kOther));
    held.pop_back();
    EXPECT_TRUE(requests.take_place(kind, kAcme));
  }
}

TEST(WaitingRequests, KindsTakeTurnsAndEachHasItsOrder) {
  WaitingRequests requests({});
  std::promise<void> begun, goes_on;
  std::vector<int> order;
  const auto submit = [&](Kind kind, std::function<void()> work) {
    requests.submit(*requests.take_place(kind, kAcme), std::move(work));
  };
  submit(Kind::directory, [&] {
    begun.set_value();
    goes_on.get_future().wait();
    order.push_back(0);
  });
  begun.get_future().wait();
  submit(Kind::directory, [&] { order.push_back(2); });
  submit(Kind::directory, [&] { order.push_back(4); });
  submit(Kind::keys, [&] { order.push_back(1); });
  submit(Kind::keys, [&] { order.push_back(3); });
  submit(Kind::keys, [&] { order.push_back(5); });
  submit(Kind::keys, [&] { order.push_back(6); });
  EXPECT_FALSE(requests.wait_until_idle(20ms));
  goes_on.set_value();
  ASSERT_TRUE(requests.wait_until_idle(30s));
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5, 6}));
}

TEST(WaitingRequests, CarryOutWhatWaitsBeforeTheyEnd) {
  int done = 0;
  {
    WaitingRequests requests({});
    for (int i = 0; i < 5; ++i) {
      requests.submit(*requests.take_place(Kind::directory, kAcme), [&] { ++done; });
    }
  }
  EXPECT_EQ(done, 5);
}

}  // namespace
}  // namespace earshot::service
