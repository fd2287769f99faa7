// The embedded store's threads: one committer, which alone writes; a few readers for what memory
// does not hold. The public face is store/embedded.h.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/wake.h"
#include "store/change_watchers.h"
#include "store/commit_queue.h"
#include "store/compactor.h"
#include "store/company_state.h"
#include "store/embedded.h"
#include "store/entry_cache.h"
#include "store/history.h"
#include "store/kept_answer.h"
#include "store/retention.h"
#include "store/rocks.h"
#include "store/snapshot.h"
#include "store/store.h"
#include "store/transaction.h"

namespace earshot::store {

// How long a read waits for a revision that is being published.
inline constexpr std::chrono::seconds kReadPatience{5};

// Memory for whole directories of the past, about; one is kept however large it is.
inline constexpr std::uint64_t kPastDirectoriesBytes = 64 << 20;

// A server that ends without a word forgets so much of a day's requests.
inline constexpr std::chrono::seconds kUsageSavedEvery{10};

// What opens a store whose disk can be made to fail, for tests. `env` must outlive the store.
Result<std::unique_ptr<Store>> open_embedded_on(EmbeddedOptions options, rocksdb::Env* env);

// Answers a read that asks for a revision that is not there.
Error not_there(core::Revision wanted, core::Revision newest);

// Writes a small file and waits until the disk has it.
Status write_synced(const std::string& path, std::string_view text);
// Waits until the disk has the names in a directory.
Status sync_directory(const std::string& path);

// Takes jobs on a few threads; refuses more than it may hold. Who submits wakes it.
class ReadPool final : public Sleeper {
 public:
  // Of a long job nobody knows how much it reads: no more than half of the threads have one, so
  // that the others' reads find a thread. Where none runs, one that waits goes before the others.
  enum class Length { some_rows, any };

  // `queue_max` of each length may wait.
  ReadPool(std::size_t threads, std::size_t queue_max);
  ~ReadPool() override;
  // Whether the job was taken.
  bool submit(std::function<void()> job, Length length = Length::some_rows);
  void wake() override { more_.notify_all(); }
  // Runs what was taken, then ends the threads.
  void stop();

 private:
  void work();
  bool may_take_long() const { return !long_jobs_.empty() && long_running_ < long_running_max_; }

  const std::size_t queue_max_;
  const std::size_t threads_count_;
  const std::size_t long_running_max_;
  std::mutex mutex_;
  std::condition_variable more_;
  std::deque<std::function<void()>> jobs_;
  std::deque<std::function<void()>> long_jobs_;
  std::size_t long_running_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

class EmbeddedStore final : public Store {
 public:
  static Result<std::unique_ptr<EmbeddedStore>> open(EmbeddedOptions options, rocksdb::Env* env);
  ~EmbeddedStore() override;

  KeyPtr find_key(std::string_view access_key) override { return keys_.find(access_key); }
  bool knows_all_keys() const override { return true; }
  void look_up_key(std::string access_key, KeyDone done) override { done(keys_.find(access_key)); }
  Result<std::vector<KeyPtr>> list_keys(std::optional<CompanyId> company) override {
    return keys_.list(company);
  }
  void read(ReadCommand command, ReadDone done) override;
  void write(GrantCommand command, WriteDone done) override;
  void read_access(AccessCommand command, AccessDone done) override;
  void read_user_calls(UserCallsCommand command, UserCallsDone done) override;
  const Digest& cursor_secret() const override { return cursor_secret_; }
  Result<LoadReport> load(RecordSource& source, const Origin& origin) override;
  Status dump(const std::function<Status(const core::Record&)>& take) override;
  using Store::verify;
  Result<VerifyReport> verify(std::span<const HeadClaim> heads) override;
  void read_changes(ChangesCommand command, ChangesDone done) override;
  std::unique_ptr<ChangesWatch> watch_changes(CompanyId company,
                                              std::function<void()> on_news) override;
  void read_thing(ThingCommand command, ThingDone done) override;
  Status note_key_uses(std::span<const KeyUse> uses) override;
  Result<std::vector<KeyUse>> list_key_uses(CompanyId company) override;
  Status keep_refusals(std::span<const Refusal> refusals) override;
  Result<RefusalsView> list_refusals(const RefusalsCommand& command) override;
  Result<std::vector<CompanyId>> list_refused_companies() override;
  Status backup(const std::string& directory) override;
  Result<std::vector<DayUsage>> load_usage(std::uint32_t day) override;
  Result<std::vector<DayUsage>> add_usage(std::span<const DayUsage> more) override;
  std::chrono::milliseconds usage_interval() const override { return kUsageSavedEvery; }
  Health health() override;
  std::vector<Figure> figures() override;
  void observe_commits(CommitObserver observer) override { observer_ = std::move(observer); }

