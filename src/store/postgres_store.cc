#include "store/postgres_store.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <utility>

#include "base/assert.h"
#include "base/log.h"
#include "core/access_key.h"
#include "store/pg_dump.h"
#include "store/pg_expiry.h"
#include "store/pg_load.h"
#include "store/pg_retention.h"
#include "store/pg_schema.h"
#include "store/pg_statements_sync.h"
#include "store/pg_usage.h"
#include "store/pg_verify.h"

namespace earshot::store {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kWatchEvery{500};
constexpr milliseconds kWatchPatience{2000};  // then a database that says nothing is not there
constexpr milliseconds kUsageAddedEvery{100};
constexpr std::chrono::minutes kRefusalsForgottenEvery{10};  // nobody is shown older ones
constexpr std::chrono::seconds kLoadSilenceMax{600};  // one statement of a load may take long
constexpr std::chrono::seconds kAskedLoadSilenceMax{
    60};                                   // those of a request are small: after its waits
constexpr milliseconds kLoadTurnMin{200};  // that a request waits for the lock of loads
constexpr milliseconds kBehindLostTurn{1000};

std::uint64_t next_store_id() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

Result<Digest> find_cursor_secret(PgSession& session) {
  const PgResult found = TRY(session.run(kFindCursorKey));
  Digest secret{};
  if (found.rows() != 1 || found.text(0, 0).size() != secret.size()) {
    return invalid_argument("the row of earshot.cursor_keys is not there: put it back");
  }
  std::ranges::copy(found.text(0, 0), secret.begin());
  return secret;
}

}  // namespace

