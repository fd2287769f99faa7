#include "http/connection.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "http/render.h"

namespace earshot::http {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kOutputBytesMax = 256 << 10;  // answers collected before they are written
// Of a stream, in the system, which takes twice that with what it needs itself: a reader who stalls
// is to cost that, and one who is slow must be seen to take something.
constexpr std::size_t kStreamUnsentBytes = 128 << 10;
constexpr int kReadsPerTurn = 16;  // before other connections have their turn
constexpr milliseconds kSurplusTime{1000};
constexpr milliseconds kLingerTime{5000};
constexpr std::size_t kLingerBytes = 32 << 20;

}  // namespace

// The application's end of a streamed answer. Everything goes through the worker's queue, also from
// its own thread, so that pieces keep their order.
class Connection::StreamWriter final : public Stream {
 public:
  StreamWriter(std::shared_ptr<Connection> connection, std::uint32_t serial)
      : connection_(std::move(connection)), serial_(serial) {}

  ~StreamWriter() override {
    if (!has_ended_) finish(false);
  }

  void write(std::string piece, std::function<void()> drained) override {
    connection_->worker_->post([connection = connection_, serial = serial_,
                                piece = std::move(piece), drained = std::move(drained)]() mutable {
      connection->turn([&] { connection->write_piece(serial, piece, std::move(drained)); });
    });
  }

  void end() override {
    if (!std::exchange(has_ended_, true)) finish(true);
  }

 private:
  void finish(bool is_complete) {
    connection_->worker_->post([connection = connection_, serial = serial_, is_complete] {
      connection->turn([&] { connection->end_stream(serial, is_complete); });
    });
  }

  const std::shared_ptr<Connection> connection_;
  const std::uint32_t serial_;
  bool has_ended_ = false;
};

Connection::Connection(std::shared_ptr<Worker> worker, int descriptor, SslSession session,
                       std::string remote_address, bool is_admin, bool is_surplus,
                       Admissions::Ticket ticket)
    : worker_(std::move(worker)),
      socket_(descriptor, std::move(session)),
      remote_address_(std::move(remote_address)),
      ticket_(std::move(ticket)),
      is_admin_(is_admin),
      is_surplus_(is_surplus) {}

void Connection::begin() {
  // Edge-triggered, and for everything from the start: no call of epoll_ctl ever again.
  if (!worker_->watch(socket_.descriptor(), *this, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)) {
    close();
    return;
  }
  // A handshake has to be done in the time of a request.
  if (socket_.is_tls()) began_ = worker_->now();
  if (is_surplus_) {
    worker_->set_deadline(*this, worker_->now() + kSurplusTime);
  } else {
    update_deadline();
  }
}

template <class Work>
void Connection::turn(Work&& work) {
  if (state_ == State::closed) return;
  worker_->set_active(this);
  try {
    work();
    go_on();
  } catch (...) {
    fault();
  }
  worker_->set_active(nullptr);
}

void Connection::on_events(std::uint32_t events) {
  turn([&] {
    if (events & EPOLLIN) socket_.note_readable();
    if (events & (EPOLLRDHUP | EPOLLHUP)) {
      socket_.note_peer_ended();
      is_client_there_.store(false, std::memory_order_relaxed);
    }
    if (events & EPOLLERR) {
      close();
      return;
    }
    if (is_surplus_ && state_ == State::head && (events & EPOLLIN)) refuse(503);
    // Who has stopped sending may still want a whole answer, but from a stream it counts as
    // leaving.
    if (state_ == State::stream && socket_.has_peer_ended()) close();
  });
}

void Connection::on_turn() {
  turn([] {});
}

// A request may have come of which no event has told yet.
void Connection::on_stop() {
  turn([this] { socket_.note_readable(); });
}

void Connection::on_cut() {
  turn([this] { close(); });
}

void Connection::on_deadline() {
  turn([this] {
    if (is_surplus_ && state_ == State::head) {
      refuse(503);
    } else if (!pending_.empty() && has_written() && worker_->now() < sent_by_) {
      set_write_deadline();
    } else if (!pending_.empty() || state_ == State::linger || socket_.is_shaking_hands()) {
      close();
    } else if (state_ == State::body || (state_ == State::head && is_begun())) {
      refuse(408);
    } else {
      close();
    }
  });
}

