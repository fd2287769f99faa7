#include "store/embedded_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>
#include <system_error>

#include "base/assert.h"
#include "base/log.h"
#include "base/wake.h"

namespace earshot::store {

namespace {

constexpr std::size_t kSweepRowsMax = 1000;  // of one sweep's revision
constexpr std::chrono::milliseconds kSpaceCheckEvery{200};
constexpr std::size_t kLogRead = 64;
constexpr std::size_t kJobsAtOnceMax = 8;  // of one reading thread, answered together

Error errno_error(const std::string& doing) {
  return internal(doing + ": " + std::strerror(errno));
}

// Makes the directory's own files where they are missing, and refuses what is not a store of ours.
Status prepare_directory(const EmbeddedOptions& options) {
  namespace fs = std::filesystem;
  std::error_code failed;
  const fs::path directory = options.directory;
  if (!fs::exists(directory, failed)) {
    if (!options.create_if_missing) {
      return invalid_argument("there is no store in " + options.directory);
    }
    fs::create_directories(directory, failed);
    if (failed)
      return invalid_argument("cannot make " + options.directory + ": " + failed.message());
    fs::permissions(directory, fs::perms::owner_all, failed);
  }
  return {};
}

Status check_format(const EmbeddedOptions& options) {
  namespace fs = std::filesystem;
  const fs::path directory = options.directory;
  const fs::path format_file = directory / kFormatFile;
  std::error_code failed;
  if (fs::exists(format_file, failed)) {
    std::ifstream in(format_file);
    std::stringstream text;
    text << in.rdbuf();
    if (text.str() == kFormatText) return {};
    if (text.str().starts_with("earshot store format ")) {
      std::string version = text.str().substr(std::strlen("earshot store format "));
      version.erase(version.find_last_not_of('\n') + 1);
      return invalid_argument(options.directory +
                              " was written by a newer release of Earshot (store format " +
                              version + ", this release reads 1); use that release or a newer one");
    }
    return invalid_argument(format_file.string() + " is not the format file of a store");
  }
  if (!options.create_if_missing)
    return invalid_argument("there is no store in " + options.directory);
  for (const auto& item : fs::directory_iterator(directory, failed)) {
    const std::string name = item.path().filename().string();
    if (name == "lock" || name == "control.sock" || name == "format.new" || name == "lost+found") {
      continue;
    }
    return invalid_argument(options.directory + " is not empty and not a store: it holds " + name +
                            "; name an empty or new directory");
  }
  // Written whole before it has its name: a store either has its format or is begun anew.
  const std::string unfinished = options.directory + "/format.new";
  TRY(write_synced(unfinished, kFormatText));
  if (::rename(unfinished.c_str(), format_file.c_str()) != 0) {
    return errno_error("writing " + format_file.string());
  }
  return sync_directory(options.directory);
}

// The lock is held as long as the file is open; the kernel lets go of it when the process ends,
// however it ends.
Result<int> lock_directory(const std::string& directory) {
  const std::string path = directory + "/lock";
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return invalid_argument("cannot use " + directory + ": " + std::strerror(errno));
  if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
    char owner[kLogRead] = {};
    const ssize_t size = ::pread(file, owner, sizeof owner - 1, 0);
    ::close(file);
    const std::string who = size > 0 ? " (process " + std::string(owner, size) + ")" : "";
    return conflict("the store in " + directory + " is in use by another process" + who);
  }
  const std::string pid = std::to_string(::getpid());
  if (::ftruncate(file, 0) != 0 || ::pwrite(file, pid.data(), pid.size(), 0) < 0) {
    ::close(file);
    return errno_error("writing " + path);
  }
  return file;
}

std::int64_t steady_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Error not_there(core::Revision wanted, core::Revision newest) {
  return unavailable("revision " + std::to_string(wanted) + " is not there, the newest is " +
                     std::to_string(newest));
}

Status write_synced(const std::string& path, std::string_view text) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return errno_error("writing " + path);
  const bool written =
      ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
      ::fsync(file) == 0;
  const Error failure = errno_error("writing " + path);
  ::close(file);
  if (!written) return failure;
  return {};
}

Status sync_directory(const std::string& path) {
  const int folder = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = folder >= 0 && ::fsync(folder) == 0;
  const Error failure = errno_error("syncing " + path);
  if (folder >= 0) ::close(folder);
  if (!synced) return failure;
  return {};
}

