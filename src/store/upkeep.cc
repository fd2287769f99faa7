// What the embedded store does beside its commits, from time to time: files let go, directories
// forgotten, retention, refusals that were kept long enough.
#include "base/log.h"
#include "store/embedded_store.h"

namespace earshot::store {

void EmbeddedStore::keep_house() {
  const auto now = std::chrono::steady_clock::now();
  if (now - house_kept_ >= options_.house_every) {
    house_kept_ = now;
    rocks_->drop_idle_iterators();
    companies_.forget_people(options_.directory_bytes);
    // Also where space is low: this gives some back.
    if (now - retention_applied_ >= options_.retention_every && !failure()) {
      retention_applied_ = now;
      begin_retention();
    }
  }
  cut_some();
}

void EmbeddedStore::begin_retention() {
  // Whoever reads calls need not wait for it, and so has the committer.
  (void)pool_->submit([this] {
    const Status forgotten = forget_old_refusals();
    if (!forgotten) log(Level::error, "retention_failed", {{"error", forgotten.error().message}});
  });
  earshot::wake(pool_);
  if ((!options_.retention && !options_.retention_revisions) || retention_.is_under_way()) return;
  RetentionLimits limits{{}, options_.retention_revisions};
  if (options_.retention) {
    const auto kept = std::chrono::duration_cast<std::chrono::microseconds>(*options_.retention);
    limits.oldest = Time{options_.clock().micros - kept.count()};
  }
  retention_.begin(limits);
}

// One step, so that the commands that came meanwhile wait no longer than that.
void EmbeddedStore::cut_some() {
  if (!retention_.is_under_way() || failure()) return;
  const Status cut = retention_.step();
  // What was not cut now is cut next time.
  if (!cut) log(Level::error, "retention_failed", {{"error", cut.error().message}});
  compactor_->add(retention_.take_cut());
}

}  // namespace earshot::store
