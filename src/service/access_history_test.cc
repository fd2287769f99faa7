// Random histories of records, gives, removals, questions and restarts, over every kind of store,
// held against the model with its past: every question now and at random moments that are over.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "conformance/places.h"
#include "conformance/store_suite.h"
#include "random_records.h"
#include "service/access.h"
#include "service/explain.h"
#include "service/grants.h"
#include "timeline.h"
#include "told.h"

namespace earshot::test {
namespace {

using store::AsOf;
using store::Moment;

constexpr std::uint64_t kUsers = 8, kCalls = 6;
constexpr std::size_t kPageMax = 5;

struct HistoryKind {
  StoreKind store;
  std::size_t servers = 1;
  // What the store changes of itself, at any moment: rows of things removed, grants that expired.
  enum class Sweeps { none, of_removed, of_expired } sweeps = Sweeps::none;
  friend std::ostream& operator<<(std::ostream& out, const HistoryKind& kind) {
    return out << kind.store;
  }
};

using Sweeps = HistoryKind::Sweeps;

// Waits for what an asynchronous function comes to.
template <class T, class Start>
Result<T> await(Start start) {
  std::promise<Result<T>> promise;
  auto answer = promise.get_future();
  start([&](Result<T> result) { promise.set_value(std::move(result)); });
  return answer.get();
}

class AccessHistory : public testing::TestWithParam<HistoryKind> {
 protected:
  void SetUp() override {
    place_ = GetParam().store.make_place();
    open();
  }
  void open() {
    stores_.clear();
    for (std::size_t i = 0; i < GetParam().servers; ++i) {
      stores_.push_back(place_->open([this] { return Time{now_.load()}; }));
      ASSERT_NE(stores_.back(), nullptr);
    }
  }
  // One of the servers.
  store::Store& store() { return *stores_[random_.below(stores_.size())]; }

  Time clock() const { return Time{now_.load()}; }

  static auth::Principal principal(CompanyId company) {
    auth::Principal asking;
    asking.key = std::make_shared<const store::KeyEntry>(store::KeyEntry{company, {}});
    return asking;
  }

  // --- Changes

  void change_something() {
    for (const CompanyId each : kCompanies) {
      learn_sweeps(each, std::nullopt);
      if (HasFatalFailure()) return;
    }
    const CompanyId company = random_.id<CompanyId>(kCompanies.size());
    const auto dice = random_.below(100);
    if (dice < 30) {
      load_something();
    } else if (dice < 45) {
      change_all_or_nothing(company);
    } else {
      change_with_results(company);
    }
  }

  // Sweeps that the store made of itself, up to a revision (or to the newest), stand in the
  // timeline too.
  void learn_sweeps(CompanyId company, std::optional<core::Revision> up_to) {
    if (!up_to) {
      const auto as_of = find_as_of(company, {});
      ASSERT_TRUE(as_of.has_value()) << as_of.error().message;
      up_to = as_of->revision;
    }
    ASSERT_GE(*up_to, timeline_.newest(company));
    while (timeline_.newest(company) < *up_to) {
      ASSERT_NE(GetParam().sweeps, Sweeps::none) << "a revision that nobody made";
      const core::Revision next = timeline_.newest(company) + 1;
      const auto swept = find_as_of(company, Moment{.revision = next, .at = {}});
      ASSERT_TRUE(swept.has_value()) << swept.error().message;
      // It may have been swept before the clock went back.
      ASSERT_LE(swept->time, std::max(latest_, timeline_.time_of(company, next - 1)));
      timeline_.note_sweep(company, swept->time);
      ASSERT_EQ(timeline_.time_of(company, next), swept->time) << "times go back";
      ++count_["sweeps"];
    }
  }
  Result<AsOf> find_as_of(CompanyId company, Moment moment) {
    auto answer = check(company, {}, moment);
    if (!answer) return std::move(answer).error();
    return answer->as_of;
  }

