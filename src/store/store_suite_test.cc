// The tests of every store: see conformance/store_suite.h.
#include "conformance/store_suite.h"

namespace earshot::test {

TEST_P(StoreSuite, RandomHistoriesComeToTheModel) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("EARSHOT_SEED=" + std::to_string(seed));
  RandomRecords random(seed);
  Model model;
  int bad_loads = 0, good_loads = 0, changes = 0, unknown = 0;
  std::vector<core::Record> beginning;
  for (std::uint64_t company = 1; company <= 2; ++company) {
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
  for (const core::Record& record : beginning) ASSERT_TRUE(model.apply(record).has_value());
  ASSERT_TRUE(load_now(store(), beginning).has_value());
  for (int step = 0; step < GetParam().history_steps; ++step) {
    now_ += static_cast<std::int64_t>(random.below(3));
    const CompanyId company = random.id<CompanyId>(2);
    const auto dice = random.below(100);
    if (dice < 30) {
      // A load is whole or absent.
      Model tried = model;
      std::vector<core::Record> records(1 + random.below(5));
      bool good = true;
      for (core::Record& record : records) {
        record = random.next();
        if (good) good = tried.apply(record).has_value();
      }
      const auto loaded = load_now(store(), records);
      ASSERT_EQ(loaded.has_value(), good) << (loaded ? "" : loaded.error().message);
      if (good) {
        model = std::move(tried);
        ++good_loads;
      } else {
        EXPECT_EQ(loaded.error().code, Code::invalid_argument);
        EXPECT_TRUE(loaded.error().message.starts_with("list:")) << loaded.error().message;
        ++bad_loads;
      }
    } else if (dice < 70) {
      std::set<CallId> named;
      for (auto n = random.below(4); n > 0; --n) named.insert(random.call_id());
      std::vector<core::CallUsers> calls;
      for (const CallId call : named) {
        std::set<UserId> users;
        for (auto m = random.below(4); m > 0; --m) users.insert(random.user_id());
        calls.push_back({call, {users.begin(), users.end()}});
      }
      const bool is_give = random.percent(60);
      const auto outcome = write_now(
          store(),
          command_of(is_give ? store::Operation::give : store::Operation::remove, company, calls));
      ASSERT_TRUE(outcome.has_value()) << outcome.error().message;
      const core::Decision wanted = is_give ? model.give(company, calls, Time{now_})
                                            : model.remove(company, calls, Time{now_});
      ASSERT_TRUE(same_decision(outcome->decision, wanted)) << "step " << step;
      if (const auto* made = std::get_if<std::vector<core::GrantChange>>(&wanted)) {
        changes += static_cast<int>(made->size());
      } else {
        ++unknown;
      }
    } else if (dice < 95) {
      std::vector<CallId> calls(1 + random.below(4));
      for (CallId& call : calls) call = random.call_id();
      const auto view = read_now(store(), company, calls);
      ASSERT_TRUE(view.has_value()) << view.error().message;
      for (std::size_t i = 0; i < calls.size(); ++i) {
        const auto wanted = model.list(company, {calls[i]}, Time{now_});
        const auto* listing = std::get_if<Model::Listing>(&wanted);
        ASSERT_EQ(view->entries[i]->has_call(), listing != nullptr);
        if (!listing) continue;
        ASSERT_EQ(live_users(*view->entries[i], Time{now_}), listing->at(0).second)
            << "step " << step;
      }
    } else {
      expect_same_records(dumped(), model.dump());
    }
    if (HasFatalFailure()) return;
    if (step % 60 == 59) open();
    if (step % 50 == 49) expect_sound();
  }
  expect_same_records(dumped(), model.dump());
  expect_sound();
  EXPECT_GT(good_loads, 0);
  EXPECT_GT(changes, 0);
  // Rare ones: short histories are without them now and then.
  if (GetParam().history_steps >= 250) {
    EXPECT_GT(bad_loads, 0);
  }
  if (GetParam().history_steps >= 700) {
    EXPECT_GT(unknown, 0);
  }
}

TEST_P(StoreSuite, RevisionsCountUpByOneAndOnlyForChanges) {
  load_small_company();
  const core::Revision first = give({1}, {{1}, {2}});
  EXPECT_EQ(give({1}, {{1}, {2}}), first) << "the same again changes nothing";
  EXPECT_EQ(give({2}, {{1}}), first + 1);
  EXPECT_EQ(give({5}, {{5}}), first + 1) << "the host has access already";
  open();
  EXPECT_EQ(give({3}, {{1}}), first + 2) << "and go on after a restart";
  EXPECT_EQ(read_now(store(), {1}, {{3}})->revision, first + 2);
}

TEST_P(StoreSuite, AReadStartedAfterAWriteSeesIt) {
  load_small_company();
  for (int i = 0; i < 50; ++i) {
    give({1}, {{3}});
    EXPECT_EQ(listed({1}), std::vector<UserId>{{3}});
    ASSERT_TRUE(
        write_now(store(), command_of(store::Operation::remove, {1}, {{{1}, {{3}}}})).has_value());
    EXPECT_EQ(listed({1}), std::vector<UserId>{});
  }
}

TEST_P(StoreSuite, ARemovedUserOrCallComesBackWithoutItsGrants) {
  load_small_company();
  give({1}, {{1}, {2}});
  give({2}, {{1}});
  core::User user;
  user.id = {1};
  core::Call call;
  call.id = {1};
  ASSERT_TRUE(load_now(store(), {{{1}, true, user}, {{1}, false, user}}).has_value());
  EXPECT_EQ(listed({1}), std::vector<UserId>{{2}});
  EXPECT_EQ(listed({2}), std::vector<UserId>{});
  ASSERT_TRUE(
      load_now(store(),
               {{{1}, true, call}, {{1}, false, call}, {{1}, false, core::ShareLine{{1}, {3}}}})
          .has_value());
  EXPECT_EQ(listed({1}), std::vector<UserId>{});
  give({1}, {{2}, {3}});
  EXPECT_EQ(listed({1}), std::vector<UserId>{{2}}) << "user 3 has a share";
  open();
  EXPECT_EQ(listed({1}), std::vector<UserId>{{2}});
  expect_sound();
}

TEST_P(StoreSuite, ARemovedCompanyTakesItsKeysAndEverythingElse) {
  load_small_company();
  core::KeyLine key;
  key.key.access_key = "ACME";
  ASSERT_TRUE(
      load_now(store(), {{{1}, false, key}, {{2}, false, core::Company{{2}, "Two"}}}).has_value());
  give({1}, {{1}});
  ASSERT_NE(key_now(store(), "ACME"), nullptr);
  ASSERT_TRUE(load_now(store(), {{{1}, true, core::Company{{1}, ""}}}).has_value());
  EXPECT_EQ(key_now(store(), "ACME"), nullptr);
  EXPECT_FALSE(read_now(store(), {1}, {{1}})->entries[0]->has_call());
  EXPECT_EQ(dumped().size(), 1U);
  load_small_company();
  EXPECT_EQ(listed({1}), std::vector<UserId>{});
  EXPECT_EQ(dumped().size(), 12U);
  key.key.secret.salt[0] = 1;
  ASSERT_TRUE(load_now(store(), {{{2}, false, key}}).has_value()) << "the access key is free again";
  EXPECT_EQ(key_now(store(), "ACME")->company, CompanyId{2});
  expect_sound();
}

TEST_P(StoreSuite, HasNoKeyOfANameThatNoKeyMayHave) {
  load_small_company();
  core::KeyLine key;
  key.key.access_key = "ACME";
  ASSERT_TRUE(load_now(store(), {{{1}, false, key}}).has_value());
  open();  // so that none is remembered
  // Together: a bad one must not spoil what is asked beside it.
  std::promise<Result<store::KeyPtr>> promise;
  store().look_up_key("\xFF\xFE", [](auto) {});
  store().look_up_key("ACME", [&](auto found) { promise.set_value(std::move(found)); });
  for (const std::string& name : {std::string("\xFF\xFE"), std::string("A\0B", 3), std::string(),
                                  std::string(129, 'A'), std::string("A:B")}) {
    const auto found = look_up_now(store(), name);
    ASSERT_TRUE(found.has_value()) << found.error().message;
    EXPECT_EQ(*found, nullptr);
  }
  const auto found = promise.get_future().get();
  ASSERT_TRUE(found.has_value()) << found.error().message;
  EXPECT_NE(*found, nullptr);
}

// One sweep takes rows of a call twice over: of the user that went first, then of the company.
TEST_P(StoreSuite, ACompanyRemovedRightAfterItsUserLeavesNothing) {
  load_small_company();
  core::User user;
  user.id = {4};
  const auto loaded = load_now(store(), {{{1}, false, core::GrantLine{{1}, {4}, {}}},
                                         {{1}, false, core::ShareLine{{1}, {1}}},
                                         {{1}, false, core::ShareLine{{1}, {2}}},
                                         {{1}, true, user},
                                         {{1}, false, core::ShareLine{{1}, {3}}},
                                         {{1}, true, core::Company{{1}, ""}}});
  ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
  EXPECT_TRUE(dumped().empty());
  for (int i = 0; i < 5; ++i) {
    expect_sound();
    open();
  }
  EXPECT_TRUE(dumped().empty());
}

TEST_P(StoreSuite, CompaniesWithTheSameIdsAreApart) {
  load_small_company();
  ASSERT_TRUE(load_now(store(), {{{2}, false, core::Company{{2}, "Two"}}}).has_value());
  give({1}, {{1}});
  EXPECT_FALSE(read_now(store(), {2}, {{1}})->entries[0]->has_call());
  const auto outcome = write_now(store(), command_of(store::Operation::give, {2}, {{{1}, {{1}}}}));
  EXPECT_TRUE(std::holds_alternative<core::UnknownCalls>(outcome->decision));
}

TEST_P(StoreSuite, ARevisionThatWasAnsweredCanBeAskedFor) {
  load_small_company();
  for (int i = 0; i < 5; ++i) {
    const core::Revision written = give({1}, {{static_cast<std::uint64_t>(i) % 5 + 1}});
    const auto view = read_now(store(), {1}, {{1}}, written);
    ASSERT_TRUE(view.has_value()) << view.error().message;
    EXPECT_GE(view->revision, written);
    EXPECT_EQ(view->entries[0]->granted().size(), static_cast<std::size_t>(i) + 1);
  }
  open();
  const core::Revision newest = give({1}, {{1}});
  EXPECT_EQ(read_now(store(), {1}, {{1}}, newest)->revision, newest);
}

TEST_P(StoreSuite, ARevisionThatIsNotThereIsUnavailable) {
  load_small_company();
  const core::Revision newest = give({1}, {{1}});
  for (const core::Revision ahead : {newest + 1'000'000, core::Revision{INT64_MAX}}) {
    const auto view = read_now(store(), {1}, {{1}}, ahead);
    ASSERT_FALSE(view.has_value());
    EXPECT_EQ(view.error().code, Code::unavailable);
  }
  EXPECT_EQ(read_now(store(), {1}, {{1}}, newest)->revision, newest);
}

TEST_P(StoreSuite, AskingForNoCallsSaysTheRevision) {
  load_small_company();
  const core::Revision newest = give({1}, {{1}});
  for (const auto operation : {store::Operation::give, store::Operation::remove}) {
    const auto outcome = write_now(store(), command_of(operation, {1}, {}));
    ASSERT_TRUE(outcome.has_value()) << outcome.error().message;
    EXPECT_EQ(outcome->revision, newest);
    EXPECT_TRUE(std::get<std::vector<core::GrantChange>>(outcome->decision).empty());
  }
}

TEST_P(StoreSuite, AKeyIsSeenAsItWasLastLoaded) {
  load_small_company();
  EXPECT_EQ(key_now(store(), "ACME"), nullptr);
  core::KeyLine line;
  line.key = {"ACME", hash_secret("first"), {"api:call-user-access:read"}, std::nullopt};
  ASSERT_TRUE(load_now(store(), {{{1}, false, line}}).has_value());
  ASSERT_NE(key_now(store(), "ACME"), nullptr);
  EXPECT_EQ(key_now(store(), "ACME")->key, line.key);
  EXPECT_EQ(key_now(store(), "ACME")->company, CompanyId{1});

  line.key.secret = hash_secret("second");
  line.key.scopes.emplace_back("api:call-user-access:write");
  line.key.expires_at = Time{now_ + 1};
  ASSERT_TRUE(load_now(store(), {{{1}, false, line}}).has_value());
  EXPECT_EQ(key_now(store(), "ACME")->key, line.key);
  const auto listed = store().list_keys(CompanyId{1});
  ASSERT_TRUE(listed.has_value());
  ASSERT_EQ(listed->size(), 1U);
  EXPECT_EQ(listed->at(0)->key, line.key);

  ASSERT_TRUE(load_now(store(), {{{1}, true, line}}).has_value());
  EXPECT_EQ(key_now(store(), "ACME"), nullptr);
  EXPECT_TRUE(store().list_keys(std::nullopt)->empty());
}

// Lets requests through or not, as told, and counts how often that was asked.
class ToldAsker final : public store::Asker {
 public:
  ToldAsker(store::KeyPtr key, bool lets_through)
      : key_(std::move(key)), lets_through_(lets_through) {}
  const store::KeyPtr& key() const override { return key_; }
  bool is_admitted_with(const store::KeyPtr& now) const override {
    ++asked;
    last = now;
    return lets_through_;
  }

