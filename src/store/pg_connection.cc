#include "store/pg_connection.h"

#include <sys/epoll.h>

#include <utility>

#include "base/assert.h"
#include "store/pg_statements.h"

namespace earshot::store {
namespace {

// What tells this server process from every other, and from itself started again. Plans must not
// depend on when tables were last analysed: every statement goes by key. Nor are they made anew for
// each execution, as those with short arrays would be: that costs more than a read of one call.
// What is acknowledged is on disk, and with the standby where there is one, whatever the database's
// own setting.
constexpr const char* kSetUp = R"(
SELECT pg_postmaster_start_time()::text || ' ' || coalesce(host(inet_server_addr()), 'local') || ':'
    || coalesce(inet_server_port()::text, ''),
  set_config('lock_timeout', $1::text, false), set_config('jit', 'off', false),
  set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', false),
  set_config('enable_mergejoin', 'off', false),
  set_config('plan_cache_mode', 'force_generic_plan', false),
  set_config('client_min_messages', 'warning', false),
  set_config('synchronous_commit', CASE current_setting('synchronous_commit')
    WHEN 'off' THEN 'on' WHEN 'local' THEN 'on' ELSE current_setting('synchronous_commit') END,
    false),
  set_config('idle_in_transaction_session_timeout', '0', false),
  set_config('search_path', 'pg_catalog', false))";

// libpq's own words, of many lines: the first of them.
std::string reason_of(PGconn* connection) {
  const std::string_view text = PQerrorMessage(connection);
  const std::string reason(text.substr(0, text.find('\n')));
  return reason.empty() ? "the connection was closed" : reason;
}

}  // namespace

PgConnection::PgConnection(Loop& loop, PgProofs& proofs, SteadyTime deadline,
                           std::chrono::milliseconds lock_time, Events events)
    : loop_(loop),
      proofs_(proofs),
      events_(std::move(events)),
      connect_deadline_(deadline),
      lock_time_(lock_time) {}

PgConnection::~PgConnection() { close(); }

std::shared_ptr<PgConnection> PgConnection::connect(Loop& loop, const PgTarget& target,
                                                    PgProofs& proofs, SteadyTime deadline,
                                                    std::chrono::milliseconds lock_time,
                                                    Events events) {
  std::shared_ptr<PgConnection> made(
      new PgConnection(loop, proofs, deadline, lock_time, std::move(events)));
  made->connection_ = PQconnectStartParams(target.keywords().data(), target.values().data(), 0);
  ASSERT(made->connection_ != nullptr);
  PQsetNoticeReceiver(made->connection_, &PgConnection::on_notice, made.get());
  // Not from within connect(): whoever asked for it does not have it yet.
  loop.post([made] {
    if (!made->has_ended()) made->poll_connect();
  });
  return made;
}

void PgConnection::watch(std::uint32_t events) {
  if (events == watched_) return;
  loop_.rewatch(socket_, *this, events);
  watched_ = events;
}

// While it connects libpq tries one address after the other, each with a socket of its own, that
// may have the number of the one before.
void PgConnection::watch_anew(std::uint32_t events) {
  if (socket_ >= 0) loop_.unwatch(socket_);
  socket_ = PQsocket(connection_);
  if (socket_ >= 0) loop_.watch(socket_, *this, events);
  watched_ = events;
}

void PgConnection::on_events(std::uint32_t events) {
  if (state_ == State::ended) return;
  const auto keep = shared_from_this();
  if (state_ == State::connecting) return poll_connect();
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
    if (PQconsumeInput(connection_) == 0) {
      // What came before the end is still to be read: why, for one.
      take_results();
      if (state_ != State::ended) end(reason_of(connection_));
      return;
    }
    take_results();
  }
  if (state_ != State::ended) flush();
}

void PgConnection::poll_connect() {
  switch (PQconnectPoll(connection_)) {
    case PGRES_POLLING_READING:
      return watch_anew(EPOLLIN);
    case PGRES_POLLING_WRITING:
      return watch_anew(EPOLLOUT);
    case PGRES_POLLING_OK:
      return prepare();
    default:
      return end(reason_of(connection_));
  }
}

