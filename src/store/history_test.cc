// The past of the embedded store against a model that kept every revision: random histories,
// committed by hand, so that sweeps, retention and restarts come wherever the test wants them.
#include "store/history.h"

#include <gtest/gtest.h>

#include <rocksdb/perf_context.h>
#include <rocksdb/perf_level.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "conformance/places.h"
#include "core/explain.h"
#include "random_records.h"
#include "store/retention.h"
#include "store/transaction.h"
#include "timeline.h"

namespace earshot::store {
namespace {

// An embedded store without its threads: every step is the test's own.
class HandRun {
 public:
  HandRun() { open(); }

  Time now{1'772'359'200'000'000};
  test::Timeline timeline;

  void restart() {
    close();
    open();
  }

  // Puts the records that are good in place, in one revision for each company.
  void load(const std::vector<core::Record>& records, std::size_t memory_bytes_max = 64 << 20) {
    Transaction transaction(ground(), now);
    transaction.begin_records({make_request_id(), ""}, memory_bytes_max);
    for (const core::Record& record : records) {
      if (!timeline.now.apply(record)) continue;
      const Status applied = core::apply_record(record, transaction);
      ASSERT_TRUE(applied.has_value()) << applied.error().message;
      ASSERT_TRUE(transaction.bound_memory().has_value());
    }
    ASSERT_TRUE(transaction.end_records(now).has_value());
    commit(transaction);
  }

  void write(Operation operation, CompanyId company, std::vector<core::CallUsers> calls) {
    Transaction transaction(ground(), now);
    if (operation == Operation::give) {
      (void)timeline.now.give(company, calls, now);
    } else {
      (void)timeline.now.remove(company, calls, now);
    }
    const auto outcome =
        transaction.run({operation, company, std::move(calls), {make_request_id(), "KEY"}});
    ASSERT_TRUE(outcome.has_value());
    commit(transaction);
  }

  // What a command comes to, which is not carried out.
  Outcome decide(const GrantCommand& command) {
    Transaction transaction(ground(), now);
    auto outcome = transaction.run(command);
    EXPECT_TRUE(outcome.has_value()) << outcome.error().message;
    return outcome ? std::move(*outcome) : Outcome();
  }

  // Whether nothing is left to sweep.
  bool sweep(CompanyId company, std::size_t rows_max) {
    Transaction transaction(ground(), now);
    const Result<bool> swept = transaction.sweep(company, rows_max);
    EXPECT_TRUE(swept.has_value());
    commit(transaction);
    return swept.has_value() && *swept;
  }

  // A cut that other things come between; what a restart ends is cut by the next.
  void begin_cut(const RetentionLimits& limits) { retention_->begin(limits); }
  void cut_some() {
    if (!retention_->is_under_way()) return;
    ASSERT_TRUE(retention_->step().has_value());
    if (!retention_->is_under_way()) drop_markers();
  }

  void cut(Time oldest) {
    ASSERT_TRUE(apply_retention(*rocks_, *companies_, {oldest, {}}).has_value());
    drop_markers();
  }
  void drop_markers() {
    // Markers go when their files are rewritten.
    for (const Family family : {Family::calls, Family::by_user}) {
      rocksdb::CompactRangeOptions all;
      all.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
      ASSERT_TRUE(rocks_->db().CompactRange(all, rocks_->family(family), nullptr, nullptr).ok());
    }
  }
  // Leaves the record as a release did that kept no history of access: sweeps do not say since when
  // rows were dead.
  void forget_since_when() {
    rocksdb::WriteBatch batch;
    const auto parts = rocks_->iterate(Family::changes);
    for (parts->SeekToFirst(); parts->Valid(); parts->Next()) {
      const auto part = decode_change(view(parts->value()));
      ASSERT_TRUE(part.has_value());
      ChangeWriter writer;
      for (const Change& change : part->changes) {
        std::visit(
            [&writer](auto one) {
              if constexpr (requires { one.dead_since; }) one.dead_since = 0;
              writer.add(one);
            },
            change);
      }
      batch.Put(rocks_->family(Family::changes), parts->key(), writer.finish(part->head));
    }
    for (std::uint64_t id = 1; id <= 3; ++id) {
      batch.Put(rocks_->family(Family::meta), encode_company_key(kUnmarkedTag, CompanyId{id}),
                encode_value(Horizon{timeline.newest({id}), std::nullopt}));
    }
    ASSERT_TRUE(rocks_->write(batch, false).ok());
  }
  core::Revision horizon(CompanyId company) const { return rocks_->horizons().of(company); }

  Result<std::unique_ptr<Past>> past(CompanyId company, const Moment& moment) {
    return Past::open(*rocks_, **companies_->meet(company), moment, now);
  }
  Rocks& rocks() { return *rocks_; }

 private:
  Ground ground() {
    return {.rocks = *rocks_,
            .cache = *cache_,
            .companies = *companies_,
            .keys = *keys_,
            .scratch_directory = directory_.path() + "/scratch",
            .check_space = [] { return Status(); }};
  }

  void open() {
    rocks_ = std::move(*Rocks::open(
        {.directory = directory_.path() + "/rows", .block_cache_bytes = 1 << 20, .env = nullptr}));
    cache_ = std::make_unique<EntryCache>(1 << 20);
    companies_ = std::make_unique<Companies>(*rocks_);
    retention_ =
        std::make_unique<Retention>(*rocks_, *companies_, RetentionStep{.rows = 3, .bytes = 500});
    keys_ = std::make_unique<KeyTable>();
    const Snapshot snapshot(*rocks_);
    ASSERT_TRUE(snapshot
                    .scan_keys([&](KeyRow row) -> Status {
                      if (!row.key) return {};
                      keys_->put(std::make_shared<KeyEntry>(KeyEntry{row.company, *row.key}));
                      return {};
                    })
                    .has_value());
    for (std::uint64_t id = 1; id <= 3; ++id) {
      const auto cut = *snapshot.get(Family::meta, encode_company_key(kHorizonTag, CompanyId{id}));
      if (cut) rocks_->horizons().set({id}, decode_horizon(*cut)->revision);
    }
  }
  void close() {
    retention_.reset();
    companies_.reset();
    rocks_.reset();
  }

  void commit(Transaction& transaction) {
    if (!transaction.is_empty()) {
      const Status committed = transaction.commit();
      ASSERT_TRUE(committed.has_value()) << committed.error().message;
    }
    transaction.publish();
    for (std::uint64_t id = 1; id <= 3; ++id) {
      const CompanyState* const state = companies_->find({id});
      if (!state) continue;
      if (state->published > timeline.newest({id})) timeline.note({id}, now);
      ASSERT_EQ(state->published, timeline.newest({id}));
    }
  }

  test::TemporaryDirectory directory_;
  std::unique_ptr<Rocks> rocks_;
  std::unique_ptr<EntryCache> cache_;
  std::unique_ptr<Companies> companies_;
  std::unique_ptr<Retention> retention_;
  std::unique_ptr<KeyTable> keys_;
};

// What an entry says, stamps aside.
std::string text_of(const core::CallEntry& entry) {
  std::string text;
  if (entry.call) {
    text += "call of workspace " + to_string(entry.call->workspace);
    if (entry.call->is_private) text += ", private";
    for (const UserId user : entry.call->participants) text += ", " + to_string(user);
  }
  for (const core::ShareRow& row : entry.shares) text += "; share " + to_string(row.user);
  for (const core::GrantRow& row : entry.grants) {
    const core::Grant grant = entry.grant_of(row);
    text += "; grant " + to_string(row.user) + " '" + grant.note + "'";
    if (grant.expires_at) text += " until " + std::to_string(grant.expires_at->micros);
  }
  return text;
}

std::string text_of(const core::Explanation& told) {
  std::string text = std::to_string(told.ways) + " " + std::to_string(told.ways_if_active) + " " +
                     std::to_string(static_cast<int>(told.refusal));
  if (told.profile) {
    text += " profile " + to_string(told.profile->id);
    for (const UserId user : told.profile->chain) text += " < " + to_string(user);
    for (const UserId lead : told.profile->wanted_leads) text += " lead " + to_string(lead);
  }
  return text;
}

// Everything in a company's directory.
std::vector<core::Record> people_of(const test::Model& model, CompanyId company) {
  std::vector<core::Record> people;
  for (const core::Record& record : model.dump()) {
    const bool is_of_directory = std::holds_alternative<core::User>(record.thing) ||
                                 std::holds_alternative<core::Profile>(record.thing) ||
                                 std::holds_alternative<core::Workspace>(record.thing);
    if (record.company == company && is_of_directory) people.push_back(record);
  }
  return people;
}

constexpr std::uint64_t kCompanies = 2, kUsers = 8, kCalls = 6;

// Everything that can be asked of one revision, against what the model kept of it.
void expect_as_it_was(HandRun& run, test::RandomRecords& random, CompanyId company,
                      core::Revision revision) {
  SCOPED_TRACE("company " + to_string(company) + ", revision " + std::to_string(revision));
  const auto opened = run.past(company, {revision, std::nullopt});
  if (revision < run.horizon(company)) {
    ASSERT_FALSE(opened.has_value());
    EXPECT_EQ(opened.error().code, Code::gone) << opened.error().message;
    return;
  }
  ASSERT_TRUE(opened.has_value()) << opened.error().message;
  Past& past = **opened;
  const Time time = run.timeline.time_of(company, revision);
  EXPECT_EQ(past.as_of().revision, revision);
  EXPECT_EQ(past.as_of().time, time);
  const auto then = run.timeline.at(company, revision).load(company);

  std::vector<CallId> calls;
  for (std::uint64_t i = 1; i <= kCalls; ++i) calls.push_back({i});
  const auto entries = past.entries(calls);
  ASSERT_TRUE(entries.has_value()) << entries.error().message;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const auto there = then.entries.find(calls[i]);
    const core::CallEntry expected =
        there == then.entries.end() ? core::CallEntry{} : there->second;
    EXPECT_EQ(text_of((*entries)[i]->unpack()), text_of(expected)) << "call " << calls[i].value;
  }

