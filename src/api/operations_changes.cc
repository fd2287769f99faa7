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

// How often it is looked whether who waits is still there.
constexpr std::chrono::seconds kLookEvery{1};

// A request for a page: what there is or, where it waits, when there is something, or its time is
// over.
class PageReader final : public Feed::Reader, public std::enable_shared_from_this<PageReader> {
 public:
  explicit PageReader(std::shared_ptr<Exchange> exchange)
      : Reader(exchange->principal->company()),
        exchange_(std::move(exchange)),
        feed_(*exchange_->setting.feed),
        key_(exchange_->setting.store, exchange_->admission, exchange_->principal->asker),
        until_(feed_.options().clock() + exchange_->query.wait) {}

  // REQUIRES: it has joined the feed, if it is to wait.
  void read() {
    is_busy_ = true;
    has_news_ = false;
    exchange_->setting.store.read_changes(
        command_of(*exchange_, exchange_->query.limit),
        [self = shared_from_this()](Result<store::ChangesView> view) {
          go_on_at(self->loop(), [self, view = std::move(view)]() mutable {
            self->guard([&] { self->take(std::move(view)); });
          });
        });
  }

  void on_news() override {
    has_news_ = true;
    look();
  }
  void on_time(SteadyTime) override { look(); }
  void on_end() override { look(); }

 private:
  template <class Work>
  void guard(Work&& work) {
    const auto self = shared_from_this();
    exchange_->guard(work);
    if (exchange_->is_answered) feed_.leave(*this);
  }

  void look() {
    guard([this] {
      if (!is_busy_ && !exchange_->is_answered) go_on();
    });
  }

  void take(Result<store::ChangesView> view) {
    is_busy_ = false;
    if (exchange_->is_answered) return;
    if (!view) return refuse_changes(*exchange_, view.error());
    view_ = std::move(*view);
    exchange_->query.after = view_.last;
    if (has_changes(view_)) return answer();
    // What nobody asked for may have been the end of the key.
    confirm_key([this] { go_on(); });
  }

  // Nothing has come yet.
  void go_on() {
    const SteadyTime now = feed_.options().clock();
    // Whoever has left is answered as well: it gives the place free, and reaches nobody.
    if (now >= until_ || feed_.is_ending() || !exchange_->reply.is_client_there()) return answer();
    if (has_news_) return read();
    feed_.call_at(*this, std::min(until_, now + kLookEvery));
  }

  // The key let the request in, but a while ago, and the store may not have said with which scopes.
  void answer() {
    confirm_key([this] { send_page(*exchange_, std::move(view_), key_.shows_hashes()); });
  }

  // Carries on with `work` where the key still lets the request in; else refuses it.
  template <class Work>
  void confirm_key(Work work) {
    is_busy_ = true;
    key_.check_after(key_.asker(), std::nullopt,
                     [self = shared_from_this(), work = std::move(work)](Result<bool> is_in) {
                       self->guard([&] {
                         self->is_busy_ = false;
                         if (!is_in) return self->exchange_->send_failure(is_in.error());
                         if (!*is_in) return self->exchange_->send_failure(denied({}));
                         work();
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

}  // namespace

void list_changes(Exchange& exchange) {
  if (exchange.wants_events) {
    return stream_changes(exchange, exchange.last_event.value_or(exchange.query.after));
  }
  const auto page = std::make_shared<PageReader>(exchange.shared_from_this());
  if (exchange.query.wait > std::chrono::seconds(0)) {
    const Status joined = exchange.setting.feed->join(page);
    if (!joined) return exchange.send_problem(too_many_streams(joined.error().message));
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
