#include "api/change_stream.h"

#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "api/encode_changes.h"
#include "api/feed.h"
#include "api/reader_key.h"
#include "api/shared_pages.h"
#include "base/log.h"

namespace earshot::api {
namespace {

constexpr std::string_view kSlow = "what was sent was not taken in time";
constexpr std::string_view kDenied = "the key lets this reader through no more";
constexpr std::string_view kDraining = "the server is about to stop";
constexpr std::string_view kUnavailable = "the changes cannot be read now";

// One reader. Reads a page, sends it, and reads the next when it was taken: so one page is under
// way at most. All of it on one loop.
class ChangeStream final : public Feed::Reader, public std::enable_shared_from_this<ChangeStream> {
 public:
  ChangeStream(std::shared_ptr<Exchange> exchange, store::ChangesPosition after)
      : Reader(exchange->principal->company()),
        setting_(exchange->setting),
        feed_(*setting_.feed),
        key_(setting_.store, exchange->admission, exchange->principal->asker),
        id_text_(exchange->id_text),
        call_(exchange->query.call),
        user_(exchange->query.user),
        exchange_(std::move(exchange)),
        after_(after),
        told_(after) {}

  // REQUIRES: it has joined the feed.
  void begin_reading() {
    news_ = feed_.news();
    advance();
  }

  void advance() {
    if (is_over_ || is_busy_ || is_writing_) return;
    is_busy_ = true;
    has_news_ = false;
    const bool shows_hashes = key_.shows_hashes();
    setting_.pages->read({key_.company(), after_, call_, user_, shows_hashes}, news_, key_.asker(),
                         [self = shared_from_this(), shows_hashes](auto page) {
                           self->guard([&] { self->take(std::move(page), shows_hashes); });
                         });
  }

  void on_news() override {
    guard([this] {
      news_ = feed_.news();
      has_news_ = true;
      if (stream_) advance();
    });
  }

  void on_time(SteadyTime now) override {
    guard([&] {
      if (is_over_ || !stream_) return;
      if (is_writing_) {
        if (now - wrote_at_ >= feed_.options().stall) return end(StreamEnd::slow, kSlow);
        feed_.call_at(*this, wrote_at_ + feed_.options().stall);
      } else if (is_busy_) {
        feed_.call_at(*this, now + std::chrono::seconds(1));
      } else if (now - wrote_at_ >= feed_.options().heartbeat) {
        beat();
      } else {
        feed_.call_at(*this, wrote_at_ + feed_.options().heartbeat);
      }
    });
  }

  void on_end() override {
    guard([this] {
      if (stream_) end(StreamEnd::draining, kDraining);
    });
  }

 private:
  template <class Work>
  void guard(Work&& work) {
    try {
      work();
    } catch (const std::exception& exception) {
      log(Level::error, "exception",
          {{"requestId", id_text_}, {"what", std::string_view(exception.what())}});
      if (exchange_ && !exchange_->is_answered) {
        exchange_->send_failure(internal(exception.what()));
      }
      // A stream without its end is cut, and the client knows that something is missing.
      leave(StreamEnd::unavailable);
    }
  }

  void take(Result<SharedPages::PagePtr> page, bool shows_hashes) {
    if (is_over_) return;
    if (!page) return fail(page.error());
    if (!*page) {
      is_busy_ = false;
      return advance_soon();
    }
    const SharedPages::Page& read = **page;
    // Only up to the head, and with all of it, does a page show what may have become of the key.
    // The first page may be an older one of others, from before the key was asked about.
    const bool shows_keys = stream_ && !read.is_filtered && read.events.is_end;
    const auto directory = shows_keys ? read.events.directory_revision : std::nullopt;
    key_.check_after(read.read_for.lock(), directory,
                     [self = shared_from_this(), page = std::move(*page),
                      shows_hashes](Result<bool> is_admitted) {
                       self->guard([&] {
                         if (self->is_over_) return;
                         if (!is_admitted) return self->fail(is_admitted.error());
                         if (!*is_admitted) return self->fail(denied({}));
                         self->note_use();
                         self->is_busy_ = false;
                         if (self->key_.shows_hashes() != shows_hashes) return self->advance_soon();
                         self->send(page->events);
                       });
                     });
  }

  // A stream lets its key in for as long as it lasts.
  void note_use() { setting_.key_uses.note(key_.key(), setting_.options.clock()); }

  void send(const EventPage& page) {
    std::string text;
    if (!stream_) {
      if (!begin(page)) return;
      text = kFirstEvents;
    }
    after_ = page.last;
    is_at_end_ = page.is_end;
    text += page.text;
    if (text.empty()) {
      // A filter may pass over pages for longer than a client waits in silence.
      if (feed_.options().clock() - wrote_at_ >= feed_.options().heartbeat) return beat();
      go_on();
    } else {
      write(std::move(text));
    }
    if (feed_.is_ending() && !is_over_) end(StreamEnd::draining, kDraining);
  }