Result<std::unique_ptr<Store>> open_embedded(EmbeddedOptions options) {
  return open_embedded_on(std::move(options), nullptr);
}

Result<std::unique_ptr<Store>> open_embedded_on(EmbeddedOptions options, rocksdb::Env* env) {
  return std::unique_ptr<Store>(TRY(EmbeddedStore::open(std::move(options), env)));
}

ReadPool::ReadPool(std::size_t threads, std::size_t queue_max)
    : queue_max_(queue_max),
      threads_count_(std::max<std::size_t>(threads, 1)),
      long_running_max_(std::max<std::size_t>(threads_count_ / 2, 1)) {
  for (std::size_t i = 0; i < threads_count_; ++i) threads_.emplace_back([this] { work(); });
}

ReadPool::~ReadPool() { stop(); }

bool ReadPool::submit(std::function<void()> job, Length length) {
  const std::lock_guard lock(mutex_);
  auto& jobs = length == Length::any ? long_jobs_ : jobs_;
  if (stopping_ || jobs.size() >= queue_max_) return false;
  jobs.push_back(std::move(job));
  return true;
}

void ReadPool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  more_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void ReadPool::work() {
  std::vector<std::function<void()>> taken;
  bool is_long = false;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      more_.wait(lock, [this] { return stopping_ || !jobs_.empty() || may_take_long(); });
      // Not two of them in a row before the others: there may be no other thread.
      const bool is_turn_of_long = long_running_ == 0 && !is_long;
      is_long = may_take_long() && (is_turn_of_long || jobs_.empty());
      // Who has a long job already will take the rest of them.
      if (!is_long && jobs_.empty()) return;
      if (is_long) {
        ++long_running_;
        taken.push_back(std::move(long_jobs_.front()));
        long_jobs_.pop_front();
      }
      // Each thread its part, so that a disk has something to do for all of them.
      const std::size_t part = is_long ? 0 : (jobs_.size() + threads_count_ - 1) / threads_count_;
      for (std::size_t left = std::min(part, kJobsAtOnceMax); left > 0; --left) {
        taken.push_back(std::move(jobs_.front()));
        jobs_.pop_front();
      }
    }
    const HeldWakes until_all_are_done;
    for (const auto& job : taken) job();
    taken.clear();
    if (!is_long) continue;
    const std::lock_guard lock(mutex_);
    --long_running_;
    if (may_take_long()) more_.notify_one();
  }
}

Result<std::unique_ptr<EmbeddedStore>> EmbeddedStore::open(EmbeddedOptions options,
                                                           rocksdb::Env* env) {
  TRY(prepare_directory(options));
  const int lock_file = TRY(lock_directory(options.directory));
  const auto opened = [&]() -> Result<std::unique_ptr<Rocks>> {
    TRY(check_format(options));
    std::error_code ignored;  // a load that was cut short
    std::filesystem::remove_all(options.directory + "/scratch", ignored);
    return Rocks::open({.directory = options.directory + "/" + kRowsDirectory,
                        .block_cache_bytes = options.block_cache_bytes,
                        .env = env});
  };
  Result<std::unique_ptr<Rocks>> rocks = opened();
  if (!rocks) {
    ::close(lock_file);
    return rocks.error();
  }
  auto store = std::unique_ptr<EmbeddedStore>(
      new EmbeddedStore(std::move(options), lock_file, std::move(*rocks)));
  TRY(store->load_cursor_secret());
  TRY(store->load_keys_and_sweeps());
  TRY(store->load_expiries_known());
  store->committer_ = std::thread([raw = store.get()] { raw->commit_loop(); });
  return store;
}

EmbeddedStore::EmbeddedStore(EmbeddedOptions options, int lock_file, std::unique_ptr<Rocks> rocks)
    : options_(std::move(options)),
      lock_file_(lock_file),
      rocks_(std::move(rocks)),
      cache_(options_.cache_bytes),
      companies_(*rocks_),
      past_directories_(kPastDirectoriesBytes),
      past_entries_(kPastEntriesBytes),
      pool_(std::make_shared<ReadPool>(options_.read_threads, options_.read_queue_max)),
      queue_(std::make_shared<CommitQueue>(options_.queue_commands_max)),
      retention_(*rocks_, companies_),
      compactor_(std::make_unique<Compactor>(
          *rocks_, CompactorOptions{options_.compaction_bytes, options_.compaction_every})) {}