void PgConnection::prepare() {
  state_ = State::preparing;
  if (PQsetnonblocking(connection_, 1) != 0 || PQenterPipelineMode(connection_) != 1) {
    return end(reason_of(connection_));
  }
  watch_anew(EPOLLIN);
  // Less than a batch's time: who waits longer for a lock gives it up itself, and not its socket.
  const std::string lock_timeout = std::to_string(lock_time_.count());
  const char* const values[] = {lock_timeout.c_str()};
  bool sent = PQsendQueryParams(connection_, kSetUp, 1, nullptr, values, nullptr, nullptr, 1) == 1;
  for (const PgStatement* statement : kRequestStatements) {
    sent = sent && PQsendPrepare(connection_, statement->name, statement->text, 0, nullptr) == 1;
  }
  if (!sent || PQpipelineSync(connection_) != 1) return end(reason_of(connection_));
  batches_.push_back({kRequestStatements.size() + 1,
                      connect_deadline_,
                      [this](PgReply reply) { on_prepared(std::move(reply)); },
                      {}});
  flush();
}

void PgConnection::on_prepared(PgReply reply) {
  if (state_ == State::ended) return;
  if (reply.failure) return end(reply.failure->message);
  proof_ = proofs_.of(std::string(reply.results.front().text(0, 0)));
  state_ = State::ready;
  events_.ready();
}

void PgConnection::send(const std::vector<PgQuery>& queries, SteadyTime deadline, Done done) {
  ASSERT(is_ready());
  bool sent = true;
  for (const PgQuery& query : queries) {
    const std::vector<const char*> values = query.params.values();
    const std::vector<int> formats = query.params.formats();
    sent = sent && PQsendQueryPrepared(connection_, query.statement->name, query.params.count(),
                                       values.data(), query.params.lengths().data(), formats.data(),
                                       1) == 1;
  }
  sent = sent && PQpipelineSync(connection_) == 1;
  batches_.push_back({queries.size(), deadline, std::move(done), {}});
  if (sent) return flush();
  loop_.post([self = shared_from_this()] {
    if (!self->has_ended()) self->end(reason_of(self->connection_));
  });
}

void PgConnection::flush() {
  switch (PQflush(connection_)) {
    case 0:
      return watch(EPOLLIN);
    case 1:
      return watch(EPOLLIN | EPOLLOUT);
    default:
      // The socket's end shows when it is read.
      return watch(EPOLLIN);
  }
}

void PgConnection::take_results() {
  while (state_ != State::ended && !batches_.empty() && PQisBusy(connection_) == 0) {
    PGresult* const raw = PQgetResult(connection_);
    if (raw != nullptr) {
      take_result(PgResult(raw));
    } else if (PQstatus(connection_) == CONNECTION_BAD) {
      return;  // nothing comes any more
    }
  }
  // Without a batch whatever comes is a word of farewell.
  if (state_ != State::ended && batches_.empty() && PQstatus(connection_) == CONNECTION_BAD) {
    end(reason_of(connection_));
  }
}

void PgConnection::take_result(PgResult result) {
  Batch& batch = batches_.front();
  switch (result.status()) {
    case PGRES_PIPELINE_SYNC: {
      Batch done = std::move(batch);
      batches_.pop_front();
      return done.done(std::move(done.reply));
    }
    case PGRES_PIPELINE_ABORTED:
      return;
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
      batch.reply.results.push_back(std::move(result));
      return;
    default:
      if (!batch.reply.failure) {
        batch.reply.failure = PgFailure{classify_sqlstate(result.sqlstate()), result.message(),
                                        batch.reply.results.size()};
      }
  }
}

void PgConnection::on_notice(void* self, const PGresult* notice) {
  auto* const connection = static_cast<PgConnection*>(self);
  const char* const severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
  if (severity == nullptr || std::string_view(severity) != "WARNING") return;
  if (!connection->batches_.empty()) connection->batches_.front().reply.was_warned = true;
}

void PgConnection::check_deadline(SteadyTime now) {
  if (state_ == State::ended) return;
  if (state_ != State::ready && now >= connect_deadline_) return end("no answer in time");
  if (!batches_.empty() && now >= batches_.front().deadline) end("no answer in time");
}

void PgConnection::end(const std::string& reason) {
  if (state_ == State::ended) return;
  const auto keep = shared_from_this();
  close();
  for (Batch& batch : std::exchange(batches_, {})) {
    // One that lacks nothing but the word that it is over is as good as over.
    if (!batch.reply.failure && batch.reply.results.size() < batch.queries) {
      batch.reply.failure = PgFailure{PgFault::lost, reason, batch.reply.results.size()};
    }
    batch.done(std::move(batch.reply));
  }
  events_.lost(reason);
  // An event of this round may still name it.
  loop_.post([keep] {});
}

void PgConnection::close() {
  state_ = State::ended;
  if (socket_ >= 0) loop_.unwatch(std::exchange(socket_, -1));
  if (connection_ != nullptr) PQfinish(std::exchange(connection_, nullptr));
}

}  // namespace earshot::store
