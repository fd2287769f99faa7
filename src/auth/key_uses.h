// When keys let requests in: noted in memory by requests, told to the store now and then.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "store/store.h"

namespace earshot::auth {

// How often it is to be saved, so that every server knows of a use within a minute.
inline constexpr std::chrono::seconds kKeyUsesSavedEvery{20};

// Any thread.
class KeyUses {
 public:
  // The key lets a request in. To the second, so that a busy key costs a look at its mark.
  void note(const store::KeyEntry& key, Time now) {
    if (key.use_mark.is_news(now.micros / 1'000'000)) keep(key, now);
  }

  // What the store does not know yet of a company's keys.
  std::vector<store::KeyUse> list(CompanyId company) const;

  // Tells the store what was noted since the last time; after an error that is told the next time.
  // Waits. One thread at a time.
  Status save(store::Store& store);

 private:
  using ByAccessKey = std::map<std::string, store::KeyUse, std::less<>>;
  void keep(const store::KeyEntry& key, Time now);

  mutable std::mutex mutex_;
  ByAccessKey noted_;   // guarded by mutex_
  ByAccessKey saving_;  // guarded by mutex_; on their way to the store
};

}  // namespace earshot::auth
