#include "store/pg_session.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "base/assert.h"
#include "store/pg_errors.h"

namespace earshot::store {
namespace {

// libpq's own words about a connection. They hold no password, but may take several lines.
std::string message_of(const PGconn* connection) {
  std::string message = PQerrorMessage(connection);
  while (!message.empty() && message.back() == '\n') message.pop_back();
  std::ranges::replace(message, '\n', ' ');
  return message;
}

// What every session needs, whatever the database says of its own. Names are looked for where no
// user can put any; nothing is given up while we still wait for it; and an answer means durable.
constexpr const char* kSetUpSession =
    "SELECT set_config('search_path', 'pg_catalog', false),"
    " set_config('statement_timeout', '0', false),"
    " set_config('idle_in_transaction_session_timeout', '0', false),"
    " set_config('client_min_messages', 'warning', false),"
    " set_config('jit', 'off', false),"
    " set_config('synchronous_commit', CASE current_setting('synchronous_commit')"
    " WHEN 'off' THEN 'on' WHEN 'local' THEN 'on' ELSE current_setting('synchronous_commit') END, "
    "false)";

constexpr PgStatement kSet = {"set", "SELECT set_config($1::text, $2::text, false)"};

// Whether COMMIT failed for a reason that rolls back.
bool rolls_back_commit(std::string_view sqlstate) {
  return (sqlstate.starts_with("40") && sqlstate != "40003") || sqlstate.starts_with("23");
}

}  // namespace

Result<std::unique_ptr<PgSession>> PgSession::open(const std::string& url,
                                                   const PgSessionOptions& options) {
  const std::vector<PgTarget> targets = TRY(parse_postgres_url(url, options.session_attrs));
  std::string why;
  for (const PgTarget& target : targets) {
    std::unique_ptr<PgSession> session(new PgSession(describe_postgres_url(url), options));
    Status connected = session->connect(target);
    if (connected) connected = session->set_up();
    if (connected) return session;
    why += (why.empty() ? "" : "; ") + target.name + ": " + connected.error().message;
  }
  return unavailable("cannot connect to PostgreSQL: " + why);
}

PgSession::~PgSession() = default;

Status PgSession::connect(const PgTarget& target) {
  deadline_ = std::chrono::steady_clock::now() + std::chrono::seconds(target.connect_seconds);
  connection_.reset(
      PQconnectStartParams(target.keywords().data(), target.values().data(), /*expand_dbname=*/0));
  if (!connection_) return lose("no memory for a connection");
  PQsetNoticeReceiver(
      connection_.get(),
      [](void* session, const PGresult* notice) {
        const char* severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
        const char* message = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
        if (severity && message && std::string_view(severity) == "WARNING") {
          static_cast<PgSession*>(session)->warning_ = message;
        }
      },
      this);
  if (PQstatus(connection_.get()) == CONNECTION_BAD) return lose(message_of(connection_.get()));
  for (PostgresPollingStatusType next = PGRES_POLLING_WRITING; next != PGRES_POLLING_OK;
       next = PQconnectPoll(connection_.get())) {
    if (next == PGRES_POLLING_FAILED) return lose(message_of(connection_.get()));
    TRY(wait(next == PGRES_POLLING_READING ? POLLIN : POLLOUT));
  }
  if (PQsetnonblocking(connection_.get(), 1) != 0) return lose(message_of(connection_.get()));
  return {};
}

Status PgSession::set_up() {
  TRY(run_text(kSetUpSession));
  std::vector<PgCall> sets;
  for (const auto& [name, value] : options_.settings) {
    PgParams params;
    params.add_text(name).add_text(value);
    sets.push_back({&kSet, std::move(params)});
  }
  return sets.empty() ? Status() : run_all(sets);
}

void PgSession::begin_call() {
  deadline_ = std::chrono::steady_clock::now() + options_.silence_max;
  warning_.clear();
  last_sqlstate_.clear();
}

Status PgSession::wait(short events) {
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline_ - std::chrono::steady_clock::now());
    if (left.count() <= 0) return lose("no answer in time");
    pollfd watched{.fd = PQsocket(connection_.get()), .events = events, .revents = 0};
    const int ready = ::poll(&watched, 1, static_cast<int>(left.count()));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return lose("poll failed");
  }
}

Error PgSession::lose(std::string why) {
  connection_.reset();
  prepared_.clear();
  last_sqlstate_.clear();
  return unavailable("PostgreSQL: " + std::move(why));
}

Error PgSession::refuse(const PgResult& result) {
  last_sqlstate_ = result.sqlstate();
  const std::string message = result.message();
  // The last words of a server that goes stand in a result; the connection goes with them.
  if (PQstatus(connection_.get()) == CONNECTION_BAD) {
    const std::string sqlstate = last_sqlstate_;
    Error lost = lose(message);
    last_sqlstate_ = sqlstate;
    return lost;
  }
  return from_sqlstate(last_sqlstate_, message);
}

Status PgSession::send(bool sent) {
  if (!sent) return lose(message_of(connection_.get()));
  return {};
}

Result<PgResult> PgSession::next_result() {
  for (;;) {
    const int unsent = PQflush(connection_.get());
    if (unsent < 0) return lose(message_of(connection_.get()));
    if (!PQisBusy(connection_.get())) return PgResult(PQgetResult(connection_.get()));
    // While we send, the server may wait for us to read: both at once, or both sides stand still.
    TRY(wait(static_cast<short>(unsent ? POLLIN | POLLOUT : POLLIN)));
    // Without an error of its own where the connection ended: the result that follows tells.
    if (!PQconsumeInput(connection_.get()) && PQstatus(connection_.get()) != CONNECTION_BAD) {
      return lose(message_of(connection_.get()));
    }
  }
}