  // What is kept of a call for one user alone tells the same of that user, and nothing of others.
  std::vector<core::CallUsers> pairs;
  for (const CallId call : calls) pairs.push_back({call, {random.user_id()}});
  const auto narrow = past.entries_of(pairs, UINT64_MAX);
  ASSERT_TRUE(narrow.has_value()) << narrow.error().message;
  ASSERT_EQ(narrow->size(), calls.size());
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const UserId user = pairs[i].users.front();
    core::CallEntry expected = (*entries)[i]->unpack();
    std::erase_if(expected.shares, [user](const auto& row) { return row.user != user; });
    std::erase_if(expected.grants, [user](const auto& row) { return row.user != user; });
    std::erase_if(expected.notes, [user](const auto& note) { return note.first != user; });
    EXPECT_EQ(text_of((*narrow)[i]->unpack()), text_of(expected));
    EXPECT_EQ(text_of(core::explain(then.directory, *(*narrow)[i], user, time)),
              text_of(core::explain(then.directory, *(*entries)[i], user, time)));
  }

  // A directory is kept under the revision that made it what it was.
  ASSERT_LE(past.directory_revision(), revision);
  EXPECT_EQ(people_of(run.timeline.at(company, past.directory_revision()), company),
            people_of(run.timeline.at(company, revision), company));
  const auto whole = past.whole_directory();
  ASSERT_TRUE(whole.has_value()) << whole.error().message;
  EXPECT_EQ((*whole)->user_count(), then.directory.user_count());
  const UserId asked = random.user_id();
  const std::vector<UserId> users = {asked};
  for (const core::PackedEntryPtr& entry : *entries) {
    const auto partial = past.directory_of(users, {&entry, 1});
    ASSERT_TRUE(partial.has_value()) << partial.error().message;
    for (std::uint64_t user = 1; user <= kUsers; ++user) {
      const std::string expected = text_of(core::explain(then.directory, *entry, {user}, time));
      EXPECT_EQ(text_of(core::explain(**whole, *entry, {user}, time)), expected);
      if (UserId{user} != asked) continue;
      EXPECT_EQ(text_of(core::explain(**partial, *entry, asked, time)), expected);
    }
  }

