#include "cli/serve.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <future>
#include <utility>

#include "auth/key_uses.h"
#include "base/log.h"
#include "cli/control.h"
#include "cli/demo.h"
#include "cli/load.h"
#include "cli/run_command.h"
#include "cli/usage_exchange.h"
#include "cli/values.h"
#include "store/pg_url.h"

namespace earshot::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::chrono::seconds kCommandsGrace{10};
constexpr std::chrono::seconds kUsageGrace{2};
constexpr milliseconds kLookEvery{50};

sigset_t waited_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  return set;
}

// The next signal, or 0 where none came in time.
int wait_signal(steady_clock::duration timeout) {
  using namespace std::chrono;
  const sigset_t set = waited_signals();
  const auto nanos = std::max<std::int64_t>(0, duration_cast<nanoseconds>(timeout).count());
  const timespec limit{nanos / 1'000'000'000, nanos % 1'000'000'000};
  const int signal = sigtimedwait(&set, nullptr, &limit);
  return signal < 0 ? 0 : signal;
}

bool is_end(int signal) { return signal == SIGTERM || signal == SIGINT; }

bool is_end_pending() {
  sigset_t pending;
  sigemptyset(&pending);
  sigpending(&pending);
  return sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1;
}

// Everything that a serving process has, in the order in which it is made.
class Service {
 public:
  explicit Service(const ServeOptions& options) : options_(options), limiter_(options.rates) {}

  ~Service() {
    // Ends the loops of its threads, and with them what they have of the store. The loops and the
    // application themselves are destroyed last: the store answers what it still has while it
    // closes, and those answers go through them.
    if (server_) server_->stop(milliseconds(0));
    if (application_) application_->close();
    usage_.reset();
    // It asks the store, which ends before it.
    if (application_) application_->end_refusals();
    control_.reset();
    store_.reset();
  }
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // Everything but serving. Whatever cannot be honoured shows here, and before any record is
  // applied.
  Status open() {
    store_ = TRY(is_over_database() ? store::open_postgres(options_.postgres)
                                    : store::open_embedded(options_.store));
    TRY(limiter_.load(*store_, steady_clock::now(), wall_now()));
    application_ = std::make_unique<api::Application>(*store_, limiter_, options_.api);
    server_ = TRY(http::Server::open(options_.server, *application_));
    application_->set_connection_count(
        [server = server_.get()] { return server->connection_count(); });
    if (options_.demo) TRY(load_demo(*store_));
    for (const auto& file : options_.load) TRY(load(file));
    // Whoever has a command for a database carries it out there.
    if (is_over_database()) return {};
    control_ = TRY(ControlServer::open(options_.store.directory,
                                       [this](const Command& command, CommandIo& io) {
                                         return run_command(*store_, command, io);
                                       }));
    return {};
  }

  void start() {
    start_log();
    for (const auto& warning : warnings_) log(Level::warn, "load", {{"warning", warning}});
    usage_ = std::make_unique<UsageExchange>(exchange_tasks());
    server_->start();
    const std::string url = (options_.server.tls ? "https://" : "http://") + server_->address();
    std::printf("listening on %s\n", url.c_str());
    if (options_.demo)
      std::fputs(describe_demo(url, options_.server.tls.has_value()).c_str(), stdout);
    std::fflush(stdout);
    log(Level::info, "started",
        {{"version", EARSHOT_VERSION},
         {"address", server_->address()},
         {"admin_address", server_->admin_address().value_or("")},
         {"store", is_over_database() ? store::describe_postgres_url(options_.postgres.url)
                                      : options_.store.directory}});
    if (options_.demo) warn_of_demo();
  }

  // Returns when it is told to end.
  void serve() {
    for (;;) {
      const int signal = wait_signal(std::chrono::hours(1));
      if (is_end(signal)) return;
      if (signal == SIGHUP) reload_tls();
    }
  }