 private:
  using Job = CommitQueue::Job;
  struct RefusalRows;

  EmbeddedStore(EmbeddedOptions options, int lock_file, std::unique_ptr<Rocks> rocks);

  Status load_keys_and_sweeps();
  // Makes it with the store, or when a store of an older release is opened; then also notes up to
  // where the record is of that release.
  Status load_cursor_secret();
  Status copy_to(const std::string& directory);

  // Reading.
  // Reads calls as of one published revision, and if asked for the people with them; from memory or
  // on the pool. The time given to `done`, which takes a Result<AccessView>, is the revision's.
  template <class Done>
  void read_published(CompanyId company, std::vector<CallId> calls, bool with_people,
                      core::Revision at_least, Done done);
  // The same, or nothing where memory does not hold all of it.
  Result<std::optional<AccessView>> try_read(CompanyId company, const std::vector<CallId>& calls,
                                             bool with_people, Rocks::Tier tier);
  Result<std::optional<AccessView>> try_read_at(const CompanyState& state, core::Revision revision,
                                                const std::vector<CallId>& calls, Rocks::Tier tier,
                                                bool& begin_again);
  // The people of this published revision, or null where memory does not hold them.
  Result<PeoplePtr> try_read_people(CompanyState& state, core::Revision revision, Rocks::Tier tier,
                                    bool& begin_again);
  // What may read much, on the pool; `done` is told where too much of it waits.
  template <class Done>
  void submit_long(std::function<void()> job, const Done& done) {
    if (!pool_->submit(std::move(job), ReadPool::Length::any)) {
      return done(unavailable("too many reads of many rows wait for the disk"));
    }
    earshot::wake(pool_);
  }
  // The same for moments other than now.
  void read_past_access(AccessCommand command, const AccessDone& done);
  void read_past_user_calls(UserCallsCommand command, const UserCallsDone& done);
  Result<AccessView> find_past_access(const AccessCommand& command);
  Result<UserCallsView> find_past_user_calls(const UserCallsCommand& command);
  // The calls as they were, kept for those who ask for the next page of the same answer.
  Result<std::vector<core::PackedEntryPtr>> find_entries_for_pages(const CompanyState& state,
                                                                   Past& past,
                                                                   std::span<const CallId> calls);
  // The record as memory knows its ends.
  RecordHead record_head(const CompanyState& state) const;
  Result<ChangesView> find_changes(const ChangesCommand& command);
  // The whole directory as it was, if it is in memory; else null.
  DirectoryPtr find_known_directory(const CompanyState& state, const Past& past);
  // The store as of the revision of a company that is published now, or a later one.
  struct PublishedSnapshot {
    std::unique_ptr<Snapshot> rows;
    Head head;  // without its hash
  };
  Result<PublishedSnapshot> take_snapshot(const CompanyState& state);
  Result<PeoplePtr> load_people(CompanyState& state, const PublishedSnapshot& snapshot,
                                const Removals& removals);
  Result<UserCallsView> find_user_calls(const UserCallsCommand& command);
  Result<ThingView> find_thing(const ThingCommand& command);
  Result<bool> has_company(CompanyId company);
  // The later of the clock and the time of what was read: no clock that is put back revives what
  // had expired.
  Time judging_time(Time of_revision) const { return std::max(options_.clock(), of_revision); }
  // Brings a command's calls into the cache; false where that needs the disk and the tier forbids
  // it.
  bool warm(const GrantCommand& command, Rocks::Tier tier);
  // Those calls; nothing where that needs the disk and the tier forbids it.
  std::optional<std::vector<CallId>> calls_of(const GrantCommand& command, Rocks::Tier tier);
  void enqueue(Job job);