  // A load is whole or absent.
  void load_something() {
    Model tried = timeline_.now;
    std::map<CompanyId, std::set<CallId>> touched;
    std::set<CompanyId> changed;
    std::vector<core::Record> records(1 + random_.below(5));
    bool is_good = true;
    for (core::Record& record : records) {
      record = random_.next();
      if (!is_good) continue;
      const Model before = tried;
      is_good = tried.apply(record).has_value();
      if (!tried.is_same(record.company, before)) changed.insert(record.company);
      touched[record.company].merge(calls_touched(record));
    }
    const auto loaded = load_now(store(), records);
    ASSERT_EQ(loaded.has_value(), is_good) << (loaded ? "" : loaded.error().message);
    ++count_[is_good ? "loads" : "bad loads"];
    if (!is_good) return;
    timeline_.now = std::move(tried);
    for (const core::Record& record : records) {
      // What it was told is not told to one that comes back.
      const bool is_company = std::holds_alternative<core::Company>(record.thing);
      if (record.remove && is_company) keyed_.erase(record.company);
    }
    for (const CompanyId company : changed) timeline_.note(company, clock(), touched[company]);
    for (const CompanyId company : changed) {
      const core::Revision newest = timeline_.newest(company);
      learn_sweeps(company, std::nullopt);
      if (HasFatalFailure()) return;
      // Whether a sweep came before the load or after it is not known: nobody asks about between.
      if (timeline_.newest(company) > newest) known_from_[company] = timeline_.newest(company);
    }
  }

  // All that a record may have something to do with, without looking closer.
  static std::set<CallId> calls_touched(const core::Record& record) {
    std::set<CallId> calls;
    if (const auto* named = std::get_if<core::Call>(&record.thing)) {
      calls.insert(named->id);
    } else if (const auto* share = std::get_if<core::ShareLine>(&record.thing)) {
      calls.insert(share->call);
    } else if (const auto* grant = std::get_if<core::GrantLine>(&record.thing)) {
      calls.insert(grant->call);
    } else if (record.remove) {  // of a user or a company, perhaps
      for (std::uint64_t call = 1; call <= kCalls; ++call) calls.insert({call});
    }
    return calls;
  }

  // As on the Gong surface.
  void change_all_or_nothing(CompanyId company) {
    std::vector<core::CallUsers> calls(random_.below(4));
    for (auto& [call, users] : calls) {
      call = random_.call_id();
      users.resize(random_.below(4));
      for (UserId& user : users) user = random_.user_id();
    }
    const bool is_give = random_.percent(60);
    const auto outcome = await<store::Outcome>([&](auto done) {
      const auto change = is_give ? &service::give_access : &service::remove_access;
      change(store(), principal(company), calls, make_request_id(), done);
    });
    ASSERT_TRUE(outcome.has_value()) << outcome.error().message;
    const Time now = timeline_.judged_now(company, clock());
    const auto merged = service::merge_calls(calls);
    const core::Decision wanted = is_give ? timeline_.now.give(company, merged, now)
                                          : timeline_.now.remove(company, merged, now);
    ASSERT_EQ(outcome->decision.index(), wanted.index());
    const auto* changes = std::get_if<0>(&wanted);
    ASSERT_TRUE(changes == nullptr || std::get<0>(outcome->decision).size() == changes->size());
    follow(company, outcome->revision, changes != nullptr && !changes->empty());
  }

  // The change that the model has made is in the record, at this revision; or nothing was changed.
  void follow(CompanyId company, core::Revision revision, bool is_change) {
    learn_sweeps(company, revision - (is_change ? 1U : 0U));
    if (HasFatalFailure() || !is_change) return;
    timeline_.note(company, clock(), {});
    ++count_["changes"];
  }