  // Drains and closes. A second signal cuts each wait short.
  void stop() {
    application_->set_draining();
    log(Level::info, "draining", {{"delay_ms", options_.drain_delay.count()}});
    const auto delay_ends = steady_clock::now() + options_.drain_delay;
    for (auto now = steady_clock::now(); now < delay_ends; now = steady_clock::now()) {
      if (is_end(wait_signal(delay_ends - now))) break;
    }
    // Until now readers that came were better off here than refused.
    application_->end_streams();
    stop_server();
    // Who waits for the store is a load under way whose client was cut off.
    if (!application_->finish_waiting(kCommandsGrace) ||
        (control_ && !control_->stop(kCommandsGrace))) {
      // A command cannot be torn out of the store; what it does is whole or not there at the next
      // start.
      log(Level::warn, "command_abandoned");
      leave(0);
    }
    stop_usage();
    stop_refusals();
  }

 private:
  // What is told to the store, and heard from it, now and then.
  std::vector<ExchangeTask> exchange_tasks() {
    return {
        {"usage", store_->usage_interval(),
         [this] { return limiter_.exchange(*store_, steady_clock::now()); }},
        {"key_uses", auth::kKeyUsesSavedEvery, [this] { return application_->save_key_uses(); }}};
  }

  bool is_over_database() const { return !options_.postgres.url.empty(); }

  Status load(const std::string& file) {
    const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return invalid_argument("cannot open " + file + ": " + std::strerror(errno));
    Output progress(STDERR_FILENO);
    const auto loaded = load_with_progress(*store_, file, fd, progress, is_end_pending);
    close(fd);
    if (!loaded) return loaded.error();
    const std::string warning = describe_warnings(loaded->warnings);
    if (!warning.empty()) warnings_.push_back(warning);
    return {};
  }

  void warn_of_demo() {
    const auto address = parse_host_port(options_.server.listen);
    if (address && !is_loopback(address->host)) {
      log(Level::warn, "demo",
          {{"warning", "everybody knows the demo key, and others can reach it"}});
    }
  }

  void reload_tls() {
    if (!options_.server.tls) return;
    const auto status = server_->reload_tls();
    if (status) {
      log(Level::info, "tls_reloaded");
    } else {
      log(Level::error, "tls_not_reloaded", {{"reason", status.error().message}});
    }
  }

  void stop_usage() {
    if (!usage_->stop(kUsageGrace)) log(Level::warn, "usage_abandoned");
  }

  void stop_refusals() {
    if (!application_->stop_keeping_refusals(kUsageGrace)) log(Level::warn, "refusals_abandoned");
  }

  void stop_server() {
    auto stopping = std::async(std::launch::async, [this] { server_->stop(options_.drain_time); });
    while (stopping.wait_for(kLookEvery) != std::future_status::ready) {
      if (!is_end(wait_signal(milliseconds(0)))) continue;
      // Told twice: what was acknowledged is on disk, and the rest is cut.
      log(Level::warn, "ended_at_once");
      leave(1);
    }
  }

  [[noreturn]] void leave(int code) {
    stop_usage();
    stop_refusals();
    flush_log();
    _exit(code);
  }

  const ServeOptions& options_;
  auth::RateLimiter limiter_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<api::Application> application_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<ControlServer> control_;
  std::unique_ptr<UsageExchange> usage_;
  std::vector<std::string> warnings_;
};

}  // namespace

void block_signals() {
  std::signal(SIGPIPE, SIG_IGN);
  const sigset_t set = waited_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

int serve(const ServeOptions& options) {
  {
    Service service(options);
    if (const auto opened = service.open(); !opened) {
      std::fprintf(stderr, "earshot: %s\n", opened.error().message.c_str());
      return 2;
    }
    service.start();
    service.serve();
    service.stop();
  }
  log(Level::info, "stopped");
  stop_log();
  return 0;
}

}  // namespace earshot::cli