  // A page of every size, and all pages together.
  const std::size_t page = 1 + random.below(4);
  std::set<CallId> found, found_of_user;
  for (CallId after{};;) {
    const auto more = past.find_calls(after, page);
    ASSERT_TRUE(more.has_value());
    found.insert(more->calls.begin(), more->calls.end());
    if (!more->last) break;
    ASSERT_LT(after, *more->last);
    after = *more->last;
  }
  for (CallId after{};;) {
    const auto more = past.find_calls_of(asked, after, page);
    ASSERT_TRUE(more.has_value());
    found_of_user.insert(more->calls.begin(), more->calls.end());
    if (!more->last) break;
    ASSERT_LT(after, *more->last);
    after = *more->last;
  }
  for (const auto& [call, entry] : then.entries) {
    EXPECT_TRUE(found.contains(call)) << "call " << call.value;
    if (entry.find_share(asked) || entry.find_grant(asked)) {
      EXPECT_TRUE(found_of_user.contains(call))
          << "call " << call.value << ", user " << asked.value;
    }
  }
  EXPECT_TRUE(past.confirm().has_value());
}

// The revision that answers for a time, or why there is none.
void expect_moment(HandRun& run, CompanyId company, Time time) {
  SCOPED_TRACE("at " + std::to_string(time.micros));
  const Moment moment{std::nullopt, time};
  const auto expected = run.timeline.find(company, moment, run.now);
  const auto opened = run.past(company, moment);
  const core::Revision horizon = run.horizon(company);
  if (!expected) {
    ASSERT_FALSE(opened.has_value());
    EXPECT_EQ(opened.error().code, expected.error().code);
  } else if (expected->revision < horizon) {
    ASSERT_FALSE(opened.has_value());
    EXPECT_EQ(opened.error().code, Code::gone);
  } else {
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    EXPECT_EQ((*opened)->as_of().revision, expected->revision);
    EXPECT_EQ((*opened)->as_of().time, time);
  }
}

// Mostly what random records are; often enough something that is removed and put again at once.
std::vector<core::Record> random_load(test::RandomRecords& random) {
  std::vector<core::Record> records;
  for (std::uint64_t n = 1 + random.below(10); n > 0; --n) {
    const CompanyId company = random.id<CompanyId>(kCompanies);
    core::User user;
    user.id = random.user_id();
    if (random.percent(50)) user.manager = random.user_id();
    user.profiles = {random.id<ProfileId>(3)};
    core::Call call;
    call.id = random.call_id();
    call.workspace = {1};
    call.parties = {random.user_id()};
    const auto again = [&](const auto& thing, bool come_back) {
      records.push_back({company, true, thing});
      if (come_back) records.push_back({company, false, thing});
    };
    switch (random.below(40)) {
      case 0:
      case 1:
        again(core::Company{company, "Again"}, random.percent(80));
        break;
      case 2:
      case 3:
      case 4:
      case 5:
        again(user, random.percent(70));
        break;
      case 6:
      case 7:
      case 8:
      case 9:
        again(call, random.percent(70));
        break;
      case 10:
        records.push_back({company, false, core::Company{company, random.text()}});
        break;
      default:
        records.push_back(random.next());
    }
  }
  return records;
}

// Each call as it was, or not at all: how many there were, and how many are gone.
void expect_calls_or_gone(HandRun& run, CompanyId company, core::Revision revision,
                          std::size_t& told, std::size_t& gone) {
  if (revision < run.horizon(company)) return;
  SCOPED_TRACE("company " + to_string(company) + ", revision " + std::to_string(revision));
  const auto then = run.timeline.at(company, revision).load(company);
  const auto past = run.past(company, {revision, std::nullopt});
  ASSERT_TRUE(past.has_value()) << past.error().message;
  for (std::uint64_t id = 1; id <= kCalls; ++id) {
    const std::vector<CallId> one = {{id}};
    const auto entries = (*past)->entries(one);
    if (!entries) {
      ASSERT_EQ(entries.error().code, Code::gone) << entries.error().message;
      ++gone;
      continue;
    }
    ++told;
    const auto there = then.entries.find({id});
    const core::CallEntry expected =
        there == then.entries.end() ? core::CallEntry{} : there->second;
    EXPECT_EQ(text_of(entries->front()->unpack()), text_of(expected)) << "call " << id;
  }
}

// How often a call was told of, and how often that was refused.
struct Answers {
  std::size_t told = 0, gone = 0;
};

Answers run_random_history(std::uint64_t seed, int steps, bool spill, int old_steps = 0) {
  SCOPED_TRACE("EARSHOT_SEED=" + std::to_string(seed));
  test::RandomRecords random(seed, {.companies = kCompanies, .users = kUsers, .calls = kCalls});
  HandRun run;
  const auto check_some = [&](std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      const CompanyId company = random.id<CompanyId>(kCompanies);
      const core::Revision newest = run.timeline.newest(company);
      // Mostly what was lately.
      const std::uint64_t back = random.below(random.percent(50) ? 12 : newest + 1);
      expect_as_it_was(run, random, company, newest - std::min(back, newest));
      const Time near = run.timeline.time_of(company, random.below(newest + 1));
      expect_moment(run, company,
                    {std::max(near.micros, run.now.micros - 1'000'000'000) +
                     static_cast<std::int64_t>(random.below(3)) - 1});
    }
  };
  for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
    if (old_steps > 0 && step == old_steps) run.forget_since_when();
    // The clock stands still now and then, and jumps back.
    run.now.micros += random.percent(10) ? -5'000 : static_cast<std::int64_t>(random.below(3'000));
    const CompanyId company = random.id<CompanyId>(kCompanies);
    const std::uint64_t what = random.below(100);
    if (what < 45) {
      run.load(random_load(random), spill && random.percent(30) ? 1 : 64 << 20);
    } else if (what < 65) {
      std::vector<core::CallUsers> calls = {{random.call_id(), {random.user_id()}}};
      run.write(random.percent(60) ? Operation::give : Operation::remove, company, calls);
    } else if (what < 94) {
      run.sweep(company, 1 + random.below(4));
    } else if (what < 96) {
      run.restart();
    } else if (what < 97) {
      while (random.percent(90) && !run.sweep(company, 100)) {
      }
      RetentionLimits limits;
      if (random.percent(70)) {
        limits.oldest = Time{run.now.micros - static_cast<std::int64_t>(random.below(100'000))};
      }
      if (!limits.oldest || random.percent(30)) limits.revisions = 1 + random.below(60);
      run.begin_cut(limits);
    }
    if (random.percent(50)) run.cut_some();
    if (old_steps == 0) check_some(3);
  }
  Answers answers;
  for (std::uint64_t id = 1; id <= kCompanies; ++id) {
    for (core::Revision n = 0; n <= run.timeline.newest({id}); ++n) {
      if (testing::Test::HasFailure()) return answers;
      if (old_steps > 0) {
        expect_calls_or_gone(run, {id}, n, answers.told, answers.gone);
      } else {
        expect_as_it_was(run, random, {id}, n);
      }
    }
  }
  return answers;
}

TEST(History, IsWhatTheModelKept) { run_random_history(test::test_seed(), 500, false); }

// What an older release swept is told as it was, or refused: never otherwise.
TEST(History, OfARecordThatDoesNotSaySinceWhenRowsWereDeadSomeIsGone) {
  Answers all;
  // Of some histories retention has cut off whatever would be refused.
  for (std::uint64_t i = 0; i < 10 && !HasFailure() && (all.told == 0 || all.gone == 0); ++i) {
    const Answers answers = run_random_history(test::test_seed() + i, 300, false, 200);
    all.told += answers.told;
    all.gone += answers.gone;
  }
  EXPECT_GT(all.told, 0U);
  EXPECT_GT(all.gone, 0U);
}

TEST(History, IsWhatTheModelKeptWhereLoadsSpill) {
  run_random_history(test::test_seed(), 120, true);
}

// A company 1 with so many users and calls.
std::vector<core::Record> company_of(std::uint64_t users, std::uint64_t calls) {
  std::vector<core::Record> records = {{{1}, false, core::Company{{1}, "One"}}};
  for (std::uint64_t id = 1; id <= users; ++id) {
    core::User user;
    user.id = {id};
    records.push_back({{1}, false, user});
  }
  for (std::uint64_t id = 1; id <= calls; ++id) {
    core::Call call;
    call.id = {id};
    records.push_back({{1}, false, call});
  }
  return records;
}

core::CallUsers pair(std::uint64_t call, std::uint64_t user) { return {{call}, {{user}}}; }

// What the store looked at to tell about one call and one user at revision 3: keys stepped to.
std::uint64_t keys_looked_at(std::uint64_t revisions_besides) {
  HandRun run;
  run.load(company_of(9, 9));
  run.write(Operation::give, {1}, {pair(1, 1)});
  run.write(Operation::give, {1}, {pair(1, 2)});
  for (std::uint64_t i = 0; i < revisions_besides; ++i) {
    core::User user;
    user.id = {9};
    user.first_name = std::to_string(i);
    run.load({{{1}, false, user}});
    run.write(Operation::give, {1}, {pair(2 + i % 8, 1 + i % 9)});
    run.write(Operation::remove, {1}, {pair(2 + i % 8, 1 + i % 9)});
  }
  run.write(Operation::remove, {1}, {pair(1, 1)});
  rocksdb::SetPerfLevel(rocksdb::PerfLevel::kEnableCount);
  rocksdb::get_perf_context()->Reset();
  const auto past = *run.past({1}, {3, std::nullopt});
  const std::vector<CallId> calls = {{1}};
  const std::vector<UserId> users = {{1}};
  const auto entries = *past->entries(calls);
  const auto directory = *past->directory_of(users, entries);
  const rocksdb::PerfContext& seen = *rocksdb::get_perf_context();
  const std::uint64_t count = seen.seek_on_memtable_count + seen.next_on_memtable_count +
                              seen.prev_on_memtable_count + seen.internal_key_skipped_count;
  rocksdb::SetPerfLevel(rocksdb::PerfLevel::kDisable);
  EXPECT_EQ(text_of(entries[0]->unpack()), "call of workspace 0; grant 1 ''; grant 2 ''");
  EXPECT_NE(directory->find_user({1}), nullptr);
  return count;
}

TEST(History, CostsWhatHasChangedInTheCallAlone) {
  const std::uint64_t young = keys_looked_at(10);
  const std::uint64_t old = keys_looked_at(500);
  EXPECT_GT(young, 0U);
  EXPECT_EQ(young, old);
}

TEST(History, ReadsNoMoreCallsOnceRowsAndChangesAreEnough) {
  constexpr std::uint64_t kCallsThere = 2 * kWholeCallsMax + 1;
  HandRun run;
  run.load(company_of(2, kCallsThere));
  std::vector<core::CallUsers> everywhere;
  for (std::uint64_t id = 1; id <= kCallsThere; ++id) everywhere.push_back(pair(id, 2));
  run.write(Operation::give, {1}, everywhere);
  const auto calls_read = [&](core::Revision revision, std::uint64_t reads_max) {
    const auto entries =
        (*run.past({1}, {revision, std::nullopt}))->entries_of(everywhere, reads_max);
    EXPECT_TRUE(entries.has_value());
    for (const core::PackedEntryPtr& entry : *entries) {
      EXPECT_EQ(entry->granted().size(), revision == 2 ? 1U : 0U);
    }
    return entries->size();
  };
  // Each call has two rows, its own and a grant; and one change since revision 1.
  EXPECT_EQ(calls_read(2, 1), kWholeCallsMax) << "some at least";
  EXPECT_EQ(calls_read(2, 2 * kWholeCallsMax), kWholeCallsMax);
  EXPECT_EQ(calls_read(2, 2 * kWholeCallsMax + 1), 2 * kWholeCallsMax);
  EXPECT_EQ(calls_read(2, UINT64_MAX), kCallsThere);
  EXPECT_EQ(calls_read(1, 2 * kWholeCallsMax + 1), kWholeCallsMax);
  EXPECT_EQ(calls_read(1, UINT64_MAX), kCallsThere);
}

TEST(History, SaysSinceWhenItIsKept) {
  HandRun run;
  run.load(company_of(3, 3));
  const Time first = run.now;
  run.now.micros += 10;
  run.write(Operation::give, {1}, {pair(1, 1)});
  const Time second = run.now;
  run.now.micros += 10;
  run.write(Operation::remove, {1}, {pair(1, 1)});
  run.now.micros += 10;
  run.cut(run.now);
  ASSERT_EQ(run.horizon({1}), 2U);
  const auto refused = run.past({1}, {1, std::nullopt});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::gone);
  EXPECT_EQ(refused.error().message,
            "history is kept from revision 2 of " + format_time(second) + " on");
  EXPECT_EQ(run.past({1}, {std::nullopt, first}).error().code, Code::gone);
  EXPECT_EQ(run.past({1}, {0, std::nullopt}).error().code, Code::gone);
  EXPECT_TRUE(run.past({1}, {2, std::nullopt}).has_value());
  // A page of an answer that is judged at a time of its own.
  const auto page = run.past({1}, {2, first});
  ASSERT_TRUE(page.has_value());
  EXPECT_EQ((*page)->as_of().time, first);
  EXPECT_EQ(run.past({1}, {4, std::nullopt}).error().code, Code::invalid_argument);
  EXPECT_EQ(run.past({1}, {std::nullopt, Time{run.now.micros + 1}}).error().code,
            Code::invalid_argument);
  EXPECT_TRUE(run.past({1}, {std::nullopt, run.now}).has_value());
  // Of a company that never was there is nothing, at any time.
  EXPECT_EQ((*run.past({7}, {std::nullopt, first}))->as_of().revision, 0U);
  EXPECT_EQ(run.past({7}, {1, std::nullopt}).error().code, Code::invalid_argument);
}