  // With a result for each pair.
  void change_with_results(CompanyId company) {
    const auto earlier = keyed_.find(company);
    if (earlier != keyed_.end() && random_.percent(15)) return repeat(company);
    service::GrantsRequest request;
    const bool is_give = random_.percent(60);
    request.operation = is_give ? store::Operation::give : store::Operation::remove;
    request.all_of_max = 1000;
    const Time now = timeline_.judged_now(company, clock());
    if (!is_give && random_.percent(25)) {
      if (random_.percent(50)) {
        request.all_of = CallId{1 + random_.below(kCalls + 1)};
      } else {
        request.all_of = UserId{1 + random_.below(kUsers + 1)};
      }
      if (random_.percent(20)) request.all_of_max = 1;
    } else {
      for (auto n = random_.below(6); n > 0; --n) request.pairs.push_back(random_pair(now));
    }
    if (random_.percent(20)) {
      request.if_revision = random_.below(timeline_.newest(company) + 1);
    }
    if (random_.percent(30)) {
      // What a dry run says is what a run does, and it does nothing.
      request.is_dry_run = true;
      change_with(company, request, "");
      if (HasFatalFailure()) return;
      request.is_dry_run = false;
    }
    const std::string key = random_.percent(50) ? "key " + std::to_string(keys_made_++) : "";
    change_with(company, request, key);
  }

  service::PairTerms random_pair(Time now) {
    service::PairTerms pair{{1 + random_.below(kCalls + 1)}, {1 + random_.below(kUsers + 1)}, {}};
    if (random_.percent(40)) {
      pair.grant.expires_at = Time{now.micros + static_cast<std::int64_t>(random_.below(40)) - 1};
    }
    if (random_.percent(40)) pair.grant.note = random_.text();
    return pair;
  }

  Result<service::GrantsOutcome> ask_for(CompanyId company, const service::GrantsRequest& request) {
    return await<service::GrantsOutcome>([&](auto done) {
      service::change_grants(store(), principal(company), request, make_request_id(), done);
    });
  }

  void change_with(CompanyId company, service::GrantsRequest request, const std::string& key) {
    if (!key.empty()) request.idempotency_key = key_of(key, "body");
    const auto outcome = ask_for(company, request);
    ASSERT_TRUE(outcome.has_value()) << outcome.error().message;
    if (request.is_dry_run) {
      const Model before = timeline_.now;
      expect_outcome(company, request, *outcome);
      timeline_.now = before;
      ++count_["dry runs"];
      return;
    }
    expect_outcome(company, request, *outcome);
    const auto* const answer = std::get_if<service::GrantsAnswer>(&*outcome);
    if (HasFatalFailure() || answer == nullptr) return;
    ASSERT_FALSE(answer->repeated.has_value());
    if (!key.empty()) keyed_[company].push_back({key, request, *answer});
  }

  // Says what the model says, which makes the change.
  void expect_outcome(CompanyId company, const service::GrantsRequest& request,
                      const service::GrantsOutcome& outcome) {
    const Time now = timeline_.judged_now(company, clock());
    std::vector<PairAsked> asked;
    for (const auto& [call, user, grant] : request.pairs) asked.push_back({call, user, grant});
    if (are_terms_unequal(asked) && request.operation == store::Operation::give) {
      ASSERT_TRUE(std::holds_alternative<service::UnequalTerms>(outcome));
      ++count_["unequal terms"];
      return;
    }
    std::vector<std::pair<CallId, UserId>> pairs;
    for (const PairAsked& one : asked) pairs.emplace_back(one.call, one.user);
    const auto* const call = std::get_if<CallId>(&request.all_of);
    const auto* const user = std::get_if<UserId>(&request.all_of);
    if (call != nullptr || user != nullptr) {
      pairs = timeline_.now.live_pairs(company, call ? std::optional(*call) : std::nullopt,
                                       user ? std::optional(*user) : std::nullopt, now);
    }
    if (is_refused(company, request, outcome, pairs, now) || HasFatalFailure()) return;
    const Model before = timeline_.now;
    const auto wanted = request.operation == store::Operation::give
                            ? timeline_.now.give_pairs(company, asked, now)
                            : timeline_.now.remove_pairs(company, pairs, now);
    const auto* const answer = std::get_if<service::GrantsAnswer>(&outcome);
    ASSERT_NE(answer, nullptr) << outcome.index();
    ASSERT_EQ(told_by(answer->results), wanted)
        << text_of(told_by(answer->results)) << "\nwanted " << text_of(wanted);
    for (const PairTold& one : wanted) ++count_[one.result];
    const bool is_change = !timeline_.now.is_same(company, before) && !request.is_dry_run;
    follow(company, answer->revision, is_change);
  }

