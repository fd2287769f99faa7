#include "api/shared_pages.h"

#include <exception>
#include <utility>

namespace earshot::api {

void SharedPages::read(const Wanted& wanted, std::uint64_t fresh_since, store::AskerPtr asker,
                       Done done) {
  const Key key{wanted.company,
                wanted.after.revision,
                wanted.after.changes.value_or(0),
                wanted.call.value_or(CallId{}).value,
                wanted.user.value_or(UserId{}).value,
                wanted.shows_hashes};
  auto entry = std::make_shared<Entry>();
  PagePtr ready;
  {
    const std::lock_guard lock(mutex_);
    EntryPtr& known = entries_[key];
    if (known && known->begun >= fresh_since) {
      if (!known->page) {
        known->waiters.push_back({Loop::current(), std::move(done)});
        return;
      }
      ready = known->page;
    } else {
      entry->begun = feed_.news();
      known = entry;
    }
  }
  if (ready) return done(std::move(ready));

  const store::ChangesCommand command{wanted.company, wanted.after,     wanted.call,
                                      wanted.user,    kEventChangesMax, asker};
  const auto hashes =
      wanted.shows_hashes ? records::KeyHashes::written : records::KeyHashes::left_out;
  const bool is_filtered = wanted.call || wanted.user;
  store_.read_changes(command, [this, key, entry, hashes, is_filtered, asker = std::move(asker),
                                loop = Loop::current(),
                                done = std::move(done)](Result<store::ChangesView> view) mutable {
    Result<PagePtr> page = internal("not encoded");
    try {
      if (view) {
        page = std::make_shared<const Page>(
            Page{encode_events(*view, hashes, kEventBytes), asker, is_filtered});
      } else {
        page = view.error();
      }
    } catch (const std::exception& exception) {
      page = internal(exception.what());
    }
    finish(key, entry, page);
    go_on_at(loop, [done = std::move(done), page = std::move(page)] { done(page); });
  });
}

void SharedPages::finish(const Key& key, const EntryPtr& entry, Result<PagePtr> page) {
  std::vector<Waiter> waiters;
  std::pair<Key, EntryPtr> oldest;
  {
    const std::lock_guard lock(mutex_);
    waiters.swap(entry->waiters);
    if (page) {
      entry->page = *page;
      kept_.emplace_back(key, entry);
    } else {
      forget(key, entry);
    }
    if (kept_.size() > kPagesKept) {
      oldest = std::move(kept_.front());
      kept_.pop_front();
      forget(oldest.first, oldest.second);
    }
  }
  if (!page && page.error().code == Code::denied) page = PagePtr();
  for (Waiter& waiter : waiters) {
    go_on_at(waiter.loop, [done = std::move(waiter.done), page] { done(page); });
  }
}

// Unless another read has taken its place.
void SharedPages::forget(const Key& key, const EntryPtr& entry) {
  const auto found = entries_.find(key);
  if (found != entries_.end() && found->second == entry) entries_.erase(found);
}

}  // namespace earshot::api
