#include "store/company_state.h"

#include <algorithm>

namespace earshot::store {

core::Revision Removal::killed_at(core::Stamp row) const {
  const auto after = std::ranges::upper_bound(stamps, row);
  return after == stamps.end() ? 0 : after->revision;
}

core::Revision Removals::killed_at(CallId call, UserId user, core::Stamp row) const {
  core::Revision first = company.killed_at(row);
  const auto look_at = [&](const auto& removals, auto id) {
    const auto found = removals.find(id);
    const core::Revision killed = found == removals.end() ? 0 : found->second.killed_at(row);
    if (killed != 0 && (first == 0 || killed < first)) first = killed;
  };
  look_at(calls, call);
  look_at(users, user);
  return first;
}

core::EntryPtr without_dead(const core::EntryPtr& entry, CallId call, const Removals& removals,
                            core::Revision revision) {
  const auto is_dead = [&](const auto& row) {
    return removals.kills(call, row.user, row.stamp, revision);
  };
  const bool call_is_dead = entry->call && removals.company.kills(entry->call_stamp, revision);
  if (!call_is_dead && std::none_of(entry->shares.begin(), entry->shares.end(), is_dead) &&
      std::none_of(entry->grants.begin(), entry->grants.end(), is_dead)) {
    return entry;
  }
  auto alive = std::make_shared<core::CallEntry>(*entry);
  if (call_is_dead) alive->call.reset();
  std::erase_if(alive->shares, is_dead);
  std::erase_if(alive->grants, is_dead);
  std::erase_if(alive->notes,
                [&](const auto& note) { return alive->find_grant(note.first) == nullptr; });
  return alive;
}

core::PackedEntryPtr without_dead(const core::PackedEntryPtr& entry, CallId call,
                                  const Removals& removals, core::Revision revision) {
  const auto unpacked = std::make_shared<const core::CallEntry>(entry->unpack());
  const core::EntryPtr alive = without_dead(unpacked, call, removals, revision);
  return alive == unpacked ? entry : core::PackedEntry::pack(*alive);
}

void CompanyState::offer_people(const PeoplePtr& people) {
  const std::lock_guard lock(people_mutex_);
  if (!people_ && people->directory_revision == directory_revision_) people_ = people;
}

void CompanyState::publish(const Head& newest, PeoplePtr people) {
  head = newest;
  {
    const std::lock_guard lock(people_mutex_);
    directory_revision_ = newest.directory_revision;
    if (people) people_.swap(people);
  }
  time_.store(newest.time.micros, std::memory_order_release);
  published.store(newest.revision, std::memory_order_release);
  {
    const std::lock_guard lock(shown_mutex_);
    shown_ = newest;
  }
  // The old directory may be large: it is freed now, when the new revision is there to see.
}

void CompanyState::forget_people() {
  PeoplePtr forgotten;  // freed without the lock
  const std::lock_guard lock(people_mutex_);
  forgotten.swap(people_);
}

KeyPtr KeyTable::find(std::string_view access_key) const {
  const std::shared_lock lock(mutex_);
  const auto found = keys_.find(access_key);
  return found == keys_.end() ? nullptr : found->second;
}

std::vector<KeyPtr> KeyTable::list(std::optional<CompanyId> company) const {
  const std::shared_lock lock(mutex_);
  std::vector<KeyPtr> out;
  const auto add = [&out](const std::map<std::string, KeyPtr>& keys) {
    for (const auto& [name, key] : keys) out.push_back(key);
  };
  if (company) {
    const auto found = by_company_.find(*company);
    if (found != by_company_.end()) add(found->second);
  } else {
    for (const auto& [id, keys] : by_company_) add(keys);
  }
  return out;
}

void KeyTable::put(KeyPtr key) {
  const std::unique_lock lock(mutex_);
  forget(key->key.access_key);
  by_company_[key->company][key->key.access_key] = key;
  keys_[key->key.access_key] = std::move(key);
}

void KeyTable::remove(const std::string& access_key) {
  const std::unique_lock lock(mutex_);
  forget(access_key);
}

void KeyTable::forget(std::string_view access_key) {
  const auto found = keys_.find(access_key);
  if (found == keys_.end()) return;
  const auto company = by_company_.find(found->second->company);
  company->second.erase(found->first);
  if (company->second.empty()) by_company_.erase(company);
  keys_.erase(found);
}

}  // namespace earshot::store
