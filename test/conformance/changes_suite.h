// Histories of changes and what was there at each revision: what the tests of every store and those
// of one share. The tests are in src/store/changes_suite_test.cc.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "conformance/store_suite.h"

namespace earshot::test {

inline constexpr std::size_t kAllChanges = std::numeric_limits<std::size_t>::max();

inline store::ChangesCommand changes_behind(CompanyId company, store::ChangesPosition after,
                                            std::size_t changes_max = kAllChanges) {
  store::ChangesCommand command;
  command.company = company;
  command.after = after;
  command.changes_max = changes_max;
  return command;
}

inline store::RecordHead head_of(store::Store& store, CompanyId company) {
  const auto view = read_changes_now(store, changes_behind(company, {}, 0));
  EXPECT_TRUE(view.has_value()) << view.error().message;
  return view ? view->head : store::RecordHead{};
}

inline std::vector<core::Record> only_of(CompanyId company, std::vector<core::Record> records) {
  std::erase_if(records, [&](const core::Record& record) { return record.company != company; });
  return records;
}

class ChangesSuite : public StoreSuite {
 protected:
  static constexpr std::uint64_t kCompanies = 2;

  // What is there, and of which revisions.
  void keep_dumps() {
    std::map<CompanyId, core::Revision> before, after;
    std::vector<core::Record> records;
    do {
      before.clear();
      after.clear();
      for (std::uint64_t id = 1; id <= kCompanies; ++id) {
        before[{id}] = head_of(store(), {id}).revision;
      }
      records = dumped();
      for (std::uint64_t id = 1; id <= kCompanies; ++id) {
        after[{id}] = head_of(store(), {id}).revision;
      }
    } while (before != after);  // it was swept meanwhile
    for (const auto& [company, revision] : after) {
      dumps_[company][revision] = only_of(company, records);
    }
  }

  void load(std::vector<core::Record> records) {
    std::erase_if(records, [&](const core::Record& record) { return !model_.apply(record); });
    const auto loaded = load_now(store(), std::move(records));
    ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
  }
  void load_some(RandomRecords& random) {
    std::vector<core::Record> records(1 + random.below(9));
    for (core::Record& record : records) record = random.next();
    load(std::move(records));
  }
  void load_much(RandomRecords& random, CompanyId company) {
    std::vector<core::Record> records = {{company, false, core::Company{company, "Much"}}};
    for (std::uint64_t i = 0; i < 60; ++i) {
      core::Call call;
      call.id = {1000 + i};
      call.title = std::string(6000 + random.below(8000), 'x');
      records.push_back({company, false, call});
    }
    load(std::move(records));
  }
  void write_some(RandomRecords& random, CompanyId company) {
    std::vector<core::CallUsers> calls;
    std::set<CallId> named;
    for (auto n = 1 + random.below(3); n > 0; --n) named.insert(random.call_id());
    for (const CallId call : named) {
      std::set<UserId> users;
      for (auto m = 1 + random.below(3); m > 0; --m) users.insert(random.user_id());
      calls.push_back({call, {users.begin(), users.end()}});
    }
    const bool is_give = random.percent(60);
    auto command = command_of(is_give ? store::Operation::give : store::Operation::remove, company,
                              std::move(calls));
    if (random.percent(50)) {
      store::WithResults asked;
      for (const core::CallUsers& one : command.calls) {
        for (std::size_t i = 0; i < one.users.size() && is_give; ++i) {
          core::Grant& terms = asked.terms.emplace_back();
          if (random.percent(50)) {
            terms.expires_at = Time{now_ + 1 + static_cast<std::int64_t>(random.below(40))};
          }
          if (random.percent(30)) terms.note = random.text();
        }
      }
      command.with_results = std::make_shared<const store::WithResults>(std::move(asked));
    }
    const auto outcome = write_now(store(), std::move(command));
    ASSERT_TRUE(outcome.has_value()) << outcome.error().message;
  }
  void make_history(RandomRecords& random, int steps) {
    place_->expiry_every = std::chrono::milliseconds(20);
    open();
    std::vector<core::Record> beginning;
    for (std::uint64_t company = 1; company <= kCompanies; ++company) {
      beginning.push_back({{company}, false, core::Company{{company}, "Company"}});
      for (std::uint64_t i = 1; i <= 6; ++i) {
        core::User user;
        user.id = {i};
        beginning.push_back({{company}, false, user});
        core::Call call;
        call.id = {i};
        beginning.push_back({{company}, false, call});
      }
    }
    load(std::move(beginning));
    for (int step = 0; step < steps; ++step) {
      now_ += static_cast<std::int64_t>(random.below(12));
      const CompanyId company = random.id<CompanyId>(kCompanies);
      const auto dice = random.below(100);
      if (dice < 50) {
        load_some(random);
      } else if (dice < 97) {
        write_some(random, company);
      } else {
        load_much(random, company);
      }
      if (HasFatalFailure()) return;
      keep_dumps();
      if (step % 40 == 39) open();
    }
    place_->expiry_every = std::chrono::hours(24);
    open();
    keep_dumps();
  }

  Model model_;  // who is there: grants that were given by commands are not in it
  std::map<CompanyId, std::map<core::Revision, std::vector<core::Record>>> dumps_;
};

}  // namespace earshot::test
