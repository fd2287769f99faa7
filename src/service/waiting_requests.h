// The thread of requests that wait for the store: changes to the directory and to keys. They are
// carried out one after the other, as the store would anyway, and no more of them are taken than
// may wait.
#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace earshot::service {

class WaitingRequests {
 public:
  // Each has room of its own, and requests about keys go first: a leaked key can be revoked however
  // much it loads.
  enum class Kind : std::uint8_t { directory, keys };
  static constexpr std::size_t kKinds = 2;

  struct Limits {
    std::size_t directory = 32;  // from the first byte of the body on
    std::size_t keys = 64;
  };

  // The place of one request, free again when this goes. Move-only; must not outlive the queue.
  class Place {
   public:
    Place(Place&& other) noexcept
        : requests_(std::exchange(other.requests_, nullptr)), kind_(other.kind_) {}
    Place& operator=(Place&& other) noexcept {
      std::swap(requests_, other.requests_);
      std::swap(kind_, other.kind_);
      return *this;
    }
    ~Place() {
      if (requests_ != nullptr) requests_->leave(kind_);
    }

   private:
    friend class WaitingRequests;
    Place(WaitingRequests& requests, Kind kind) : requests_(&requests), kind_(kind) {}
    WaitingRequests* requests_;
    Kind kind_;
  };

  explicit WaitingRequests(Limits limits);
  // Carries out what waits.
  ~WaitingRequests();
  WaitingRequests(const WaitingRequests&) = delete;
  WaitingRequests& operator=(const WaitingRequests&) = delete;

  // Nothing where all places of the kind are taken. Any thread.
  std::optional<Place> take_place(Kind kind);

  // `work` is called once, on the thread; then the place is free. Any thread.
  void submit(Place place, std::function<void()> work);

  // Whether everything submitted was carried out in this time.
  bool wait_until_idle(std::chrono::milliseconds time);

 private:
  struct Job {
    Place place;
    std::function<void()> work;
  };
  void run();
  void leave(Kind kind);
  bool is_idle() const;  // REQUIRES: mutex_ is held

  const std::array<std::size_t, kKinds> places_max_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::array<std::size_t, kKinds> taken_{};   // guarded by mutex_
  std::array<std::deque<Job>, kKinds> jobs_;  // guarded by mutex_
  bool is_running_ = false;                   // guarded by mutex_; one of them
  bool is_stopping_ = false;                  // guarded by mutex_
  std::thread thread_;                        // last: it uses all of the above
};

}  // namespace earshot::service
