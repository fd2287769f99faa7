// ASSERT: a broken promise of ours stops the process, in release builds too. Never used for input.
#pragma once

namespace earshot {

[[noreturn]] void assert_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace earshot

#define ASSERT(condition)                                       \
  do {                                                          \
    if (!(condition)) [[unlikely]]                              \
      ::earshot::assert_failed(#condition, __FILE__, __LINE__); \
  } while (false)
