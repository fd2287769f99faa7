#include "store/commit_queue.h"

#include <utility>

namespace earshot::store {

CommitQueue::Push CommitQueue::push(Job& job) {
  const std::lock_guard lock(mutex_);
  if (is_closed_ || (!job.alone && jobs_.size() >= commands_max_)) return Push::refused;
  jobs_.push_back(std::move(job));
  // Once woken it is awake, even if it does not run yet.
  return std::exchange(is_asleep_, false) ? Push::taken_and_asleep : Push::taken;
}

bool CommitQueue::take(std::deque<Job>& jobs, std::chrono::milliseconds patience,
                       std::size_t jobs_max) {
  jobs.clear();
  std::unique_lock lock(mutex_);
  const auto has_work = [this] {
    is_asleep_ = !is_closed_ && jobs_.empty();
    return !is_asleep_;
  };
  more_.wait_for(lock, patience, has_work);
  is_asleep_ = false;
  if (jobs_.empty()) return !is_closed_;
  do {
    jobs.push_back(std::move(jobs_.front()));
    jobs_.pop_front();
  } while (!jobs.back().is_alone() && !jobs_.empty() && !jobs_.front().is_alone() &&
           jobs.size() < jobs_max);
  return true;
}

void CommitQueue::close() {
  {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
  }
  more_.notify_one();
}

std::size_t CommitQueue::size() {
  const std::lock_guard lock(mutex_);
  return jobs_.size();
}

}  // namespace earshot::store