  static bool are_terms_unequal(const std::vector<PairAsked>& asked) {
    std::map<std::pair<CallId, UserId>, core::Grant> terms;
    return std::ranges::any_of(asked, [&](const PairAsked& one) {
      return terms.emplace(std::pair(one.call, one.user), one.grant).first->second != one.grant;
    });
  }

  // Whether it has to be refused, and is.
  bool is_refused(CompanyId company, const service::GrantsRequest& request,
                  const service::GrantsOutcome& outcome,
                  const std::vector<std::pair<CallId, UserId>>& pairs, Time now) {
    const auto is = [&]<class Refusal>(bool has_to_be, const char* name) {
      EXPECT_EQ(std::holds_alternative<Refusal>(outcome), has_to_be) << name;
      if (has_to_be) ++count_[name];
      return has_to_be;
    };
    const auto* const call = std::get_if<CallId>(&request.all_of);
    const auto* const user = std::get_if<UserId>(&request.all_of);
    const auto has = [](const auto& ids, auto id) { return std::ranges::count(ids, id) > 0; };
    if (is.template operator()<core::UnknownCalls>(
            call && !has(timeline_.now.calls(company), *call), "unknown call of all")) {
      return true;
    }
    if (is.template operator()<core::UnknownUsers>(
            user && !has(timeline_.now.users(company), *user), "unknown user of all")) {
      return true;
    }
    const bool is_past = request.operation == store::Operation::give &&
                         std::ranges::any_of(request.pairs, [&](const auto& one) {
                           return one.grant.expires_at && *one.grant.expires_at <= now;
                         });
    if (is.template operator()<core::PastExpiries>(is_past, "past expiry")) return true;
    const bool is_all = call != nullptr || user != nullptr;
    if (is.template operator()<core::TooManyGrants>(is_all && pairs.size() > request.all_of_max,
                                                    "too many grants")) {
      return true;
    }
    return request.if_revision &&
           is_changed_since(company, *request.if_revision, pairs, call, outcome);
  }

  bool is_changed_since(CompanyId company, core::Revision revision,
                        const std::vector<std::pair<CallId, UserId>>& pairs, const CallId* call,
                        const service::GrantsOutcome& outcome) {
    std::set<CallId> named;
    for (const auto& pair : pairs) named.insert(pair.first);
    if (call != nullptr) named.insert(*call);
    const auto changed = timeline_.calls_changed_after(company, revision);
    std::set<CallId> told;
    if (const auto* const refusal = std::get_if<core::ChangedCalls>(&outcome)) {
      told.insert(refusal->ids.begin(), refusal->ids.end());
      ++count_["changed calls"];
    }
    for (const CallId one : told) {
      EXPECT_TRUE(named.contains(one)) << to_string(one) << " was not named";
      EXPECT_TRUE(changed.surely.contains(one) || changed.perhaps.contains(one) ||
                  changed.sweeps > 0)
          << to_string(one) << " has not changed";
    }
    for (const CallId one : named) {
      EXPECT_TRUE(told.contains(one) || !changed.surely.contains(one))
          << to_string(one) << " has changed after " << revision;
    }
    return !told.empty();
  }

  // A request that was answered before is answered so again; another one with its key is refused.
  void repeat(CompanyId company) {
    const auto& all = keyed_[company];
    Keyed earlier = all[random_.below(all.size())];
    if (random_.percent(20)) {
      earlier.request.idempotency_key = key_of(earlier.key, "another body");
      const auto outcome = ask_for(company, earlier.request);
      ASSERT_FALSE(outcome.has_value());
      ASSERT_EQ(outcome.error().code, Code::invalid_argument);
      return;
    }
    const auto outcome = ask_for(company, earlier.request);
    ASSERT_TRUE(outcome.has_value()) << outcome.error().message;
    const auto* const answer = std::get_if<service::GrantsAnswer>(&*outcome);
    ASSERT_NE(answer, nullptr);
    ASSERT_TRUE(answer->repeated.has_value());
    ASSERT_EQ(answer->revision, earlier.answer.revision);
    ASSERT_EQ(answer->results, earlier.answer.results);
    ++count_["repeated"];
  }
  static store::IdempotencyKey key_of(const std::string& key, const char* body) {
    return service::make_idempotency_key(key, store::Operation::give, sha256(body));
  }

