// Pages of events for streams: readers that have come to the same place and may see the same get
// one page, read and encoded once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>
#include <vector>

#include "api/encode_changes.h"
#include "api/feed.h"
#include "base/loop.h"
#include "base/result.h"
#include "store/store.h"

namespace earshot::api {

// How many bytes of events are under way to a reader at once, but for one change more.
inline constexpr std::size_t kEventBytes = 128 << 10;
inline constexpr std::size_t kEventChangesMax = 1000;  // read from the store for them at once
// Kept for readers that come a moment later: at most so many of kEventBytes.
inline constexpr std::size_t kPagesKept = 32;

class SharedPages {
 public:
  struct Wanted {
    CompanyId company;
    store::ChangesPosition after;
    std::optional<CallId> call;
    std::optional<UserId> user;
    bool shows_hashes = false;
  };
  struct Page {
    EventPage events;
    std::weak_ptr<const store::Asker> read_for;  // whom the store asked for it
    bool is_filtered = false;
  };
  using PagePtr = std::shared_ptr<const Page>;
  // Null: the one who was asked for it may not read any more, which says nothing of others.
  using Done = std::function<void(Result<PagePtr>)>;

  // Both must outlive it, and it every answer of the store; so must the loops of the callers, which
  // may have run to their end.
  SharedPages(store::Store& store, const Feed& feed) : store_(store), feed_(feed) {}

  // What follows behind the position, as of `fresh_since` of Feed::news() or later. `done` is
  // called once: before this returns, or later on the loop of the caller, and not at all where that
  // has ended. Errors as of Store::read_changes(), where denied is the asker's own.
  void read(const Wanted& wanted, std::uint64_t fresh_since, store::AskerPtr asker, Done done);

 private:
  using Key =
      std::tuple<CompanyId, core::Revision, std::uint32_t, std::uint64_t, std::uint64_t, bool>;
  struct Waiter {
    Loop* loop;
    Done done;
  };
  struct Entry {
    std::uint64_t begun = 0;  // of Feed::news()
    PagePtr page;             // null: under way
    std::vector<Waiter> waiters;
  };
  using EntryPtr = std::shared_ptr<Entry>;

  void finish(const Key& key, const EntryPtr& entry, Result<PagePtr> page);
  void forget(const Key& key, const EntryPtr& entry);

  store::Store& store_;
  const Feed& feed_;
  std::mutex mutex_;
  std::map<Key, EntryPtr> entries_;            // guarded by mutex_; as are the entries
  std::deque<std::pair<Key, EntryPtr>> kept_;  // guarded by mutex_; the oldest first
};

}  // namespace earshot::api
