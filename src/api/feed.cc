#include "api/feed.h"

#include <pthread.h>

#include <algorithm>
#include <string>
#include <utility>

namespace earshot::api {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kTick{100};          // how exactly times are kept
constexpr std::chrono::seconds kLinger{5};  // a company without readers is watched so long
constexpr std::size_t kCallsPerTurn = 64;   // before a loop's other work has its turn

}  // namespace

Feed::Feed(store::Store& store, FeedOptions options) : store_(store), options_(std::move(options)) {
  if (options_.is_driven) return;
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "feed");
    run();
  });
}

Feed::~Feed() { stop(); }

void Feed::stop() {
  {
    const std::lock_guard lock(news_mutex_);
    is_over_ = true;
  }
  woken_.notify_all();
  if (thread_.joinable()) thread_.join();
  std::map<CompanyId, Company> ended;
  {
    const std::lock_guard lock(mutex_);
    is_stopped_ = true;
    ended.swap(companies_);
    count_ = 0;
  }
  // Readers and watches end here, outside of the locks that they ask for.
}

// Under the mutex.
Status Feed::check_room(CompanyId company) const {
  if (is_stopped_) return unavailable("the server is about to stop");
  const std::size_t max = options_.streams_max;
  if (count_ >= max) {
    return unavailable("at most " + std::to_string(max) + " readers wait for changes at once");
  }
  const std::size_t company_max = (max + kCompanyPart - 1) / kCompanyPart;
  const auto found = companies_.find(company);
  if (found != companies_.end() && found->second.readers.size() >= company_max) {
    return unavailable("at most " + std::to_string(company_max) +
                       " readers of one company wait for changes at once");
  }
  return {};
}

Status Feed::join(const std::shared_ptr<Reader>& reader) {
  {
    const std::lock_guard lock(mutex_);
    const CompanyId id = reader->company_;
    TRY(check_room(id));
    Company& company = companies_[id];
    if (!company.watch) {
      company.watch = store_.watch_changes(id, [this, id] { note_news(id); });
      // What was read while nobody watched may lack anything.
      ++news_count_;
    }
    company.readers.emplace(reader.get(), reader);
    ++count_;
  }
  {
    const std::lock_guard lock(news_mutex_);
    is_woken_ = true;
  }
  woken_.notify_all();
  return {};
}

void Feed::leave(Reader& reader) {
  std::shared_ptr<Reader> left;
  const std::lock_guard lock(mutex_);
  const auto company = companies_.find(reader.company_);
  if (company == companies_.end()) return;
  auto node = company->second.readers.extract(&reader);
  if (node.empty()) return;
  left = std::move(node.mapped());
  company->second.since = options_.clock();
  --count_;
}

void Feed::call_at(Reader& reader, SteadyTime when) {
  const std::lock_guard lock(mutex_);
  reader.due_ = when;
}

void Feed::end_all() {
  is_ending_ = true;
  Called here;
  {
    const std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<Reader>*> all;
    for (auto& [id, company] : companies_) {
      for (auto& [key, reader] : company.readers) all.push_back(&reader);
    }
    call(all, Call::end, {}, here);
  }
  run_calls(nullptr, std::move(here), 0, Call::end, {});
}

void Feed::note_news(CompanyId company) {
  {
    const std::lock_guard lock(news_mutex_);
    if (std::ranges::find(news_, company) != news_.end()) return;
    news_.push_back(company);
  }
  woken_.notify_all();
}

std::chrono::microseconds Feed::interval_of(const Company& company) const {
  return options_.news_interval +
         static_cast<std::int64_t>(company.readers.size()) * options_.news_interval_per_reader;
}

SteadyTime Feed::run_due(SteadyTime now) {
  std::vector<CompanyId> news;
  {
    const std::lock_guard lock(news_mutex_);
    news.swap(news_);
  }
  // Before anybody reads because of it.
  if (!news.empty()) ++news_count_;
  SteadyTime next = SteadyTime::max();
  Called of_news, of_time;
  std::vector<std::unique_ptr<store::ChangesWatch>> ended;
  {
    const std::lock_guard lock(mutex_);
    for (const CompanyId id : news) {
      const auto company = companies_.find(id);
      if (company != companies_.end()) company->second.has_news = true;
    }
    for (auto at = companies_.begin(); at != companies_.end();) {
      Company& company = at->second;
      if (company.readers.empty()) {
        company.has_news = false;
        const SteadyTime until = company.since + kLinger;
        if (until > now) {
          next = std::min(next, until);
          ++at;
        } else {
          ended.push_back(std::move(company.watch));
          at = companies_.erase(at);
        }
        continue;
      }
      std::vector<std::shared_ptr<Reader>*> told, late;
      const bool is_told = company.has_news && (company.told == SteadyTime::min() ||
                                                now - company.told >= interval_of(company));
      for (auto& [key, reader] : company.readers) {
        if (is_told) told.push_back(&reader);
        if (reader->due_ > now) continue;
        reader->due_ = SteadyTime::max();
        late.push_back(&reader);
      }
      if (is_told) {
        company.has_news = false;
        company.told = now;
      } else if (company.has_news) {
        next = std::min(next, company.told + interval_of(company));
      }
      call(told, Call::news, now, of_news);
      call(late, Call::time, now, of_time);
      next = std::min(next, now + kTick);
      ++at;
    }
  }
  run_calls(nullptr, std::move(of_news), 0, Call::news, now);
  run_calls(nullptr, std::move(of_time), 0, Call::time, now);
  return next;
}

void Feed::run() {
  for (;;) {
    const SteadyTime next = run_due(options_.clock());
    std::unique_lock lock(news_mutex_);
    const auto is_due = [this] { return is_over_ || is_woken_ || !news_.empty(); };
    if (next == SteadyTime::max()) {
      woken_.wait(lock, is_due);
    } else {
      woken_.wait_until(lock, next, is_due);
    }
    is_woken_ = false;
    if (is_over_) return;
  }
}

// Under the mutex, so that the readers are there, and with them the loops that they are on. They
// are not held: the last of them must not end on this thread.
void Feed::call(const std::vector<std::shared_ptr<Reader>*>& readers, Call what, SteadyTime now,
                Called& here) {
  std::map<Loop*, Called> by_loop;
  for (const auto* reader : readers) by_loop[(*reader)->loop_].emplace_back(*reader);
  for (auto& [loop, called] : by_loop) {
    if (loop == nullptr) {
      here = std::move(called);
    } else {
      loop->post([loop = loop, called = std::move(called), what, now]() mutable {
        run_calls(loop, std::move(called), 0, what, now);
      });
    }
  }
}

void Feed::run_calls(Loop* loop, Called readers, std::size_t begin, Call what, SteadyTime now) {
  const std::size_t end =
      loop == nullptr ? readers.size() : std::min(readers.size(), begin + kCallsPerTurn);
  for (std::size_t i = begin; i < end; ++i) {
    const auto reader = readers[i].lock();
    if (!reader) continue;
    switch (what) {
      case Call::news:
        reader->on_news();
        break;
      case Call::time:
        reader->on_time(now);
        break;
      case Call::end:
        reader->on_end();
        break;
    }
  }
  if (end == readers.size()) return;
  loop->post([loop, readers = std::move(readers), end, what, now]() mutable {
    run_calls(loop, std::move(readers), end, what, now);
  });
}

}  // namespace earshot::api