  // --- Questions

  Result<service::CheckAnswer> check(CompanyId company, std::vector<service::Pair> pairs,
                                     Moment moment) {
    return await<service::CheckAnswer>([&](auto done) {
      service::check(store(), principal(company), std::move(pairs), moment, 0, done);
    });
  }

  // Now, mostly; or at a revision, or at a time, that is over.
  Moment random_moment(CompanyId company) {
    const core::Revision first = known_from_[company];
    const core::Revision newest = timeline_.newest(company);
    const auto dice = random_.below(100);
    if (dice < 40 || newest == 0) return {};
    const core::Revision revision = first + random_.below(newest - first + 1);
    if (dice < 70) return {.revision = revision, .at = {}};
    if (dice < 72) {
      const std::int64_t begin = timeline_.time_of(company, 1).micros;
      return {.revision = {}, .at = Time{begin - 1 - static_cast<std::int64_t>(random_.below(9))}};
    }
    const Time latest = timeline_.judged_now(company, clock());
    const Time earliest = timeline_.time_of(company, std::max(revision, core::Revision{1}));
    const auto span = static_cast<std::uint64_t>(latest.micros - earliest.micros);
    return {.revision = {},
            .at = Time{earliest.micros + static_cast<std::int64_t>(random_.below(span + 1))}};
  }

  // What the answer is as of is what the model says; the present may have moved on by sweeps.
  void expect_as_of(CompanyId company, const Moment& moment, const AsOf& as_of) {
    if (as_of.revision > timeline_.newest(company)) learn_sweeps(company, as_of.revision);
    if (HasFatalFailure()) return;
    const auto wanted = timeline_.find(company, moment, clock());
    ASSERT_TRUE(wanted.has_value()) << wanted.error().message;
    ASSERT_EQ(as_of.revision, wanted->revision);
    // Before its first revision a company has no time of its own.
    if (moment.at || as_of.revision > 0) {
      ASSERT_EQ(as_of.time, wanted->time);
    }
  }

  // What the model tells of a pair; after a sweep nothing is left of an expired grant.
  std::vector<Told> wanted(CompanyId company, const AsOf& as_of, CallId call, UserId user) const {
    const Model& then = timeline_.at(company, as_of.revision);
    std::vector<Told> told = {then.tell(company, call, user, as_of.time)};
    if (GetParam().sweeps == Sweeps::of_expired && told[0].expired_at) {
      told.push_back(then.swept(as_of.time).tell(company, call, user, as_of.time));
    }
    return told;
  }
  void expect_told(CompanyId company, const AsOf& as_of, CallId call, UserId user,
                   const core::Explanation& why) {
    const Told told = told_by(why);
    const auto good = wanted(company, as_of, call, user);
    ASSERT_GT(std::ranges::count(good, told), 0)
        << "company " << to_string(company) << " call " << to_string(call) << " user "
        << to_string(user) << " at revision " << as_of.revision << " of "
        << timeline_.newest(company) << ", time " << as_of.time.micros << "\ngot    "
        << text_of(told) << "\nwanted " << text_of(good[0]);
    ++count_[told.reason.empty() ? "access" : told.reason];
  }

  // Pair by pair, with repetitions and with what there is not.
  void ask_pairs(CompanyId company, const Moment& moment) {
    std::vector<service::Pair> pairs(random_.below(8));
    for (auto& [call, user] : pairs) {
      call = {1 + random_.below(kCalls + 1)};
      user = {1 + random_.below(kUsers + 1)};
    }
    const auto answer = check(company, pairs, moment);
    ASSERT_TRUE(answer.has_value()) << answer.error().message;
    expect_as_of(company, moment, answer->as_of);
    if (HasFatalFailure()) return;
    ASSERT_EQ(answer->explanations.size(), pairs.size());
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      expect_told(company, answer->as_of, pairs[i].call, pairs[i].user, answer->explanations[i]);
      if (HasFatalFailure()) return;
    }
  }