TEST(History, AfterTheClockJumpedBackTheNewestRevisionIsStillInThePast) {
  HandRun run;
  run.load(company_of(1, 1));
  const Time made = run.now;
  run.now.micros -= 1'000'000;
  EXPECT_EQ((*run.past({1}, {std::nullopt, made}))->as_of().revision, 1U);
  EXPECT_EQ(run.past({1}, {std::nullopt, Time{made.micros + 1}}).error().code,
            Code::invalid_argument);
}

TEST(History, OfARecordThatAnOlderReleaseCutTheFirstRevisionLeftIsTheOldest) {
  HandRun run;
  run.load(company_of(3, 3));
  run.now.micros += 10;
  run.write(Operation::give, {1}, {pair(1, 1)});
  run.now.micros += 10;
  run.write(Operation::remove, {1}, {pair(1, 1)});
  run.cut(run.now);
  rocksdb::WriteBatch batch;
  batch.Put(run.rocks().family(Family::meta), encode_company_key(kHorizonTag, {1}),
            encode_value(Horizon{2, std::nullopt}));
  ASSERT_TRUE(run.rocks().write(batch, false).ok());
  EXPECT_EQ(run.past({1}, {2, std::nullopt}).error().code, Code::gone);
  EXPECT_NE(run.past({1}, {2, std::nullopt}).error().message.find("from revision 3"),
            std::string::npos);
  EXPECT_EQ(run.past({1}, {std::nullopt, Time{run.now.micros - 5}}).error().code, Code::gone);
  EXPECT_TRUE(run.past({1}, {3, std::nullopt}).has_value());
}

