// Finds out what other servers have committed: one question for all companies that are watched,
// again and again while somebody watches. Belongs to its loop's thread.
#pragma once

#include <chrono>

#include "base/loop.h"
#include "store/change_watchers.h"
#include "store/pg_reader.h"

namespace earshot::store {

// Long enough to cost a database nothing, and short enough that a change is told within a second.
inline constexpr std::chrono::milliseconds kNewsEvery{250};

class PgNews final : public EventSource {
 public:
  // All outlive it.
  PgNews(Loop& loop, PgReader& reader, ChangeWatchers& watchers);
  ~PgNews();
  PgNews(const PgNews&) = delete;
  PgNews& operator=(const PgNews&) = delete;

  // Somebody watches now.
  void begin();

  void on_events(std::uint32_t events) override;

 private:
  void set_timer(std::chrono::milliseconds every);

  Loop& loop_;
  PgReader& reader_;
  ChangeWatchers& watchers_;
  int timer_ = -1;
  bool is_running_ = false;
  bool is_asked_ = false;  // and not answered
};

}  // namespace earshot::store
