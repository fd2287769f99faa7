// What changed: pages, at once or when there is something, streams, and the head of the record.
#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "api/change_stream.h"
#include "api/encode_changes.h"
#include "api/exchange.h"
#include "api/feed.h"
#include "api/head.h"
#include "api/operations.h"
#include "api/reader_key.h"
#include "auth/scopes.h"

namespace earshot::api {
namespace {

store::ChangesCommand command_of(const Exchange& exchange, std::size_t changes_max) {
  const Query& query = exchange.query;
  return {exchange.principal->company(), query.after, query.call, query.user, changes_max,
          exchange.principal->asker};
}

void send_page(Exchange& exchange, store::ChangesView view, bool shows_hashes) {
  const core::Revision revision = view.head.revision;
  const auto hashes = shows_hashes ? records::KeyHashes::written : records::KeyHashes::left_out;
  exchange.send_encoded(ChangesEncoder(exchange.id_text, std::move(view), hashes), revision);
}

bool has_changes(const store::ChangesView& view) { return !view.revisions.empty() || !view.is_end; }

// A request for a page that waits until there is something on it, or its time is over.
class WaitingPage final : public Feed::Reader, public std::enable_shared_from_this<WaitingPage> {
 public:
  explicit WaitingPage(std::shared_ptr<Exchange> exchange)
      : Reader(exchange->principal->company()),
        exchange_(std::move(exchange)),
        feed_(*exchange_->setting.feed),
        key_(exchange_->setting.store, exchange_->admission, exchange_->principal->asker),
        until_(feed_.options().clock() + exchange_->query.wait) {}

  void read() {
    is_busy_ = true;
    has_news_ = false;
    exchange_->setting.store.read_changes(
        command_of(*exchange_, exchange_->query.limit),
        [self = shared_from_this()](Result<store::ChangesView> view) {
          self->on_own_loop([self, view = std::move(view)]() mutable {
            self->guard([&] { self->take(std::move(view)); });
          });
        });
  }

  void on_news() override {
    guard([this] {
      has_news_ = true;
      if (!is_busy_ && !exchange_->is_answered) read();
    });
  }
  void on_time(SteadyTime) override { finish(); }
  void on_end() override { finish(); }

 private:
  template <class Work>
  void guard(Work&& work) {
    const auto self = shared_from_this();
    exchange_->guard(work);
    if (exchange_->is_answered) feed_.leave(*this);
  }

  void take(Result<store::ChangesView> view) {
    is_busy_ = false;
    if (exchange_->is_answered) return;
    if (!view) return refuse_changes(*exchange_, view.error());
    view_ = std::move(*view);
    exchange_->query.after = view_.last;
    if (has_changes(view_) || is_over()) return answer();
    if (has_news_) return read();
    feed_.call_at(*this, until_);
  }

  bool is_over() const { return feed_.is_ending() || feed_.options().clock() >= until_; }

  void finish() {
    guard([this] {
      if (!is_busy_ && !exchange_->is_answered) answer();
    });
  }

  // A while ago the key let the request in.
  void answer() {
    is_busy_ = true;
    key_.check_after(key_.asker(), std::nullopt, [self = shared_from_this()](Result<bool> is_in) {
      self->guard([&] {
        if (!is_in) return self->exchange_->send_failure(is_in.error());
        if (!*is_in) return self->exchange_->send_failure(denied({}));
        send_page(*self->exchange_, std::move(self->view_), self->key_.shows_hashes());
      });
    });
  }

  const std::shared_ptr<Exchange> exchange_;
  Feed& feed_;
  ReaderKey key_;
  const SteadyTime until_;
  store::ChangesView view_;  // what was read last
  bool is_busy_ = false;     // reads, or answers
  bool has_news_ = false;
};

bool shows_hashes(const Exchange& exchange) {
  const auto& scopes = exchange.principal->key->key.scopes;
  return std::ranges::find(scopes, auth::kScopeKeysWrite) != scopes.end();
}

}  // namespace

void list_changes(Exchange& exchange) {
  if (exchange.wants_events) {
    return stream_changes(exchange, exchange.last_event.value_or(exchange.query.after));
  }
  if (exchange.query.wait == std::chrono::seconds(0)) {
    return exchange.setting.store.read_changes(
        command_of(exchange, exchange.query.limit),
        [self = exchange.shared_from_this()](Result<store::ChangesView> view) {
          self->guard([&] {
            if (!view) return refuse_changes(*self, view.error());
            send_page(*self, std::move(*view), shows_hashes(*self));
          });
        });
  }
  const auto page = std::make_shared<WaitingPage>(exchange.shared_from_this());
  if (!exchange.setting.feed->join(page)) {
    return exchange.send_problem(too_many_streams(exchange.setting.feed->options().streams_max));
  }
  page->read();
}

void get_changes_head(Exchange& exchange) {
  exchange.setting.store.read_changes(
      command_of(exchange, 0),
      [self = exchange.shared_from_this()](Result<store::ChangesView> view) {
        self->guard([&] {
          if (!view) return refuse_changes(*self, view.error());
          const auto& options = self->setting.options;
          http::Response response =
              self->make_response(200, kJson,
                                  encode_head(self->id_text, self->principal->company(), view->head,
                                              options.clock(), options.head_key));
          response.fields.add(kRevisionField, std::to_string(view->head.revision));
          self->send(std::move(response));
        });
      });
}

}  // namespace earshot::api