EmbeddedStore::~EmbeddedStore() {
  pool_->stop();  // first: its jobs may still hand commands to the committer
  queue_->close();
  if (committer_.joinable()) committer_.join();
  compactor_.reset();
  rocks_->close();
  ::close(lock_file_);
}

Status EmbeddedStore::load_cursor_secret() {
  const std::string place(1, kCursorSecretTag);
  if (const auto kept = TRY(rocks_->get(Family::meta, place))) {
    const auto secret = decode_cursor_secret(*kept);
    if (!secret) return corrupt("meta");
    cursor_secret_ = *secret;
    return {};
  }
  fill_random(cursor_secret_);
  rocksdb::WriteBatch batch;
  // What is there was written by a release that kept no history of access.
  const Snapshot snapshot(*rocks_);
  TRY(snapshot.each_company(Family::changes, [&](CompanyId company) -> Status {
    return snapshot.find_head(
        company,
        [&](const ChangeKey& key, const ChangeHead&, std::string_view, std::string_view) -> Status {
          batch.Put(rocks_->family(Family::meta), encode_company_key(kUnmarkedTag, company),
                    encode_value(Horizon{key.revision, std::nullopt}));
          return {};
        });
  }));
  batch.Put(rocks_->family(Family::meta), place, encode_cursor_secret(cursor_secret_));
  // Synced: what was signed with it is to hold after a crash.
  const rocksdb::Status written = rocks_->write(batch, true);
  if (!written.ok()) return from_rocksdb(written, "keeping the secret of cursors");
  return {};
}

Status EmbeddedStore::load_keys_and_sweeps() {
  TRY(rocks_->scan(Family::keys, "", nullptr,
                   [&](std::string_view access_key, std::string_view value) -> Result<bool> {
                     auto row = decode_key_row(access_key, value);
                     if (!row) return corrupt("keys");
                     if (row->key)
                       keys_.put(std::make_shared<KeyEntry>(KeyEntry{row->company, *row->key}));
                     return true;
                   }));
  TRY(rocks_->scan(Family::meta, std::string(1, kSweepTag), nullptr,
                   [&](std::string_view key, std::string_view) -> Result<bool> {
                     const auto sweep = decode_sweep_key(key);
                     if (!sweep) return corrupt("meta");
                     sweeping_.insert(sweep->company);
                     return true;
                   }));
  return rocks_->scan(Family::meta, std::string(1, kHorizonTag), nullptr,
                      [&](std::string_view key, std::string_view value) -> Result<bool> {
                        const auto company = decode_company_key(kHorizonTag, key);
                        const auto horizon = decode_horizon(value);
                        if (!company || !horizon) return corrupt("meta");
                        rocks_->horizons().set(*company, horizon->revision);
                        return true;
                      });
}

// --- reading

template <class Done>
void EmbeddedStore::read_published(CompanyId company, std::vector<CallId> calls, bool with_people,
                                   core::Revision at_least, Done done) {
  const auto answer = [at_least](Result<std::optional<AccessView>> read, const Done& to) {
    if (!read) return to(Result<AccessView>(read.error()));
    ASSERT(read->has_value());
    // Whatever this store answered a write with was published before: it is not of this store, or
    // of one that was put back to an earlier backup.
    const core::Revision newest = (*read)->as_of.revision;
    if (newest < at_least) return to(Result<AccessView>(not_there(at_least, newest)));
    to(Result<AccessView>(std::move(**read)));
  };
  auto from_memory = try_read(company, calls, with_people, Rocks::Tier::memory);
  if (!from_memory || *from_memory) return answer(std::move(from_memory), done);
  auto job = [this, answer, company, calls = std::move(calls), with_people, done] {
    answer(try_read(company, calls, with_people, Rocks::Tier::disk), done);
  };
  if (!pool_->submit(std::move(job))) {
    return done(Result<AccessView>(unavailable("too many reads wait for the disk")));
  }
  earshot::wake(pool_);
}

void EmbeddedStore::read(ReadCommand command, ReadDone done) {
  read_published(
      command.company, std::move(command.calls), false, command.at_least,
      [done = std::move(done)](Result<AccessView> read) {
        if (!read) return done(std::move(read).error());
        done(CallsView{read->as_of.revision, read->as_of.time, std::move(read->entries)});
      });
}

