// The model as a store: everything in memory, every answer at once or when the test says so. For
// tests of what stands above a store; one thread only.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/digest.h"
#include "base/result.h"
#include "base/time.h"
#include "store/store.h"
#include "timeline.h"

namespace earshot::test {

class ModelStore : public store::Store {
 public:
  ModelStore();
  ~ModelStore() override;

  Time now{1'780'000'000'000'000};  // of decisions, and of the changes
  std::optional<Error> failure;     // what read and write come to instead
  bool is_deferred = false;         // answers wait for answer_deferred()
  // As one of many servers of a store: find_key() knows what is in `remembered` alone, and who
  // asks is asked again by every command.
  bool is_one_of_many = false;
  std::map<std::string, store::KeyPtr, std::less<>> remembered;
  bool are_look_ups_deferred = false;  // until answer_look_ups()
  std::optional<Error> look_up_failure;
  std::vector<std::string> look_ups;  // the access keys that were looked up
  store::Health health_now;
  std::vector<store::DayUsage> usage;
  std::vector<store::GrantCommand> commands;  // every write, as it came
  std::map<CallId, core::Revision> changed;   // at which revision each call changed last
  store::VerifyReport verified;
  std::vector<store::ReadCommand> reads;  // and every read
  std::vector<store::AccessCommand> access_reads;
  std::vector<store::UserCallsCommand> user_reads;
  core::Revision oldest_kept = 0;              // what is before is gone
  std::chrono::milliseconds interval{10'000};  // of usage
  CommitObserver observer;

  void apply(const core::Record& record);
  core::Revision revision() const;

  void answer_deferred();
  void answer_look_ups();

  // As memory would know it from now on.
  void remember(std::string_view access_key);

  store::KeyPtr find_key(std::string_view access_key) override;
  bool knows_all_keys() const override { return !is_one_of_many; }
  void look_up_key(std::string access_key, KeyDone done) override;
  Result<std::vector<store::KeyPtr>> list_keys(std::optional<CompanyId> company) override;

  void read(store::ReadCommand command, ReadDone done) override;
  void read_access(store::AccessCommand command, AccessDone done) override;

  // Looks at every call of the company, whatever the ways.
  void read_user_calls(store::UserCallsCommand command, UserCallsDone done) override;
  const Digest& cursor_secret() const override { return cursor_secret_; }
  void write(store::GrantCommand command, WriteDone done) override;

  Result<store::LoadReport> load(store::RecordSource& source, const store::Origin&) override;
  Status dump(const std::function<Status(const core::Record&)>& take) override;

  using store::Store::verify;
  Result<store::VerifyReport> verify(std::span<const store::HeadClaim>) override;

  // The record is what the test says it is.
  std::vector<store::RecordedRevision> recorded;  // ascending, complete
  core::Revision horizon = 0;
  std::vector<store::ChangesCommand> changes_reads;
  std::map<CompanyId, std::vector<std::function<void()>>> watches;

  void read_changes(store::ChangesCommand command, ChangesDone done) override;
  std::unique_ptr<store::ChangesWatch> watch_changes(CompanyId company,
                                                     std::function<void()> on_news) override;

  void read_thing(store::ThingCommand command, ThingDone done) override;

  std::map<std::string, store::KeyUse> key_uses;
  Status note_key_uses(std::span<const store::KeyUse> uses) override;
  Result<std::vector<store::KeyUse>> list_key_uses(CompanyId company) override;

  std::vector<store::KeptRefusal> refusals;
  Status keep_refusals(std::span<const store::Refusal> more) override;
  Result<store::RefusalsView> list_refusals(const store::RefusalsCommand& command) override;
  Result<std::vector<CompanyId>> list_refused_companies() override;
  Status backup(const std::string&) override { return {}; }
  Result<std::vector<store::DayUsage>> load_usage(std::uint32_t day) override;
  Result<std::vector<store::DayUsage>> add_usage(std::span<const store::DayUsage> more) override;
  std::chrono::milliseconds usage_interval() const override { return interval; }
  store::Health health() override { return health_now; }
  std::vector<Figure> figures() override;
  void observe_commits(CommitObserver new_observer) override;

 private:
  // What an answer about a moment is made of.
  struct Seen;

  void note_changes(const std::vector<core::CallUsers>& calls, store::Outcome& outcome);
  Result<store::Outcome> write_with_results(const store::GrantCommand& command);
  Result<store::ChangesView> changes_of(const store::ChangesCommand& command) const;
  std::vector<core::CallUsers> all_of(
      CompanyId company, const std::variant<std::monostate, CallId, UserId>& whose) const;
  void change_pairs(const store::GrantCommand& command, const std::vector<core::CallUsers>& calls,
                    store::Outcome& outcome);

  void answer(std::function<void()> work);
  std::vector<store::KeyPtr> keys_of(std::optional<CompanyId> company) const;
  store::KeyPtr key_now(std::string_view access_key) const;
  bool is_admitted(const store::AskerPtr& asker) const;
  Result<Seen> see(const auto& command) const;
  void keep();

  // One count of revisions for all companies: tests have one, mostly.
  static constexpr CompanyId kAll{};

  Timeline timeline_;
  Digest cursor_secret_{};
  using KeyPlace = std::pair<CompanyId, Digest>;
  std::set<KeyPlace> under_way_;
  std::map<KeyPlace, std::pair<Digest, store::Outcome>> kept_;
  std::deque<std::function<void()>> deferred_;
  std::deque<std::function<void()>> deferred_look_ups_;
};

}  // namespace earshot::test
