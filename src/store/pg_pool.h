// A few connections to one database, kept up on one loop: tries the hosts in turn, comes back after
// a failure by itself, and holds every answer to its deadline. Belongs to the loop's thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/loop.h"
#include "store/pg_connection.h"

namespace earshot::store {

// How often deadlines are looked at while there are any.
inline constexpr std::chrono::milliseconds kPgTick{20};

class PgPool final : public EventSource {
 public:
  struct Options {
    std::vector<PgTarget> targets;
    std::size_t connections = 1;
    std::chrono::milliseconds lock_time{2000};
  };
  // What the owner is told: there may be a connection for it; and time has passed, to which it
  // says whether it waits for anything.
  struct Events {
    std::function<void()> ready;
    std::function<bool(SteadyTime now)> tick;
  };

  PgPool(Loop& loop, Options options, PgProofs& proofs, Events events);
  ~PgPool();
  PgPool(const PgPool&) = delete;
  PgPool& operator=(const PgPool&) = delete;

  // The ready connection with the fewest batches in flight, or null. For owners that share them,
  // among those that nobody has taken.
  std::shared_ptr<PgConnection> least_busy();

  // How many more batches those connections may have in flight, where each has `batches_max`.
  std::size_t free_batches(std::size_t batches_max) const;

  // The same for the caller alone until it is given back; behind what is in flight on it.
  std::shared_ptr<PgConnection> take();
  std::size_t taken() const;
  void give_back(const std::shared_ptr<PgConnection>& connection);

  // Has the owner's tick() called from now on, until it waits for nothing.
  void keep_time();

  bool is_ready() const;
  // Why there is no connection; empty where there is one or none was tried.
  const std::string& trouble() const { return trouble_; }

  void on_events(std::uint32_t events) override;

 private:
  struct Slot {
    std::shared_ptr<PgConnection> connection;  // null: to be made at `retry_at`
    std::size_t target = 0;                    // which host it is, or was, connected to
    bool is_taken = false;
    SteadyTime retry_at;
  };

  Slot* find_least_busy();
  void connect(Slot& slot);
  void on_ready();
  void on_lost(Slot& slot, const std::string& reason);
  SteadyTime choose_retry();
  void set_timer(bool runs);

  Loop& loop_;
  const Options options_;
  PgProofs& proofs_;
  const Events events_;
  std::vector<Slot> slots_;  // they stay where they are
  std::size_t next_target_ = 0;
  std::size_t failures_ = 0;  // of hosts, one after the other
  std::string trouble_;
  int timer_ = -1;
  bool timer_runs_ = false;
  bool is_closing_ = false;
  bool is_ending_others_ = false;
  std::minstd_rand random_;
};

}  // namespace earshot::store