  // The committer.
  void commit_loop();
  bool wait_for_work(std::deque<Job>& jobs);
  void commit_batch(std::deque<Job>& jobs);
  void answer(std::deque<Job>& jobs, std::vector<Result<Outcome>>& outcomes);
  Result<LoadReport> load_alone(RecordSource& source, const Origin& origin);
  Status commit_and_publish(Transaction& transaction, std::size_t commands);
  void tell_news();
  void sweep_some();
  // Grants that have expired, answers that were kept long enough.
  void sweep_expired();
  Result<bool> forget_answers();
  Status load_expiries_known();
  // Writes the rows of expiries for some of what an older release left.
  void find_expiries();
  Status find_some_expiries();
  void keep_house();
  void begin_retention();
  void cut_some();
  Ground ground();

  // Refusals that were kept.
  enum class Fate { goes, stays, stays_with_all_later };
  Result<RefusalRows*> find_refusals(CompanyId company);
  Status put_refusals(std::span<const Refusal> refusals);
  Status write_refusals(rocksdb::WriteBatch& batch);
  Status trim_refusals(CompanyId company);
  Status delete_refusals(CompanyId company, RefusalRows& known, std::uint64_t& first,
                         const std::function<Fate(const Refusal&)>& fate_of);
  Status forget_refusals_of(CompanyId company);
  Status forget_refusals_before(CompanyId company, Time oldest);
  Status forget_old_refusals();
  Status visit_oldest_refusals(const std::function<Status(const Refusal&)>& visit);

  Status check_space();
  // Why nothing is written any more; empty while all is well.
  std::optional<Error> failure() const;
  // The same, or why nothing is put in place for now.
  std::optional<Error> refusal();

  const EmbeddedOptions options_;
  const int lock_file_;
  std::unique_ptr<Rocks> rocks_;
  EntryCache cache_;
  KeyTable keys_;
  Companies companies_;
  PastDirectories past_directories_;
  PastEntries past_entries_;
  Digest cursor_secret_{};
  KeysUnderWay keys_under_way_;
  const std::shared_ptr<ReadPool> pool_;
  const std::shared_ptr<ChangeWatchers> watchers_ = std::make_shared<ChangeWatchers>();
  CommitObserver observer_;

  const std::shared_ptr<CommitQueue> queue_;

  // The failure that ended all writing, once there is one.
  mutable std::mutex failure_mutex_;
  std::string failure_;
  std::atomic<bool> failed_{false};
  std::atomic<bool> space_is_low_{false};
  std::atomic<std::int64_t> space_checked_ms_{INT64_MIN};

  std::mutex usage_mutex_;
  std::mutex key_uses_mutex_;

  // What is known of the rows of a company.
  struct RefusalRows {
    std::uint64_t next = 0;                         // behind the number of the last one
    std::size_t count = 0, of_anybody = 0;          // as may_anybody_cause() says
    std::uint64_t first = 0, first_of_anybody = 0;  // none of these has a lesser number
    void add(const Refusal& refusal);
  };
  std::mutex refusals_mutex_;
  std::unordered_map<CompanyId, RefusalRows> refusals_;  // guarded by it; of those met so far

  std::atomic<std::uint64_t> commits_{0}, committed_changes_{0}, restarts_{0};

  // The committer's own.
  std::map<CompanyId, core::Revision> news_;  // published, and not told to who watches
  std::set<CompanyId> sweeping_;
  bool is_more_expired_ = false;
  std::chrono::steady_clock::time_point expired_swept_ = std::chrono::steady_clock::now();
  std::optional<std::string> expiries_known_to_;  // a row of `calls`; absent: all are
  std::chrono::steady_clock::time_point house_kept_{};
  std::chrono::steady_clock::time_point retention_applied_{};
  Retention retention_;

  std::unique_ptr<Compactor> compactor_;

  std::thread committer_;  // last: it uses all of the above
};

// The files of a store's directory.
inline constexpr const char* kRowsDirectory = "rows";
inline constexpr const char* kFormatFile = "format";
inline constexpr const char* kFormatText = "earshot store format 1\n";

}  // namespace earshot::store
