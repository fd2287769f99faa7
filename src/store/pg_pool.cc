#include "store/pg_pool.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>

#include "base/assert.h"
#include "base/log.h"

namespace earshot::store {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kRetryFirst{50};
constexpr milliseconds kRetryLast{1000};

}  // namespace

PgPool::PgPool(Loop& loop, Options options, PgProofs& proofs, Events events)
    : loop_(loop),
      options_(std::move(options)),
      proofs_(proofs),
      events_(std::move(events)),
      slots_(options_.connections),
      random_(std::random_device{}()) {
  timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  ASSERT(timer_ >= 0 && loop_.watch(timer_, *this, EPOLLIN));
  for (Slot& slot : slots_) connect(slot);
}

PgPool::~PgPool() {
  is_closing_ = true;
  for (Slot& slot : slots_) {
    if (const auto connection = slot.connection) connection->end("the store is closing");
  }
  loop_.unwatch(timer_);
  ::close(timer_);
}

void PgPool::connect(Slot& slot) {
  slot.target = next_target_;
  const PgTarget& target = options_.targets[slot.target];
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::seconds(target.connect_seconds);
  slot.connection =
      PgConnection::connect(loop_, target, proofs_, deadline, options_.lock_time,
                            {[this] { on_ready(); },
                             [this, &slot](const std::string& reason) { on_lost(slot, reason); }});
  set_timer(true);
}

void PgPool::on_ready() {
  if (failures_ >= options_.targets.size()) log(Level::info, "database_back");
  failures_ = 0;
  trouble_.clear();
  events_.ready();
}

void PgPool::on_lost(Slot& slot, const std::string& reason) {
  if (is_closing_) return;
  const std::size_t target = slot.target;
  const bool was_ready = slot.connection->was_ready();
  trouble_ = options_.targets[target].name + ": " + reason;
  slot.connection = nullptr;
  slot.is_taken = false;
  // Of those that tried the same host only the first moves on to the next.
  if (target == next_target_ && !is_ending_others_) {
    next_target_ = (next_target_ + 1) % options_.targets.size();
    ++failures_;
    if (failures_ == options_.targets.size()) {
      log(Level::warn, "database_lost", {{"reason", trouble_}});
    }
  }
  // What has become of one of its connections becomes of all, and each would cost those who use it
  // its deadline. Not so of one that never came up: there may be too many.
  if (was_ready && !is_ending_others_) {
    is_ending_others_ = true;
    for (Slot& other : slots_) {
      const auto connection = other.connection;
      if (connection && other.target == target) connection->end(reason);
    }
    is_ending_others_ = false;
  }
  slot.retry_at = choose_retry();
  set_timer(true);
}

// At once as long as there are hosts that were not tried, then ever later.
SteadyTime PgPool::choose_retry() {
  const auto now = std::chrono::steady_clock::now();
  if (failures_ < options_.targets.size()) return now;
  const std::size_t rounds = std::min<std::size_t>(failures_ / options_.targets.size() - 1, 10);
  const milliseconds pause = std::min(kRetryFirst * (1 << rounds), kRetryLast);
  std::uniform_int_distribution<std::int64_t> some(pause.count() / 2, pause.count());
  return now + milliseconds(some(random_));
}

PgPool::Slot* PgPool::find_least_busy() {
  Slot* best = nullptr;
  for (Slot& slot : slots_) {
    if (slot.is_taken || !slot.connection || !slot.connection->is_ready()) continue;
    if (!best || slot.connection->batches() < best->connection->batches()) best = &slot;
  }
  if (best) set_timer(true);  // what is sent on it has a deadline
  return best;
}

std::shared_ptr<PgConnection> PgPool::least_busy() {
  const Slot* const slot = find_least_busy();
  return slot ? slot->connection : nullptr;
}

std::size_t PgPool::free_batches(std::size_t batches_max) const {
  std::size_t free = 0;
  for (const Slot& slot : slots_) {
    if (slot.is_taken || !slot.connection || !slot.connection->is_ready()) continue;
    free += batches_max - std::min(batches_max, slot.connection->batches());
  }
  return free;
}

std::shared_ptr<PgConnection> PgPool::take() {
  Slot* const slot = find_least_busy();
  if (!slot) return nullptr;
  slot->is_taken = true;
  return slot->connection;
}

std::size_t PgPool::taken() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(slots_, [](const Slot& slot) { return slot.is_taken; }));
}

void PgPool::give_back(const std::shared_ptr<PgConnection>& connection) {
  for (Slot& slot : slots_) {
    if (slot.connection == connection) slot.is_taken = false;
  }
  events_.ready();
}

void PgPool::keep_time() { set_timer(true); }

bool PgPool::is_ready() const {
  return std::ranges::any_of(
      slots_, [](const Slot& slot) { return slot.connection && slot.connection->is_ready(); });
}

void PgPool::on_events(std::uint32_t) {
  std::uint64_t ticks = 0;
  [[maybe_unused]] const auto size = ::read(timer_, &ticks, sizeof ticks);
  const auto now = std::chrono::steady_clock::now();
  for (Slot& slot : slots_) {
    if (!slot.connection && now >= slot.retry_at) connect(slot);
    if (const auto connection = slot.connection) connection->check_deadline(now);
  }
  // The owner may send now: what it waits for is looked at afterwards.
  const bool owner_waits = events_.tick(now);
  const auto waits = [](const Slot& slot) {
    return !slot.connection || !slot.connection->is_ready() || slot.connection->batches() > 0;
  };
  if (!owner_waits && std::ranges::none_of(slots_, waits)) set_timer(false);
}

void PgPool::set_timer(bool runs) {
  if (timer_runs_ == runs) return;
  timer_runs_ = runs;
  itimerspec period{};
  if (runs)
    period.it_interval.tv_nsec = period.it_value.tv_nsec =
        std::chrono::nanoseconds(kPgTick).count();
  ::timerfd_settime(timer_, 0, &period, nullptr);
}

}  // namespace earshot::store