TEST(History, IsNotAnsweredOnceRetentionHasPassedIt) {
  HandRun run;
  run.load(company_of(3, 3));
  run.now.micros += 10;
  run.write(Operation::give, {1}, {pair(1, 1)});
  run.now.micros += 10;
  run.write(Operation::remove, {1}, {pair(1, 1)});
  run.now.micros += 10;
  run.write(Operation::give, {1}, {pair(1, 2)});
  const auto past = *run.past({1}, {1, std::nullopt});
  EXPECT_TRUE(past->confirm().has_value());
  run.cut(run.now);
  ASSERT_EQ(run.horizon({1}), 3U);
  ASSERT_FALSE(past->confirm().has_value());
  EXPECT_EQ(past->confirm().error().code, Code::gone);
}

TEST(History, ALaterCutDoesNotGoBehindAnEarlierOne) {
  HandRun run;
  run.load(company_of(3, 3));
  const Time first = run.now;
  for (std::uint64_t i = 0; i < 4; ++i) {
    run.now.micros += 10;
    run.write(i % 2 == 0 ? Operation::give : Operation::remove, {1}, {pair(1, 1)});
  }
  // As if the cut had ended half-way: the horizon is written down, and parts behind it are left.
  rocksdb::WriteBatch batch;
  batch.Put(run.rocks().family(Family::meta), encode_company_key(kHorizonTag, {1}),
            encode_value(Horizon{4, Horizon::Head{run.timeline.time_of({1}, 4), 1}}));
  ASSERT_TRUE(run.rocks().write(batch, false).ok());
  run.cut({first.micros + 25});
  EXPECT_EQ(run.horizon({1}), 4U);
  EXPECT_EQ(run.past({1}, {3, std::nullopt}).error().code, Code::gone);
  EXPECT_TRUE(run.past({1}, {4, std::nullopt}).has_value());
}

