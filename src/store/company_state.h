// What the embedded store keeps in memory of the companies and keys that it has met. Shared between
// the committer, which alone changes it, and readers on any thread.
#pragma once

#include <atomic>
#include <boost/unordered/unordered_flat_map.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/secret.h"
#include "base/time.h"
#include "core/directory.h"
#include "core/entry.h"
#include "core/packed_entry.h"
#include "store/store.h"

namespace earshot::store {

// Where a company's record of changes ends.
struct Head {
  core::Revision revision = 0;
  core::Revision directory_revision = 0;
  Time time;
  Digest hash{};  // of the last part
};

// The removals of one thing whose rows are still there: everything older than one of them is dead
// since then.
struct Removal {
  std::vector<core::Stamp> stamps;  // ascending; of one revision only the last
  std::uint64_t swept_to = 0;  // the sweep goes on at this call; after a restart it begins again

  core::Stamp newest() const { return stamps.empty() ? core::Stamp{} : stamps.back(); }
  // The revision of the first removal after the row; 0: there is none.
  core::Revision killed_at(core::Stamp row) const;
  // Whether the row is dead to readers of the revision.
  bool kills(core::Stamp row, core::Revision revision) const {
    const core::Revision killed = killed_at(row);
    return killed != 0 && killed <= revision;
  }
};

// The removals of a company that await their sweep. Immutable once shared.
struct Removals {
  Removal company;
  std::string things_swept_to;  // of the company's sweep: it goes on at this row of the directory
  std::unordered_map<UserId, Removal> users;
  std::unordered_map<CallId, Removal> calls;

  bool empty() const { return company.stamps.empty() && users.empty() && calls.empty(); }
  // Since which revision a share or grant of this pair is dead; 0: it is alive.
  core::Revision killed_at(CallId call, UserId user, core::Stamp row) const;
  // Whether it is dead to readers of the revision.
  bool kills(CallId call, UserId user, core::Stamp row, core::Revision revision) const {
    const core::Revision killed = killed_at(call, user, row);
    return killed != 0 && killed <= revision;
  }
};
using RemovalsPtr = std::shared_ptr<const Removals>;

// The entry without what is dead; the entry itself where nothing is.
core::EntryPtr without_dead(const core::EntryPtr& entry, CallId call, const Removals& removals,
                            core::Revision revision);
core::PackedEntryPtr without_dead(const core::PackedEntryPtr& entry, CallId call,
                                  const Removals& removals, core::Revision revision);

// A company's people, and whether the company itself has a record. Immutable once shared.
struct People {
  bool company_exists = false;
  core::Directory directory;
  // So far the directory is known to have changed, or a key: to readers of older revisions it may
  // be another one.
  core::Revision directory_revision = 0;
};
using PeoplePtr = std::shared_ptr<const People>;

struct CompanyState {
  explicit CompanyState(CompanyId company) : id(company) {}

  const CompanyId id;

  // What readers see. What decides at a revision is here before the revision is: its time, people
  // and removals. A removal goes after its sweep's revision is.
  std::atomic<core::Revision> published{0};
  // Of the published revision, or of the next while it is being published.
  Time published_time() const { return Time{time_.load(std::memory_order_acquire)}; }
  RemovalsPtr removals() const {  // null: none
    if (!has_removals_.load(std::memory_order_acquire)) return nullptr;
    const std::lock_guard lock(removals_mutex_);
    return removals_;
  }
  void set_removals(RemovalsPtr removals) {
    const std::lock_guard lock(removals_mutex_);
    removals_ = removals && !removals->empty() ? std::move(removals) : nullptr;
    has_removals_.store(removals_ != nullptr, std::memory_order_release);
  }
  // Null: not in memory. Else those of the revision that is published now, or of a later one, which
  // their directory revision tells.
  PeoplePtr people() const {
    const std::lock_guard lock(people_mutex_);
    return people_;
  }
  // People that a reader loaded: kept unless there are some, or others by now.
  void offer_people(const PeoplePtr& people);

  // Where the record ends to readers, all of one revision: the published one, or the one before it
  // for a moment.
  Head shown() const {
    const std::lock_guard lock(shown_mutex_);
    return shown_;
  }

  // The committer's own.
  Head head;
  // Shows a head to readers, and its people; null: they are as they were.
  void publish(const Head& newest, PeoplePtr people);
  void forget_people();

 private:
  std::atomic<std::int64_t> time_{0};

  mutable std::mutex shown_mutex_;
  Head shown_;

  mutable std::mutex removals_mutex_;
  RemovalsPtr removals_;
  std::atomic<bool> has_removals_{false};

  mutable std::mutex people_mutex_;
  PeoplePtr people_;
  core::Revision directory_revision_ = 0;  // of the newest people, be they in memory or not
};

// Every access key there is. Any thread.
class KeyTable {
 public:
  KeyPtr find(std::string_view access_key) const;
  // Ascending by company, then access key.
  std::vector<KeyPtr> list(std::optional<CompanyId> company) const;
  // In place of the key of this name, whichever company has it.
  void put(KeyPtr key);
  void remove(const std::string& access_key);

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  void forget(std::string_view access_key);  // REQUIRES: mutex_ is held

  mutable std::shared_mutex mutex_;
  boost::unordered_flat_map<std::string, KeyPtr, Hash, std::equal_to<>> keys_;
  std::map<CompanyId, std::map<std::string, KeyPtr>> by_company_;
};

}  // namespace earshot::store
