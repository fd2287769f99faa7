// One connection to PostgreSQL for those who wait: commands, loads, what a server does in between.
// Requests have connections of their own, which never wait.
#pragma once

#include <libpq-fe.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/result.h"
#include "store/pg_url.h"
#include "store/pg_wire.h"

namespace earshot::store {

struct PgSessionOptions {
  // How long the server may be silent in one call. Then the connection is closed, never cancelled:
  // a cancelled COMMIT would say that it succeeded while no standby has it.
  std::chrono::milliseconds silence_max{60'000};
  std::string session_attrs = "read-write";  // where the URL does not say
  // Settings of the session, set by name once it is connected.
  std::vector<std::pair<std::string, std::string>> settings{};
};

// A statement with its parameters, one of many.
struct PgCall {
  const PgStatement* statement;
  PgParams params;
};

// What is known of a transaction after its COMMIT was sent.
struct PgEnding {
  enum class Outcome { committed, rolled_back, unknown };
  Outcome outcome = Outcome::unknown;
  std::string why;  // of the last two
};

// Of one thread at a time. Errors of all calls are unavailable (the connection is lost, or the
// server cannot now) or internal. After an error inside a transaction only roll_back() helps.
class PgSession {
 public:
  // Connects to the first host that takes it. Also invalid_argument: a URL that cannot be read.
  static Result<std::unique_ptr<PgSession>> open(const std::string& url,
                                                 const PgSessionOptions& options = {});
  ~PgSession();
  PgSession(const PgSession&) = delete;
  PgSession& operator=(const PgSession&) = delete;

  Result<PgResult> run(const PgStatement& statement, const PgParams& params = {});
  // One after the other, without waiting for each; `take` sees the results in order, and the first
  // error ends it. Inside a transaction, since outside of one Citus would keep half of them.
  using TakeResult = std::function<Status(std::size_t call, const PgResult& result)>;
  Status run_all(const std::vector<PgCall>& calls, const TakeResult& take = nullptr);
  // Row by row: `take` sees results of one row. Only what it answers ends it early, and then the
  // connection is lost.
  using TakeRow = std::function<Status(const PgResult& row)>;
  Status stream(const PgStatement& statement, const PgParams& params, const TakeRow& take);
  // Statements as text, without parameters. The last one's result, in text form.
  Result<PgResult> run_text(const std::string& sql);

  Status begin();
  Status begin_snapshot();  // reads only, all as of one moment
  PgEnding commit();
  void roll_back();  // does nothing where the connection is lost

  // The URL without secrets, for messages.
  const std::string& place() const { return place_; }
  bool is_lost() const { return connection_ == nullptr; }
  // SQLSTATE of the last error; empty where the connection was lost.
  const std::string& last_sqlstate() const { return last_sqlstate_; }
  void set_silence_max(std::chrono::milliseconds silence_max) {
    options_.silence_max = silence_max;
  }

 private:
  struct Close {
    void operator()(PGconn* connection) const { PQfinish(connection); }
  };
  using Deadline = std::chrono::steady_clock::time_point;

  PgSession(std::string place, PgSessionOptions options)
      : place_(std::move(place)), options_(std::move(options)) {}

  Status connect(const PgTarget& target);
  Status set_up();
  void begin_call();
  // Waits for the socket. Past the deadline the connection is lost.
  Status wait(short events);
  // The next result, or an empty one at the end of a statement's.
  Result<PgResult> next_result();
  // All results of what was sent, up to the end; the last, or the first error.
  Result<PgResult> finish_call();
  Status send(bool sent);
  Status prepare(const PgStatement& statement);
  bool send_prepared(const PgStatement& statement, const PgParams& params);
  Status send_all(const std::vector<PgCall>& calls, std::vector<bool>& prepares);
  Error refuse(const PgResult& result);
  Error lose(std::string why);

  const std::string place_;
  PgSessionOptions options_;
  std::unique_ptr<PGconn, Close> connection_;
  std::unordered_set<std::string> prepared_;
  Deadline deadline_;
  std::string last_sqlstate_;
  std::string warning_;  // of the server, in the call under way
};

}  // namespace earshot::store
