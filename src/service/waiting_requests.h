// The thread of requests that wait for the store: changes to the directory and to keys, which are
// carried out one after the other, as the store would anyway; or another one, of lists of keys. No
// more requests are taken than may wait, of all companies and of each.
#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/ids.h"

namespace earshot::service {

class WaitingRequests {
 public:
  // Each has room of its own, and they are carried out in turn: a leaked key can be revoked however
  // much it loads, and neither of them waits for more than one of the other.
  enum class Kind : std::uint8_t {
    directory,
    keys,
    strangers,  // who may turn out to have a key; nothing of theirs is carried out
  };
  static constexpr std::size_t kKinds = 3;

  struct Limits {
    std::size_t directory = 32;  // from the first byte of the body on
    std::size_t keys = 64;
    std::size_t strangers = 8;
  };
  // One company holds at most this part of the places of a kind, but always one.
  static constexpr std::size_t kCompanyPart = 4;

  // The place of one request, free again when this goes. Move-only; must not outlive the queue.
  class Place {
   public:
    Place(Place&& other) noexcept
        : requests_(std::exchange(other.requests_, nullptr)),
          kind_(other.kind_),
          company_(other.company_) {}
    Place& operator=(Place&& other) noexcept {
      std::swap(requests_, other.requests_);
      std::swap(kind_, other.kind_);
      std::swap(company_, other.company_);
      return *this;
    }
    ~Place() {
      if (requests_ != nullptr) requests_->leave(kind_, company_);
    }

   private:
    friend class WaitingRequests;
    Place(WaitingRequests& requests, Kind kind, CompanyId company)
        : requests_(&requests), kind_(kind), company_(company) {}
    WaitingRequests* requests_;
    Kind kind_;
    CompanyId company_;
  };

  explicit WaitingRequests(Limits limits);
  // Carries out what waits.
  ~WaitingRequests();
  WaitingRequests(const WaitingRequests&) = delete;
  WaitingRequests& operator=(const WaitingRequests&) = delete;

  // Nothing where all places of the kind, or those of the company, are taken. Strangers have no
  // company. Any thread.
  std::optional<Place> take_place(Kind kind, CompanyId company);

  // `work` is called once, on the thread; then the place is free. Any thread.
  // REQUIRES: the place is not a stranger's.
  void submit(Place place, std::function<void()> work);

  // Whether everything submitted was carried out in this time.
  bool wait_until_idle(std::chrono::milliseconds time);

 private:
  struct Job {
    Place place;
    std::function<void()> work;
  };
  void run();
  void leave(Kind kind, CompanyId company);
  bool is_idle() const;  // REQUIRES: mutex_ is held

  const std::array<std::size_t, kKinds> places_max_;
  std::mutex mutex_;
  std::condition_variable changed_;
  struct Taken {
    std::size_t all = 0;
    std::map<CompanyId, std::size_t> by_company{};  // of those that hold one
  };
  std::array<Taken, kKinds> taken_;           // guarded by mutex_
  std::array<std::deque<Job>, kKinds> jobs_;  // guarded by mutex_
  std::size_t last_ = 0;                      // guarded by mutex_; the kind whose turn was last
  bool is_running_ = false;                   // guarded by mutex_; one of them
  bool is_stopping_ = false;                  // guarded by mutex_
  std::thread thread_;                        // last: it uses all of the above
};

}  // namespace earshot::service
