// What waits for the committer: commands with whoever waits for their outcome, and work that must
// have the committer to itself. Bounded. Any thread puts in; the committer alone takes out.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>

#include "base/wake.h"
#include "store/store.h"

namespace earshot::store {

class CommitQueue final : public Sleeper {
 public:
  // A command with its `done`, or something to be done alone.
  struct Job {
    GrantCommand command;
    Store::WriteDone done;
    std::function<void()> alone;

    // What a user has all of is found in the store, where what others of a batch do is not yet.
    bool is_alone() const {
      return alone || (command.with_results && command.with_results->all_of.index() != 0);
    }
  };

  explicit CommitQueue(std::size_t commands_max) : commands_max_(commands_max) {}

  enum class Push : std::uint8_t { refused, taken, taken_and_asleep };
  // Takes the job unless it is refused: the queue is closed, or full of commands. Where the
  // committer is asleep it is for the caller to wake it.
  Push push(Job& job);

  // Waits for jobs, at most so long, and takes all that wait, up to so many, or one that must be
  // alone; none, if the time is over. False once the queue is closed and empty.
  bool take(std::deque<Job>& jobs, std::chrono::milliseconds patience, std::size_t jobs_max);

  void close();
  void wake() override { more_.notify_one(); }
  std::size_t size();

 private:
  const std::size_t commands_max_;
  std::mutex mutex_;
  std::condition_variable more_;
  std::deque<Job> jobs_;
  bool is_asleep_ = false;
  bool is_closed_ = false;
};

}  // namespace earshot::store