void EmbeddedStore::read_access(AccessCommand command, AccessDone done) {
  if (!command.moment.is_now()) return read_past_access(std::move(command), done);
  std::vector<CallId> calls(command.calls.size());
  std::ranges::transform(command.calls, calls.begin(), &core::CallUsers::call);
  read_published(command.company, std::move(calls), true, command.at_least,
                 [this, done = std::move(done)](Result<AccessView> read) {
                   if (read) read->as_of.time = judging_time(read->as_of.time);
                   done(std::move(read));
                 });
}

Result<std::optional<AccessView>> EmbeddedStore::try_read(CompanyId company,
                                                          const std::vector<CallId>& calls,
                                                          bool with_people, Rocks::Tier tier) {
  CompanyState* state = companies_.find(company);
  if (!state) {
    if (tier == Rocks::Tier::memory) return std::optional<AccessView>();
    state = TRY(companies_.meet(company));
  }
  std::optional<std::chrono::steady_clock::time_point> deadline;
  while (true) {
    const core::Revision revision = state->published.load(std::memory_order_acquire);
    bool begin_again = false;
    PeoplePtr people;
    if (with_people) {
      people = TRY(try_read_people(*state, revision, tier, begin_again));
      if (!people && !begin_again) return std::optional<AccessView>();
    }
    std::optional<AccessView> view;
    if (!begin_again) view = TRY(try_read_at(*state, revision, calls, tier, begin_again));
    if (!begin_again) {
      if (view && people) view->directory = {people, &people->directory};
      return view;
    }
    // A commit is between the disk and its publication: moments, unless the machine is in trouble.
    restarts_.fetch_add(1, std::memory_order_relaxed);
    if (!deadline) deadline = std::chrono::steady_clock::now() + kReadPatience;
    if (std::chrono::steady_clock::now() > *deadline) {
      return unavailable("a commit is not being published");
    }
    std::this_thread::yield();
  }
}

Result<PeoplePtr> EmbeddedStore::try_read_people(CompanyState& state, core::Revision revision,
                                                 Rocks::Tier tier, bool& begin_again) {
  PeoplePtr people = state.people();
  if (!people && tier == Rocks::Tier::disk) {
    const PublishedSnapshot snapshot = TRY(take_snapshot(state));
    const Removals removals = TRY(snapshot.rows->removals(state.id));
    people = TRY(load_people(state, snapshot, removals));
  }
  begin_again = people && people->directory_revision > revision;
  return people;
}

Result<std::optional<AccessView>> EmbeddedStore::try_read_at(const CompanyState& state,
                                                             core::Revision revision,
                                                             const std::vector<CallId>& calls,
                                                             Rocks::Tier tier, bool& begin_again) {
  const RemovalsPtr removals = state.removals();
  // A removal is announced before its revision is published, and withdrawn after its sweep's is:
  // unless the revision stood still around the look at them, they may be another revision's.
  if (state.published.load(std::memory_order_acquire) != revision) {
    begin_again = true;
    return std::optional<AccessView>();
  }
  AccessView view;
  view.as_of = {revision, state.published_time()};
  view.entries.resize(calls.size());
  std::vector<EntryCache::Miss> misses;
  begin_again = !cache_.find(state.id, calls, revision, view.entries, misses);
  for (const EntryCache::Miss miss : misses) {
    if (begin_again) break;
    const CallRef ref{state.id, calls[miss.place]};
    core::PackedEntryPtr stored = TRY(rocks_->read_packed(ref, tier));
    if (!stored) return std::optional<AccessView>();
    begin_again = stored->newest_revision() > revision;
    if (!begin_again) cache_.fill(ref, stored, miss.mark);
    view.entries[miss.place] = std::move(stored);
  }
  if (begin_again) return std::optional<AccessView>();
  if (removals) {
    for (std::size_t i = 0; i < calls.size(); ++i) {
      view.entries[i] = without_dead(view.entries[i], calls[i], *removals, revision);
    }
  }
  return std::optional<AccessView>(std::move(view));
}

// --- writing

void EmbeddedStore::write(GrantCommand command, WriteDone done) {
  if (const auto failed = failure()) return done(*failed);
  done = keys_under_way_.take(command, std::move(done));
  if (!done) return;
  // The committer must not wait for the disk one call at a time: what it needs is brought near
  // first.
  if (warm(command, Rocks::Tier::memory))
    return enqueue({std::move(command), std::move(done), nullptr});
  auto shared = std::make_shared<Job>(Job{std::move(command), std::move(done), nullptr});
  const bool taken = pool_->submit([this, shared] {
    warm(shared->command, Rocks::Tier::disk);
    enqueue(std::move(*shared));
  });
  if (!taken) return shared->done(unavailable("too many writes wait for the disk"));
  earshot::wake(pool_);
}

