#include "model_store.h"

#include <algorithm>
#include <iterator>
#include <type_traits>
#include <utility>

#include "base/assert.h"

namespace earshot::test {
namespace {

std::shared_ptr<const core::Directory> directory_of(const Model::Loaded& loaded) {
  return std::make_shared<core::Directory>(loaded.directory);
}

bool is_of(const core::Record& record, const store::ChangesCommand& command) {
  return std::visit(
      [&]<class Thing>(const Thing& thing) {
        bool is_wanted = true;
        if constexpr (requires { thing.call; }) {
          is_wanted = !(command.call && *command.call != thing.call) &&
                      !(command.user && *command.user != thing.user);
        } else if constexpr (std::is_same_v<Thing, core::Call>) {
          is_wanted = !command.user && (!command.call || *command.call == thing.id);
        } else if constexpr (std::is_same_v<Thing, core::User>) {
          is_wanted = !command.call && (!command.user || *command.user == thing.id);
        } else {
          is_wanted = !command.call && !command.user;
        }
        return is_wanted;
      },
      record.thing);
}

std::size_t count_pairs(const std::vector<core::CallUsers>& calls) {
  std::size_t pairs = 0;
  for (const core::CallUsers& named : calls) pairs += named.users.size();
  return pairs;
}

}  // namespace

ModelStore::ModelStore() = default;
ModelStore::~ModelStore() = default;

void ModelStore::apply(const core::Record& record) {
  const Status applied = timeline_.now.apply(record);
  ASSERT(applied.has_value());
  keep();
}

core::Revision ModelStore::revision() const { return timeline_.newest(kAll); }

void ModelStore::answer_deferred() {
  for (auto answers = std::exchange(deferred_, {}); auto& answer : answers) answer();
}

void ModelStore::answer_look_ups() {
  for (auto answers = std::exchange(deferred_look_ups_, {}); auto& answer : answers) answer();
}

void ModelStore::remember(std::string_view access_key) {
  remembered.insert_or_assign(std::string(access_key), key_now(access_key));
}

store::KeyPtr ModelStore::find_key(std::string_view access_key) {
  if (!is_one_of_many) return key_now(access_key);
  const auto found = remembered.find(access_key);
  return found == remembered.end() ? nullptr : found->second;
}

void ModelStore::look_up_key(std::string access_key, KeyDone done) {
  look_ups.push_back(access_key);
  auto answer = [this, access_key = std::move(access_key), done = std::move(done)] {
    if (look_up_failure) return done(*look_up_failure);
    done(key_now(access_key));
  };
  if (are_look_ups_deferred) {
    deferred_look_ups_.push_back(std::move(answer));
  } else {
    answer();
  }
}

Result<std::vector<store::KeyPtr>> ModelStore::list_keys(std::optional<CompanyId> company) {
  return keys_of(company);
}

struct ModelStore::Seen {
  store::AsOf as_of;
  Model::Loaded loaded;
};

Result<ModelStore::Seen> ModelStore::see(const auto& command) const {
  if (failure) return *failure;
  if (!is_admitted(command.asker)) return denied("the key has changed");
  if (revision() < command.at_least) return unavailable("no such revision yet");
  const store::AsOf as_of = TRY(timeline_.find(kAll, command.moment, now));
  if (as_of.revision < oldest_kept) {
    return gone("revision " + std::to_string(oldest_kept) + " is the oldest");
  }
  return Seen{as_of, timeline_.at(kAll, as_of.revision).load(command.company)};
}

void ModelStore::read(store::ReadCommand command, ReadDone done) {
  reads.push_back(command);
  answer([this, command = std::move(command), done = std::move(done)] {
    if (failure) return done(*failure);
    if (!is_admitted(command.asker)) return done(denied("the key has changed"));
    if (revision() < command.at_least) return done(unavailable("no such revision yet"));
    store::CallsView view;
    view.revision = revision();
    view.time = timeline_.time_of(kAll, view.revision);
    auto loaded = timeline_.now.load(command.company);
    for (const CallId call : command.calls) {
      view.entries.push_back(core::PackedEntry::pack(loaded.entries[call]));
    }
    done(std::move(view));
  });
}

void ModelStore::read_access(store::AccessCommand command, AccessDone done) {
  access_reads.push_back(command);
  answer([this, command = std::move(command), done = std::move(done)] {
    auto seen = see(command);
    if (!seen) return done(std::move(seen).error());
    store::AccessView view{seen->as_of, directory_of(seen->loaded), {}};
    for (const core::CallUsers& asked : command.calls) {
      view.entries.push_back(core::PackedEntry::pack(seen->loaded.entries[asked.call]));
    }
    done(std::move(view));
  });
}

void ModelStore::read_user_calls(store::UserCallsCommand command, UserCallsDone done) {
  user_reads.push_back(command);
  answer([this, command = std::move(command), done = std::move(done)] {
    auto seen = see(command);
    if (!seen) return done(std::move(seen).error());
    store::UserCallsView view{seen->as_of, directory_of(seen->loaded), {}, {}, {}};
    for (const auto& [call, entry] : seen->loaded.entries) {
      if (call <= command.after) continue;
      if (view.calls.size() == command.calls_max) {
        view.last = view.calls.back();
        break;
      }
      view.calls.push_back(call);
      view.entries.push_back(core::PackedEntry::pack(entry));
    }
    done(std::move(view));
  });
}

void ModelStore::write(store::GrantCommand command, WriteDone done) {
  commands.push_back(command);
  if (command.with_results && command.with_results->idempotency_key) {
    const auto place = std::pair(command.company, command.with_results->idempotency_key->key);
    if (!under_way_.insert(place).second) return done(conflict("the key is under way"));
    done = [this, place, told = std::move(done)](Result<store::Outcome> outcome) {
      under_way_.erase(place);
      told(std::move(outcome));
    };
  }
  answer([this, command = std::move(command), done = std::move(done)] {
    if (failure) return done(*failure);
    if (!is_admitted(command.asker)) return done(denied("the key has changed"));
    if (observer) observer(1, 0.001);
    if (command.with_results) return done(write_with_results(command));
    store::Outcome outcome;
    outcome.decision = command.operation == store::Operation::give
                           ? timeline_.now.give(command.company, command.calls, now)
                           : timeline_.now.remove(command.company, command.calls, now);
    note_changes(command.calls, outcome);
    done(std::move(outcome));
  });
}

Result<store::LoadReport> ModelStore::load(store::RecordSource& source, const store::Origin&) {
  const Model before = timeline_.now;
  const core::Revision revision_before = revision();
  std::set<CompanyId> named;
  store::LoadReport report;
  for (;;) {
    auto record = source.next();
    if (!record) {
      timeline_.now = before;
      return std::move(record).error();
    }
    if (!*record) break;
    if (Status applied = timeline_.now.apply(**record); !applied) {
      timeline_.now = before;
      return invalid_argument(source.position() + ": " + applied.error().message);
    }
    ++report.records;
    named.insert((*record)->company);
  }
  keep();
  if (revision() == revision_before) return report;
  report.changes = report.records;
  for (const CompanyId company : named) report.revisions.emplace_back(company, revision());
  return report;
}

Status ModelStore::dump(const std::function<Status(const core::Record&)>& take) {
  for (const core::Record& record : timeline_.now.dump()) TRY(take(record));
  return {};
}

Result<store::VerifyReport> ModelStore::verify(std::span<const store::HeadClaim>) {
  return verified;
}

void ModelStore::read_changes(store::ChangesCommand command, ChangesDone done) {
  changes_reads.push_back(command);
  answer([this, command = std::move(command), done = std::move(done)] {
    if (failure) return done(*failure);
    if (!is_admitted(command.asker)) return done(denied("the key has changed"));
    done(changes_of(command));
  });
}

std::unique_ptr<store::ChangesWatch> ModelStore::watch_changes(CompanyId company,
                                                               std::function<void()> on_news) {
  watches[company].push_back(std::move(on_news));
  return std::make_unique<store::ChangesWatch>();
}

void ModelStore::read_thing(store::ThingCommand command, ThingDone done) {
  answer([this, command = std::move(command), done = std::move(done)] {
    if (failure) return done(*failure);
    if (!is_admitted(command.asker)) return done(denied("the key has changed"));
    if (revision() < command.at_least) return done(unavailable("no such revision yet"));
    store::ThingView view{revision(), std::nullopt};
    for (const core::Record& record : timeline_.now.dump()) {
      if (record.company != command.company) continue;
      const auto* const call = std::get_if<core::Call>(&record.thing);
      const auto* const user = std::get_if<core::User>(&record.thing);
      const auto* const call_id = std::get_if<CallId>(&command.thing);
      const auto* const user_id = std::get_if<UserId>(&command.thing);
      if (call && call_id && call->id == *call_id) view.record = record;
      if (user && user_id && user->id == *user_id) view.record = record;
    }
    done(std::move(view));
  });
}

Status ModelStore::note_key_uses(std::span<const store::KeyUse> uses) {
  if (failure) return *failure;
  for (const store::KeyUse& use : uses) {
    const auto [kept, is_new] = key_uses.try_emplace(use.access_key, use);
    if (!is_new && kept->second.at < use.at) kept->second = use;
  }
  return {};
}

Result<std::vector<store::KeyUse>> ModelStore::list_key_uses(CompanyId company) {
  if (failure) return *failure;
  std::vector<store::KeyUse> uses;
  for (const auto& [access_key, use] : key_uses) {
    if (use.company == company) uses.push_back(use);
  }
  return uses;
}

Status ModelStore::keep_refusals(std::span<const store::Refusal> more) {
  if (failure) return *failure;
  for (const store::Refusal& one : more) refusals.push_back({refusals.size() + 1, one});
  return {};
}

Result<store::RefusalsView> ModelStore::list_refusals(const store::RefusalsCommand& command) {
  if (failure) return *failure;
  store::RefusalsView view{{}, true};
  for (auto one = refusals.rbegin(); one != refusals.rend(); ++one) {
    if (one->refusal.company != command.company) continue;
    if (command.before != 0 && one->number >= command.before) continue;
    if (view.refusals.size() == command.refusals_max) {
      view.is_end = false;
      break;
    }
    view.refusals.push_back(*one);
  }
  return view;
}

Result<std::vector<CompanyId>> ModelStore::list_refused_companies() {
  if (failure) return *failure;
  std::set<CompanyId> companies;
  for (const store::KeptRefusal& one : refusals) companies.insert(one.refusal.company);
  return std::vector<CompanyId>(companies.begin(), companies.end());
}

Result<std::vector<store::DayUsage>> ModelStore::load_usage(std::uint32_t day) {
  if (failure) return *failure;
  std::vector<store::DayUsage> of_day;
  std::ranges::copy_if(usage, std::back_inserter(of_day),
                       [&](const auto& one) { return one.day == day; });
  return of_day;
}

Result<std::vector<store::DayUsage>> ModelStore::add_usage(std::span<const store::DayUsage> more) {
  if (failure) return *failure;
  std::vector<store::DayUsage> sums;
  for (const store::DayUsage& one : more) {
    const auto found = std::ranges::find_if(usage, [&](const auto& kept) {
      return kept.company == one.company && kept.day == one.day;
    });
    if (found == usage.end()) {
      usage.push_back(one);
      sums.push_back(one);
    } else {
      found->requests += one.requests;
      sums.push_back(*found);
    }
  }
  return sums;
}

std::vector<ModelStore::Figure> ModelStore::figures() {
  return {{"cache_hits_total", "Reads that the cache answered.", true, 12, R"(kind="calls")"},
          {"cache_bytes", "Memory that the cache takes.", false, 3456, {}},
          {"cache_hits_total", "Reads that the cache answered.", true, 7, R"(kind="a\"b")"}};
}

void ModelStore::observe_commits(CommitObserver new_observer) {
  observer = std::move(new_observer);
}

void ModelStore::note_changes(const std::vector<core::CallUsers>& calls, store::Outcome& outcome) {
  const auto* changes = std::get_if<0>(&outcome.decision);
  if (changes != nullptr && !changes->empty()) keep();
  outcome.revision = revision();
  if (changes == nullptr) return;
  for (const core::GrantChange& change : *changes) {
    changed[calls[change.call_index].call] = revision();
  }
}

Result<store::Outcome> ModelStore::write_with_results(const store::GrantCommand& command) {
  const store::WithResults& asked = *command.with_results;
  const auto& key = asked.idempotency_key;
  if (key && kept_.contains({command.company, key->key})) {
    auto [request, answered] = kept_.at({command.company, key->key});
    if (request != key->request) return invalid_argument("the key was used");
    answered.decision = {};
    return answered;
  }
  store::Outcome outcome;
  Timeline before = timeline_;
  std::vector<core::CallUsers> calls = command.calls;
  const auto* const of_call = std::get_if<CallId>(&asked.all_of);
  const auto* const of_user = std::get_if<UserId>(&asked.all_of);
  if (of_call && !std::ranges::count(timeline_.now.calls(command.company), *of_call)) {
    outcome.decision = core::UnknownCalls{{*of_call}};
    return outcome;
  }
  if (of_user && !std::ranges::count(timeline_.now.users(command.company), *of_user)) {
    outcome.decision = core::UnknownUsers{{*of_user}};
    return outcome;
  }
  if (asked.all_of.index() != 0) calls = all_of(command.company, asked.all_of);
  if (asked.all_of.index() != 0 && count_pairs(calls) > asked.all_of_max) {
    outcome.decision = core::TooManyGrants{count_pairs(calls)};
    return outcome;
  }
  core::ChangedCalls changed_calls;
  for (const core::CallUsers& named : calls) {
    const auto at = changed.find(named.call);
    const bool is_changed = at != changed.end() && at->second > asked.if_revision;
    if (asked.if_revision && is_changed) changed_calls.ids.push_back(named.call);
  }
  if (!changed_calls.ids.empty()) {
    outcome.decision = changed_calls;
    return outcome;
  }
  change_pairs(command, calls, outcome);
  if (outcome.decision.index() == 0) note_changes(calls, outcome);
  if (asked.is_dry_run || outcome.decision.index() != 0) {
    timeline_ = std::move(before);
    outcome.revision = revision();
  } else if (key) {
    store::Outcome answered = outcome;
    answered.repeated = command.origin.request_id;
    kept_.insert({{command.company, key->key}, {key->request, answered}});
  }
  return outcome;
}

Result<store::ChangesView> ModelStore::changes_of(const store::ChangesCommand& command) const {
  store::ChangesView view;
  view.head.horizon = horizon;
  if (!recorded.empty()) {
    view.head.revision = recorded.back().revision;
    view.head.time = recorded.back().time;
    view.head.hash = recorded.back().hash;
  }
  const store::ChangesPosition after = command.after;
  if (command.changes_max == 0) return view;
  if (after.revision > view.head.revision) return invalid_argument("not there yet");
  const bool is_cut = after.revision < horizon || (after.changes && after.revision == horizon);
  if (is_cut) return gone("revision " + std::to_string(horizon) + " is the oldest");
  view.last = after;
  view.is_end = true;
  std::size_t room = command.changes_max;
  for (const store::RecordedRevision& revision : recorded) {
    if (revision.revision < after.revision) continue;
    if (revision.revision == after.revision && !after.changes) continue;
    store::RecordedRevision taken = revision;
    taken.changes.clear();
    const std::uint32_t from = revision.revision == after.revision ? after.changes.value_or(0) : 0;
    for (const store::RecordedChange& change : revision.changes) {
      if (change.n < from || !is_of(change.record, command)) continue;
      if (room == 0) {
        view.is_end = taken.is_complete = false;
        break;
      }
      --room;
      taken.changes.push_back(change);
    }
    if (!view.is_end) {
      if (taken.changes.empty()) break;
      view.last = {revision.revision, taken.changes.back().n + 1};
      view.revisions.push_back(std::move(taken));
      break;
    }
    view.last = {revision.revision, std::nullopt};
    if (!taken.changes.empty()) view.revisions.push_back(std::move(taken));
  }
  return view;
}

std::vector<core::CallUsers> ModelStore::all_of(
    CompanyId company, const std::variant<std::monostate, CallId, UserId>& whose) const {
  const auto* const call = std::get_if<CallId>(&whose);
  const auto* const user = std::get_if<UserId>(&whose);
  std::vector<core::CallUsers> calls;
  for (const auto& [of, holder] :
       timeline_.now.live_pairs(company, call ? std::optional(*call) : std::nullopt,
                                user ? std::optional(*user) : std::nullopt, now)) {
    if (calls.empty() || calls.back().call != of) calls.push_back({of, {}});
    calls.back().users.push_back(holder);
  }
  return calls;
}

void ModelStore::change_pairs(const store::GrantCommand& command,
                              const std::vector<core::CallUsers>& calls, store::Outcome& outcome) {
  const auto& terms = command.with_results->terms;
  const bool gives = command.operation == store::Operation::give;
  auto& changes = std::get<0>(outcome.decision);
  core::PastExpiries past;
  std::size_t pair = 0;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    for (const UserId user : calls[i].users) {
      const CallId call = calls[i].call;
      const core::Grant wanted = terms.empty() ? core::Grant{} : terms.at(pair);
      if (wanted.expires_at && *wanted.expires_at <= now) past.pairs.push_back(pair);
      const PairTold told =
          gives ? timeline_.now.give_pairs(command.company, {{call, user, wanted}}, now).at(0)
                : timeline_.now.remove_pairs(command.company, {{call, user}}, now).at(0);
      core::PairResult result{call, user, outcome_named(told.result), told.ways, told.grant};
      using enum core::PairOutcome;
      const bool is_change = result.outcome == given ||
                             result.outcome == core::PairOutcome::changed ||
                             result.outcome == removed;
      if (is_change) changes.push_back({i, user, std::nullopt, told.grant});
      outcome.results.push_back(std::move(result));
      ++pair;
    }
  }
  if (!past.pairs.empty()) outcome = {0, past, {}, {}};
}

void ModelStore::answer(std::function<void()> work) {
  if (is_deferred) {
    deferred_.push_back(std::move(work));
  } else {
    work();
  }
}

std::vector<store::KeyPtr> ModelStore::keys_of(std::optional<CompanyId> company) const {
  std::vector<store::KeyPtr> keys;
  for (const core::Record& record : timeline_.now.dump()) {
    const auto* line = std::get_if<core::KeyLine>(&record.thing);
    if (line == nullptr || (company && *company != record.company)) continue;
    keys.push_back(std::make_shared<store::KeyEntry>(store::KeyEntry{
        record.company, line->key, is_one_of_many ? revision() : store::KeyEntry::kForever}));
  }
  return keys;
}

store::KeyPtr ModelStore::key_now(std::string_view access_key) const {
  for (const auto& key : keys_of(std::nullopt)) {
    if (key->key.access_key == access_key) return key;
  }
  return nullptr;
}

bool ModelStore::is_admitted(const store::AskerPtr& asker) const {
  ASSERT(!asker || is_one_of_many);
  return !asker || asker->is_admitted_with(key_now(asker->key()->key.access_key));
}

void ModelStore::keep() { timeline_.note(kAll, now); }

}  // namespace earshot::test