  // The head. False where the client has gone meanwhile.
  bool begin(const EventPage& page) {
    http::Response head = exchange_->make_response(200, "text/event-stream", {});
    head.fields.add("cache-control", "no-store");
    head.fields.add("x-accel-buffering", "no");  // a proxy is to pass each event on
    head.fields.add(kRevisionField, std::to_string(page.head_revision));
    head.close = true;  // a reader that has stalled asks nothing more here
    exchange_->is_answered = true;
    auto stream = exchange_->reply.stream(std::move(head), [self = weak_from_this()] {
      if (const auto here = self.lock()) here->leave(StreamEnd::client);
    });
    exchange_->finish(200, nullptr);
    exchange_.reset();
    if (is_over_) return false;
    stream_ = std::move(stream);
    return true;
  }

  void write(std::string text) {
    is_writing_ = true;
    wrote_at_ = feed_.options().clock();
    feed_.call_at(*this, wrote_at_ + feed_.options().stall);
    stream_->write(std::move(text), [self = weak_from_this()] {
      if (const auto here = self.lock()) here->guard([&] { here->taken(); });
    });
  }

  void taken() {
    if (is_over_) return;
    is_writing_ = false;
    feed_.call_at(*this, wrote_at_ + feed_.options().heartbeat);
    go_on();
  }

  void go_on() {
    if (!is_at_end_ || has_news_) advance_soon();
  }

  // Not from within: a filter may pass over pages without end.
  void advance_soon() {
    if (loop() == nullptr) return advance();
    loop()->post([self = weak_from_this()] {
      if (const auto here = self.lock()) here->guard([&] { here->advance(); });
    });
  }

  void beat() {
    is_busy_ = true;
    key_.check([self = shared_from_this()](Result<bool> is_admitted) {
      self->guard([&] {
        if (self->is_over_) return;
        if (!is_admitted) return self->fail(is_admitted.error());
        if (!*is_admitted) return self->fail(denied({}));
        self->note_use();
        self->is_busy_ = false;
        const bool has_moved = std::exchange(self->told_, self->after_) != self->after_;
        self->write(encode_heartbeat(has_moved ? std::optional(self->after_) : std::nullopt));
      });
    });
  }

  void fail(const Error& error) {
    if (exchange_) {
      refuse_changes(*exchange_, error);
      return leave(StreamEnd::client);
    }
    switch (error.code) {
      case Code::denied:
        return end(StreamEnd::denied, kDenied);
      case Code::gone:
      case Code::invalid_argument:  // the store has lost what was read, and the position with it
        return end(StreamEnd::gone, error.message);
      default:
        return end(StreamEnd::unavailable, kUnavailable);
    }
  }

  void end(StreamEnd reason, std::string_view message) {
    const auto stream = stream_;  // it may tell in between that the client has gone
    stream->write(encode_end(name_of(reason), message, after_), [] {});
    stream->end();
    leave(reason);
  }

  void leave(StreamEnd reason) {
    if (std::exchange(is_over_, true)) return;
    const auto self = shared_from_this();
    feed_.leave(*this);
    if (std::exchange(stream_, nullptr)) setting_.metrics->count_stream_end(reason);
  }

  Setting& setting_;
  Feed& feed_;
  ReaderKey key_;
  const RequestIdText id_text_;
  const std::optional<CallId> call_;
  const std::optional<UserId> user_;
  std::shared_ptr<Exchange> exchange_;  // until the answer has begun
  std::shared_ptr<http::Stream> stream_;

  store::ChangesPosition after_;  // what is up to here was sent
  store::ChangesPosition told_;   // as the last heartbeat said
  std::uint64_t news_ = 0;        // of the feed: a page must not have been begun before
  SteadyTime wrote_at_;
  bool has_news_ = false;
  bool is_at_end_ = false;
  bool is_busy_ = false;     // a page, or the key, is being read
  bool is_writing_ = false;  // a piece was sent and not taken yet
  bool is_over_ = false;
};

}  // namespace

void refuse_changes(Exchange& exchange, const Error& error) {
  switch (error.code) {
    case Code::gone:
      return exchange.send_problem(history_gone(error.message));
    case Code::invalid_argument:
      return exchange.send_problem(
          bad_request((exchange.last_event ? "last-event-id: " : "after: ") + error.message));
    default:
      return exchange.send_failure(error);
  }
}

void stream_changes(Exchange& exchange, store::ChangesPosition after) {
  const auto stream = std::make_shared<ChangeStream>(exchange.shared_from_this(), after);
  const Status joined = exchange.setting.feed->join(stream);
  if (!joined) return exchange.send_problem(too_many_streams(joined.error().message));
  stream->begin_reading();
}

}  // namespace earshot::api