std::optional<std::vector<CallId>> EmbeddedStore::calls_of(const GrantCommand& command,
                                                           Rocks::Tier tier) {
  std::vector<CallId> calls(command.calls.size());
  std::ranges::transform(command.calls, calls.begin(), &core::CallUsers::call);
  if (!command.with_results) return calls;
  const WithResults& asked = *command.with_results;
  if (const auto* const call = std::get_if<CallId>(&asked.all_of)) calls.push_back(*call);
  if (const auto* const user = std::get_if<UserId>(&asked.all_of)) {
    if (tier == Rocks::Tier::memory) return std::nullopt;
    // An error the committer will meet, and say.
    (void)rocks_->scan(Family::by_user, encode_user_prefix(command.company, *user), nullptr,
                       [&](std::string_view key_bytes, std::string_view) -> Result<bool> {
                         const auto key = decode_user_call_key(key_bytes);
                         if (key) calls.push_back(key->call);
                         return key && calls.size() < asked.all_of_max;
                       });
  }
  return calls;
}

bool EmbeddedStore::warm(const GrantCommand& command, Rocks::Tier tier) {
  const auto named = calls_of(command, tier);
  if (!named) return false;
  const std::vector<CallId>& calls = *named;
  std::vector<core::PackedEntryPtr> entries(calls.size());
  std::vector<EntryCache::Miss> misses;
  cache_.find(command.company, calls, ~core::Revision{0}, entries, misses);
  for (const EntryCache::Miss miss : misses) {
    const CallRef ref{command.company, calls[miss.place]};
    auto stored = rocks_->read_packed(ref, tier);
    if (!stored) return true;  // the committer will meet the error, and say it
    if (!*stored) return false;
    const CompanyState* state = companies_.find(command.company);
    // Only what is published may be kept: readers trust a filled entry.
    if (state && (*stored)->newest_revision() <= state->published.load(std::memory_order_acquire)) {
      cache_.fill(ref, std::move(*stored), miss.mark);
    }
  }
  return true;
}

void EmbeddedStore::enqueue(Job job) {
  switch (queue_->push(job)) {
    case CommitQueue::Push::taken:
      return;
    case CommitQueue::Push::taken_and_asleep:
      return wake(queue_);
    case CommitQueue::Push::refused:
      return job.done(unavailable("too many writes wait"));
  }
}

void EmbeddedStore::commit_loop() {
  std::deque<Job> jobs;
  while (wait_for_work(jobs)) {
    if (!jobs.empty() && jobs.front().alone) {
      jobs.front().alone();
      jobs.clear();
    } else if (!jobs.empty()) {
      commit_batch(jobs);
    }
    tell_news();
    sweep_some();
    sweep_expired();
    tell_news();
    find_expiries();
    keep_house();
  }
}

// When who waits for the commit is answered already.
void EmbeddedStore::tell_news() {
  for (const auto& [company, revision] : news_) watchers_->tell(company, revision);
  news_.clear();
}

// False at the end, when nothing waits any more.
bool EmbeddedStore::wait_for_work(std::deque<Job>& jobs) {
  const bool is_more =
      !sweeping_.empty() || is_more_expired_ || expiries_known_to_ || retention_.is_under_way();
  // Retention goes on where space is low.
  const bool is_held_up = is_more && (retention_.is_under_way() ? failure() : refusal());
  const std::chrono::milliseconds patience =
      !is_more     ? std::min(options_.house_every, options_.expiry_every)
      : is_held_up ? kSpaceCheckEvery
                   : std::chrono::milliseconds(0);
  return queue_->take(jobs, patience, options_.batch_commands_max);
}

