#include "auth/key_uses.h"

#include <utility>

namespace earshot::auth {

void KeyUses::keep(const store::KeyEntry& key, Time now) {
  const Time at{now.micros - now.micros % 1'000'000};
  const std::lock_guard lock(mutex_);
  noted_.insert_or_assign(key.key.access_key, store::KeyUse{key.company, key.key.access_key, at});
}

std::vector<store::KeyUse> KeyUses::list(CompanyId company) const {
  const std::lock_guard lock(mutex_);
  ByAccessKey latest = noted_;
  latest.insert(saving_.begin(), saving_.end());  // what is noted anew is later
  std::vector<store::KeyUse> uses;
  for (auto& [access_key, use] : latest) {
    if (use.company == company) uses.push_back(std::move(use));
  }
  return uses;
}

Status KeyUses::save(store::Store& store) {
  std::vector<store::KeyUse> uses;
  {
    const std::lock_guard lock(mutex_);
    saving_ = std::exchange(noted_, {});
    for (const auto& [access_key, use] : saving_) uses.push_back(use);
  }
  if (uses.empty()) return {};
  Status saved = store.note_key_uses(uses);
  const std::lock_guard lock(mutex_);
  if (!saved) noted_.insert(saving_.begin(), saving_.end());
  saving_.clear();
  return saved;
}

}  // namespace earshot::auth
