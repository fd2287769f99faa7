// What Earshot makes of HTTP requests: routes, the order of the checks, answers, log and metrics.
// The only module that knows status codes; the operations themselves are in service/.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string_view>

#include "api/exchange.h"
#include "api/feed.h"
#include "api/options.h"
#include "api/routes.h"
#include "api/shared_pages.h"
#include "auth/credentials.h"
#include "auth/rate_limit.h"
#include "base/time.h"
#include "http/message.h"
#include "store/store.h"

namespace earshot::api {

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

  // Has every stream and every request that waits for changes end, now and from now on, so that the
  // server can. Any thread.
  void end_streams() { feed_.end_all(); }

  // Lets go of the store where it was watched. After the server has ended, before the store does.
  void close() { feed_.stop(); }

  // For tests, where no thread does it: what is due to those who wait for changes.
  Feed& feed() { return feed_; }

  // Tells the store when keys were used last, of what it was not told yet. Waits. One thread at a
  // time.
  Status save_key_uses() { return setting_.key_uses.save(setting_.store); }

  // Whether every request that waits for the store was carried out in this time.
  bool finish_waiting(std::chrono::milliseconds time) {
    return setting_.waiting.wait_until_idle(time) && setting_.listing.wait_until_idle(time);
  }

  // Brings what was refused to the store for the last time, and asks it for nothing any more. False
  // where it did not answer in time.
  bool stop_keeping_refusals(std::chrono::milliseconds time) {
    return setting_.refusals.stop(time);
  }

  // The same without a limit. REQUIRES: no request is under way any more.
  void end_refusals() { setting_.refusals.end(); }

  // Where the number of open connections comes from. REQUIRES: before the first request.
  void set_connection_count(std::function<std::size_t()> count) {
    connection_count_ = std::move(count);
  }

 private:
  bool begin_operation(const http::RequestHead& head, const RouteMatch& match, Exchange& exchange);
  void look_up_key(Exchange& exchange, auth::Credentials credentials);
  bool admit(Exchange& exchange, auth::Verdict verdict, store::KeyPtr key,
             auth::Credentials credentials, Time now);
  void answer_neighbour(Exchange& exchange);

  Setting setting_;
  Feed feed_;
  SharedPages pages_;
  auth::RateLimiter& limiter_;
  std::function<std::size_t()> connection_count_;
  std::atomic<bool> draining_{false};
};

}  // namespace earshot::api