  // Page by page, all as of the first one, whatever is changed in between.
  template <class Id, class Page, class Ask>
  void turn_pages(CompanyId company, Moment moment, std::size_t limit, bool is_disturbed, Ask ask,
                  std::map<Id, core::Explanation>& found, std::optional<Page>& first) {
    Id after;
    for (;;) {
      Result<Page> page = await<Page>([&](auto done) { ask(after, moment, done); });
      ASSERT_TRUE(page.has_value()) << page.error().message;
      if (!first) {
        expect_as_of(company, moment, page->as_of);
        moment = {.revision = page->as_of.revision, .at = page->as_of.time};
        first = *page;
      }
      ASSERT_EQ(page->as_of.revision, *moment.revision);
      ASSERT_EQ(page->as_of.time, *moment.at);
      ASSERT_LE(rows_of(*page).size(), limit);
      for (const auto& [id, why] : rows_of(*page)) {
        ASSERT_LT(after, id);
        after = id;
        found.emplace(id, why);
      }
      if (!page->last) return;
      ASSERT_LE(after, *page->last);
      after = *page->last;
      ++count_["further pages"];
      if (is_disturbed && random_.percent(20)) change_something();
      if (is_disturbed && random_.percent(5)) open();
      if (HasFatalFailure()) return;
    }
  }
  static const auto& rows_of(const service::CallPage& page) { return page.users; }
  static const auto& rows_of(const service::UserPage& page) { return page.calls; }

  std::map<UserId, core::Explanation> explain_call(CompanyId company, CallId call,
                                                   const Moment& moment, bool is_disturbed) {
    const std::size_t limit = 1 + random_.below(kPageMax);
    std::map<UserId, core::Explanation> found;
    std::optional<service::CallPage> first;
    const auto ask = [&](UserId after, Moment as_of, service::CallPageDone done) {
      service::explain_call(store(), principal(company), call, after, limit, as_of, 0,
                            std::move(done));
    };
    turn_pages(company, moment, limit, is_disturbed, ask, found, first);
    if (HasFatalFailure()) return {};
    const Model& then = timeline_.at(company, first->as_of.revision);
    std::set<UserId> wanted;
    for (const UserId user : then.users(company)) {
      if (then.ways(company, call, user, first->as_of.time) != 0) wanted.insert(user);
    }
    EXPECT_EQ(first->call_exists, std::ranges::count(then.calls(company), call) > 0);
    for (const auto& [user, why] : found) {
      EXPECT_TRUE(wanted.erase(user) > 0) << to_string(user) << " may not hear it";
      expect_told(company, first->as_of, call, user, why);
    }
    EXPECT_TRUE(wanted.empty()) << to_string(*wanted.begin()) << " is left out";
    return found;
  }

  std::map<CallId, core::Explanation> explain_user(CompanyId company, UserId user, core::Ways ways,
                                                   const Moment& moment, bool is_disturbed) {
    const std::size_t limit = 1 + random_.below(kPageMax);
    std::map<CallId, core::Explanation> found;
    std::optional<service::UserPage> first;
    const auto ask = [&](CallId after, Moment as_of, service::UserPageDone done) {
      service::explain_user(store(), principal(company), user, ways, after, limit, as_of, 0,
                            std::move(done));
    };
    turn_pages(company, moment, limit, is_disturbed, ask, found, first);
    if (HasFatalFailure()) return {};
    const Model& then = timeline_.at(company, first->as_of.revision);
    std::set<CallId> wanted;
    for (const CallId call : then.calls(company)) {
      if ((then.ways(company, call, user, first->as_of.time) & ways) != 0) wanted.insert(call);
    }
    const bool is_there = std::ranges::count(then.users(company), user) > 0;
    EXPECT_EQ(first->user_exists, is_there);
    if (is_there) {
      EXPECT_EQ(first->is_active, then.is_active(company, user));
    }
    for (const auto& [call, why] : found) {
      EXPECT_TRUE(wanted.erase(call) > 0) << to_string(call) << " is not heard by these ways";
      expect_told(company, first->as_of, call, user, why);
    }
    EXPECT_TRUE(wanted.empty()) << to_string(*wanted.begin()) << " is left out";
    return found;
  }

