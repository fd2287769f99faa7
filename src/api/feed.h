// Those who wait for changes: streams, and requests that wait for a page. Tells them of news, of
// the time, and of the end, each on its own loop. What they then read and send is theirs.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/loop.h"
#include "base/result.h"
#include "store/store.h"

namespace earshot::api {

using SteadyTime = std::chrono::steady_clock::time_point;

// Of the readers that there may be, one company has this part at most, rounded up: so that the
// others find room.
inline constexpr std::size_t kCompanyPart = 2;

// Carries on, on the loop, with what came on any thread: at once where there is no loop or this is
// it. What comes after the loop has ended is dropped.
template <class Work>
void go_on_at(Loop* loop, Work&& work) {
  if (loop == nullptr || loop == Loop::current()) return work();
  loop->post(std::forward<Work>(work));
}

struct FeedOptions {
  // Open at once, requests that wait included; of one company kCompanyPart.
  std::size_t streams_max = 2000;
  std::chrono::milliseconds stall{20'000};      // a piece must be taken in
  std::chrono::milliseconds heartbeat{15'000};  // without anything else to say
  // Between two tellings of a company's news at least, and as much more for each reader: so that
  // many of them do not take a server's time from its other requests.
  std::chrono::microseconds news_interval{50'000};
  std::chrono::microseconds news_interval_per_reader{250};
  std::function<SteadyTime()> clock = std::chrono::steady_clock::now;
  bool is_driven = false;  // by calls of run_due(), for tests, and not by a thread
};

class Feed {
 public:
  // Each function is called on the loop on which the reader was made (in tests, where there is
  // none, on the thread that drives the feed), one at a time.
  class Reader {
   public:
    explicit Reader(CompanyId company) : company_(company), loop_(Loop::current()) {}
    virtual ~Reader() = default;
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    // There may be changes that a read begun before has not seen.
    virtual void on_news() = 0;
    // It is as late as call_at() said, by the feed's clock.
    virtual void on_time(SteadyTime now) = 0;
    // The server is about to end: the reader is to leave.
    virtual void on_end() = 0;

   protected:
    Loop* loop() const { return loop_; }

   private:
    friend class Feed;
    const CompanyId company_;
    Loop* const loop_;
    SteadyTime due_ = SteadyTime::max();  // guarded by the feed's mutex
  };

  // The store must outlive it, or stop() be called before the store ends. So must the loops of its
  // readers, which may have run to their end.
  Feed(store::Store& store, FeedOptions options);
  ~Feed();

  const FeedOptions& options() const { return options_; }

  // Holds the reader from now on, and tells it. On the reader's loop. Errors: unavailable (too many
  // of all companies or of this one, as the message says, or after stop()).
  Status join(const std::shared_ptr<Reader>& reader);
  // Forgets the reader, which may end with this. On the reader's loop. Again: nothing.
  void leave(Reader& reader);
  // When to call on_time(), once; in place of what was said before. Kept to about a tenth of a
  // second.
  void call_at(Reader& reader, SteadyTime when);

  // Grows with every news of any company. What was read from a store when it was so large shows the
  // news of which a reader was told, or which it joined after, when it was so large or less.
  std::uint64_t news() const { return news_count_.load(); }

  // How many readers there are.
  std::size_t count() const { return count_.load(std::memory_order_relaxed); }

  // From now on every reader is told to leave, new ones too. Any thread.
  void end_all();
  bool is_ending() const { return is_ending_.load(); }

  // Lets go of all readers and of the store. REQUIRES: no loop runs any more that a reader is of.
  void stop();

  // Does what is due by now; when there is more, unless news comes before.
  SteadyTime run_due(SteadyTime now);

 private:
  struct Company {
    std::unique_ptr<store::ChangesWatch> watch;
    std::unordered_map<Reader*, std::shared_ptr<Reader>> readers;
    bool has_news = false;
    SteadyTime told = SteadyTime::min();   // when the readers were told of news last
    SteadyTime since = SteadyTime::min();  // when the last reader left
  };
  enum class Call : std::uint8_t { news, time, end };
  using Called = std::vector<std::weak_ptr<Reader>>;

  void run();
  Status check_room(CompanyId company) const;
  void note_news(CompanyId company);
  std::chrono::microseconds interval_of(const Company& company) const;
  // Has the readers called on their loops; those without one are put into `here`.
  void call(const std::vector<std::shared_ptr<Reader>*>& readers, Call what, SteadyTime now,
            Called& here);
  static void run_calls(Loop* loop, Called readers, std::size_t begin, Call what, SteadyTime now);

  store::Store& store_;
  const FeedOptions options_;
  std::atomic<std::uint64_t> news_count_{1};
  std::atomic<std::size_t> count_{0};
  std::atomic<bool> is_ending_{false};

  std::mutex mutex_;
  std::map<CompanyId, Company> companies_;  // guarded by mutex_
  bool is_stopped_ = false;                 // guarded by mutex_

  // Of its own, so that a store that has news waits for nothing.
  std::mutex news_mutex_;
  std::condition_variable woken_;
  std::vector<CompanyId> news_;  // guarded by news_mutex_
  bool is_woken_ = false;        // guarded by news_mutex_: look at the time again
  bool is_over_ = false;         // guarded by news_mutex_
  std::thread thread_;           // last: it uses all of the above
};

}  // namespace earshot::api