void EmbeddedStore::commit_batch(std::deque<Job>& jobs) {
  std::vector<Result<Outcome>> outcomes;
  outcomes.reserve(jobs.size());
  if (const auto failed = failure()) {
    outcomes.assign(jobs.size(), *failed);
    return answer(jobs, outcomes);
  }
  const Status space = check_space();
  if (!space && jobs.size() > 1) {
    // Each for itself: what changes nothing needs no room.
    for (Job& job : jobs) {
      std::deque<Job> one;
      one.push_back(std::move(job));
      commit_batch(one);
    }
    return;
  }
  Transaction transaction(ground(), options_.clock());
  for (const Job& job : jobs) outcomes.push_back(transaction.run(job.command));
  if (!transaction.is_empty()) {
    const Status committed = space ? commit_and_publish(transaction, jobs.size()) : space;
    // Those that changed nothing may have seen what others of the batch changed: none of it holds
    // now.
    if (!committed) outcomes.assign(jobs.size(), unavailable(committed.error().message));
  }
  answer(jobs, outcomes);
}

void EmbeddedStore::answer(std::deque<Job>& jobs, std::vector<Result<Outcome>>& outcomes) {
  // Whoever waits for many of them is woken for all.
  const HeldWakes held;
  for (std::size_t i = 0; i < jobs.size(); ++i) jobs[i].done(std::move(outcomes[i]));
}

Status EmbeddedStore::commit_and_publish(Transaction& transaction, std::size_t commands) {
  const auto begun = std::chrono::steady_clock::now();
  Status committed = transaction.commit();
  if (!committed) {
    // After a failed write or sync of the log nobody knows what is on disk, and asking again may
    // answer yes without it being true. So this process never acknowledges anything again.
    if (transaction.outcome_is_unknown()) {
      {
        const std::lock_guard lock(failure_mutex_);
        failure_ = committed.error().message;
      }
      failed_.store(true, std::memory_order_release);
    }
    return committed;
  }
  const auto revisions = transaction.revisions();
  transaction.publish();
  if (!watchers_->is_empty()) {
    for (const auto& [company, revision] : revisions) news_[company] = revision;
  }
  commits_.fetch_add(1, std::memory_order_relaxed);
  committed_changes_.fetch_add(transaction.changes(), std::memory_order_relaxed);
  for (const CompanyId company : transaction.companies_to_sweep()) {
    sweeping_.insert(company);
  }
  if (observer_) {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
    observer_(commands, took.count());
  }
  return {};
}

Result<LoadReport> EmbeddedStore::load(RecordSource& source, const Origin& origin) {
  auto loaded = std::make_shared<std::promise<Result<LoadReport>>>();
  auto report = loaded->get_future();
  Job job{{}, nullptr, [this, loaded, &source, &origin] {
            loaded->set_value(load_alone(source, origin));
          }};
  if (queue_->push(job) == CommitQueue::Push::refused) return unavailable("the store is closing");
  queue_->wake();
  return report.get();
}

Result<LoadReport> EmbeddedStore::load_alone(RecordSource& source, const Origin& origin) {
  if (const auto failed = failure()) return *failed;
  Transaction transaction(ground(), options_.clock());
  transaction.begin_records(origin, options_.load_memory_bytes);
  LoadReport report;
  while (const core::Record* const record = TRY(source.next())) {
    const Status applied = core::apply_record(*record, transaction);
    if (!applied) {
      if (applied.error().code != Code::invalid_argument) return applied.error();
      return invalid_argument(source.position() + ": " + applied.error().message);
    }
    ++report.records;
    TRY(transaction.bound_memory());
  }
  TRY(transaction.end_records(options_.clock()));
  report.changes = transaction.changes();
  report.revisions = transaction.revisions();
  if (transaction.is_empty()) return report;
  if (!transaction.only_removes()) TRY(check_space());
  TRY(commit_and_publish(transaction, 1));
  // What this leaves after a failure goes with the next use that is noted.
  if (transaction.removes_keys()) (void)note_key_uses({});
  return report;
}

Ground EmbeddedStore::ground() {
  return {.rocks = *rocks_,
          .cache = cache_,
          .companies = companies_,
          .keys = keys_,
          .scratch_directory = options_.directory + "/scratch",
          .check_space = [this] { return check_space(); },
          .idempotency_keep = options_.idempotency_keep};
}

std::optional<Error> EmbeddedStore::failure() const {
  if (!failed_.load(std::memory_order_acquire)) return std::nullopt;
  const std::lock_guard lock(failure_mutex_);
  return unavailable("writing has stopped after a failed write of the log: " + failure_);
}

std::optional<Error> EmbeddedStore::refusal() {
  if (auto failed = failure()) return failed;
  const Status space = check_space();
  if (!space) return space.error();
  return std::nullopt;
}

