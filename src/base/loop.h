// A thread that waits for many descriptors at once, and what is told about them. The HTTP server's
// threads are loops, so that whatever else waits for sockets (a database's) can do so on them,
// without a thread of its own and without locks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/result.h"

namespace earshot {

// What epoll reports to.
class EventSource {
 public:
  virtual void on_events(std::uint32_t events) = 0;

 protected:
  ~EventSource() = default;
};

class Loop {
 public:
  virtual ~Loop() = default;

  // The loop that the calling thread runs, or null.
  static Loop* current();

  // Any thread: runs `task` on the loop's thread, soon, in the order of the calls; what was posted
  // from within a round runs after the descriptors of the next one. False, and dropped, when the
  // loop has ended.
  virtual bool post(std::function<void()> task) = 0;

  // The rest belongs to the loop's own thread.

  // Reports events (EPOLLIN, EPOLLOUT; level-triggered) of a descriptor until unwatch(). False
  // where the system refuses.
  virtual bool watch(int descriptor, EventSource& source, std::uint32_t events) = 0;
  virtual void rewatch(int descriptor, EventSource& source, std::uint32_t events) = 0;
  // Before the descriptor is closed. An event of the round under way may still be reported: the
  // source must live until a task that is posted now has run.
  virtual void unwatch(int descriptor) = 0;

  // Runs `task` when the loop ends, after everything else.
  virtual void at_end(std::function<void()> task) = 0;

 protected:
  // For run(): makes it the current loop of the thread as long as it lives.
  class Running {
   public:
    explicit Running(Loop& loop);
    ~Running();
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
  };
};

// A loop on a thread of its own. Ends, with what it was at, when it is destroyed.
class LoopThread {
 public:
  static Result<std::unique_ptr<LoopThread>> start();
  virtual ~LoopThread() = default;
  virtual Loop& loop() = 0;
};

}  // namespace earshot
