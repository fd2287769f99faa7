#include "store/change_watchers.h"

#include <utility>

namespace earshot::store {

class ChangeWatchers::Watch final : public ChangesWatch {
 public:
  Watch(std::shared_ptr<ChangeWatchers> watchers, CompanyId company, Watches::iterator place)
      : watchers_(std::move(watchers)), company_(company), place_(place) {}
  ~Watch() override { watchers_->remove(company_, place_); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  const std::shared_ptr<ChangeWatchers> watchers_;  // may outlive the store
  const CompanyId company_;
  const Watches::iterator place_;
};

std::unique_ptr<ChangesWatch> ChangeWatchers::add(CompanyId company,
                                                  std::function<void()> on_news) {
  const std::lock_guard lock(mutex_);
  Watches& watches = companies_[company].watches;
  const auto place = watches.insert(watches.end(), std::move(on_news));
  watches_count_.fetch_add(1, std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return std::make_unique<Watch>(shared_from_this(), company, place);
}

void ChangeWatchers::remove(CompanyId company, Watches::iterator watch) {
  const std::lock_guard lock(mutex_);
  const auto found = companies_.find(company);
  found->second.watches.erase(watch);
  if (found->second.watches.empty()) companies_.erase(found);
  watches_count_.fetch_sub(1, std::memory_order_seq_cst);
}

void ChangeWatchers::tell(CompanyId company, core::Revision revision) {
  if (is_empty()) return;
  const std::lock_guard lock(mutex_);
  const auto found = companies_.find(company);
  if (found == companies_.end() || found->second.told == revision) return;
  found->second.told = revision;
  for (const auto& on_news : found->second.watches) on_news();
}

std::vector<CompanyId> ChangeWatchers::companies() const {
  const std::lock_guard lock(mutex_);
  std::vector<CompanyId> watched;
  watched.reserve(companies_.size());
  for (const auto& [company, of_company] : companies_) watched.push_back(company);
  return watched;
}

}  // namespace earshot::store
