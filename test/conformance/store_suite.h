// What every store must do, as one suite: a store joins by instantiating it with a way to be
// opened. There is no list of exceptions. The tests are in src/store/store_suite_test.cc.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "base/secret.h"
#include "model.h"
#include "random_records.h"
#include "store/store.h"

namespace earshot::test {

// A place for one store, empty at first. Opened again after close(), it holds what was
// acknowledged.
class StorePlace {
 public:
  virtual ~StorePlace() = default;
  // Of the stores that are opened from then on. What has expired stays, unless a test wants it
  // swept.
  std::chrono::milliseconds expiry_every = std::chrono::hours(24);
  std::chrono::seconds idempotency_keep = std::chrono::hours(24);
  store::RefusalLimits refusals;
  // Applied again and again where there is one.
  std::optional<std::chrono::seconds> retention;
  std::optional<std::uint64_t> retention_revisions;
  virtual std::unique_ptr<store::Store> open(Clock clock) = 0;
};

struct StoreKind {
  std::string name;
  std::function<std::unique_ptr<StorePlace>()> make_place;
  int history_steps = 700;  // fewer where each is dear
  friend std::ostream& operator<<(std::ostream& out, const StoreKind& kind) {
    return out << kind.name;
  }
};

// Records out of a list.
class ListSource final : public store::RecordSource {
 public:
  explicit ListSource(std::vector<core::Record> records) : records_(std::move(records)) {}
  Result<const core::Record*> next() override {
    return next_ == records_.size() ? nullptr : &records_[next_++];
  }
  std::string position() const override { return "list:" + std::to_string(next_); }

 private:
  std::vector<core::Record> records_;
  std::size_t next_ = 0;
};

// The asynchronous calls, waited for.
inline Result<store::CallsView> read_now(store::Store& store, store::ReadCommand command) {
  std::promise<Result<store::CallsView>> promise;
  auto answer = promise.get_future();
  store.read(std::move(command),
             [&](Result<store::CallsView> view) { promise.set_value(std::move(view)); });
  return answer.get();
}
inline Result<store::CallsView> read_now(store::Store& store, CompanyId company,
                                         std::vector<CallId> calls, core::Revision at_least = 0) {
  return read_now(store, store::ReadCommand{company, std::move(calls), at_least, nullptr});
}
inline Result<store::AccessView> read_access_now(store::Store& store,
                                                 store::AccessCommand command) {
  std::promise<Result<store::AccessView>> promise;
  auto answer = promise.get_future();
  store.read_access(std::move(command),
                    [&](Result<store::AccessView> view) { promise.set_value(std::move(view)); });
  return answer.get();
}
inline Result<store::UserCallsView> read_user_calls_now(store::Store& store,
                                                        store::UserCallsCommand command) {
  std::promise<Result<store::UserCallsView>> promise;
  auto answer = promise.get_future();
  store.read_user_calls(std::move(command), [&](Result<store::UserCallsView> view) {
    promise.set_value(std::move(view));
  });
  return answer.get();
}
inline Result<store::KeyPtr> look_up_now(store::Store& store, std::string access_key) {
  std::promise<Result<store::KeyPtr>> promise;
  auto answer = promise.get_future();
  store.look_up_key(std::move(access_key),
                    [&](Result<store::KeyPtr> key) { promise.set_value(std::move(key)); });
  return answer.get();
}
// The key of this name, null where there is none or the store could not say.
inline store::KeyPtr key_now(store::Store& store, std::string access_key) {
  const auto key = look_up_now(store, std::move(access_key));
  EXPECT_TRUE(key.has_value()) << key.error().message;
  return key ? *key : nullptr;
}
// Who has access by a grant at this moment.
inline std::vector<UserId> live_users(const core::PackedEntry& entry, Time now) {
  std::vector<UserId> users;
  for (std::size_t i = 0; i < entry.granted().size(); ++i) {
    if (entry.is_live(i, now)) users.push_back(entry.granted()[i]);
  }
  return users;
}
inline Result<store::ChangesView> read_changes_now(store::Store& store,
                                                   store::ChangesCommand command) {
  std::promise<Result<store::ChangesView>> promise;
  auto answer = promise.get_future();
  store.read_changes(std::move(command),
                     [&](Result<store::ChangesView> view) { promise.set_value(std::move(view)); });
  return answer.get();
}
inline Result<store::Outcome> write_now(store::Store& store, store::GrantCommand command) {
  std::promise<Result<store::Outcome>> promise;
  auto answer = promise.get_future();
  store.write(std::move(command),
              [&](Result<store::Outcome> outcome) { promise.set_value(std::move(outcome)); });
  return answer.get();
}
inline store::GrantCommand command_of(store::Operation operation, CompanyId company,
                                      std::vector<core::CallUsers> calls) {
  return {operation, company, std::move(calls), {make_request_id(), "KEY"}};
}
inline Result<store::LoadReport> load_now(store::Store& store, std::vector<core::Record> records) {
  ListSource source(std::move(records));
  return store.load(source, {make_request_id(), ""});
}

class StoreSuite : public testing::TestWithParam<StoreKind> {
 protected:
  void SetUp() override {
    place_ = GetParam().make_place();
    open();
  }
  void open() {
    store_.reset();
    store_ = place_->open([this] { return Time{now_.load()}; });
    ASSERT_NE(store_, nullptr);
  }
  store::Store& store() { return *store_; }