// Sees twice a second whether the database commits.
class PostgresStore::Watch final : public EventSource {
 public:
  Watch(Loop& loop, PostgresStore& store) : loop_(loop), store_(store) {
    timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    ASSERT(timer_ >= 0 && loop_.watch(timer_, *this, EPOLLIN));
    itimerspec period{};
    period.it_interval.tv_nsec = period.it_value.tv_nsec =
        std::chrono::nanoseconds(kWatchEvery).count();
    ::timerfd_settime(timer_, 0, &period, nullptr);
  }
  ~Watch() {
    loop_.unwatch(timer_);
    ::close(timer_);
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  void on_events(std::uint32_t) override {
    std::uint64_t ticks = 0;
    [[maybe_unused]] const auto size = ::read(timer_, &ticks, sizeof ticks);
    const auto now = std::chrono::steady_clock::now();
    if (asked_at_ && now - *asked_at_ > kWatchPatience) say("the database does not answer");
    if (asked_at_) return;
    asked_at_ = now;
    store_.reader_->prove({}, [this](const Status& proved) {
      asked_at_.reset();
      say(proved ? "" : proved.error().message);
    });
  }

 private:
  void say(const std::string& trouble) {
    const std::lock_guard lock(store_.health_mutex_);
    store_.trouble_ = trouble;
  }

  Loop& loop_;
  PostgresStore& store_;
  int timer_ = -1;
  std::optional<SteadyTime> asked_at_;
};

bool is_postgres_url(std::string_view place) {
  return place.starts_with("postgresql://") || place.starts_with("postgres://");
}

Result<std::unique_ptr<Store>> open_postgres(PostgresOptions options) {
  return std::unique_ptr<Store>(TRY(PostgresStore::open(std::move(options))));
}

Result<std::unique_ptr<PostgresStore>> PostgresStore::open(PostgresOptions options) {
  const auto targets = TRY(parse_postgres_url(options.url));
  std::vector<PgTarget> replicas;
  if (!options.replica_url.empty()) replicas = TRY(parse_postgres_url(options.replica_url, "any"));
  const auto session = TRY(PgSession::open(options.url));
  const SchemaState schema = TRY(check_schema(*session));
  const Digest secret = TRY(find_cursor_secret(*session));
  std::unique_ptr<PostgresStore> store(
      new PostgresStore(std::move(options), targets, replicas, schema.is_distributed, secret));
  TRY(store->begin());
  return store;
}

PostgresStore::PostgresStore(PostgresOptions options, std::vector<PgTarget> targets,
                             std::vector<PgTarget> replicas, bool is_distributed,
                             const Digest& cursor_secret)
    : cursor_secret_(cursor_secret),
      id_(next_store_id()),
      site_(std::move(options), std::move(targets), std::move(replicas), is_distributed) {}

Status PostgresStore::begin() {
  own_loop_ = TRY(LoopThread::start());
  std::promise<void> begun;
  Loop& loop = own_loop_->loop();
  loop.post([&] {
    reader_ = std::make_unique<PgReader>(loop, site_);
    writer_ = std::make_unique<PgWriter>(loop, site_);
    watch_ = std::make_unique<Watch>(loop, *this);
    news_ = std::make_unique<PgNews>(loop, *reader_, *site_.watchers);
    loop.at_end([this] {
      writer_.reset();
      reader_.reset();
      // Last: they are told what became of what they asked.
      watch_.reset();
      news_.reset();
    });
    begun.set_value();
  });
  begun.get_future().wait();
  const PostgresOptions& options = site_.options;
  if (options.retention || options.retention_revisions) {
    upkeep_.push_back(
        repeat(options.retention_every, "retention_failed", [this] { return apply_retention(); }));
  }
  upkeep_.push_back(
      repeat(options.expiry_every, "sweep_failed", [this] { return take_away_expired(); }));
  upkeep_.push_back(repeat(kRefusalsForgottenEvery, "refusals_not_forgotten",
                           [this] { return forget_refusals(); }));
  return {};
}

PostgresStore::~PostgresStore() {
  {
    const std::lock_guard lock(closing_mutex_);
    is_closing_ = true;
  }
  closing_changed_.notify_all();
  for (std::thread& thread : upkeep_) thread.join();
  own_loop_.reset();
  // Loops of others end before the store does, and took their readers with them.
  const std::lock_guard lock(readers_->mutex);
  readers_->is_closed = true;
  ASSERT(readers_->by_loop.empty());
}

PgReader* PostgresStore::own_reader_of(Loop& loop) {
  struct Known {
    std::uint64_t store = 0;
    Loop* loop = nullptr;
    PgReader* reader = nullptr;
  };
  thread_local Known known;
  if (known.store == id_ && known.loop == &loop) return known.reader;
  const std::lock_guard lock(readers_->mutex);
  auto& reader = readers_->by_loop[&loop];
  if (!reader) {
    reader = std::make_unique<PgReader>(loop, site_);
    loop.at_end([readers = readers_, at = &loop] {
      std::unique_ptr<PgReader> last;
      const std::lock_guard of_readers(readers->mutex);
      const auto found = readers->by_loop.find(at);
      last = std::move(found->second);
      readers->by_loop.erase(found);
      known = {};
    });
  }
  known = {id_, &loop, reader.get()};
  return reader.get();
}

void PostgresStore::look_up_key(std::string access_key, KeyDone done) {
  // The database takes no other text, and would refuse all that is asked together with it.
  if (!core::is_access_key(access_key)) return done(KeyPtr());
  with_reader(
      [access_key = std::move(access_key), done = std::move(done)](PgReader& reader) mutable {
        reader.look_up(std::move(access_key), std::move(done));
      });
}

void PostgresStore::read(ReadCommand command, ReadDone done) {
  with_reader([command = std::move(command), done = std::move(done)](PgReader& reader) mutable {
    reader.read(make_calls_read(std::move(command), std::move(done)));
  });
}

void PostgresStore::read_access(AccessCommand command, AccessDone done) {
  with_reader(
      [this, command = std::move(command), done = std::move(done)](PgReader& reader) mutable {
        reader.read(make_access_read(site_.options.clock, site_.past_entries, std::move(command),
                                     std::move(done)));
      });
}

void PostgresStore::read_user_calls(UserCallsCommand command, UserCallsDone done) {
  with_reader(
      [this, command = std::move(command), done = std::move(done)](PgReader& reader) mutable {
        reader.read(make_user_calls_read(site_.options.clock, std::move(command), std::move(done)));
      });
}

void PostgresStore::write(GrantCommand command, WriteDone done) {
  done = keys_under_way_.take(command, std::move(done));
  if (!done) return;
  own_loop_->loop().post([this, command = std::move(command), done = std::move(done)]() mutable {
    writer_->write(std::move(command), std::move(done));
  });
}

Result<std::unique_ptr<PgSession>> PostgresStore::open_session() const {
  return open_session(kLoadSilenceMax);
}

Result<std::unique_ptr<PgSession>> PostgresStore::open_session(milliseconds silence_max) const {
  return PgSession::open(site_.options.url, {.silence_max = silence_max});
}

Result<std::vector<KeyPtr>> PostgresStore::list_keys(std::optional<CompanyId> company) {
  const auto session = TRY(company ? open_session(site_.options.request_time) : open_session());
  return list_keys_over_postgres(*session, company);
}

// A server's requests load one after the other: who comes right behind one that has waited in vain
// has waited with it.
milliseconds PostgresStore::load_turn_time() {
  const std::lock_guard lock(turn_mutex_);
  const bool is_behind =
      turn_lost_at_ && SteadyTime::clock::now() - *turn_lost_at_ < kBehindLostTurn;
  return is_behind ? std::min(kLoadTurnMin, site_.options.request_time)
                   : site_.options.request_time;
}

Result<LoadReport> PostgresStore::load(RecordSource& source, const Origin& origin) {
  const bool is_operators = origin.access_key.empty();
  std::optional<PgLoadPatience> patience;
  if (!is_operators) patience = {load_turn_time(), site_.options.request_time};
  const auto session =
      TRY(patience ? open_session(patience->row + kAskedLoadSilenceMax) : open_session());
  Result<LoadReport> loaded =
      load_over_postgres(*session, source, origin, site_.options.clock, {}, patience);
  if (!loaded && loaded.error().code == Code::unavailable) {
    const std::lock_guard lock(turn_mutex_);
    turn_lost_at_ = SteadyTime::clock::now();
  }
  LoadReport report = TRY(std::move(loaded));
  for (const auto& [company, revision] : report.revisions) {
    site_.watchers->tell(company, revision);
  }
  return report;
}

Status PostgresStore::dump(const std::function<Status(const core::Record&)>& take) {
  return dump_over_postgres(*TRY(open_session()), take);
}

Result<VerifyReport> PostgresStore::verify(std::span<const HeadClaim> heads) {
  return verify_over_postgres(*TRY(open_session()), heads);
}

Status PostgresStore::backup(const std::string&) {
  return invalid_argument(
      "a store over PostgreSQL is backed up with PostgreSQL's own means (pg_basebackup and an "
      "archive of its log); earshot dump gives its records");
}

Result<std::vector<DayUsage>> PostgresStore::load_usage(std::uint32_t day) {
  return load_usage_over_postgres(*TRY(open_session()), day);
}

Result<std::vector<DayUsage>> PostgresStore::add_usage(std::span<const DayUsage> more) {
  const std::lock_guard lock(usage_mutex_);
  auto sums = add_usage_over_postgres(*TRY(usage_session()), more);
  if (!sums) usage_session_.reset();
  return sums;
}

Result<PgSession*> PostgresStore::usage_session() {
  if (!usage_session_ || usage_session_->is_lost()) {
    usage_session_ =
        TRY(PgSession::open(site_.options.url, {.silence_max = site_.options.statement_time}));
  }
  return usage_session_.get();
}

milliseconds PostgresStore::usage_interval() const { return kUsageAddedEvery; }

Health PostgresStore::health() {
  Health health;
  const std::lock_guard lock(health_mutex_);
  health.readable = health.writable = trouble_.empty();
  health.reason = trouble_;
  return health;
}

std::vector<Store::Figure> PostgresStore::figures() {
  const PgSite::Counters& counters = site_.counters;
  const auto number = [](const auto& value) { return static_cast<double>(value.load()); };
  return {
      {"store_commits_total", "Transactions committed", true, number(counters.transactions)},
      {"store_changes_total", "Changes committed", true, number(counters.changes)},
      {"store_unknown_outcomes_total", "Commits that the database did not answer", true,
       number(counters.unknown_outcomes)},
      {"store_retries_total", "Tries after a failure of the database", true,
       number(counters.retries)},
      {"store_reads_total", "Reads asked for", true, number(counters.reads)},
      {"store_read_statements_total", "Statements that reads were sent in", true,
       number(counters.read_statements)},
      {"store_replica_reads_total", "Statements of reads that a replica answered", true,
       number(counters.replica_reads)},
      {"store_key_look_ups_total", "Keys asked for", true, number(counters.key_look_ups)},
      {"store_proofs_total", "Commits made to see that the database still does", true,
       number(counters.proofs)},
      {"store_reads_waiting", "Reads not answered yet", false, number(counters.reads_waiting)},
      {"store_queue_commands", "Commands not answered yet", false, number(counters.writes_waiting)},
      {"store_failed", "1 while the database does not commit", false,
       health().writable ? 0.0 : 1.0},
  };
}

void PostgresStore::observe_commits(CommitObserver observer) {
  std::promise<void> done;
  own_loop_->loop().post([&] {
    writer_->observe_commits(std::move(observer));
    done.set_value();
  });
  done.get_future().wait();
}

std::thread PostgresStore::repeat(milliseconds interval, const char* failure,
                                  std::function<Status()> task) {
  return std::thread([this, interval, failure, task = std::move(task)] {
    std::unique_lock lock(closing_mutex_);
    while (!closing_changed_.wait_for(lock, interval, [this] { return is_closing_; })) {
      lock.unlock();
      // What was not done now is done next time.
      const Status done = task();
      if (!done) log(Level::error, failure, {{"error", done.error().message}});
      lock.lock();
    }
  });
}

Status PostgresStore::apply_retention() const {
  const PostgresOptions& options = site_.options;
  RetentionLimits limits{{}, options.retention_revisions};
  if (options.retention) {
    const auto kept = std::chrono::duration_cast<std::chrono::microseconds>(*options.retention);
    limits.oldest = Time{options.clock().micros - kept.count()};
  }
  return apply_retention_over_postgres(*TRY(open_session()), limits);
}

Status PostgresStore::take_away_expired() const {
  const PostgresOptions& options = site_.options;
  const auto session = TRY(open_session());
  TRY(sweep_expired_over_postgres(*session, options.clock));
  return forget_answers_over_postgres(*session, options.idempotency_keep, options.clock());
}

}  // namespace earshot::store
