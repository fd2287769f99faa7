#include "store/pg_writer.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/assert.h"
#include "base/wake.h"
#include "store/pg_reader.h"
#include "store/pg_statements.h"

namespace earshot::store {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kPairsTogetherMax = 100'000;  // of commands that share a transaction
constexpr std::size_t kTriesAtOnce = 3;             // after which a pause comes between
constexpr milliseconds kPauseFirst{50};
constexpr milliseconds kPauseLast{1000};
constexpr std::size_t kCommittersMax = 10'000;  // idle ones beyond are forgotten

std::size_t pairs_of(const GrantCommand& command) {
  std::size_t pairs = command.calls.size();
  for (const core::CallUsers& named : command.calls) pairs += named.users.size();
  return pairs;
}

bool is_of_all(const GrantCommand& command) {
  return command.with_results && command.with_results->all_of.index() != 0;
}

}  // namespace

void PgCommitter::push(Job job) {
  waiting_.push_back(std::move(job));
  begin();
}

void PgCommitter::begin() {
  if (stage_ != Stage::idle || waiting_.empty()) return;
  const std::size_t commands_max = one_by_one_ > 0 ? 1 : site_.options.batch_commands_max;
  std::size_t pairs = 0;
  while (!waiting_.empty() && batch_.size() < commands_max) {
    const GrantCommand& next = waiting_.front().command;
    pairs += pairs_of(next);
    if (!batch_.empty() && pairs > kPairsTogetherMax) break;
    // What others of a batch do is not yet in the tables, where all grants are looked for.
    if (!batch_.empty() && (is_of_all(next) || of_all())) break;
    batch_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  if (one_by_one_ > 0) --one_by_one_;
  tries_ = 0;
  unknown_.reset();
  stage_ = Stage::wants_connection;
  writer_.want_connection(*this);
}

void PgCommitter::go(std::shared_ptr<PgConnection> connection) {
  ASSERT(stage_ == Stage::wants_connection);
  connection_ = std::move(connection);
  load();
}

bool PgCommitter::needs_directory() const {
  return std::ranges::any_of(batch_, [](const Job& job) {
    return job.command.operation == Operation::give || job.command.with_results;
  });
}

const WithResults* PgCommitter::of_all() const {
  return is_of_all(batch_.front().command) ? batch_.front().command.with_results.get() : nullptr;
}

void PgCommitter::load() {
  stage_ = Stage::loading;
  PgNamed named;
  for (const Job& job : batch_) named.add(job.command);
  named.make_distinct();
  std::vector<PgQuery> queries;
  queries.push_back({&kBegin});
  queries.emplace_back(PgQuery{&kLockHead}).params.add(company_);
  queries.emplace_back(PgQuery{&kLoadCalls}).params.add(company_).add_numbers(named.calls);
  for (const PgStatement* const pairs : {&kLoadShares, &kLoadGrants}) {
    PgQuery& query = queries.emplace_back(PgQuery{pairs});
    query.params.add(company_).add_numbers(named.pair_calls).add_numbers(named.pair_users);
  }
  changed_query_.reset();
  answers_query_.reset();
  if (named.unchanged_since) {
    changed_query_ = queries.size();
    queries.push_back(find_changed_after(*named.unchanged_since, named.unchanged_calls));
  }
  if (!named.idempotency_keys.empty()) {
    answers_query_ = queries.size();
    PgQuery& query = queries.emplace_back(PgQuery{&kFindAnswers});
    query.params.add(company_).add_byte_strings(named.idempotency_keys);
  }
  if (unknown_) {
    queries.emplace_back(PgQuery{&kFindRevision}).params.add(company_).add(unknown_->revision);
  }
  connection_->send(queries, std::chrono::steady_clock::now() + site_.options.statement_time,
                    [this](PgReply reply) { on_loaded(std::move(reply)); });
}

PgQuery PgCommitter::find_changed_after(core::Revision revision,
                                        std::span<const std::uint64_t> calls) const {
  PgQuery query{&kFindChangedAfter};
  query.params.add(company_).add(revision).add_numbers(calls);
  return query;
}

void PgCommitter::on_loaded(PgReply reply) {
  note_end(reply);
  if (reply.failure) return fail(*reply.failure);
  loaded_ = std::move(reply.results);
  head_ = read_head(loaded_[1]);
  is_settled_ =
      unknown_ && loaded_.back().rows() > 0 && loaded_.back().text(0, 0) == unknown_->request_id;
  if (!is_settled_) {
    unknown_.reset();
    // Who was told by now to try again is not to see it happen after all.
    std::erase_if(batch_, [](const Job& job) { return !job.done; });
    for (Job& job : batch_) job.outcome.reset();
  }
  if (batch_.empty()) {
    let_go(Transaction::open);
    return answer_all();
  }
  take_loaded();
  complete();
}

void PgCommitter::take_loaded() {
  changes_.reset();
  if (!is_settled_) {
    const PostgresOptions& options = site_.options;
    changes_.emplace(company_, head_, options.clock(), options.idempotency_keep);
    changes_->take_calls(loaded_[2]);
    changes_->take_shares(loaded_[3]);
    changes_->take_grants(loaded_[4]);
    if (changed_query_) changes_->take_changed(loaded_[*changed_query_]);
    if (answers_query_) changes_->take_answers(loaded_[*answers_query_]);
  }
  loaded_.clear();
}

// Asks, in the transaction, for what is known only of an earlier directory, and for all grants of a
// call or user.
void PgCommitter::complete() {
  std::set<std::string> keys;
  if (!is_settled_) {
    for (const Job& job : batch_) {
      const AskerPtr& asker = job.command.asker;
      if (asker && head_.directory_revision > asker->key()->holds_until) {
        keys.insert(asker->key()->key.access_key);
      }
    }
  }
  keys_asked_.assign(keys.begin(), keys.end());
  directory_ = site_.directories.find(company_, head_.directory_revision);
  is_directory_new_ = !is_settled_ && needs_directory() && !directory_;
  const WithResults* const all = is_settled_ ? nullptr : of_all();
  if (keys_asked_.empty() && !is_directory_new_ && !all) return decide();
  stage_ = Stage::completing;
  std::vector<PgQuery> queries;
  for (const std::string& key : keys_asked_) {
    queries.emplace_back(PgQuery{&kFindKey}).params.add_text(key);
  }
  if (is_directory_new_) {
    for (const PgStatement* const part : {&kLoadMembers, &kLoadRules, &kLoadWorkspaces}) {
      queries.emplace_back(PgQuery{part}).params.add(company_);
    }
  }
  if (all) {
    const auto* const call = std::get_if<CallId>(&all->all_of);
    PgQuery& query = queries.emplace_back(PgQuery{call ? &kLoadGrantsOfCall : &kLoadGrantsOfUser});
    query.params.add(company_).add(call ? call->value : std::get<UserId>(all->all_of).value);
    // One more than may be, so that there is a row to tell how many there are.
    query.params.add(changes_->now()).add(std::uint64_t{all->all_of_max} + 1);
  }
  // A directory may be large.
  connection_->send(queries, std::chrono::steady_clock::now() + site_.options.request_time,
                    [this](PgReply reply) { on_completed(std::move(reply)); });
}

// All of it may have come, and the connection have ended behind it.
void PgCommitter::note_end(PgReply& reply) const {
  if (reply.failure || connection_->is_ready()) return;
  reply.failure = PgFailure{PgFault::lost, "the connection was closed", reply.results.size()};
}

void PgCommitter::on_completed(PgReply reply) {
  note_end(reply);
  if (reply.failure) return fail(*reply.failure);
  const std::size_t keys = keys_asked_.size();
  for (std::size_t i = 0; i < keys; ++i) {
    KeyPtr now;
    if (reply.results[i].rows() > 0) {
      now = read_key(reply.results[i], keys_asked_[i], company_, head_.directory_revision);
    }
    site_.keys.put(keys_asked_[i], now);
    for (Job& job : batch_) {
      const AskerPtr& asker = job.command.asker;
      if (!asker || asker->key()->key.access_key != keys_asked_[i]) continue;
      if (!asker->is_admitted_with(now)) job.outcome = denied("the key has changed");
    }
  }
  if (is_directory_new_) {
    directory_ =
        read_directory(reply.results[keys], reply.results[keys + 1], reply.results[keys + 2]);
  }
  if (of_all()) changes_->take_all(reply.results.back());
  find_changed_of_all();
}

// Which calls all grants are of was not known before.
void PgCommitter::find_changed_of_all() {
  const WithResults* const all = of_all();
  if (!all || !all->if_revision) return decide();
  const PgQuery query = find_changed_after(*all->if_revision, changes_->calls_of_all());
  connection_->send({query}, std::chrono::steady_clock::now() + site_.options.request_time,
                    [this](PgReply reply) {
                      note_end(reply);
                      if (reply.failure) return fail(*reply.failure);
                      changes_->take_changed(reply.results.front());
                      decide();
                    });
}

void PgCommitter::decide() {
  if (changes_) {
    for (Job& job : batch_) {
      if (job.outcome) continue;  // denied
      job.outcome = changes_->run(job.command, directory_.get());
    }
  }
  if (changes_ && !changes_->is_empty()) return commit(changes_->queries());
  // Nothing changes. That the server is the primary still, and that it was when it told of a
  // commit without an answer, only another commit can say.
  std::vector<PgQuery> queries;
  if (is_settled_ || site_.options.primary_proof.count() > 0) {
    queries.emplace_back(PgQuery{&kTouchHead}).params.add(company_);
  }
  commit(std::move(queries));
}

void PgCommitter::commit(std::vector<PgQuery> queries) {
  stage_ = Stage::committing;
  const std::size_t commit_query = queries.size();
  queries.push_back({&kCommit});
  sent_at_ = std::chrono::steady_clock::now();
  connection_->send(
      queries, sent_at_ + site_.options.statement_time,
      [this, commit_query](PgReply reply) { on_committed(std::move(reply), commit_query); });
}

void PgCommitter::on_committed(PgReply reply, std::size_t commit_query) {
  std::optional<PgFailure> failure = std::move(reply.failure);
  if (!failure && reply.results.back().command_tag() != "COMMIT") {
    return fail({PgFault::not_committed, "COMMIT was answered ROLLBACK", commit_query});
  }
  if (!failure && reply.was_warned) {
    failure = PgFailure{PgFault::lost, "the commit was not confirmed by the standby", commit_query};
  }
  if (!failure) {
    connection_->proof().proved(company_, sent_at_);
    if (is_directory_new_) {
      site_.directories.put(company_, head_.directory_revision, directory_);
    }
    site_.counters.transactions.fetch_add(1, std::memory_order_relaxed);
    if (changes_) {
      site_.counters.changes.fetch_add(changes_->changes(), std::memory_order_relaxed);
    }
    if (writer_.observer_) {
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - sent_at_;
      writer_.observer_(batch_.size(), took.count());
    }
    trouble_.clear();
    let_go(Transaction::ended);
    std::optional<core::Revision> revision;
    if (changes_ && changes_->has_revision()) revision = changes_->head().revision;
    answer_all();
    if (revision) site_.watchers->tell(company_, *revision);
    return;
  }
  // Until COMMIT itself nothing holds; after it, only what says that it was rolled back does.
  const bool is_rolled_back = failure->fault == PgFault::retry_at_once ||
                              (failure->query < commit_query && failure->fault != PgFault::lost);
  if (!is_rolled_back && changes_ && !changes_->is_empty()) {
    site_.counters.unknown_outcomes.fetch_add(1, std::memory_order_relaxed);
    // Answers that were kept without a change are found when it is tried again.
    if (changes_->has_revision()) {
      unknown_ = Unknown{changes_->head().revision,
                         std::string(format_request_id(changes_->last_request()).view())};
    }
    failure->fault = PgFault::lost;
  }
  fail(*failure);
}

void PgCommitter::fail(const PgFailure& failure) {
  const bool is_good = failure.fault == PgFault::retry_at_once ||
                       failure.fault == PgFault::overloaded || failure.fault == PgFault::ours;
  if (!is_good) connection_->end(failure.message);
  let_go(is_good ? Transaction::open : Transaction::ended);
  if (failure.fault != PgFault::ours) return rest(failure);
  if (batch_.size() == 1) {
    batch_.front().outcome = internal("writing grants: " + failure.message);
    return answer_all();
  }
  // One of them cannot be carried out; the others shall not fail with it.
  one_by_one_ = batch_.size();
  for (auto job = batch_.rbegin(); job != batch_.rend(); ++job) {
    job->outcome.reset();
    if (job->done) waiting_.push_front(std::move(*job));
  }
  batch_.clear();
  stage_ = Stage::idle;
  begin();
}

void PgCommitter::rest(const PgFailure& failure) {
  site_.counters.retries.fetch_add(1, std::memory_order_relaxed);
  stage_ = Stage::resting;
  rest_until_ = std::chrono::steady_clock::now();
  ++tries_;
  if (tries_ > kTriesAtOnce) {
    const std::size_t doublings = std::min<std::size_t>(tries_ - kTriesAtOnce - 1, 5);
    rest_until_ += std::min(kPauseFirst * (1 << doublings), kPauseLast);
  }
  trouble_ = failure.message;
}

void PgCommitter::let_go(Transaction state) {
  const auto connection = std::exchange(connection_, nullptr);
  if (state == Transaction::open && connection->is_ready()) {
    connection->send({PgQuery{&kRollback}},
                     std::chrono::steady_clock::now() + site_.options.statement_time,
                     [](const PgReply&) {});
  }
  writer_.give_back(connection);
}

void PgCommitter::answer(Job& job, Result<Outcome> outcome) {
  if (!job.done) return;
  --writer_.jobs_count_;
  site_.counters.writes_waiting.fetch_sub(1, std::memory_order_relaxed);
  std::exchange(job.done, nullptr)(std::move(outcome));
}

void PgCommitter::answer_all() {
  stage_ = Stage::idle;
  changes_.reset();
  unknown_.reset();
  directory_.reset();
  // Whoever waits for many of them is woken for all.
  const HeldWakes held;
  for (Job& job : std::exchange(batch_, {})) answer(job, std::move(*job.outcome));
  begin();
}

void PgCommitter::tick(SteadyTime now) {
  const auto expire = [&](Job& job) {
    if (!job.done || now < job.deadline) return;
    answer(job, database_unavailable(trouble_.empty() ? writer_.trouble() : trouble_));
  };
  for (Job& job : waiting_) expire(job);
  std::erase_if(waiting_, [](const Job& job) { return !job.done; });
  // What became of those under way nobody may ever know; their clients are told to try again.
  for (Job& job : batch_) expire(job);
  const bool is_waiting = stage_ == Stage::wants_connection || stage_ == Stage::resting;
  const bool nobody_asks = std::ranges::none_of(batch_, [](const Job& job) { return !!job.done; });
  if (is_waiting && nobody_asks) {
    writer_.forget_wish(*this);
    batch_.clear();
    stage_ = Stage::idle;
    begin();
  } else if (stage_ == Stage::resting && now >= rest_until_) {
    stage_ = Stage::wants_connection;
    writer_.want_connection(*this);
  }
}

void PgCommitter::close() {
  const Error closing = unavailable("the store is closing");
  for (Job& job : batch_) answer(job, closing);
  for (Job& job : std::exchange(waiting_, {})) answer(job, closing);
}

PgWriter::PgWriter(Loop& loop, PgSite& site)
    : site_(site),
      pool_(loop, {site.targets, site.options.write_connections, site.lock_time()}, site.proofs,
            {[this] { serve(); }, [this](SteadyTime now) { return tick(now); }}) {}

PgWriter::~PgWriter() {
  is_closing_ = true;
  wanting_.clear();
  for (const auto& [company, committer] : committers_) committer->close();
}

void PgWriter::write(GrantCommand command, Store::WriteDone done) {
  if (jobs_count_ >= site_.options.queue_commands_max) {
    return done(unavailable("too many writes wait for the database"));
  }
  ++jobs_count_;
  site_.counters.writes_waiting.fetch_add(1, std::memory_order_relaxed);
  auto& committer = committers_[command.company];
  if (!committer) committer = std::make_unique<PgCommitter>(*this, site_, command.company);
  pool_.keep_time();
  const auto deadline = std::chrono::steady_clock::now() + site_.options.request_time;
  committer->push({std::move(command), std::move(done), deadline, std::nullopt});
}

void PgWriter::want_connection(PgCommitter& committer) {
  wanting_.push_back(&committer);
  serve();
}

void PgWriter::forget_wish(PgCommitter& committer) { std::erase(wanting_, &committer); }

void PgWriter::give_back(const std::shared_ptr<PgConnection>& connection) {
  pool_.give_back(connection);
}

void PgWriter::serve() {
  while (!is_closing_ && !wanting_.empty()) {
    auto connection = pool_.take();
    if (!connection) return;
    PgCommitter* const committer = wanting_.front();
    wanting_.pop_front();
    committer->go(std::move(connection));
  }
}

bool PgWriter::tick(SteadyTime now) {
  if (jobs_count_ > 0) {
    for (const auto& [company, committer] : committers_) committer->tick(now);
  }
  forget_some();
  return jobs_count_ > 0;
}

void PgWriter::forget_some() {
  if (committers_.size() > kCommittersMax) {
    std::erase_if(committers_, [](const auto& one) { return one.second->is_idle(); });
  }
}

}  // namespace earshot::store