void Connection::go_on() {
  if (state_ == State::linger) drain();
  if (state_ == State::closed || state_ == State::linger) return;
  if (!pending_.empty() && !flush()) return;
  // Reading pauses when many answers have been collected, and goes on when they could be written.
  for (bool is_full = true; is_full;) {
    is_full = read_requests();
    if (!flush()) return;
  }
  if (pending_.empty()) {
    call_drained();
    if (state_ == State::last) {
      begin_linger();
      return;
    }
    const bool is_idle = state_ == State::head && (!is_begun() || socket_.is_shaking_hands());
    if (is_idle && worker_->is_stopping()) {
      close();
      return;
    }
  }
  update_deadline();
}

// Something was thrown: a bug, or memory has run out. The client gets 500 if nothing of an answer
// has been sent.
void Connection::fault() {
  try {
    if (state_ == State::closed) return;
    if (stream_ || state_ == State::last || state_ == State::linger) {
      close();
      return;
    }
    is_reply_due_ = keep_alive_ = false;
    if (!answer_) answer_ = worker_->site().application.refuse(500, remote_address_);
    body_.reset();
    finish_answer(false);
    go_on();
  } catch (...) {
    try {
      close();
    } catch (...) {
      // client_left threw, after everything else had been done.
    }
  }
}

bool Connection::wants_input() const {
  return (state_ == State::head || state_ == State::body) && !is_surplus_ && pending_.empty() &&
         worker_->output().size() < kOutputBytesMax;
}

// Takes what was left over and what comes in. True when it stopped because the output has to be
// written first.
bool Connection::read_requests() {
  if (!rest().empty()) {
    rest_begin_ += take(rest());
    if (rest().empty()) keep_rest({});
  }
  std::string& input = worker_->input();
  for (int reads = 0; wants_input() && socket_.may_read(); ++reads) {
    if (reads == kReadsPerTurn) {
      worker_->run_again(*this);
      break;
    }
    // What is left over now is an unfinished head, and goes to the front.
    const auto kept = rest().copy(input.data(), input.size());
    const auto [io, size] = socket_.read(input.data() + kept, input.size() - kept);
    if (io == Socket::Io::would_block) break;
    if (io == Socket::Io::end) {
      take_end_of_input();
      break;
    }
    if (io == Socket::Io::failed) {
      close();
      break;
    }
    const std::string_view all(input.data(), kept + size);
    const auto used = take(all);
    keep_rest(all.substr(used));
  }
  return (state_ == State::head || state_ == State::body) && pending_.empty() &&
         worker_->output().size() >= kOutputBytesMax;
}

void Connection::keep_rest(std::string_view unused) {
  rest_begin_ = 0;
  if (!unused.empty()) {
    rest_.assign(unused);
  } else if (!rest_.empty()) {
    std::string().swap(rest_);  // idle connections keep no buffers
  }
}

// Takes as much of the input as there can be made use of now. Returns how much that was.
std::size_t Connection::take(std::string_view input) {
  std::size_t used = 0;
  while (wants_input() && used < input.size()) {
    const auto left = input.substr(used);
    if (state_ == State::body) {
      used += take_body(left);
    } else {
      ParsedHead& head = worker_->head();
      const auto step = parser_.parse(left, worker_->site().limits.head_bytes_max, head);
      if (step.outcome == HeadParser::Step::incomplete) {
        if (parser_.begun() && !is_begun()) began_ = worker_->now();
        break;
      }
      if (step.outcome == HeadParser::Step::refused) {
        refuse(step.status);
        break;
      }
      used += step.size;
      begin_request(head, used < input.size());
    }
    settle(used < input.size());
  }
  // Nothing is read behind the last answer.
  return state_ == State::last || state_ == State::closed ? input.size() : used;
}

