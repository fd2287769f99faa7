#include "base/loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/wake.h"

namespace earshot {
namespace {

thread_local Loop* current_loop = nullptr;

class OwnLoop final : public Loop, public LoopThread {
 public:
  OwnLoop() = default;
  ~OwnLoop() override {
    post([this] { is_stopping_ = true; });
    if (thread_.joinable()) thread_.join();
    if (wake_ >= 0) ::close(wake_);
    if (epoll_ >= 0) ::close(epoll_);
  }
  OwnLoop(const OwnLoop&) = delete;
  OwnLoop& operator=(const OwnLoop&) = delete;

  Status begin() {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    wake_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    // Edge-triggered: each write is told of once, and nobody has to read the count.
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    if (epoll_ < 0 || wake_ < 0 || ::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) != 0) {
      return internal(std::string("cannot make an event loop: ") + std::strerror(errno));
    }
    thread_ = std::thread([this] { run(); });
    return {};
  }

  Loop& loop() override { return *this; }

  bool post(std::function<void()> task) override {
    bool wake;
    {
      const std::lock_guard lock(mutex_);
      if (is_over_) return false;
      wake = tasks_.empty();
      tasks_.push_back(std::move(task));
    }
    if (wake) {
      const std::uint64_t once = 1;
      [[maybe_unused]] const auto written = ::write(wake_, &once, sizeof once);
    }
    return true;
  }

  bool watch(int descriptor, EventSource& source, std::uint32_t events) override {
    return control(EPOLL_CTL_ADD, descriptor, source, events);
  }
  void rewatch(int descriptor, EventSource& source, std::uint32_t events) override {
    control(EPOLL_CTL_MOD, descriptor, source, events);
  }
  void unwatch(int descriptor) override { ::epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, nullptr); }
  void at_end(std::function<void()> task) override { at_end_.push_back(std::move(task)); }

 private:
  bool control(int operation, int descriptor, EventSource& source, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = &source;
    return ::epoll_ctl(epoll_, operation, descriptor, &event) == 0;
  }

  void run() {
    const Running running(*this);
    std::array<epoll_event, 64> events;
    while (!is_stopping_) {
      const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
      ASSERT(count >= 0 || errno == EINTR);
      // What the round hands over is handed over as one.
      const HeldWakes held;
      for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        const auto source = static_cast<EventSource*>(event.data.ptr);
        if (source) source->on_events(event.events);
      }
      run_tasks();
    }
    for (auto& task : std::exchange(at_end_, {})) task();
    std::vector<std::function<void()>> dropped;
    const std::lock_guard lock(mutex_);
    is_over_ = true;
    dropped.swap(tasks_);
  }

  void run_tasks() {
    std::vector<std::function<void()>> tasks;
    {
      const std::lock_guard lock(mutex_);
      tasks.swap(tasks_);
    }
    for (auto& task : tasks) {
      task();
      task = nullptr;
    }
  }

  int epoll_ = -1;
  int wake_ = -1;
  bool is_stopping_ = false;  // of the loop's thread
  std::vector<std::function<void()>> at_end_;
  std::mutex mutex_;
  std::vector<std::function<void()>> tasks_;  // guarded by mutex_
  bool is_over_ = false;                      // guarded by mutex_
  std::thread thread_;                        // last: it uses all of the above
};

}  // namespace

Loop* Loop::current() { return current_loop; }

Loop::Running::Running(Loop& loop) { current_loop = &loop; }

Loop::Running::~Running() { current_loop = nullptr; }

Result<std::unique_ptr<LoopThread>> LoopThread::start() {
  auto made = std::make_unique<OwnLoop>();
  TRY(made->begin());
  return std::unique_ptr<LoopThread>(std::move(made));
}

}  // namespace earshot
