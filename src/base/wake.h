// Waking other threads once for many pieces of work. Where cores are few, a thread that is woken
// for the first piece runs before the rest was handed over, and makes its whole round for that one.
#pragma once

#include <memory>

namespace earshot {

// A thread that sleeps until there is work.
class Sleeper {
 public:
  virtual ~Sleeper() = default;
  // Any thread. Does nothing to one that is awake.
  virtual void wake() = 0;
};

// Wakes it: at once, or when the calling thread's HeldWakes ends, and then once however often it
// was asked for.
void wake(std::shared_ptr<Sleeper> sleeper);

// While one lives on a thread, wake() waits for its end; within another one it does nothing. The
// thread must not wait meanwhile for those that it would wake.
class HeldWakes {
 public:
  HeldWakes();
  ~HeldWakes();
  HeldWakes(const HeldWakes&) = delete;
  HeldWakes& operator=(const HeldWakes&) = delete;
};

}  // namespace earshot
