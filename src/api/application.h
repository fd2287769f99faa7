// What Earshot makes of HTTP requests: routes, the order of the checks, answers, log and metrics.
// The only module that knows status codes; the operations themselves are in service/.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <string_view>

#include "api/decode.h"
#include "api/metrics.h"
#include "api/problem.h"
#include "auth/credentials.h"
#include "auth/rate_limit.h"
#include "base/time.h"
#include "http/message.h"
#include "store/store.h"

namespace earshot::api {

struct Options {
  DecodeLimits limits{};
  std::size_t body_bytes_max = 8 << 20;      // for the text of 413; the HTTP server holds the limit
  std::size_t answer_bytes_whole = 1 << 20;  // longer answers leave in pieces
  bool admin_on_main = false;  // the neighbours of the operations on the main address too
  double log_sample = 0;       // share of the requests to log that nothing calls for, 0 to 1
  Clock clock = wall_now;
};

class Exchange;

class Application final : public http::Application {
 public:
  // Both must outlive it. Observes the store's commits from now on.
  Application(store::Store& store, auth::RateLimiter& limiter, Options options);
  ~Application() override;

  std::shared_ptr<http::Body> begin(const http::RequestHead& head, http::Reply reply) override;
  http::Response refuse(int status, std::string_view remote_address) override;

  // From now on /readyz answers 503, so that no new connections are sent here; requests are
  // answered as before.
  void set_draining() { draining_.store(true, std::memory_order_relaxed); }

  // Where the number of open connections comes from. REQUIRES: before the first request.
  void set_connection_count(std::function<std::size_t()> count) {
    connection_count_ = std::move(count);
  }

 private:
  friend class Exchange;

  bool begin_operation(const http::RequestHead& head, Exchange& exchange);
  void look_up_key(Exchange& exchange, auth::Credentials credentials);
  bool admit(Exchange& exchange, auth::Verdict verdict, store::KeyPtr key,
             auth::Credentials credentials, Time now);
  void settle(Exchange& exchange);
  void refuse_content(Exchange& exchange, Problem problem);
  void answer_neighbour(Exchange& exchange);
  void answer_operation(Exchange& exchange);
  void list_access(Exchange& exchange);
  void change_access(Exchange& exchange);

  void send(Exchange& exchange, http::Response response);
  void send_problem(Exchange& exchange, const Problem& problem);
  void send_failure(Exchange& exchange, const Error& error);
  void finish(Exchange& exchange, int status, const Problem* problem);
  template <class Work>
  void guard(Exchange& exchange, Work&& work);

  store::Store& store_;
  auth::RateLimiter& limiter_;
  const Options options_;
  const std::shared_ptr<Metrics> metrics_ = std::make_shared<Metrics>();
  std::function<std::size_t()> connection_count_;
  std::atomic<bool> draining_{false};
};

}  // namespace earshot::api
