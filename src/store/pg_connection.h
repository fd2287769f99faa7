// One connection to PostgreSQL in pipeline mode, on a loop: batches of statements go out one behind
// the other, and each comes back whole or with what went wrong. Belongs to the loop's thread.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/loop.h"
#include "store/pg_errors.h"
#include "store/pg_proof.h"
#include "store/pg_url.h"
#include "store/pg_wire.h"

namespace earshot::store {

using SteadyTime = std::chrono::steady_clock::time_point;

struct PgQuery {
  const PgStatement* statement;  // of kRequestStatements
  PgParams params{};
};

struct PgFailure {
  PgFault fault = PgFault::lost;
  std::string message;
  std::size_t query = 0;  // at which of the batch; those before it were carried out
};

// What a batch came to.
struct PgReply {
  std::vector<PgResult> results;  // of its queries in order, up to the failed one
  std::optional<PgFailure> failure;
  bool was_warned = false;  // the server said WARNING: of a COMMIT, that it may not be replicated
};

class PgConnection final : public EventSource, public std::enable_shared_from_this<PgConnection> {
 public:
  // Told once that it is ready for batches, and once that it has gone, with the reason; then not
  // again. Neither is called before connect() returns.
  struct Events {
    std::function<void()> ready;
    std::function<void(const std::string& reason)> lost;
  };
  // Begins to connect to one server, which must take writes unless the target says otherwise.
  // Statements wait for locks at most `lock_time`.
  static std::shared_ptr<PgConnection> connect(Loop& loop, const PgTarget& target, PgProofs& proofs,
                                               SteadyTime deadline,
                                               std::chrono::milliseconds lock_time, Events events);
  ~PgConnection();
  PgConnection(const PgConnection&) = delete;
  PgConnection& operator=(const PgConnection&) = delete;

  // Sends the queries as one batch: what fails in it ends it, and not what is sent after it. They
  // are no transaction unless they say so. `done` is called once, later. A batch without an answer
  // at its deadline ends the connection. REQUIRES: is_ready().
  using Done = std::function<void(PgReply)>;
  void send(const std::vector<PgQuery>& queries, SteadyTime deadline, Done done);

  bool is_ready() const { return state_ == State::ready; }
  bool was_ready() const { return proof_ != nullptr; }  // at some time
  bool has_ended() const { return state_ == State::ended; }
  std::size_t batches() const { return batches_.size(); }  // in flight

  // What is known of the server's being the primary. REQUIRES: is_ready() or was.
  PgProof& proof() const { return *proof_; }

  // Ends it if something was to be there by now.
  void check_deadline(SteadyTime now);
  // Closes the socket; batches in flight fail as lost, `lost` is called.
  void end(const std::string& reason);

  void on_events(std::uint32_t events) override;

 private:
  enum class State { connecting, preparing, ready, ended };
  struct Batch {
    std::size_t queries = 0;
    SteadyTime deadline;
    Done done;
    PgReply reply;
  };

  PgConnection(Loop& loop, PgProofs& proofs, SteadyTime deadline,
               std::chrono::milliseconds lock_time, Events events);
  void poll_connect();
  void prepare();
  void on_prepared(PgReply reply);
  void watch(std::uint32_t events);
  void watch_anew(std::uint32_t events);
  void flush();
  void take_results();
  void take_result(PgResult result);
  void close();
  static void on_notice(void* self, const PGresult* notice);

  Loop& loop_;
  PgProofs& proofs_;
  Events events_;
  State state_ = State::connecting;
  PGconn* connection_ = nullptr;
  int socket_ = -1;
  std::uint32_t watched_ = 0;
  const SteadyTime connect_deadline_;
  const std::chrono::milliseconds lock_time_;
  std::deque<Batch> batches_;
  std::shared_ptr<PgProof> proof_;
};

}  // namespace earshot::store