TEST(History, ADeadRowAndTheOneInItsPlaceMayLieInTwoParts) {
  HandRun run;
  constexpr std::uint64_t calls = 40;
  run.load(company_of(2, calls));
  core::User user;
  user.id = {1};
  std::vector<core::Record> shares;
  for (std::uint64_t call = 1; call <= calls; ++call) {
    shares.push_back({{1}, false, core::ShareLine{{call}, {1}}});
  }
  run.load(shares);
  // What comes before the shares ends a little earlier each time, so that a part ends between any
  // two of their changes.
  for (std::uint64_t earlier = 0; earlier < 40; earlier += 8) {
    core::Call filler;
    filler.id = {calls + 1 + earlier};
    filler.title.assign(kPartBytesMax - 700 - earlier, 'x');
    std::vector<core::Record> records = {
        {{1}, false, filler}, {{1}, true, user}, {{1}, false, user}};
    records.insert(records.end(), shares.begin(), shares.end());
    run.load(records);
  }
  for (core::Revision revision = 2; revision <= run.timeline.newest({1}); ++revision) {
    const auto past = *run.past({1}, {revision, std::nullopt});
    for (std::uint64_t call = 1; call <= calls; ++call) {
      const std::vector<CallId> one = {{call}};  // alone: others would bring in the part before
      EXPECT_EQ(text_of((*past->entries(one))[0]->unpack()), "call of workspace 0; share 1")
          << "revision " << revision << ", call " << call;
    }
  }
}