  void ask_something() {
    const CompanyId company = random_.id<CompanyId>(kCompanies.size());
    const Moment moment = random_moment(company);
    const auto dice = random_.below(100);
    if (dice < 40) {
      ask_pairs(company, moment);
    } else if (dice < 65) {
      explain_call(company, {1 + random_.below(kCalls + 1)}, moment, true);
    } else if (dice < 90) {
      const auto ways = static_cast<core::Ways>(1 + random_.below(core::kAllWays));
      explain_user(company, {1 + random_.below(kUsers + 1)}, ways, moment, true);
    } else {
      ask_for_what_is_to_come(company);
    }
  }

  void ask_for_what_is_to_come(CompanyId company) {
    const Moment later =
        random_.percent(50)
            ? Moment{.revision = timeline_.newest(company) + 1000, .at = {}}
            : Moment{.revision = {}, .at = Time{timeline_.judged_now(company, clock()).micros + 1}};
    const auto answer = check(company, {{{1}, {1}}}, later);
    ASSERT_FALSE(answer.has_value());
    ASSERT_EQ(answer.error().code, Code::invalid_argument) << answer.error().message;
  }

  // The three ways to ask tell the same, of every pair there is and some that are not.
  void ask_everything(CompanyId company, const Moment& moment) {
    std::vector<service::Pair> pairs;
    for (std::uint64_t call = 1; call <= kCalls + 1; ++call) {
      for (std::uint64_t user = 1; user <= kUsers + 1; ++user) pairs.push_back({{call}, {user}});
    }
    const auto answer = check(company, pairs, moment);
    ASSERT_TRUE(answer.has_value()) << answer.error().message;
    expect_as_of(company, moment, answer->as_of);
    if (HasFatalFailure()) return;
    const Moment same = Moment{.revision = answer->as_of.revision, .at = answer->as_of.time};
    std::map<CallId, std::map<UserId, core::Explanation>> by_call;
    std::map<UserId, std::map<CallId, core::Explanation>> by_user;
    for (std::uint64_t call = 1; call <= kCalls + 1; ++call) {
      by_call[{call}] = explain_call(company, {call}, same, false);
    }
    for (std::uint64_t user = 1; user <= kUsers + 1; ++user) {
      by_user[{user}] = explain_user(company, {user}, core::kAllWays, same, false);
    }
    for (std::size_t i = 0; i < pairs.size() && !HasFailure(); ++i) {
      const auto& [call, user] = pairs[i];
      const core::Explanation& why = answer->explanations[i];
      expect_told(company, answer->as_of, call, user, why);
      ASSERT_EQ(why.ways != 0, by_call[call].contains(user));
      ASSERT_EQ(why.ways != 0, by_user[user].contains(call));
      if (why.ways == 0) continue;
      ASSERT_EQ(told_by(why), told_by(by_call[call].at(user)));
      ASSERT_EQ(told_by(why), told_by(by_user[user].at(call)));
    }
  }

  // --- The walk

  void begin() {
    std::vector<core::Record> beginning;
    for (const CompanyId company : kCompanies) {
      beginning.push_back({company, false, core::Company{company, "Company"}});
      for (std::uint64_t i = 1; i <= kCalls; ++i) {
        core::User user;
        user.id = {i};
        beginning.push_back({company, false, user});
        core::Call call;
        call.id = {i};
        beginning.push_back({company, false, call});
      }
    }
    for (const core::Record& record : beginning) {
      ASSERT_TRUE(timeline_.now.apply(record).has_value());
    }
    for (int i = 0; i < 60; ++i) {
      const core::Record record = random_.next();
      if (!record.remove && timeline_.now.apply(record)) beginning.push_back(record);
    }
    ASSERT_TRUE(load_now(store(), beginning).has_value());
    for (const CompanyId company : kCompanies) timeline_.note(company, clock());
  }

