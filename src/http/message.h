// Requests and replies as plain values: all that the rest of the program knows of HTTP. No sockets,
// no Boost.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace earshot::http {

struct Field {
  std::string_view name;   // as sent
  std::string_view value;  // without surrounding white space
};

// The head of a request. All views are good only until begin() returns.
struct RequestHead {
  std::string_view method;
  std::string_view
      path;  // of the target up to "?", byte by byte as sent; of an absolute-form target its path
  std::string_view target;  // whole, as sent
  std::span<const Field> fields;
  std::string_view remote_address;  // "127.0.0.1"
  bool is_admin = false;            // came in on the admin address
  std::chrono::steady_clock::time_point received_at;

  // The value of the first field of this name (compared without case), or nullptr-data view if
  // there is none.
  std::string_view find(std::string_view name) const;
  // How many fields have this name.
  std::size_t count(std::string_view name) const;
};

// The fields of an answer, kept as the lines that are sent: one piece of memory instead of two for
// each field.
class FieldLines {
 public:
  // Adds "name: value", the name in lowercase. A control character would let a value begin a line
  // of its own; it becomes a space.
  void add(std::string_view name, std::string_view value);

  // Each ends with CR LF.
  std::string_view text() const { return text_; }

 private:
  std::string text_;
};

// A whole answer. The server adds content-length, and connection where it is due.
struct Response {
  int status = 200;
  FieldLines fields;
  std::string body;
  bool close = false;  // close the connection after this answer
};

// What the server calls to write a streamed answer's pieces and learn of its reader.
class Stream {
 public:
  virtual ~Stream() = default;
  // Sends a piece (chunked). `drained` is called once, on the connection's thread, when there is
  // room for more.
  virtual void write(std::string piece, std::function<void()> drained) = 0;
  virtual void end() = 0;
};

// The one answer to one request. Move-only; any thread may use it; answers go out on the
// connection's own thread in the order of the requests. Destroyed unused, it answers 500.
class Reply {
 public:
  class Target {  // the server's side
   public:
    virtual ~Target() = default;
    virtual void send(Response response) = 0;
    virtual std::shared_ptr<Stream> stream(Response head, std::function<void()> client_left) = 0;
    virtual void abandon() = 0;
    // Any thread. False once the connection has ended; a client that has gone may not be known yet.
    virtual bool is_open() const { return true; }
    // Any thread. False also once the client has stopped sending.
    virtual bool is_client_there() const { return is_open(); }
  };

  Reply() = default;
  explicit Reply(std::shared_ptr<Target> target) : target_(std::move(target)) {}
  Reply(Reply&&) noexcept = default;
  Reply& operator=(Reply&&) noexcept = default;
  ~Reply() {
    if (target_) target_->abandon();
  }

  // Answers whole. At once when called on the connection's thread.
  void send(Response response) { std::exchange(target_, nullptr)->send(std::move(response)); }

  // Whether an answer may still reach somebody. REQUIRES: not answered yet.
  bool is_open() const { return target_->is_open(); }

  // Whether the client keeps its side of the connection open. One that does not may still take an
  // answer that is on its way, but none that may be long in coming. REQUIRES: not answered yet.
  bool is_client_there() const { return target_->is_client_there(); }

  // Begins a streamed answer: the head now, pieces as they come. `client_left` is called once if
  // the client goes before end(). Where the head closes the connection, what is left to send at
  // end() has the server's time for writing in all.
  std::shared_ptr<Stream> stream(Response head, std::function<void()> client_left) {
    return std::exchange(target_, nullptr)->stream(std::move(head), std::move(client_left));
  }

 private:
  std::shared_ptr<Target> target_;
};

// Takes the body of one request, on the connection's thread. The connection lets go of it when the
// body is complete, or when it ends before.
class Body {
 public:
  virtual ~Body() = default;
  // How many bytes it takes, where that is not the server's limit. Asked once, before the first.
  virtual std::optional<std::size_t> bytes_max() const { return std::nullopt; }
  virtual void piece(std::string_view bytes) = 0;
  // The body is complete.
  virtual void end() = 0;
  // The body is longer than the limit; it is not read further and the connection is closed
  // after the reply, which has not been sent yet.
  virtual void too_long() = 0;
};

// What the program makes of requests.
class Application {
 public:
  virtual ~Application() = default;

  // The head is here; the body, where there is one, follows into what this returns. Whoever returns
  // null has answered already (or will) from the head alone: then the server reads the body to its
  // end and drops it, or closes the connection where that is not worth it. Called on the
  // connection's thread; several threads at once.
  virtual std::shared_ptr<Body> begin(const RequestHead& head, Reply reply) = 0;

  // The answer to what is no request at all, or came at a bad time (400, 408, 417, 431, 501, 503,
  // 505): body, content type, and what the log and the metrics should know.
  virtual Response refuse(int status, std::string_view remote_address) = 0;
};

}  // namespace earshot::http