void Connection::begin_request(const ParsedHead& head, bool is_body_following) {
  if (!is_begun()) began_ = worker_->now();
  parser_ = {};
  is_head_ = head.method == "HEAD";
  is_http10_ = head.version_minor == 0;
  keep_alive_ = head.keep_alive;
  framing_ = head.framing;
  body_left_ = head.content_length;
  body_bytes_ = 0;
  decoder_ = {};
  state_ = State::body;
  is_reply_due_ = true;

  RequestHead request;
  request.method = head.method;
  request.path = head.path;
  request.target = head.target;
  request.fields = head.fields;
  request.remote_address = remote_address_;
  request.is_admin = is_admin_;
  request.received_at = began_;
  body_ = worker_->site().application.begin(request, Reply(shared_from_this()));
  body_bytes_max_ = worker_->site().limits.body_bytes_max;
  if (body_) body_bytes_max_ = body_->bytes_max().value_or(body_bytes_max_);

  if (framing_ == Framing::none || (framing_ == Framing::length && body_left_ == 0)) {
    end_body();
  } else if (framing_ == Framing::length && body_left_ > body_bytes_max_) {
    refuse_body();
  } else if (head.expects_continue && (!body_ || answer_)) {
    // Answered without the body: then the client may leave it out, and nobody knows where the next
    // request begins.
    give_up_body();
  } else if (head.expects_continue && !is_body_following) {
    worker_->output() += "HTTP/1.1 100 Continue\r\n\r\n";
  }
}

namespace {

// Written so that no announced size overflows.
bool is_too_long(std::uint64_t bytes, std::uint64_t bytes_to_come, std::uint64_t bytes_max) {
  return bytes > bytes_max || bytes_to_come > bytes_max - bytes;
}

}  // namespace

std::size_t Connection::take_body(std::string_view input) {
  const auto take_piece = [this](std::string_view piece) {
    if (body_) body_->piece(piece);
  };
  if (framing_ == Framing::length) {
    const auto piece = input.substr(0, body_left_);
    body_left_ -= piece.size();
    take_piece(piece);
    if (body_left_ == 0) end_body();
    return piece.size();
  }
  const auto step = decoder_.next(input);
  switch (step.outcome) {
    case ChunkedDecoder::Step::more:
    case ChunkedDecoder::Step::piece:
      body_bytes_ += step.data.size();
      // As soon as the bytes, or the size that a chunk announces, say so.
      if (is_too_long(body_bytes_, decoder_.chunk_left(), body_bytes_max_)) {
        refuse_body();
      } else if (!step.data.empty()) {
        take_piece(step.data);
      }
      break;
    case ChunkedDecoder::Step::done:
      end_body();
      break;
    case ChunkedDecoder::Step::refused:
      refuse(step.status);
      break;
  }
  return step.used;
}

void Connection::end_body() {
  state_ = State::answer;
  if (body_ && !answer_) body_->end();
  body_.reset();
}

// The body is longer than the limit.
void Connection::refuse_body() {
  keep_alive_ = false;
  state_ = State::answer;
  if (body_ && !answer_) body_->too_long();
  body_.reset();
}

// The rest of the body is not read, and so nothing behind it.
void Connection::give_up_body() {
  keep_alive_ = false;
  state_ = State::answer;
  body_.reset();
}

// Whoever has stopped sending in the middle of a request has sent a malformed one.
void Connection::take_end_of_input() {
  has_ended_ = true;
  if (state_ == State::head && !parser_.begun()) {
    state_ = State::last;
  } else {
    refuse(400);
  }
}

void Connection::send(Response response) {
  if (is_in_turn()) {
    take_answer(std::move(response));
    return;
  }
  worker_->post([self = shared_from_this(), response = std::move(response)]() mutable {
    self->turn([&] {
      self->take_answer(std::move(response));
      self->settle(!self->rest().empty());
    });
  });
}

void Connection::take_answer(Response response) {
  // Not due: the request was refused meanwhile.
  if (std::exchange(is_reply_due_, false)) answer_ = std::move(response);
}

void Connection::abandon() {
  if (is_in_turn()) {
    take_abandoned();
    return;
  }
  worker_->post([self = shared_from_this()] {
    self->turn([&] {
      self->take_abandoned();
      self->settle(!self->rest().empty());
    });
  });
}