Status EmbeddedStore::check_space() {
  const std::int64_t now = steady_ms();
  const std::int64_t checked = space_checked_ms_.load(std::memory_order_relaxed);
  if (checked == INT64_MIN || now - checked >= kSpaceCheckEvery.count()) {
    struct statvfs disk {};
    if (::statvfs(options_.directory.c_str(), &disk) == 0) {
      const std::uint64_t free_bytes = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
      space_is_low_.store(free_bytes < options_.free_bytes_min, std::memory_order_relaxed);
    }
    space_checked_ms_.store(now, std::memory_order_relaxed);
  }
  if (space_is_low_.load(std::memory_order_relaxed)) {
    return unavailable("the disk of " + options_.directory + " has less than " +
                       std::to_string(options_.free_bytes_min) +
                       " bytes free; make room, and writes go on");
  }
  return {};
}

Health EmbeddedStore::health() {
  Health health;
  health.failed_for_good = failed_.load(std::memory_order_acquire);
  if (const auto refused = refusal()) {
    health.writable = false;
    health.reason = refused->message;
  }
  return health;
}

// --- what the committer does besides

void EmbeddedStore::sweep_some() {
  if (sweeping_.empty() || refusal()) return;
  Transaction transaction(ground(), options_.clock());
  const CompanyId company = *sweeping_.begin();
  const Result<bool> swept = transaction.sweep(company, kSweepRowsMax);
  Status done = swept ? Status() : Status(swept.error());
  const CompanyState* const state = companies_.find(company);
  const RemovalsPtr removals = state ? state->removals() : nullptr;
  if (done && removals && !removals->company.stamps.empty()) done = forget_refusals_of(company);
  if (done && !transaction.is_empty()) {
    done = commit_and_publish(transaction, 0);
  } else if (done) {
    transaction.publish();  // how far the sweep has come
  }
  // The rows stay dead, and the sweep is taken up again at the next start.
  if (!done) log(Level::error, "sweep_failed", {{"error", done.error().message}});
  if (!done || *swept) sweeping_.erase(company);
}

std::vector<Store::Figure> EmbeddedStore::figures() {
  const EntryCache::Figures cache = cache_.figures();
  const auto number = [](std::uint64_t value) { return static_cast<double>(value); };
  std::vector<Figure> figures = {
      {"store_commits_total", "Synced commits", true, number(commits_.load())},
      {"store_changes_total", "Changes committed", true, number(committed_changes_.load())},
      {"store_read_restarts_total", "Reads begun again because a commit was being published", true,
       number(restarts_.load())},
      {"store_cache_hits_total", "Calls answered by the entry cache", true, number(cache.hits)},
      {"store_cache_misses_total", "Calls that the entry cache did not hold", true,
       number(cache.misses)},
      {"store_cache_evictions_total", "Entries that made room", true, number(cache.evictions)},
      {"store_cache_entries", "Entries in the cache", false, number(cache.entries)},
      {"store_cache_bytes", "Memory of the entry cache, about", false, number(cache.bytes)},
      {"store_failed", "1 once a write of the log has failed; only a restart helps", false,
       failed_.load() ? 1.0 : 0.0},
  };
  figures.push_back({"store_queue_commands", "Commands that wait for the committer", false,
                     number(queue_->size())});
  const std::pair<const char*, const char*> properties[] = {
      {rocksdb::DB::Properties::kTotalSstFilesSize.c_str(), "store_disk_bytes"},
      {rocksdb::DB::Properties::kEstimateNumKeys.c_str(), "store_rows"},
      {rocksdb::DB::Properties::kCurSizeAllMemTables.c_str(), "store_memtable_bytes"},
      {rocksdb::DB::Properties::kEstimatePendingCompactionBytes.c_str(),
       "store_compaction_pending_bytes"},
  };
  const char* helps[] = {"Bytes of sorted files", "Rows, estimated", "Bytes in memtables",
                         "Bytes that compaction has yet to rewrite, estimated"};
  for (std::size_t i = 0; i < std::size(properties); ++i) {
    std::uint64_t sum = 0;
    for (std::size_t family = 0; family < kFamilyCount; ++family) {
      std::uint64_t value = 0;
      rocks_->db().GetIntProperty(rocks_->family(static_cast<Family>(family)), properties[i].first,
                                  &value);
      sum += value;
    }
    figures.push_back({properties[i].second, helps[i], false, number(sum)});
  }
  return figures;
}

}  // namespace earshot::store
