// The store over PostgreSQL put together: reads and look-ups on the threads that ask, writes on a
// thread of its own, and what waits on the threads that wait. The public face is store/postgres.h.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/loop.h"
#include "store/kept_answer.h"
#include "store/pg_news.h"
#include "store/pg_reader.h"
#include "store/pg_session.h"
#include "store/pg_site.h"
#include "store/pg_writer.h"
#include "store/postgres.h"

namespace earshot::store {

class PostgresStore final : public Store {
 public:
  static Result<std::unique_ptr<PostgresStore>> open(PostgresOptions options);
  ~PostgresStore() override;

  KeyPtr find_key(std::string_view access_key) override { return site_.keys.find(access_key); }
  bool knows_all_keys() const override { return false; }
  void look_up_key(std::string access_key, KeyDone done) override;
  Result<std::vector<KeyPtr>> list_keys(std::optional<CompanyId> company) override;
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
  std::chrono::milliseconds usage_interval() const override;
  Health health() override;
  std::vector<Figure> figures() override;
  void observe_commits(CommitObserver observer) override;

 private:
  class Watch;

  PostgresStore(PostgresOptions options, std::vector<PgTarget> targets,
                std::vector<PgTarget> replicas, bool is_distributed, const Digest& cursor_secret);
  Status begin();
  // Runs the task with the reader of the calling thread's loop, or of the store's own.
  template <class Task>
  void with_reader(Task&& task);
  PgReader* own_reader_of(Loop& loop);
  // For what may be silent for long, or for no longer than this.
  Result<std::unique_ptr<PgSession>> open_session() const;
  Result<std::unique_ptr<PgSession>> open_session(std::chrono::milliseconds silence_max) const;
  // How long a load that a request asks for waits for its turn.
  std::chrono::milliseconds load_turn_time();
  // A connection for usage, kept. To be reset after an error. REQUIRES: usage_mutex_ is held.
  Result<PgSession*> usage_session();
  // Does it again and again until the store closes, after as long as `interval` each time.
  std::thread repeat(std::chrono::milliseconds interval, const char* failure,
                     std::function<Status()> task);
  Status apply_retention() const;
  Status take_away_expired() const;
  Status forget_refusals() const;
  template <class Task>
  auto with_refusals_session(Task&& task) -> decltype(task(std::declval<PgSession&>()));

  const Digest cursor_secret_;
  const std::uint64_t id_;  // no two stores of the process have the same
  PgSite site_;
  CommitObserver observer_;

  // Of loops of others. Each is used and dropped by its loop's thread alone.
  struct Readers {
    std::mutex mutex;
    std::unordered_map<Loop*, std::unique_ptr<PgReader>> by_loop;  // guarded by mutex
    bool is_closed = false;                                        // guarded by mutex
  };
  const std::shared_ptr<Readers> readers_ = std::make_shared<Readers>();

  KeysUnderWay keys_under_way_;

  std::mutex turn_mutex_;
  std::optional<SteadyTime>
      turn_lost_at_;  // guarded by turn_mutex_; by a load that others kept off

  // Of what is counted and noted now and then.
  std::mutex usage_mutex_;
  std::unique_ptr<PgSession> usage_session_;  // guarded by usage_mutex_

  std::mutex refusals_mutex_;
  std::unique_ptr<PgSession> refusals_session_;  // guarded by refusals_mutex_

  mutable std::mutex health_mutex_;
  std::string trouble_;  // guarded by health_mutex_; empty: the database commits

  std::mutex closing_mutex_;
  std::condition_variable closing_changed_;
  bool is_closing_ = false;  // guarded by closing_mutex_
  std::vector<std::thread> upkeep_;

  // Of the own loop's thread.
  std::unique_ptr<PgReader> reader_;
  std::unique_ptr<PgWriter> writer_;
  std::unique_ptr<PgNews> news_;
  std::unique_ptr<Watch> watch_;
  std::unique_ptr<LoopThread> own_loop_;
};

template <class Task>
void PostgresStore::with_reader(Task&& task) {
  Loop& own = own_loop_->loop();
  Loop* const current = Loop::current();
  if (current == &own) return task(*reader_);
  if (current) return task(*own_reader_of(*current));
  own.post([this, task = std::forward<Task>(task)]() mutable { task(*reader_); });
}

}  // namespace earshot::store
