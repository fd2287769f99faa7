#include "base/wake.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace earshot {
namespace {

struct Held {
  std::size_t depth = 0;
  std::vector<std::shared_ptr<Sleeper>> sleepers;
};

thread_local Held held;

}  // namespace

void wake(std::shared_ptr<Sleeper> sleeper) {
  if (held.depth == 0) return sleeper->wake();
  if (std::ranges::find(held.sleepers, sleeper) == held.sleepers.end()) {
    held.sleepers.push_back(std::move(sleeper));
  }
}

HeldWakes::HeldWakes() { ++held.depth; }

HeldWakes::~HeldWakes() {
  if (--held.depth > 0) return;
  for (const auto& sleeper : held.sleepers) sleeper->wake();
  held.sleepers.clear();
}

}  // namespace earshot
