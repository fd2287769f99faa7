#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace earshot {

void assert_failed(const char* condition, const char* file, int line) noexcept {
  std::fprintf(stderr, "earshot: internal error, stopping: %s (%s:%d)\n", condition, file, line);
  std::abort();
}

}  // namespace earshot