  // A company 1 with users 1-5 and calls 1-5, call 5 of which user 5 hosts.
  void load_small_company() {
    std::vector<core::Record> records = {{{1}, false, core::Company{{1}, "One"}}};
    for (std::uint64_t i = 1; i <= 5; ++i) {
      core::User user;
      user.id = {i};
      records.push_back({{1}, false, user});
      core::Call call;
      call.id = {i};
      if (i == 5) call.primary_user = {5};
      records.push_back({{1}, false, call});
    }
    ASSERT_TRUE(load_now(store(), records).has_value());
  }
  std::vector<UserId> listed(CallId call, CompanyId company = {1}) {
    const auto view = read_now(store(), company, {call});
    EXPECT_TRUE(view.has_value());
    return live_users(*view->entries[0], Time{now_.load()});
  }
  core::Revision give(CallId call, std::vector<UserId> users) {
    const auto outcome =
        write_now(store(), command_of(store::Operation::give, {1}, {{call, std::move(users)}}));
    EXPECT_TRUE(outcome.has_value());
    return outcome->revision;
  }
  void expect_sound() {
    const auto report = store().verify();
    ASSERT_TRUE(report.has_value()) << report.error().message;
    EXPECT_TRUE(report->faults.empty()) << report->faults[0];
  }
  // Sweeps go on by themselves; after them nothing may have changed for a reader.
  std::vector<core::Record> dumped() {
    std::vector<core::Record> records;
    const Status done = store().dump([&](const core::Record& record) -> Status {
      records.push_back(record);
      return {};
    });
    EXPECT_TRUE(done.has_value());
    return records;
  }

  std::atomic<std::int64_t> now_{1'772'359'200'000'000};
  std::unique_ptr<StorePlace> place_;
  std::unique_ptr<store::Store> store_;
};

inline bool same_thing(const core::Record& a, const core::Record& b) {
  if (a.company != b.company || a.remove != b.remove || a.thing.index() != b.thing.index())
    return false;
  return std::visit(
      [&](const auto& thing) {
        using Thing = std::decay_t<decltype(thing)>;
        const auto& other = std::get<Thing>(b.thing);
        if constexpr (std::is_same_v<Thing, core::KeyLine>) {
          return thing.key == other.key;
        } else if constexpr (std::is_same_v<Thing, core::ShareLine>) {
          return thing.call == other.call && thing.user == other.user;
        } else if constexpr (std::is_same_v<Thing, core::GrantLine>) {
          return thing.call == other.call && thing.user == other.user && thing.grant == other.grant;
        } else {
          return thing == other;
        }
      },
      a.thing);
}

inline void expect_same_records(const std::vector<core::Record>& got,
                                const std::vector<core::Record>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_TRUE(same_thing(got[i], want[i])) << "record " << i << " of " << got.size();
  }
}

inline bool same_decision(const core::Decision& a, const core::Decision& b) {
  if (a.index() != b.index()) return false;
  if (const auto* calls = std::get_if<core::UnknownCalls>(&a))
    return calls->ids == std::get<core::UnknownCalls>(b).ids;
  if (const auto* users = std::get_if<core::UnknownUsers>(&a))
    return users->ids == std::get<core::UnknownUsers>(b).ids;
  const auto& x = std::get<std::vector<core::GrantChange>>(a);
  const auto& y = std::get<std::vector<core::GrantChange>>(b);
  if (x.size() != y.size()) return false;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x[i].call_index != y[i].call_index || x[i].user != y[i].user || x[i].after != y[i].after)
      return false;
    if (x[i].before != y[i].before) return false;
  }
  return true;
}

}  // namespace earshot::test
