// The model as a store: everything in memory, every answer at once or when the test says so. For
// tests of what stands above a store; one thread only.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/assert.h"
#include "base/time.h"
#include "model.h"
#include "store/store.h"

namespace earshot::test {

class ModelStore final : public store::Store {
 public:
  Time now{1'780'000'000'000'000};  // of decisions
  std::optional<Error> failure;     // what read and write come to instead
  bool is_deferred = false;         // answers wait for answer_deferred()
  store::Health health_now;
  std::vector<store::DayUsage> usage;
  std::vector<store::GrantCommand> commands;  // every write, as it came
  store::VerifyReport verified;
  std::size_t reads = 0;
  CommitObserver observer;

  void apply(const core::Record& record) {
    const Status applied = model_.apply(record);
    ASSERT(applied.has_value());
    ++revision_;
  }

  void answer_deferred() {
    for (auto answers = std::exchange(deferred_, {}); auto& answer : answers) answer();
  }

  store::KeyPtr find_key(std::string_view access_key) override {
    for (const auto& key : list_keys(std::nullopt)) {
      if (key->key.access_key == access_key) return key;
    }
    return nullptr;
  }

  std::vector<store::KeyPtr> list_keys(std::optional<CompanyId> company) override {
    std::vector<store::KeyPtr> keys;
    for (const core::Record& record : model_.dump()) {
      const auto* line = std::get_if<core::KeyLine>(&record.thing);
      if (line == nullptr || (company && *company != record.company)) continue;
      keys.push_back(std::make_shared<store::KeyEntry>(store::KeyEntry{record.company, line->key}));
    }
    return keys;
  }

  void read(CompanyId company, std::vector<CallId> calls, ReadDone done) override {
    ++reads;
    answer([this, company, calls = std::move(calls), done = std::move(done)] {
      if (failure) return done(*failure);
      store::CallsView view;
      view.revision = revision_;
      for (const CallId call : calls) view.entries.push_back(entry_of(company, call));
      done(std::move(view));
    });
  }

  void write(store::GrantCommand command, WriteDone done) override {
    commands.push_back(command);
    answer([this, command = std::move(command), done = std::move(done)] {
      if (failure) return done(*failure);
      store::Outcome outcome;
      outcome.decision = command.operation == store::Operation::give
                             ? model_.give(command.company, command.calls, now)
                             : model_.remove(command.company, command.calls, now);
      const auto* changes = std::get_if<0>(&outcome.decision);
      if (changes != nullptr && !changes->empty()) ++revision_;
      outcome.revision = revision_;
      if (observer) observer(1, 0.001);
      done(std::move(outcome));
    });
  }

  Result<store::LoadReport> load(store::RecordSource& source, const store::Origin&) override {
    const Model before = model_;
    store::LoadReport report;
    for (;;) {
      auto record = source.next();
      if (!record) {
        model_ = before;
        return std::move(record).error();
      }
      if (!*record) break;
      if (Status applied = model_.apply(**record); !applied) {
        model_ = before;
        return invalid_argument(source.position() + ": " + applied.error().message);
      }
      ++report.records;
    }
    ++revision_;
    return report;
  }

  Status dump(const std::function<Status(const core::Record&)>& take) override {
    for (const core::Record& record : model_.dump()) TRY(take(record));
    return {};
  }

  Result<store::VerifyReport> verify() override { return verified; }
  Status backup(const std::string&) override { return {}; }
  Result<std::vector<store::DayUsage>> load_usage() override {
    if (failure) return *failure;
    return usage;
  }
  Status save_usage(std::span<const store::DayUsage> changed) override {
    if (failure) return *failure;
    usage.insert(usage.end(), changed.begin(), changed.end());
    return {};
  }
  store::Health health() override { return health_now; }
  std::vector<Figure> figures() override {
    return {{"cache_hits_total", "Reads that the cache answered.", true, 12, R"(kind="calls")"},
            {"cache_bytes", "Memory that the cache takes.", false, 3456, {}},
            {"cache_hits_total", "Reads that the cache answered.", true, 7, R"(kind="a\"b")"}};
  }
  void observe_commits(CommitObserver new_observer) override { observer = std::move(new_observer); }

 private:
  void answer(std::function<void()> work) {
    if (is_deferred) {
      deferred_.push_back(std::move(work));
    } else {
      work();
    }
  }

  core::PackedEntryPtr entry_of(CompanyId company, CallId call) const {
    core::CallEntry entry;
    for (const core::Record& record : model_.dump()) {
      if (record.company != company) continue;
      if (const auto* named = std::get_if<core::Call>(&record.thing); named && named->id == call) {
        entry.call = core::facts_of(*named);
      } else if (const auto* grant = std::get_if<core::GrantLine>(&record.thing);
                 grant && grant->call == call) {
        entry.put_grant(grant->user, grant->grant, {revision_, 0});
      }
    }
    return core::PackedEntry::pack(entry);
  }

  Model model_;
  core::Revision revision_ = 0;
  std::deque<std::function<void()>> deferred_;
};

}  // namespace earshot::test
