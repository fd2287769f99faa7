#include "http/worker.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/assert.h"
#include "http/connection.h"

namespace earshot::http {
namespace {

constexpr std::size_t kReadBytes = 32 << 10;
constexpr std::size_t kKeptOutputBytesMax = 1 << 20;
constexpr std::size_t kAdminConnectionsMax = 256;
constexpr std::size_t kSurplusConnectionsMax = 1024;
constexpr int kAcceptsPerRound = 64;
// Long enough not to spin, short enough not to be noticed.
constexpr std::chrono::milliseconds kAcceptPause{100};

std::string format_address(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
  } else if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
      inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], text, sizeof text);
    } else {
      inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    }
  }
  return text;
}

// Deadlines are kept to about a tenth.
std::chrono::milliseconds choose_sweep_interval(const Limits& limits) {
  using std::chrono::milliseconds;
  const auto shortest = std::min({limits.idle_time, limits.request_time, limits.write_time});
  return std::clamp(shortest / 10, milliseconds(5), milliseconds(500));
}

}  // namespace

std::optional<Admissions::Ticket> Admissions::admit(const std::string& address) {
  const std::lock_guard lock(mutex_);
  if (count_ >= max_) return std::nullopt;
  std::size_t& of_address = by_address_[address];
  if (of_address >= per_address_max_) {
    if (of_address == 0) by_address_.erase(address);
    return std::nullopt;
  }
  ++of_address;
  ++count_;
  return std::optional<Ticket>(std::in_place, *this, address);
}

void Admissions::leave(const std::string& address) {
  const std::lock_guard lock(mutex_);
  --count_;
  const auto found = by_address_.find(address);
  if (--found->second == 0) by_address_.erase(found);
}

Site::Site(Application& its_application, const Limits& its_limits)
    : application(its_application),
      limits(its_limits),
      clients(its_limits.connections_max, its_limits.connections_per_address_max),
      admins(kAdminConnectionsMax, kAdminConnectionsMax),
      surplus(kSurplusConnectionsMax, kSurplusConnectionsMax) {}

std::shared_ptr<const TlsContext> Site::tls() {
  const std::lock_guard lock(mutex_);
  return tls_;
}

void Site::set_tls(std::shared_ptr<const TlsContext> tls) {
  const std::lock_guard lock(mutex_);
  tls_ = std::move(tls);
}

class Worker::Listener final : public EventSource {
 public:
  Listener(Worker& worker, int descriptor, bool is_admin, bool is_tls)
      : worker_(worker), descriptor_(descriptor), is_admin_(is_admin), is_tls_(is_tls) {}
  ~Listener() { ::close(descriptor_); }

  void on_events(std::uint32_t) override { accept(kAcceptsPerRound); }

  // Takes what waits in the backlog, at most `count`.
  void accept(int count) {
    for (; count > 0; --count) {
      sockaddr_storage address{};
      socklen_t size = sizeof address;
      const int accepted = ::accept4(descriptor_, reinterpret_cast<sockaddr*>(&address), &size,
                                     SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (accepted >= 0) {
        worker_.adopt(accepted, format_address(address), is_admin_, is_tls_);
        continue;
      }
      if (errno == EAGAIN) return;
      // Descriptors or memory have run out: the backlog stays ready, and without a pause this would
      // spin.
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        pause();
        return;
      }
      // Else the client has gone while it waited.
    }
  }

  bool is_paused() const { return is_paused_; }

  void resume_when_due() {
    if (!is_paused_ || worker_.now() < resume_at_) return;
    is_paused_ = false;
    worker_.rewatch(descriptor_, *this, EPOLLIN);
  }

 private:
  void pause() {
    is_paused_ = true;
    resume_at_ = worker_.now() + kAcceptPause;
    worker_.rewatch(descriptor_, *this, 0);
  }

  Worker& worker_;
  const int descriptor_;
  const bool is_admin_;
  const bool is_tls_;
  bool is_paused_ = false;
  SteadyTime resume_at_;
};

Result<std::shared_ptr<Worker>> Worker::make(std::shared_ptr<Site> site) {
  std::shared_ptr<Worker> worker(new Worker(std::move(site)));
  worker->epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  worker->wake_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  // Edge-triggered: each write is told of once, and nobody has to read the count.
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  if (worker->epoll_ < 0 || worker->wake_ < 0 ||
      ::epoll_ctl(worker->epoll_, EPOLL_CTL_ADD, worker->wake_, &event) != 0) {
    return internal(std::string("cannot make an event loop: ") + std::strerror(errno));
  }
  return worker;
}

Worker::Worker(std::shared_ptr<Site> site)
    : site_(std::move(site)),
      now_(std::chrono::steady_clock::now()),
      sweep_interval_(choose_sweep_interval(site_->limits)),
      // An unfinished head, and what is read behind it.
      input_(site_->limits.head_bytes_max + kReadBytes, '\0') {}

Worker::~Worker() {
  listeners_.clear();
  if (wake_ >= 0) ::close(wake_);
  if (epoll_ >= 0) ::close(epoll_);
}

void Worker::add_listener(int descriptor, bool is_admin, bool is_tls) {
  listeners_.push_back(std::make_unique<Listener>(*this, descriptor, is_admin, is_tls));
  ASSERT(watch(descriptor, *listeners_.back(), EPOLLIN));
}