// Of rows that are dead and await their sweep, commands see nothing but the change that killed
// them.
TEST(Sweep, WhatAwaitsItCountsFromItsRemovalOn) {
  HandRun run;
  run.load(company_of(2, 3));
  for (std::uint64_t call = 1; call <= 3; ++call) run.write(Operation::give, {1}, {pair(call, 1)});
  const core::Revision before = run.timeline.newest({1});
  core::User user;
  user.id = {1};
  run.load({{{1}, true, user}, {{1}, false, user}});
  run.write(Operation::give, {1}, {pair(3, 1)});
  const auto changed_since = [&run](core::Revision revision) {
    WithResults asked;
    asked.if_revision = revision;
    const auto outcome = run.decide({.operation = Operation::give,
                                     .company = {1},
                                     .calls = {pair(1, 2), pair(2, 2)},
                                     .origin = {make_request_id(), "KEY"},
                                     .with_results = std::make_shared<WithResults>(asked)});
    const auto* const changed = std::get_if<core::ChangedCalls>(&outcome.decision);
    return changed ? changed->ids.size() : 0;
  };
  const auto count_all = [&run] {
    WithResults asked;
    asked.all_of = UserId{1};
    const auto outcome = run.decide({.operation = Operation::remove,
                                     .company = {1},
                                     .calls = {},
                                     .origin = {make_request_id(), "KEY"},
                                     .with_results = std::make_shared<WithResults>(asked)});
    const auto* const too_many = std::get_if<core::TooManyGrants>(&outcome.decision);
    return too_many ? too_many->count : 0;
  };
  for (bool is_swept = false;; is_swept = run.sweep({1}, 2)) {
    EXPECT_EQ(changed_since(before), 2U);
    EXPECT_EQ(changed_since(before + 1), 0U);
    EXPECT_EQ(count_all(), 1U);
    if (is_swept) break;
  }
}