  mutable std::atomic<int> asked{0};
  mutable store::KeyPtr last;

 private:
  const store::KeyPtr key_;
  const bool lets_through_;
};

TEST_P(StoreSuite, WhoIsNotAdmittedAnyMoreIsDenied) {
  load_small_company();
  core::KeyLine line;
  line.key = {"ACME", hash_secret("s3cret"), {"api:call-user-access:read"}, std::nullopt};
  ASSERT_TRUE(load_now(store(), {{{1}, false, line}}).has_value());
  const store::KeyPtr before = key_now(store(), "ACME");
  ASSERT_TRUE(load_now(store(), {{{1}, true, line}}).has_value());
  give({1}, {{1}});
  // A store that knows all keys refuses who has none before it is asked; another one has to ask.
  const bool must_ask = !store().knows_all_keys();
  for (const bool lets_through : {true, false}) {
    const auto asker = std::make_shared<ToldAsker>(before, lets_through);
    const bool is_denied = must_ask && !lets_through;
    const auto view = read_now(store(), {{1}, {{1}}, 0, asker});
    EXPECT_EQ(view.has_value(), !is_denied);
    EXPECT_TRUE(view.has_value() || view.error().code == Code::denied);
    EXPECT_EQ(asker->asked > 0, must_ask);
    EXPECT_EQ(asker->last, nullptr);
    asker->asked = 0;
    auto command = command_of(store::Operation::remove, {1}, {{{1}, {{1}}}});
    command.asker = asker;
    const auto outcome = write_now(store(), std::move(command));
    EXPECT_EQ(outcome.has_value(), !is_denied);
    EXPECT_TRUE(outcome.has_value() || outcome.error().code == Code::denied);
    EXPECT_EQ(asker->asked > 0, must_ask);
    if (lets_through) give({1}, {{1}});
  }
  EXPECT_EQ(listed({1}).empty(), !must_ask) << "what was denied has changed nothing";
}

TEST_P(StoreSuite, UsageIsAddedUp) {
  const auto add = [&](std::vector<store::DayUsage> more) {
    const auto sums = store().add_usage(more);
    EXPECT_TRUE(sums.has_value());
    std::vector<std::uint64_t> requests;
    for (std::size_t i = 0; sums && i < sums->size(); ++i) {
      EXPECT_EQ(sums->at(i).company, more[i].company);
      EXPECT_EQ(sums->at(i).day, more[i].day);
      requests.push_back(sums->at(i).requests);
    }
    return requests;
  };
  using Requests = std::vector<std::uint64_t>;
  EXPECT_EQ(add({}), Requests{});
  EXPECT_EQ(add({{{9}, 20000, 9999999}, {{1}, 20000, 7}}), (Requests{9999999, 7}));
  EXPECT_EQ(add({{{1}, 20000, 3}, {{2}, 20000, 1}}), (Requests{10, 1}));
  EXPECT_EQ(add({{{1}, 20000, 0}}), Requests{10}) << "who adds nothing learns of it too";
  open();
  EXPECT_EQ(add({{{1}, 20000, 5}}), Requests{15});
  auto loaded = store().load_usage(20000);
  ASSERT_TRUE(loaded.has_value());
  std::ranges::sort(*loaded, {}, &store::DayUsage::company);
  ASSERT_EQ(loaded->size(), 3U);
  EXPECT_EQ(loaded->at(0).requests, 15U);
  EXPECT_EQ(loaded->at(2).requests, 9999999U);

  EXPECT_EQ(add({{{1}, 20001, 2}}), Requests{2}) << "a day begins at nothing";
  loaded = store().load_usage(20001);
  ASSERT_EQ(loaded->size(), 1U);
  EXPECT_EQ(loaded->at(0).company, CompanyId{1});
  EXPECT_EQ(loaded->at(0).requests, 2U);
}

// Writers always give or take one user on two calls at once; a reader of both must see the same of
// both, and what one writer was answered must be there until it goes on. Each writer has a pair of
// calls of its own.
TEST_P(StoreSuite, NoReadIsTornAndOwnWritesAreSeenUnderConcurrency) {
  constexpr int kWriters = 4;
  constexpr int kRounds = 150;
  std::vector<core::Record> records = {{{1}, false, core::Company{{1}, "One"}}};
  for (std::uint64_t i = 1; i <= 2 * kWriters; ++i) {
    core::Call call;
    call.id = {i};
    records.push_back({{1}, false, call});
  }
  core::User user;
  user.id = {1};
  records.push_back({{1}, false, user});
  ASSERT_TRUE(load_now(store(), records).has_value());

  std::atomic<int> torn{0}, unseen{0}, failed{0}, reads{0};
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (std::uint64_t writer = 0; writer < kWriters; ++writer) {
    threads.emplace_back([&, writer] {
      const CallId a{2 * writer + 1}, b{2 * writer + 2};
      for (int i = 0; i < kRounds; ++i) {
        const auto operation = i % 2 == 0 ? store::Operation::give : store::Operation::remove;
        const auto outcome =
            write_now(store(), command_of(operation, {1}, {{a, {{1}}}, {b, {{1}}}}));
        if (!outcome) {
          ++failed;
          continue;
        }
        const auto view = read_now(store(), {1}, {a});
        if (!view || view->revision < outcome->revision ||
            view->entries[0]->granted().empty() != (operation == store::Operation::remove)) {
          ++unseen;
        }
      }
    });
  }
  for (int reader = 0; reader < 2; ++reader) {
    threads.emplace_back([&] {
      std::vector<CallId> calls;
      for (std::uint64_t i = 1; i <= 2 * kWriters; ++i) calls.push_back({i});
      while (!over) {
        const auto view = read_now(store(), {1}, calls);
        if (!view) {
          ++failed;
          continue;
        }
        ++reads;
        for (std::size_t i = 0; i < calls.size(); i += 2) {
          if (view->entries[i]->granted().size() != view->entries[i + 1]->granted().size()) ++torn;
        }
      }
    });
  }
  for (int i = 0; i < kWriters; ++i) threads[static_cast<std::size_t>(i)].join();
  over = true;
  for (std::size_t i = kWriters; i < threads.size(); ++i) threads[i].join();
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(unseen, 0);
  EXPECT_EQ(failed, 0);
  EXPECT_GT(reads, 0);
  expect_sound();
}

}  // namespace earshot::test
