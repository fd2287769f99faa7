// Who waits for news of companies, and who tells them: of one store, any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "core/entry.h"
#include "store/changes.h"

namespace earshot::store {

class ChangeWatchers : public std::enable_shared_from_this<ChangeWatchers> {
 public:
  // Watches until what it gives is destroyed, which waits for a call that is under way.
  std::unique_ptr<ChangesWatch> add(CompanyId company, std::function<void()> on_news);

  // The company has come to this revision, which readers see by now. Calls those who watch it,
  // unless they were told of this one last. Costs next to nothing where nobody watches anything.
  void tell(CompanyId company, core::Revision revision);

  // Whether nobody watches anything. Of two threads, one that adds a watch and then reads, and one
  // that publishes and then asks this, one sees what the other did.
  bool is_empty() const {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return watches_count_.load(std::memory_order_seq_cst) == 0;
  }
  // The companies that somebody watches.
  std::vector<CompanyId> companies() const;

 private:
  class Watch;
  using Watches = std::list<std::function<void()>>;
  struct Watched {
    core::Revision told = 0;
    Watches watches;
  };
  void remove(CompanyId company, Watches::iterator watch);

  std::atomic<std::size_t> watches_count_{0};
  mutable std::mutex mutex_;  // held while they are called
  std::unordered_map<CompanyId, Watched> companies_;
};

}  // namespace earshot::store
