#include "store/pg_reader.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "store/pg_statements.h"

namespace earshot::store {
namespace {

constexpr std::size_t kReadsTogetherMin = 8;  // are not taken apart
constexpr std::size_t kPageReadersMax = 64;   // of a batch of pages of changes
constexpr std::size_t kBatchesMax = 2;        // in flight on a connection; more wait and join
constexpr std::size_t kLookUpsTogetherMax = 64;

// A long read that the database gave up would be given up again.
bool is_cut_off(const PgRead& read, const PgFailure& failure) {
  return read.kind == PgRead::Kind::alone && failure.fault == PgFault::overloaded;
}

constexpr std::size_t kSnapshotStatements = 2;  // that stand before a read that is alone

const PgFailure kClosing{PgFault::lost, "the store is closing", 0};

// The three parts of a directory.
void add_directory(std::vector<PgQuery>& queries, CompanyId company,
                   const PgRead::DirectoryWish& wish) {
  if (wish.is_past) {
    for (const PgStatement* const part :
         {&kLoadPastMembers, &kLoadPastRules, &kLoadPastWorkspaces}) {
      queries.emplace_back(PgQuery{part}).params.add(company).add(wish.revision);
    }
  } else {
    for (const PgStatement* const part : {&kLoadMembers, &kLoadRules, &kLoadWorkspaces}) {
      queries.emplace_back(PgQuery{part}).params.add(company);
    }
  }
}

}  // namespace

PgReader::PgReader(Loop& loop, PgSite& site)
    : loop_(loop),
      site_(site),
      pool_(loop, {site.targets, site.options.connections, site.lock_time()}, site.proofs,
            {[this] { dispatch_later(); }, [this](SteadyTime now) { return tick(now); }}) {
  if (site.replicas.empty()) return;
  replicas_ = std::make_unique<PgPool>(
      loop, PgPool::Options{site.replicas, site.options.connections, site.lock_time()}, site.proofs,
      PgPool::Events{[this] { dispatch_later(); }, [](SteadyTime) { return false; }});
}

PgReader::~PgReader() {
  is_closing_ = true;
  *alive_ = false;
  const Error closing = unavailable("the store is closing");
  for (auto* const reads : {&waiting_, &waiting_replica_}) {
    for (PgReadPtr& read : std::exchange(*reads, {})) answer(std::move(read), closing);
  }
  for (auto* const reads : {&resting_, &awaiting_directory_}) {
    for (PgReadPtr& read : std::exchange(*reads, {})) answer(std::move(read), closing);
  }
  for (auto* const shots : {&parked_, &arrived_}) {
    for (Shot& shot : std::exchange(*shots, {})) {
      for (PgReadPtr& read : shot.reads) answer(std::move(read), closing);
    }
  }
  for (auto* const look_ups : {&look_ups_, &resting_look_ups_}) {
    for (LookUp& look_up : std::exchange(*look_ups, {})) look_up.done(closing);
  }
}

void PgReader::read(PgReadPtr read) {
  if (reads_count_ >= site_.options.queue_commands_max) {
    return read->answer(unavailable("too many reads wait for the database"));
  }
  ++reads_count_;
  site_.counters.reads_waiting.fetch_add(1, std::memory_order_relaxed);
  site_.counters.reads.fetch_add(1, std::memory_order_relaxed);
  read->deadline = std::chrono::steady_clock::now() + site_.options.request_time;
  pool_.keep_time();
  wait(std::move(read));
}

void PgReader::answer(PgReadPtr read, Status status) {
  --reads_count_;
  site_.counters.reads_waiting.fetch_sub(1, std::memory_order_relaxed);
  read->loads_directory.reset();
  read->answer(std::move(status));
}

void PgReader::wait(PgReadPtr read) {
  const bool to_replica =
      replicas_ && replicas_->is_ready() && !read->from_primary && read->at_least > 0;
  (to_replica ? waiting_replica_ : waiting_).push_back(std::move(read));
  dispatch_later();
}

// At the end of the round, when all that came in with it is there.
void PgReader::dispatch_later() {
  if (std::exchange(is_dispatch_posted_, true)) return;
  loop_.post([this, alive = alive_] {
    if (!*alive) return;
    is_dispatch_posted_ = false;
    dispatch();
  });
}

void PgReader::dispatch() {
  send_look_ups();
  if (replicas_) dispatch_reads(waiting_replica_, *replicas_);
  dispatch_reads(waiting_, pool_);
}

// Statements that may take long have a connection to themselves, so that nothing waits behind them,
// and leave one for the others where there are several.
bool PgReader::can_go_alone(const PgPool& pool) const {
  const std::size_t taken_max = std::max<std::size_t>(site_.options.connections, 2) - 1;
  return pool.taken() < taken_max;
}

// Whose pages of changes are asked for now: companies take turns.
std::optional<CompanyId> PgReader::choose_changes_company(
    const std::deque<PgReadPtr>& waiting) const {
  if (are_changes_under_way_ || !arrived_.empty()) return std::nullopt;
  std::optional<CompanyId> chosen;
  for (const PgReadPtr& read : waiting) {
    if (read->kind != PgRead::Kind::changes) continue;
    if (read->company != last_of_changes_) return read->company;
    chosen = read->company;
  }
  return chosen;
}

void PgReader::dispatch_reads(std::deque<PgReadPtr>& waiting, PgPool& pool) {
  // Those that stay keep their order.
  std::deque<PgReadPtr> staying;
  std::optional<CompanyId> of_changes = choose_changes_company(waiting);
  while (!waiting.empty()) {
    Shot shot;
    shot.pool = &pool;
    shot.company = waiting.front()->company;
    const PgRead::Kind kind = waiting.front()->kind;
    shot.is_alone = kind == PgRead::Kind::alone || waiting.front()->loads_directory;
    if (shot.is_alone) {
      PgReadPtr read = std::move(waiting.front());
      waiting.pop_front();
      if (can_go_alone(pool)) shot.connection = pool.take();
      if (shot.connection) {
        shot.reads.push_back(std::move(read));
        fire(std::move(shot));
      } else {
        staying.push_back(std::move(read));
      }
      continue;
    }
    const bool is_changes = kind == PgRead::Kind::changes;
    if (is_changes && shot.company != of_changes) {
      staying.push_back(std::move(waiting.front()));
      waiting.pop_front();
      continue;
    }
    const std::size_t free = pool.free_batches(kBatchesMax);
    if (free == 0) break;
    // What waits is shared out. As one large statement it would come back as one, its clients would
    // ask again all at once, and the database and this server would take turns in standing still.
    const std::size_t reads_max =
        is_changes ? kPageReadersMax
                   : std::max(kReadsTogetherMin, (waiting.size() + free - 1) / free);
    shot.connection = pool.least_busy();
    std::size_t calls = 0;
    std::deque<PgReadPtr> others;
    for (PgReadPtr& read : waiting) {
      const bool joins =
          read->company == shot.company && read->kind == kind && !read->loads_directory;
      const auto is_asked = [&] {
        return std::ranges::any_of(
            shot.reads, [&](const PgReadPtr& other) { return read->asks_the_same(*other); });
      };
      const bool has_room = joins && (shot.reads.empty() || shot.reads.size() < reads_max);
      const std::size_t more = has_room && !is_asked() ? read->calls() : 0;
      if (has_room && (shot.reads.empty() || calls + more <= kCallsTogetherMax)) {
        calls += more;
        shot.reads.push_back(std::move(read));
      } else {
        others.push_back(std::move(read));
      }
    }
    waiting = std::move(others);
    if (is_changes) of_changes.reset();
    fire(std::move(shot));
  }
  waiting.insert(waiting.begin(), std::move_iterator(staying.begin()),
                 std::move_iterator(staying.end()));
}

void PgReader::fire(Shot shot) {
  const auto now = std::chrono::steady_clock::now();
  PgRead& first = *shot.reads.front();
  if (first.kind == PgRead::Kind::changes) {
    are_changes_under_way_ = true;
    last_of_changes_ = shot.company;
  }
  std::vector<PgQuery> queries = first.queries(shot.reads);
  shot.own_statements = queries.size();
  if (first.loads_directory) add_directory(queries, shot.company, first.wish);
  if (shot.is_alone) {
    const auto time = site_.options.request_time * 4 / 5;
    queries.insert(queries.begin(), {PgQuery{&kBeginSnapshot}, PgQuery{&kLimitTime}});
    queries[1].params.add_text(std::to_string(time.count()));
    queries.emplace_back(PgQuery{&kReadHead}).params.add(shot.company);
  }
  const auto connection = shot.connection;
  const CompanyId company = shot.company;
  const bool is_alone = shot.is_alone;
  const bool of_primary = shot.pool == &pool_;
  site_.counters.read_statements.fetch_add(shot.own_statements, std::memory_order_relaxed);
  SteadyTime deadline = now;
  for (const PgReadPtr& read : shot.reads) deadline = std::max(deadline, read->deadline);
  deadline = std::min(deadline, now + site_.options.statement_time);
  // The server itself gives up earlier, and neither works on for nobody nor costs a connection.
  if (is_alone) deadline = now + site_.options.request_time;
  auto shared = std::make_shared<Shot>(std::move(shot));
  connection->send(queries, deadline, [this, shared](PgReply reply) {
    shared->reply = std::move(reply);
    on_shot(std::move(*shared));
  });
  // Whatever became of the transaction: what is sent behind it is no part of it.
  if (is_alone && connection->is_ready()) {
    connection->send({PgQuery{&kRollback}}, deadline + site_.options.statement_time,
                     [](const PgReply&) {});
  }
  // Behind a long read a proof would come late, for the others too: it gets one when it is over.
  if (of_primary && !is_alone) prove_on(connection, company);
}

// A proof is renewed when half of its time is over, so that reads need not wait for it.
void PgReader::prove_on(const std::shared_ptr<PgConnection>& connection, CompanyId company) {
  const auto lasts = site_.options.primary_proof;
  if (lasts.count() == 0 || !connection->is_ready()) return;
  const auto now = std::chrono::steady_clock::now();
  PgProof& proof = connection->proof();
  if (proof.proved_since(company) + lasts / 2 > now) return;
  if (!proof.begin(company, now, now - lasts / 2)) return;
  send_proof(connection, company,
             [this](bool) { look_at_parked(std::chrono::steady_clock::now()); });
}

void PgReader::send_proof(const std::shared_ptr<PgConnection>& connection, CompanyId company,
                          std::function<void(bool)> done) {
  const auto sent = std::chrono::steady_clock::now();
  std::vector<PgQuery> queries(3);
  queries[0].statement = &kBegin;
  queries[1].statement = &kProve;
  if (connection->proof().is_by_company()) {
    queries[1].statement = &kProveShard;
    queries[1]
        .params.add(company)
        .add_text(connection->proof().server())
        .add(site_.options.clock());
  }
  queries[2].statement = &kCommit;
  site_.counters.proofs.fetch_add(1, std::memory_order_relaxed);
  connection->send(queries, sent + site_.options.statement_time,
                   [connection, company, sent, done = std::move(done)](PgReply reply) {
                     const bool is_proved = !reply.failure && !reply.was_warned &&
                                            reply.results.back().command_tag() == "COMMIT";
                     if (is_proved) connection->proof().proved(company, sent);
                     // Whoever cannot commit is no primary, whatever it says of itself.
                     if (!is_proved) connection->end("it does not commit");
                     done(is_proved);
                   });
}

void PgReader::on_shot(Shot shot) {
  if (shot.reads.front()->kind == PgRead::Kind::changes) are_changes_under_way_ = false;
  if (is_closing_) return retry(std::move(shot.reads), kClosing);
  if (shot.is_alone) shot.pool->give_back(shot.connection);
  dispatch_later();
  if (shot.reply.failure) {
    // Such a server is no use to the reads behind this one either.
    const bool is_gone = shot.reply.failure->fault == PgFault::not_committed;
    if (is_gone) shot.connection->end(shot.reply.failure->message);
    return retry(std::move(shot.reads), *shot.reply.failure);
  }
  if (shot.pool != &pool_ || is_proved(shot, std::chrono::steady_clock::now())) {
    return deliver(std::move(shot));
  }
  const auto connection = shot.connection;
  const CompanyId company = shot.company;
  parked_.push_back(std::move(shot));
  prove_on(connection, company);
}

void PgReader::retry(std::vector<PgReadPtr> reads, const PgFailure& failure) {
  const auto now = std::chrono::steady_clock::now();
  for (PgReadPtr& read : reads) {
    read->loads_directory.reset();
    if (is_closing_) {
      answer(std::move(read), unavailable("the store is closing"));
    } else if (failure.fault == PgFault::ours) {
      answer(std::move(read), internal("reading calls: " + failure.message));
    } else if (now >= read->deadline || is_cut_off(*read, failure)) {
      answer(std::move(read), database_unavailable(failure.message));
    } else {
      site_.counters.retries.fetch_add(1, std::memory_order_relaxed);
      read->from_primary = true;
      resting_.push_back(std::move(read));
    }
  }
}

// A replica that is behind, or a primary that others know to have been replaced.
void PgReader::retry_for_revision(PgReadPtr read, bool of_replica, core::Revision revision) {
  if (is_closing_) return answer(std::move(read), unavailable("the store is closing"));
  if (!of_replica && std::chrono::steady_clock::now() >= read->deadline) {
    const std::string wanted = std::to_string(read->at_least);
    return answer(std::move(read),
                  unavailable("revision " + wanted + " is not there, the newest is " +
                              std::to_string(revision)));
  }
  read->from_primary = true;
  (of_replica ? static_cast<void>(waiting_.push_back(std::move(read)))
              : static_cast<void>(resting_.push_back(std::move(read))));
  dispatch_later();
}

bool PgReader::is_proved_primary(const PgConnection& connection, CompanyId company,
                                 SteadyTime now) const {
  const auto lasts = site_.options.primary_proof;
  return lasts.count() == 0 || connection.proof().proved_since(company) + lasts > now;
}

bool PgReader::is_proved(const Shot& shot, SteadyTime now) const {
  return is_proved_primary(*shot.connection, shot.company, now);
}

void PgReader::look_at_parked(SteadyTime now) {
  for (Shot& shot : std::exchange(parked_, {})) {
    if (is_proved(shot, now)) {
      deliver(std::move(shot));
    } else if (!shot.connection->is_ready()) {
      retry(std::move(shot.reads), {PgFault::lost, "the primary could not be proved", 0});
    } else {
      const auto connection = shot.connection;
      const CompanyId company = shot.company;
      parked_.push_back(std::move(shot));
      prove_on(connection, company);
    }
  }
}

std::span<const PgResult> PgReader::Shot::own_results() const {
  return std::span(reply.results).subspan(is_alone ? kSnapshotStatements : 0, own_statements);
}

void PgReader::deliver(Shot shot) {
  if (shot.reads.front()->kind != PgRead::Kind::changes) {
    return deliver_some(shot, std::move(shot.reads));
  }
  arrived_.push_back(std::move(shot));
  if (arrived_.size() == 1) deliver_next_later();
}

void PgReader::deliver_next_later() {
  loop_.post([this, alive = alive_] {
    if (*alive) deliver_next();
  });
}

void PgReader::deliver_next() {
  Shot& shot = arrived_.front();
  std::vector<PgReadPtr> next;
  next.push_back(std::move(shot.reads.back()));
  shot.reads.pop_back();
  deliver_some(shot, std::move(next));
  if (shot.reads.empty()) arrived_.pop_front();
  if (!arrived_.empty()) deliver_next_later();
  dispatch_later();
}

void PgReader::deliver_some(const Shot& shot, std::vector<PgReadPtr> some) {
  const auto heads_of = [](const PgResult& result) {
    return result.rows() == 0 ? Heads{} : Heads{result.number(0, 0), result.number(0, 1)};
  };
  const std::span<const PgResult> results = shot.own_results();
  const Heads heads = heads_of(results.back());
  if (shot.is_alone && heads_of(shot.reply.results.back()) != heads) {
    // Where the tables are distributed, and their servers were not told that it is one.
    return retry(std::move(some), {PgFault::retry_at_once, "it was not of one moment", 0});
  }
  const bool of_replica = shot.pool != &pool_;
  if (of_replica) site_.counters.replica_reads.fetch_add(1, std::memory_order_relaxed);
  std::vector<PgReadPtr> reads;
  for (PgReadPtr& read : some) {
    if (heads.revision >= read->at_least) {
      reads.push_back(std::move(read));
    } else {
      // A replica that is behind; or a primary that others know to have been replaced.
      retry_for_revision(std::move(read), of_replica, heads.revision);
    }
  }
  if (reads.empty()) return;
  reads.front()->take(reads, results);
  if (reads.front()->loads_directory) {
    const PgRead& first = *reads.front();
    const auto parts =
        std::span(shot.reply.results).subspan(kSnapshotStatements + shot.own_statements);
    const core::Revision revision = first.wish.is_past ? first.wish.revision : heads.directory;
    directories_of(first.wish)
        .put(shot.company, revision, read_directory(parts[0], parts[1], parts[2]));
  }
  for (PgReadPtr& read : reads) go_on(std::move(read), of_replica, heads);
}

PgDirectories& PgReader::directories_of(const PgRead::DirectoryWish& wish) {
  return wish.is_past ? site_.past_directories : site_.directories;
}

// With what it has taken by now.
void PgReader::go_on(PgReadPtr read, bool of_replica, const Heads& heads) {
  if (const auto wish = read->wishes_directory(heads.directory)) {
    read->wish = *wish;
    DirectoryPtr directory = directories_of(*wish).find(read->company, wish->revision);
    if (!directory) return await_directory(std::move(read), of_replica);
    read->take_directory(directory);
  }
  if (read->loads_directory) {
    read->loads_directory.reset();
    look_at_awaiting();
  }
  if (!read->is_complete()) {
    if (std::chrono::steady_clock::now() >= read->deadline) {
      return answer(std::move(read), database_unavailable("what was asked for takes too long"));
    }
    // What it is at the reads behind it wait for already.
    (of_replica ? waiting_replica_ : waiting_).push_front(std::move(read));
    dispatch_later();
  } else if (of_replica) {
    check_head(std::move(read), heads.revision);
  } else {
    check_asker(std::move(read), heads.directory);
  }
}

// Asked again with the directory, so that both are of one moment; or when another has loaded it.
void PgReader::await_directory(PgReadPtr read, bool of_replica) {
  read->from_primary = true;
  if (!of_replica) {
    read->loads_directory.reset();
    read->loads_directory = directories_of(read->wish).claim(read->company);
    if (!read->loads_directory) return awaiting_directory_.push_back(std::move(read));
  }
  waiting_.push_back(std::move(read));
  dispatch_later();
}

void PgReader::look_at_awaiting() {
  for (PgReadPtr& read : std::exchange(awaiting_directory_, {})) {
    const bool must_wait = directories_of(read->wish).is_claimed(read->company);
    (must_wait ? static_cast<void>(awaiting_directory_.push_back(std::move(read)))
               : static_cast<void>(waiting_.push_back(std::move(read))));
  }
  dispatch_later();
}

// What a replica says of keys may be old: the primary is asked, for its head alone.
void PgReader::check_head(PgReadPtr read, core::Revision revision) {
  if (!read->asker) return answer(std::move(read), {});
  const auto connection = pool_.least_busy();
  if (!connection) return retry_for_revision(std::move(read), true, revision);
  const auto deadline = std::chrono::steady_clock::now() + site_.options.statement_time;
  const CompanyId company = read->company;
  const auto asked = std::make_shared<PgReadPtr>(std::move(read));
  std::vector<PgQuery> queries;
  queries.emplace_back(PgQuery{&kReadHead}).params.add(company);
  connection->send(queries, deadline, [this, connection, asked, company, revision](PgReply reply) {
    const bool is_good = !is_closing_ && !reply.failure && reply.results.front().rows() == 1 &&
                         is_proved_primary(*connection, company, std::chrono::steady_clock::now());
    if (!is_good) return retry_for_revision(std::move(*asked), true, revision);
    check_asker(std::move(*asked), reply.results.front().number(0, 1));
  });
  prove_on(connection, company);
}

// A later revision of the directory may have changed the key.
void PgReader::check_asker(PgReadPtr read, core::Revision directory) {
  const AskerPtr asker = read->asker;
  if (!asker || directory <= asker->key()->holds_until) return answer(std::move(read), {});
  const CompanyId company = read->company;
  const auto asked = std::make_shared<PgReadPtr>(std::move(read));
  const auto done = [this, asker, asked](Result<KeyPtr> key) {
    if (!key) return answer(std::move(*asked), key.error());
    if (!asker->is_admitted_with(*key)) {
      return answer(std::move(*asked), denied("the key has changed"));
    }
    answer(std::move(*asked), {});
  };
  take_look_up({asker->key()->key.access_key, company, directory, done, {}});
}

void PgReader::look_up(std::string access_key, Store::KeyDone done) {
  take_look_up({std::move(access_key), {}, 0, std::move(done), {}});
}

void PgReader::take_look_up(LookUp look_up) {
  if (look_ups_.size() >= site_.options.queue_commands_max) {
    return look_up.done(unavailable("too many requests wait for the database"));
  }
  site_.counters.key_look_ups.fetch_add(1, std::memory_order_relaxed);
  look_up.deadline = std::chrono::steady_clock::now() + site_.options.request_time;
  look_ups_.push_back(std::move(look_up));
  pool_.keep_time();
  dispatch_later();
}

void PgReader::send_look_ups() {
  while (!look_ups_.empty()) {
    const auto connection = pool_.least_busy();
    if (!connection || connection->batches() >= kBatchesMax) return;
    const auto count = std::min(look_ups_.size(), kLookUpsTogetherMax);
    const auto last = look_ups_.begin() + static_cast<std::ptrdiff_t>(count);
    auto sent = std::make_shared<std::vector<LookUp>>(std::move_iterator(look_ups_.begin()),
                                                      std::move_iterator(last));
    look_ups_.erase(look_ups_.begin(), last);
    std::vector<PgQuery> queries;
    for (const LookUp& look_up : *sent) {
      // First: the key is then as of that directory or a later one.
      if (look_up.directory > 0) {
        queries.emplace_back(PgQuery{&kReadHead}).params.add(look_up.company);
      }
      queries.emplace_back(PgQuery{&kFindKey}).params.add_text(look_up.access_key);
    }
    connection->send(queries, std::chrono::steady_clock::now() + site_.options.statement_time,
                     [this, connection, sent](PgReply reply) {
                       on_look_ups(*connection, std::move(*sent), std::move(reply));
                     });
    prove_on(connection, {});
  }
}

void PgReader::on_look_ups(PgConnection& connection, std::vector<LookUp> look_ups, PgReply reply) {
  const bool is_proved = is_proved_primary(connection, {}, std::chrono::steady_clock::now());
  std::string trouble = reply.failure ? reply.failure->message : "the primary could not be proved";
  const bool is_our_fault = reply.failure && reply.failure->fault == PgFault::ours;
  std::size_t query = 0;
  bool is_behind = false;
  for (LookUp& look_up : look_ups) {
    const std::size_t key_query = query + (look_up.directory > 0 ? 1 : 0);
    bool is_good = key_query < reply.results.size();
    if (is_good && look_up.directory > 0) {
      const PgResult& head = reply.results[query];
      is_good = head.rows() > 0 && head.number(0, 1) >= look_up.directory;
      if (!is_good) is_behind = true;
    } else if (is_good) {
      is_good = is_proved;
    }
    query = key_query + 1;
    if (is_good) {
      const PgResult& result = reply.results[key_query];
      KeyPtr key;
      if (result.rows() > 0)
        key = read_key(result, look_up.access_key, look_up.company, look_up.directory);
      site_.keys.put(look_up.access_key, key);
      look_up.done(std::move(key));
    } else if (is_our_fault) {
      look_up.done(internal("looking up a key: " + trouble));
    } else if (is_closing_ || std::chrono::steady_clock::now() >= look_up.deadline) {
      look_up.done(database_unavailable(trouble));
    } else {
      resting_look_ups_.push_back(std::move(look_up));
      pool_.keep_time();  // it is tried again with the next tick
    }
  }
  // Another server has told of a later directory: this one was replaced.
  if (is_behind) connection.end("it is behind what another server told");
  if (!is_closing_) dispatch_later();
}

void PgReader::find_revisions(std::span<const CompanyId> companies,
                              std::function<void(std::span<const Newest>)> done) {
  pool_.keep_time();
  const auto connection = pool_.least_busy();
  if (!connection) return done({});
  std::vector<std::uint64_t> ids;
  ids.reserve(companies.size());
  for (const CompanyId company : companies) ids.push_back(company.value);
  std::vector<PgQuery> queries;
  queries.emplace_back(PgQuery{&kFindRevisions}).params.add_numbers(ids);
  connection->send(queries, std::chrono::steady_clock::now() + site_.options.statement_time,
                   [done = std::move(done)](const PgReply& reply) {
                     std::vector<Newest> newest;
                     if (!reply.failure) {
                       const PgResult& found = reply.results.front();
                       for (int row = 0; row < found.rows(); ++row) {
                         newest.emplace_back(CompanyId{found.number(row, 0)}, found.number(row, 1));
                       }
                     }
                     done(newest);
                   });
}

void PgReader::prove(CompanyId company, std::function<void(Status)> done) {
  const auto connection = pool_.least_busy();
  // Those that are at work say themselves what becomes of it.
  if (!connection && pool_.is_ready()) return done({});
  if (!connection) return done(database_unavailable(pool_.trouble()));
  send_proof(connection, company, [done = std::move(done)](bool is_proved) {
    done(is_proved ? Status() : unavailable("the database does not commit"));
  });
}

void PgReader::expire(SteadyTime now) {
  const auto is_over = [now](const auto& one) { return now >= one.deadline; };
  const Error error = database_unavailable(pool_.trouble());
  for (auto* const reads : {&waiting_, &waiting_replica_}) {
    // Those of a replica that has gone are the primary's.
    const bool must_move = replicas_ && reads == &waiting_replica_ && !replicas_->is_ready();
    std::deque<PgReadPtr> kept;
    for (PgReadPtr& read : *reads) {
      if (is_over(*read)) {
        answer(std::move(read), error);
      } else {
        (must_move ? waiting_ : kept).push_back(std::move(read));
      }
    }
    *reads = std::move(kept);
  }
  const auto expire_some = [&](std::vector<PgReadPtr>& reads) {
    std::vector<PgReadPtr> kept;
    for (PgReadPtr& read : reads) {
      if (is_over(*read)) {
        answer(std::move(read), error);
      } else {
        kept.push_back(std::move(read));
      }
    }
    reads = std::move(kept);
  };
  for (Shot& shot : parked_) expire_some(shot.reads);
  expire_some(awaiting_directory_);
  std::erase_if(parked_, [](const Shot& shot) { return shot.reads.empty(); });
  std::vector<LookUp> kept;
  for (LookUp& look_up : std::exchange(look_ups_, {})) {
    if (is_over(look_up)) {
      look_up.done(error);
    } else {
      kept.push_back(std::move(look_up));
    }
  }
  look_ups_.insert(look_ups_.begin(), std::move_iterator(kept.begin()),
                   std::move_iterator(kept.end()));
}

bool PgReader::tick(SteadyTime now) {
  for (PgReadPtr& read : std::exchange(resting_, {})) waiting_.push_back(std::move(read));
  for (LookUp& look_up : std::exchange(resting_look_ups_, {})) {
    look_ups_.push_back(std::move(look_up));
  }
  if (!waiting_.empty() || !waiting_replica_.empty() || !parked_.empty() || !look_ups_.empty() ||
      !awaiting_directory_.empty()) {
    expire(now);
    look_at_awaiting();
    look_at_parked(now);
    dispatch();
  }
  return reads_count_ > 0 || !look_ups_.empty() || !resting_look_ups_.empty();
}

}  // namespace earshot::store
