// One connection of a client: the loop that reads requests, hands them to the application and
// writes the answers, one request at a time. Lives on its worker's thread; only the functions of
// Reply::Target may be called from others.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "http/parser.h"
#include "http/socket.h"
#include "http/worker.h"

namespace earshot::http {

class Connection final : public EventSource,
                         public Reply::Target,
                         public std::enable_shared_from_this<Connection> {
 public:
  // A surplus connection is one over the limit: it gets 503 and is closed.
  Connection(std::shared_ptr<Worker> worker, int descriptor, SslSession session,
             std::string remote_address, bool is_admin, bool is_surplus, Admissions::Ticket ticket);

  // What the worker calls.
  void begin();
  void on_events(std::uint32_t events) override;
  void on_turn();
  void on_deadline();
  void on_stop();
  void on_cut();
  std::size_t slot() const { return slot_; }
  void set_slot(std::size_t slot) { slot_ = slot; }

  // What replies call, on any thread.
  void send(Response response) override;
  std::shared_ptr<Stream> stream(Response head, std::function<void()> client_left) override;
  void abandon() override;
  bool is_open() const override { return is_open_.load(std::memory_order_relaxed); }
  bool is_client_there() const override { return is_client_there_.load(std::memory_order_relaxed); }

 private:
  enum class State : std::uint8_t {
    head,    // reads a head, or is idle
    body,    // reads a body, or drops it
    answer,  // waits for the answer
    stream,  // sends a streamed answer as it comes
    last,    // sends what is left to send, then closes
    linger,  // has ended sending; receives what was on its way, so that the answer is not lost to a
             // reset
    closed,
  };
  class StreamWriter;
  struct StreamState {
    std::uint32_t serial;
    bool is_last;  // the connection is closed after it, because the application says so
    std::function<void()> client_left;
    std::vector<std::function<void()>> drained;
  };

  // Runs `work` and then whatever can go on because of it; the one place that catches what the
  // application throws.
  template <class Work>
  void turn(Work&& work);
  void go_on();
  void fault();
  // Whether the worker is in a turn of this connection, so that an answer can be taken at once.
  bool is_in_turn() const { return worker_->is_current() && worker_->active() == this; }

  bool wants_input() const;
  bool read_requests();
  std::size_t take(std::string_view input);
  void begin_request(const ParsedHead& head, bool is_body_following);
  std::size_t take_body(std::string_view input);
  void end_body();
  void refuse_body();
  void give_up_body();
  void take_end_of_input();

  void take_answer(Response response);
  void take_abandoned();
  void settle(bool is_more_input);
  void finish_answer(bool is_more_input);
  bool is_last_request(bool is_more_input) const;
  void end_request(bool close);
  void refuse(int status);

  void take_stream(Response head, std::uint32_t serial, std::function<void()> client_left);
  void begin_stream();
  void write_piece(std::uint32_t serial, std::string_view piece, std::function<void()> drained);
  void end_stream(std::uint32_t serial, bool is_complete);
  void call_drained();

  bool flush();
  void set_write_deadline();
  bool has_written() const { return socket_.unsent() < unsent_; }
  void begin_linger();
  void drain();
  void close();
  void update_deadline();

  std::string_view rest() const { return std::string_view(rest_).substr(rest_begin_); }
  void keep_rest(std::string_view unused);
  bool is_begun() const { return began_ != SteadyTime{}; }

  const std::shared_ptr<Worker> worker_;
  Socket socket_;
  const std::string remote_address_;
  std::optional<Admissions::Ticket> ticket_;
  std::size_t slot_ = 0;

  State state_ = State::head;
  std::atomic<bool> is_open_{true};          // for other threads: the state is not closed
  std::atomic<bool> is_client_there_{true};  // for other threads: nor has it stopped sending
  const bool is_admin_;
  const bool is_surplus_;
  bool has_ended_ = false;  // the client sends nothing more

  // The request that is being read or answered.
  bool is_head_ = false;  // the method is HEAD
  bool is_http10_ = false;
  bool keep_alive_ = true;
  bool is_reply_due_ = false;  // the application owes an answer
  Framing framing_ = Framing::none;
  HeadParser parser_;
  ChunkedDecoder decoder_;
  std::uint64_t body_left_ = 0;   // of a body with a length
  std::uint64_t body_bytes_ = 0;  // read of the body so far
  std::size_t body_bytes_max_ = 0;
  SteadyTime began_;  // when its first byte came; zero: not yet
  std::shared_ptr<Body> body_;
  std::optional<Response> answer_;  // given, and held back until the body has been read
  std::unique_ptr<StreamState> stream_;
  std::uint32_t stream_serial_ = 0;

  // What was read and cannot be used yet: an unfinished head, or requests behind the one that is
  // being answered.
  std::string rest_;
  std::size_t rest_begin_ = 0;
  // What the client has not taken yet.
  std::string pending_;
  std::size_t pending_begin_ = 0;
  std::size_t unsent_ = 0;                  // by the system, when the deadline for writing was set
  SteadyTime sent_by_ = SteadyTime::max();  // however much of it the client takes
  std::size_t linger_bytes_ = 0;
};

}  // namespace earshot::http