Result<PgResult> PgSession::finish_call() {
  PgResult last;
  for (;;) {
    PgResult result = TRY(next_result());
    if (!result) break;
    if (!last || last.is_good()) last = std::move(result);
  }
  if (!last) return lose("no answer");
  if (!last.is_good()) return refuse(last);
  return last;
}

Result<PgResult> PgSession::run_text(const std::string& sql) {
  if (is_lost()) return unavailable("PostgreSQL: the connection is lost");
  begin_call();
  TRY(send(PQsendQuery(connection_.get(), sql.c_str())));
  return finish_call();
}

Status PgSession::prepare(const PgStatement& statement) {
  if (prepared_.contains(statement.name)) return {};
  begin_call();
  TRY(send(PQsendPrepare(connection_.get(), statement.name, statement.text, 0, nullptr)));
  TRY(finish_call());
  prepared_.insert(statement.name);
  return {};
}

bool PgSession::send_prepared(const PgStatement& statement, const PgParams& params) {
  return PQsendQueryPrepared(connection_.get(), statement.name, params.count(),
                             params.values().data(), params.lengths().data(),
                             params.formats().data(), /*resultFormat=*/1) != 0;
}

Result<PgResult> PgSession::run(const PgStatement& statement, const PgParams& params) {
  if (is_lost()) return unavailable("PostgreSQL: the connection is lost");
  TRY(prepare(statement));
  begin_call();
  TRY(send(send_prepared(statement, params)));
  return finish_call();
}

Status PgSession::send_all(const std::vector<PgCall>& calls, std::vector<bool>& prepares) {
  std::unordered_set<std::string_view> preparing;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const PgStatement& statement = *calls[i].statement;
    prepares[i] = !prepared_.contains(statement.name) && preparing.insert(statement.name).second;
    if (prepares[i]) {
      TRY(send(PQsendPrepare(connection_.get(), statement.name, statement.text, 0, nullptr)));
    }
    TRY(send(send_prepared(statement, calls[i].params)));
  }
  return send(PQpipelineSync(connection_.get()));
}

Status PgSession::run_all(const std::vector<PgCall>& calls, const TakeResult& take) {
  if (is_lost()) return unavailable("PostgreSQL: the connection is lost");
  begin_call();
  TRY(send(PQenterPipelineMode(connection_.get())));
  std::vector<bool> prepares(calls.size());
  TRY(send_all(calls, prepares));
  Status all;
  const auto take_one = [&](PgResult& result, std::size_t call, bool is_prepare) -> Status {
    if (result.status() == PGRES_PIPELINE_ABORTED) return {};
    if (!result.is_good()) return refuse(result);
    if (is_prepare) prepared_.insert(calls[call].statement->name);
    return !is_prepare && take ? take(call, result) : Status();
  };
  for (std::size_t i = 0; i < calls.size(); ++i) {
    for (const bool is_prepare : {true, false}) {
      if (is_prepare && !prepares[i]) continue;
      for (;;) {  // up to the empty one that ends a statement's
        PgResult result = TRY(next_result());
        if (!result) break;
        Status taken = take_one(result, i, is_prepare);
        if (is_lost()) return taken;
        if (all && !taken) all = std::move(taken);
        deadline_ = std::chrono::steady_clock::now() + options_.silence_max;
      }
    }
  }
  const PgResult end = TRY(next_result());
  if (!end || end.status() != PGRES_PIPELINE_SYNC) return lose("the answers are out of step");
  TRY(send(PQexitPipelineMode(connection_.get())));
  return all;
}

Status PgSession::stream(const PgStatement& statement, const PgParams& params,
                         const TakeRow& take) {
  if (is_lost()) return unavailable("PostgreSQL: the connection is lost");
  TRY(prepare(statement));
  begin_call();
  TRY(send(send_prepared(statement, params)));
  TRY(send(PQsetSingleRowMode(connection_.get())));
  Status all;
  for (;;) {
    const PgResult result = TRY(next_result());
    if (!result) return all;
    if (result.status() == PGRES_SINGLE_TUPLE) {
      Status taken = take(result);
      if (!taken) {
        // Whatever still comes is for nobody.
        lose("the rest of a result was not wanted");
        return taken;
      }
      deadline_ = std::chrono::steady_clock::now() + options_.silence_max;
    } else if (!result.is_good() && all) {
      all = refuse(result);
      if (is_lost()) return all;
    }
  }
}

Status PgSession::begin() {
  TRY(run_text("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"));
  return {};
}

Status PgSession::begin_snapshot() {
  TRY(run_text("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
  return {};
}

PgEnding PgSession::commit() {
  const Result<PgResult> ended = run_text("COMMIT");
  using enum PgEnding::Outcome;
  if (!ended) {
    return {rolls_back_commit(last_sqlstate_) ? rolled_back : unknown, ended.error().message};
  }
  // A COMMIT of a failed transaction succeeds, as a ROLLBACK.
  if (ended->command_tag() != "COMMIT") return {rolled_back, "the transaction had failed"};
  // "canceling wait for synchronous replication": it is only on this server.
  if (!warning_.empty()) return {unknown, warning_};
  return {committed, ""};
}

void PgSession::roll_back() {
  if (!is_lost() && PQtransactionStatus(connection_.get()) != PQTRANS_IDLE &&
      !run_text("ROLLBACK")) {
    lose("ROLLBACK failed");
  }
}

}  // namespace earshot::store