// Called by a destructor, perhaps while an exception is on its way: throws nothing.
void Connection::take_abandoned() {
  if (!std::exchange(is_reply_due_, false)) return;
  keep_alive_ = false;
  try {
    answer_ = worker_->site().application.refuse(500, remote_address_);
  } catch (...) {
    answer_ = Response{.status = 500, .fields = {}, .body = {}, .close = true};
  }
}

// Sends the answer when it is there and the body is over.
void Connection::settle(bool is_more_input) {
  if (answer_) body_.reset();  // answered early: the rest is dropped
  if (state_ == State::body && stream_) give_up_body();
  if (state_ != State::answer || !answer_) return;
  if (stream_) {
    begin_stream();
  } else {
    finish_answer(is_more_input);
  }
}

void Connection::finish_answer(bool is_more_input) {
  const bool close = answer_->close || !keep_alive_ || is_last_request(is_more_input);
  const auto persistence = close        ? Persistence::close
                           : is_http10_ ? Persistence::keep_alive
                                        : Persistence::implied;
  append_answer(worker_->output(), *answer_, persistence, !is_head_);
  answer_.reset();
  end_request(close);
}

// While stopping, and once the client has stopped sending, those that have come are still answered.
bool Connection::is_last_request(bool is_more_input) const {
  return (worker_->is_stopping() || socket_.has_peer_ended()) && !is_more_input &&
         !socket_.has_input();
}

void Connection::end_request(bool close) {
  parser_ = {};
  began_ = {};
  state_ = close ? State::last : State::head;
}

// Answers what is no request, or came at a bad time, and closes.
void Connection::refuse(int status) {
  if (state_ == State::body && (answer_ || !body_)) {
    // The application has answered from the head, or will; that the rest is bad comes after it.
    give_up_body();
    settle(false);
    return;
  }
  if (state_ == State::head) is_head_ = parser_.is_head();
  is_reply_due_ = keep_alive_ = false;
  answer_ = worker_->site().application.refuse(status, remote_address_);
  body_.reset();
  finish_answer(false);
}

std::shared_ptr<Stream> Connection::stream(Response head, std::function<void()> client_left) {
  const std::uint32_t serial = ++stream_serial_;  // only the one who holds the one Reply comes here
  const auto self = shared_from_this();
  auto writer = std::make_shared<StreamWriter>(self, serial);
  if (is_in_turn()) {
    take_stream(std::move(head), serial, std::move(client_left));
    return writer;
  }
  const bool is_posted =
      worker_->post([self, head = std::move(head), serial, client_left]() mutable {
        if (self->state_ == State::closed) {
          if (client_left) client_left();
          return;
        }
        self->turn([&] {
          self->take_stream(std::move(head), serial, std::move(client_left));
          self->settle(!self->rest().empty());
        });
      });
  if (!is_posted && client_left) client_left();
  return writer;
}

void Connection::take_stream(Response head, std::uint32_t serial,
                             std::function<void()> client_left) {
  if (!std::exchange(is_reply_due_, false)) {
    if (client_left) client_left();
    return;
  }
  answer_ = std::move(head);
  stream_ = std::make_unique<StreamState>(
      StreamState{serial, answer_->close, std::move(client_left), {}});
}

void Connection::begin_stream() {
  if (answer_->close || is_http10_ || worker_->is_stopping()) keep_alive_ = false;
  append_stream_head(worker_->output(), *answer_,
                     keep_alive_ ? Persistence::implied : Persistence::close, !is_http10_);
  answer_.reset();
  state_ = State::stream;
  socket_.bound_unsent(kStreamUnsentBytes);
  if (socket_.has_peer_ended()) close();
}

void Connection::write_piece(std::uint32_t serial, std::string_view piece,
                             std::function<void()> drained) {
  if (state_ != State::stream || stream_->serial != serial) return;
  if (!piece.empty() && !is_head_) {
    if (is_http10_) {
      worker_->output() += piece;
    } else {
      append_chunk(worker_->output(), piece);
    }
  }
  if (drained) stream_->drained.push_back(std::move(drained));
}

