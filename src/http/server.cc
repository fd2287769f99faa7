#include "http/server.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "base/assert.h"
#include "http/tls.h"
#include "http/worker.h"

namespace earshot::http {
namespace {

// An address to bind to.
struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  Descriptor(Descriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  int get() const { return descriptor_; }
  int release() { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_;
};

Result<Address> parse_address(const std::string& text) {
  const auto malformed = [&] {
    return invalid_argument("\"" + text +
                            "\" is no address to listen on: write HOST:PORT or [IPV6]:PORT");
  };
  const auto colon = text.rfind(':');
  if (colon == text.npos || colon == 0) return malformed();
  std::string host = text.substr(0, colon);
  const std::string port = text.substr(colon + 1);
  if (host.front() == '[') {
    if (host.size() < 3 || host.back() != ']') return malformed();
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != host.npos) {
    return malformed();
  }
  if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != port.npos ||
      std::stoi(port) > 65535) {
    return malformed();
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0) {
    return invalid_argument("cannot listen on " + text + ": " + ::gai_strerror(error));
  }
  Address address;
  address.size = found->ai_addrlen;
  std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
  ::freeaddrinfo(found);
  return address;
}

std::string format_bound(int descriptor) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&bound), &size);
  char host[NI_MAXHOST], port[NI_MAXSERV];
  ASSERT(::getnameinfo(reinterpret_cast<sockaddr*>(&bound), size, host, sizeof host, port,
                       sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) == 0);
  return bound.ss_family == AF_INET6 ? "[" + std::string(host) + "]:" + port
                                     : std::string(host) + ":" + port;
}

Result<Descriptor> bind_to(const Address& address, const std::string& text, bool is_shared) {
  Descriptor socket(
      ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  if (socket.get() >= 0) {
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (is_shared) ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    // What is accepted inherits these.
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(socket.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  }
  if (socket.get() < 0 || ::bind(socket.get(), address.get(), address.size) != 0) {
    const int error = errno;
    const std::string message = "cannot listen on " + text + ": " + std::strerror(error);
    return error == EADDRINUSE ? conflict(message) : invalid_argument(message);
  }
  return socket;
}

Status listen_on(const Descriptor& socket, const std::string& text) {
  if (::listen(socket.get(), SOMAXCONN) == 0) return {};
  const int error = errno;
  const std::string message = "cannot listen on " + text + ": " + std::strerror(error);
  return error == EADDRINUSE ? conflict(message) : invalid_argument(message);
}

// A listening socket for each of `count` threads, all on one address that nobody else listens on.
Result<std::vector<Descriptor>> open_listeners(const std::string& text, std::size_t count) {
  Address address = TRY(parse_address(text));
  std::vector<Descriptor> listeners;
  if (count == 1) {
    listeners.push_back(TRY(bind_to(address, text, false)));
    TRY(listen_on(listeners.back(), text));
    return listeners;
  }
  // With SO_REUSEPORT alone, another server on the port would share it in silence.
  const Descriptor probe = TRY(bind_to(address, text, false));
  address.size = sizeof address.storage;
  ::getsockname(probe.get(), reinterpret_cast<sockaddr*>(&address.storage), &address.size);
  for (std::size_t i = 0; i < count; ++i) {
    listeners.push_back(TRY(bind_to(address, text, true)));
    TRY(listen_on(listeners.back(), text));
  }
  return listeners;
}

// Each connection is a descriptor, and the usual soft limit is 1024.
void raise_descriptor_limit(std::size_t connections_max) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = std::min<rlim_t>(limit.rlim_max, connections_max + 4096);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

class ThreadedServer final : public Server {
 public:
  ThreadedServer(ServerOptions options, Application& application)
      : options_(std::move(options)), site_(std::make_shared<Site>(application, options_.limits)) {}

  ~ThreadedServer() override { stop(std::chrono::milliseconds(0)); }

  Status bind() {
    if (options_.tls) TRY(reload_tls());
    ASSERT(options_.threads > 0);
    auto listeners = TRY(open_listeners(options_.listen, options_.threads));
    address_ = format_bound(listeners.front().get());
    for (auto& listener : listeners) {
      workers_.push_back(TRY(Worker::make(site_)));
      workers_.back()->add_listener(listener.release(), false, options_.tls.has_value());
    }
    if (options_.admin_listen) {
      auto admin = TRY(open_listeners(*options_.admin_listen, 1));
      admin_address_ = format_bound(admin.front().get());
      workers_.front()->add_listener(admin.front().release(), true, false);
    }
    raise_descriptor_limit(options_.limits.connections_max);
    return {};
  }

  std::string address() const override { return address_; }
  std::optional<std::string> admin_address() const override { return admin_address_; }

  void start() override {
    ASSERT(threads_.empty());
    // Signals are for whoever started the server.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    running_ = workers_.size();
    for (const auto& worker : workers_) {
      threads_.emplace_back([this, worker] {
        pthread_setname_np(pthread_self(), "http");
        worker->run();
        const std::lock_guard lock(mutex_);
        --running_;
        ended_.notify_all();
      });
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  Status reload_tls() override {
    if (!options_.tls) return {};
    site_->set_tls(TRY(TlsContext::load(*options_.tls)));
    return {};
  }

  void stop(std::chrono::milliseconds grace) override {
    const std::lock_guard stopping(stop_mutex_);
    for (const auto& worker : workers_) worker->stop();
    {
      std::unique_lock lock(mutex_);
      ended_.wait_for(lock, grace, [this] { return running_ == 0; });
    }
    for (const auto& worker : workers_) worker->cut();
    for (auto& thread : threads_) thread.join();
    threads_.clear();
  }

  std::size_t connection_count() const override {
    return site_->clients.count() + site_->admins.count() + site_->surplus.count();
  }

 private:
  const ServerOptions options_;
  const std::shared_ptr<Site> site_;
  std::vector<std::shared_ptr<Worker>> workers_;
  std::vector<std::thread> threads_;
  std::string address_;
  std::optional<std::string> admin_address_;

  std::mutex stop_mutex_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::size_t running_ = 0;  // guarded by mutex_
};

}  // namespace

Result<std::unique_ptr<Server>> Server::open(ServerOptions options, Application& application) {
  auto server = std::make_unique<ThreadedServer>(std::move(options), application);
  TRY(server->bind());
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace earshot::http
