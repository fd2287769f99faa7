#include "api/stream.h"

#include <memory>
#include <mutex>
#include <utility>

namespace earshot::api {
namespace {

constexpr std::size_t kPieceBytes = 256 << 10;

// The first piece may leave from another thread than the rest, and the client may go at any time:
// hence the lock, which nothing is sent under.
class AnswerStream : public std::enable_shared_from_this<AnswerStream> {
 public:
  AnswerStream(std::string first, NextPiece next)
      : piece_(std::move(first)), next_(std::move(next)) {}

  void start(http::Reply& reply, http::Response head) {
    // Weak, because the stream must not hold what holds it; until the end its drained callback
    // does.
    auto stream = reply.stream(std::move(head), [self = weak_from_this()] {
      if (const auto here = self.lock()) here->leave();
    });
    {
      const std::lock_guard lock(mutex_);
      if (!has_left_) stream_ = std::move(stream);
    }
    write();
  }

 private:
  void leave() {
    const std::lock_guard lock(mutex_);
    has_left_ = true;
    stream_.reset();
  }

  // Writes pieces as long as there is room at once: a loop, since a callback from within write()
  // would recurse.
  void write() {
    std::unique_lock lock(mutex_);
    has_room_ = true;
    while (stream_ && has_room_ && !is_writing_) {
      is_writing_ = true;
      has_room_ = false;
      const auto stream = stream_;
      lock.unlock();
      std::string piece = std::exchange(piece_, {});
      const bool is_last = piece.empty() && next_(piece, kPieceBytes);
      stream->write(std::move(piece), [self = shared_from_this()] { self->write(); });
      if (is_last) stream->end();
      lock.lock();
      is_writing_ = false;
      if (is_last) stream_.reset();
    }
  }

  // Of whoever set is_writing_.
  std::string piece_;  // the first, until it is sent
  NextPiece next_;

  std::mutex mutex_;
  std::shared_ptr<http::Stream> stream_;  // null once all is sent, or the client has left
  bool has_left_ = false;
  bool has_room_ = false;
  bool is_writing_ = false;
};

}  // namespace

void stream_answer(http::Reply& reply, http::Response head, std::string first, NextPiece next) {
  std::make_shared<AnswerStream>(std::move(first), std::move(next))->start(reply, std::move(head));
}

}  // namespace earshot::api