// A stream that is dropped before its end is cut, so that the client does not take it for whole.
void Connection::end_stream(std::uint32_t serial, bool is_complete) {
  if (state_ != State::stream || stream_->serial != serial) return;
  if (!is_complete) {
    stream_->client_left = nullptr;
    close();
    return;
  }
  if (stream_->is_last) sent_by_ = worker_->now() + worker_->site().limits.write_time;
  stream_.reset();
  if (!is_http10_ && !is_head_) worker_->output() += "0\r\n\r\n";
  end_request(!keep_alive_ || is_last_request(!rest().empty()));
}

void Connection::call_drained() {
  if (state_ != State::stream) return;
  for (const auto& drained : std::exchange(stream_->drained, {})) drained();
}

// Sends as much as the client takes; the rest waits. False when the connection has ended.
bool Connection::flush() {
  if (state_ == State::closed) return false;
  std::string& output = worker_->output();
  const bool had_pending = !pending_.empty();
  if (had_pending && !output.empty()) {
    pending_.erase(0, std::exchange(pending_begin_, 0));
    pending_ += output;
    output.clear();
  }
  const auto bytes =
      had_pending ? std::string_view(pending_).substr(pending_begin_) : std::string_view(output);
  if (bytes.empty()) return true;
  const auto [io, sent] = socket_.write(bytes);
  if (io == Socket::Io::failed) {
    close();
    return false;
  }
  if (sent == bytes.size()) {
    std::string().swap(pending_);
    pending_begin_ = 0;
  } else {
    if (!had_pending) {
      pending_.assign(bytes.substr(sent));
    } else {
      pending_begin_ += sent;
    }
    if (sent > 0 || !had_pending) set_write_deadline();
  }
  output.clear();
  return true;
}

// The system reports room only when a third of its buffer is free. A client that takes less than
// that in the time is slow, but not gone; so the deadline looks at what has been taken.
void Connection::set_write_deadline() {
  unsent_ = socket_.unsent();
  worker_->set_deadline(*this,
                        std::min(sent_by_, worker_->now() + worker_->site().limits.write_time));
}

// Closing with input unread resets the connection, and a reset can overtake the answer.
void Connection::begin_linger() {
  if (has_ended_) {
    close();
    return;
  }
  state_ = State::linger;
  keep_rest({});
  linger_bytes_ = kLingerBytes;
  worker_->set_deadline(*this, worker_->now() + kLingerTime);
  socket_.end_sending();
  drain();
}

void Connection::drain() {
  std::string& input = worker_->input();
  for (int reads = 0; linger_bytes_ > 0; ++reads) {
    if (reads == kReadsPerTurn) {
      worker_->run_again(*this);
      return;
    }
    const auto [io, size] = socket_.discard(input.data(), input.size());
    if (io == Socket::Io::would_block) return;
    if (io != Socket::Io::done) break;
    linger_bytes_ -= std::min(size, linger_bytes_);
  }
  close();
}

// Frees all but the object itself, which a late Reply may still hold.
void Connection::close() {
  if (state_ == State::closed) return;
  state_ = State::closed;
  is_open_.store(false, std::memory_order_relaxed);
  is_client_there_.store(false, std::memory_order_relaxed);
  is_reply_due_ = false;
  if (worker_->active() == this) worker_->output().clear();
  socket_.close();
  ticket_.reset();
  keep_rest({});
  std::string().swap(pending_);
  answer_.reset();
  worker_->forget(*this);
  body_.reset();
  if (const auto stream = std::move(stream_); stream && stream->client_left) stream->client_left();
}

void Connection::update_deadline() {
  const SteadyTime now = worker_->now();
  const Limits& limits = worker_->site().limits;
  if (state_ == State::head && !parser_.begun() && !socket_.is_shaking_hands()) began_ = {};
  if (!pending_.empty() || (is_surplus_ && state_ == State::head)) return;  // set where it began
  if (state_ == State::head || state_ == State::body) {
    worker_->set_deadline(*this,
                          is_begun() ? began_ + limits.request_time : now + limits.idle_time);
  } else {
    worker_->set_deadline(*this, SteadyTime::max());
  }
}

}  // namespace earshot::http
