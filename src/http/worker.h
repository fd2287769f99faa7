// One thread of the server: an epoll loop with its own listening sockets, the connections that came
// in through them, their deadlines, and the buffers that they share. Everything but post(), stop()
// and cut() belongs to that thread; others wait on it as on any Loop.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/loop.h"
#include "base/result.h"
#include "base/wake.h"
#include "http/message.h"
#include "http/parser.h"
#include "http/server.h"
#include "http/tls.h"

namespace earshot::http {

class Connection;

using SteadyTime = std::chrono::steady_clock::time_point;

// Counts connections, in all and by address, against their limits. Any thread.
class Admissions {
 public:
  // The place of one connection, given back when it is destroyed.
  class Ticket {
   public:
    Ticket(Admissions& owner, std::string address) : owner_(&owner), address_(std::move(address)) {}
    Ticket(Ticket&& other) noexcept
        : owner_(std::exchange(other.owner_, nullptr)), address_(std::move(other.address_)) {}
    Ticket& operator=(Ticket&& other) noexcept {
      std::swap(owner_, other.owner_);
      std::swap(address_, other.address_);
      return *this;
    }
    ~Ticket() {
      if (owner_) owner_->leave(address_);
    }

   private:
    Admissions* owner_;
    std::string address_;
  };

  Admissions(std::size_t max, std::size_t per_address_max)
      : max_(max), per_address_max_(per_address_max) {}

  std::optional<Ticket> admit(const std::string& address);
  std::size_t count() const { return count_.load(std::memory_order_relaxed); }

 private:
  void leave(const std::string& address);

  const std::size_t max_;
  const std::size_t per_address_max_;
  std::atomic<std::size_t> count_ = 0;
  std::mutex mutex_;
  std::unordered_map<std::string, std::size_t> by_address_;  // guarded by mutex_
};

// What all threads of a server share.
struct Site {
  Site(Application& its_application, const Limits& its_limits);

  Application& application;
  const Limits limits;
  Admissions clients;
  Admissions admins;   // of their own, so that a crowd does not lock the operator out
  Admissions surplus;  // beyond the limits, and only to be told so

  std::shared_ptr<const TlsContext> tls();
  void set_tls(std::shared_ptr<const TlsContext> tls);

 private:
  std::mutex mutex_;
  std::shared_ptr<const TlsContext> tls_;  // guarded by mutex_
};

class Worker final : public Loop, public Sleeper, public std::enable_shared_from_this<Worker> {
 public:
  static Result<std::shared_ptr<Worker>> make(std::shared_ptr<Site> site);
  ~Worker() override;
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Takes a listening socket. Before run().
  void add_listener(int descriptor, bool is_admin, bool is_tls);

  // Serves until stop() was called and the last connection has ended; does not wait for others who
  // watch descriptors on it.
  void run();

  // Many tasks cost one wake-up.
  bool post(std::function<void()> task) override;
  bool watch(int descriptor, EventSource& source, std::uint32_t events) override;
  void rewatch(int descriptor, EventSource& source, std::uint32_t events) override;
  void unwatch(int descriptor) override;
  void at_end(std::function<void()> task) override { at_end_.push_back(std::move(task)); }

  void wake() override;
  // Any thread: ends the listeners and idle connections, and lets the others finish.
  void stop();
  // Any thread: ends every connection at once.
  void cut();

  // For connections.
  bool is_current() const { return Loop::current() == this; }
  Site& site() { return *site_; }
  SteadyTime now() const { return now_; }
  bool is_stopping() const { return is_stopping_; }
  std::string& output() { return output_; }
  std::string& input() { return input_; }
  ParsedHead& head() { return head_; }
  // The connection that is being worked for; answers to it may be taken at once.
  Connection* active() const { return active_; }
  void set_active(Connection* connection) { active_ = connection; }
  void set_deadline(const Connection& connection, SteadyTime deadline);
  // Gives the connection another turn after the others have had theirs.
  void run_again(Connection& connection);
  void forget(Connection& connection);

 private:
  class Listener;
  friend class Listener;
  struct Slot {
    SteadyTime deadline;
    std::shared_ptr<Connection> connection;
  };

  explicit Worker(std::shared_ptr<Site> site);
  void adopt(int descriptor, std::string address, bool is_admin, bool is_tls);
  void run_tasks();
  void sweep();
  int wait_ms() const;
  void end();
  template <class Do>
  void for_each_connection(Do&& action);

  const std::shared_ptr<Site> site_;
  int epoll_ = -1;
  int wake_ = -1;

  SteadyTime now_;
  SteadyTime next_sweep_;
  const std::chrono::milliseconds sweep_interval_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<Slot> connections_;
  std::vector<std::shared_ptr<Connection>> again_;
  std::vector<std::shared_ptr<Connection>>
      ended_;  // kept until no event of this round can name them
  Connection* active_ = nullptr;
  bool is_stopping_ = false;
  bool has_own_tasks_ = false;
  std::vector<std::function<void()>> at_end_;
  std::string output_;
  std::string input_;
  ParsedHead head_;

  std::mutex mutex_;
  std::vector<std::function<void()>> tasks_;  // guarded by mutex_
  bool is_over_ = false;                      // guarded by mutex_
};

}  // namespace earshot::http