  // On, mostly; sometimes back, and sometimes far.
  void move_clock() {
    const auto dice = random_.below(100);
    const auto far = static_cast<std::int64_t>(random_.below(60));
    if (dice < 90) {
      now_ += static_cast<std::int64_t>(random_.below(3));
    } else {
      now_ += dice < 95 ? far : -far;
    }
    latest_ = std::max(latest_, clock());
  }

  // What has to have come up, so that nothing is left out unseen, and has not yet.
  std::string missing() const {
    std::string text;
    for (const char* const what :
         {"access", "unknown call", "unknown user", "user inactive", "call is private", "loads",
          "changes", "given", "removed", "no effect", "repeated", "dry runs", "further pages"}) {
      if (!count_.contains(what)) text += std::string(text.empty() ? "" : ", ") + what;
    }
    return text;
  }

  struct Keyed {
    std::string key;
    service::GrantsRequest request;
    service::GrantsAnswer answer;
  };

  static constexpr std::array kCompanies = {CompanyId{1}, CompanyId{2}};

  const std::uint64_t seed_ = test_seed();
  RandomRecords random_{seed_, {.companies = kCompanies.size(), .users = kUsers, .calls = kCalls}};
  std::atomic<std::int64_t> now_{1'772'359'199'999'800};  // shortly before most grants end
  Time latest_ = clock();                                 // that it ever was
  std::unique_ptr<StorePlace> place_;
  std::vector<std::unique_ptr<store::Store>> stores_;
  Timeline timeline_;
  std::map<CompanyId, core::Revision> known_from_;  // what came before is not known exactly
  std::map<CompanyId, std::vector<Keyed>> keyed_;
  int keys_made_ = 0;
  std::map<std::string, int> count_;  // of what came up
};

TEST_P(AccessHistory, ComesToTheModelNowAndAtEveryMoment) {
  SCOPED_TRACE("EARSHOT_SEED=" + std::to_string(seed_));
  begin();
  // Longer, where a seed has left something out.
  const int steps = GetParam().store.history_steps;
  for (int step = 0; step < steps || (step < 10 * steps && !missing().empty()); ++step) {
    move_clock();
    if (random_.percent(40)) {
      change_something();
    } else {
      ask_something();
    }
    if (HasFailure()) break;
    if (step % 40 == 39) {
      const CompanyId company = random_.id<CompanyId>(kCompanies.size());
      ask_everything(company, step % 80 == 79 ? Moment{} : random_moment(company));
    }
    if (step % 60 == 59) open();
  }
  if (HasFailure()) return;
  const auto report = store().verify();
  ASSERT_TRUE(report.has_value()) << report.error().message;
  EXPECT_TRUE(report->faults.empty()) << report->faults[0];
  EXPECT_EQ(missing(), "");
}

HistoryKind kind_of(StoreKind store, Sweeps sweeps, std::size_t servers = 1) {
  return {std::move(store), servers, sweeps};
}

constexpr std::chrono::milliseconds kNever = std::chrono::hours(24);
constexpr std::chrono::milliseconds kAllTheTime{1};
constexpr auto kSweepSeldom = [](auto& options) { options.expiry_every = kNever; };
constexpr auto kSweepOften = [](auto& options) { options.expiry_every = kAllTheTime; };

INSTANTIATE_TEST_SUITE_P(
    Stores, AccessHistory,
    testing::Values(kind_of(embedded("Embedded", kSweepSeldom, 400), Sweeps::of_removed),
                    kind_of(embedded("EmbeddedThatSweeps", kSweepOften, 300), Sweeps::of_expired),
                    kind_of(postgres("Postgres", kSweepSeldom, 200), Sweeps::none),
                    kind_of(postgres("TwoOverPostgresThatSweep", kSweepOften, 200),
                            Sweeps::of_expired, 2)),
    [](const auto& kind) { return kind.param.store.name; });

}  // namespace
}  // namespace earshot::test