DirectoryPtr directory_of_users(std::uint64_t users) {
  auto directory = std::make_shared<core::Directory>();
  for (std::uint64_t id = 1; id <= users; ++id) {
    core::User user;
    user.id = {id};
    directory->put(user);
  }
  return directory;
}

TEST(PastDirectories, KeepsThoseUsedLastUpToItsBound) {
  const std::uint64_t bytes = directory_of_users(100)->memory_bytes();
  PastDirectories kept(2 * bytes + bytes / 2);
  kept.keep({{1}, 5}, directory_of_users(100));
  kept.keep({{1}, 6}, directory_of_users(100));
  EXPECT_NE(kept.find({{1}, 5}), nullptr);
  EXPECT_EQ(kept.find({{2}, 5}), nullptr);
  kept.keep({{2}, 5}, directory_of_users(100));
  EXPECT_NE(kept.find({{1}, 5}), nullptr);
  EXPECT_EQ(kept.find({{1}, 6}), nullptr) << "it was used least lately";
  EXPECT_NE(kept.find({{2}, 5}), nullptr);
  kept.keep({{3}, 1}, directory_of_users(5000));
  EXPECT_NE(kept.find({{3}, 1}), nullptr) << "one is kept however large it is";
  EXPECT_EQ(kept.find({{2}, 5}), nullptr);
}

TEST(PastDirectories, KeepsFewHoweverSmallTheyAre) {
  PastDirectories kept(1 << 20);
  for (core::Revision revision = 0; revision <= kKeptOfThePastMax; ++revision) {
    kept.keep({{1}, revision}, directory_of_users(1));
  }
  EXPECT_EQ(kept.find({{1}, 0}), nullptr);
  EXPECT_NE(kept.find({{1}, 1}), nullptr);
  EXPECT_NE(kept.find({{1}, kKeptOfThePastMax}), nullptr);
}

}  // namespace
}  // namespace earshot::store