bool Worker::watch(int descriptor, EventSource& source, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &source;
  return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

void Worker::rewatch(int descriptor, EventSource& source, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &source;
  ::epoll_ctl(epoll_, EPOLL_CTL_MOD, descriptor, &event);
}

void Worker::unwatch(int descriptor) { ::epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, nullptr); }

void Worker::run() {
  const Running running(*this);
  std::array<epoll_event, 256> events;
  while (!is_stopping_ || !connections_.empty()) {
    const int count =
        ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), wait_ms());
    ASSERT(count >= 0 || errno == EINTR);
    now_ = std::chrono::steady_clock::now();
    // What the round hands over is handed over as one.
    const HeldWakes held;
    bool is_woken = has_own_tasks_;
    for (int i = 0; i < count; ++i) {
      const auto source = static_cast<EventSource*>(events[static_cast<std::size_t>(i)].data.ptr);
      if (source) {
        source->on_events(events[static_cast<std::size_t>(i)].events);
      } else {
        is_woken = true;
      }
    }
    for (const auto& connection : std::exchange(again_, {})) connection->on_turn();
    if (is_woken) run_tasks();
    if (now_ >= next_sweep_) sweep();
    ended_.clear();
    if (output_.capacity() > kKeptOutputBytesMax) std::string().swap(output_);
  }
  end();
}

void Worker::end() {
  for (auto& task : std::exchange(at_end_, {})) task();
  std::vector<std::function<void()>> dropped;
  {
    const std::lock_guard lock(mutex_);
    is_over_ = true;
    dropped.swap(tasks_);
  }
  dropped.clear();
  again_.clear();
}

int Worker::wait_ms() const {
  if (has_own_tasks_ || !again_.empty()) return 0;
  const bool is_paused = std::any_of(listeners_.begin(), listeners_.end(),
                                     [](const auto& listener) { return listener->is_paused(); });
  if (connections_.empty() && !is_paused) return -1;
  // Counted from when the round began: a reading of the clock saved, for a sweep later by a round.
  const auto left = next_sweep_ - now_;
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<int>(std::max<std::int64_t>(ms, 0));
}

bool Worker::post(std::function<void()> task) {
  bool wake;
  {
    const std::lock_guard lock(mutex_);
    if (is_over_) return false;
    wake = tasks_.empty();
    tasks_.push_back(std::move(task));
  }
  if (is_current()) {
    has_own_tasks_ = true;
  } else if (wake) {
    earshot::wake(shared_from_this());
  }
  return true;
}

void Worker::wake() {
  const std::uint64_t once = 1;
  [[maybe_unused]] const auto written = ::write(wake_, &once, sizeof once);
}

void Worker::run_tasks() {
  std::vector<std::function<void()>> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(tasks_);
    has_own_tasks_ = false;
  }
  for (auto& task : tasks) {
    task();
    task = nullptr;
  }
}

void Worker::stop() {
  post([this] {
    is_stopping_ = true;
    // Who stands in the backlog has been let in by the kernel already, and may have sent a request.
    for (const auto& listener : listeners_) listener->accept(1 << 16);
    listeners_.clear();
    for_each_connection([](Connection& connection) { connection.on_stop(); });
  });
}

void Worker::cut() {
  post([this] { for_each_connection([](Connection& connection) { connection.on_cut(); }); });
}

template <class Do>
void Worker::for_each_connection(Do&& action) {
  std::vector<std::shared_ptr<Connection>> all;
  all.reserve(connections_.size());
  for (const Slot& slot : connections_) all.push_back(slot.connection);
  for (const auto& connection : all) action(*connection);
}

void Worker::adopt(int descriptor, std::string address, bool is_admin, bool is_tls) {
  auto ticket = (is_admin ? site_->admins : site_->clients).admit(address);
  const bool is_surplus = !ticket;
  SslSession session;
  if (is_surplus) {
    // An answer is a courtesy; a handshake for it would cost more than serving the client.
    if (!is_tls) ticket = site_->surplus.admit(address);
  } else if (is_tls) {
    session = site_->tls()->make_session();
  }
  if (!ticket || (is_tls && !session)) {
    ::close(descriptor);
    return;
  }
  auto connection =
      std::make_shared<Connection>(shared_from_this(), descriptor, std::move(session),
                                   std::move(address), is_admin, is_surplus, std::move(*ticket));
  connection->set_slot(connections_.size());
  connections_.push_back({SteadyTime::max(), connection});
  connection->begin();
}

void Worker::set_deadline(const Connection& connection, SteadyTime deadline) {
  connections_[connection.slot()].deadline = deadline;
}

void Worker::run_again(Connection& connection) {
  again_.push_back(connections_[connection.slot()].connection);
}

void Worker::forget(Connection& connection) {
  const std::size_t slot = connection.slot();
  ended_.push_back(std::move(connections_[slot].connection));
  if (slot + 1 != connections_.size()) {
    connections_[slot] = std::move(connections_.back());
    connections_[slot].connection->set_slot(slot);
  }
  connections_.pop_back();
}

void Worker::sweep() {
  next_sweep_ = now_ + sweep_interval_;
  for (const auto& listener : listeners_) listener->resume_when_due();
  for (std::size_t i = 0; i < connections_.size();) {
    Connection* const connection = connections_[i].connection.get();
    if (connections_[i].deadline <= now_) connection->on_deadline();
    // What has ended has given its slot to the last.
    if (i < connections_.size() && connections_[i].connection.get() == connection) ++i;
  }
}

}  // namespace earshot::http
