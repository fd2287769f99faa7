#include "api/refusal_log.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/text.h"

namespace earshot::api {
namespace {

// Whether anybody can bring it about who knows no more than the name of an access key.
bool is_of_credentials(const store::Refusal& refusal) {
  return refusal.reason == reason_name(Reason::credentials);
}

// What makes refusals alike: all but when, which request, and what exactly; of credentials not the
// operation either, since a stranger may name them all.
std::string likeness_of(const store::Refusal& refusal) {
  std::string key;
  key.reserve(96);
  key.append(refusal.reason).push_back('\0');
  if (!is_of_credentials(refusal)) key.append(refusal.operation).push_back('\0');
  for (const std::string* const text : {&refusal.access_key, &refusal.remote_address}) {
    key.append(*text).push_back('\0');
  }
  return key;
}

}  // namespace

bool is_kept(Reason reason) {
  switch (reason) {
    case Reason::credentials:
    case Reason::scope:
    case Reason::rate_per_second:
    case Reason::rate_per_day:
    case Reason::unknown_calls:
    case Reason::unknown_users:
    case Reason::unknown_key:
    case Reason::records:
      return true;
    default:
      return false;
  }
}

RefusalCollector::Part& RefusalCollector::own_part() {
  static std::atomic<std::size_t> next{0};
  thread_local const std::size_t mine = next.fetch_add(1, std::memory_order_relaxed);
  return parts_[mine % kParts];
}

// False where it is one too many.
bool RefusalCollector::merge(OfCompany& company, std::string key, store::Refusal refusal,
                             bool has_room) {
  const auto known = company.refusals.find(key);
  if (known != company.refusals.end()) {
    store::Refusal& first = known->second;
    const std::uint64_t requests = first.requests + refusal.requests;
    if (refusal.time < first.time) first = std::move(refusal);
    first.requests = requests;
    return true;
  }
  const bool is_of_stranger = is_of_credentials(refusal) && refusal.company != CompanyId{};
  if (!has_room || (is_of_stranger && company.credentials == kRefusalsOfCredentialsMax)) {
    if (company.dropped == 0) company.dropped_since = refusal.time;
    company.dropped += refusal.requests;
    return false;
  }
  if (is_of_stranger) ++company.credentials;
  company.refusals.emplace(std::move(key), std::move(refusal));
  return true;
}

void RefusalCollector::add(store::Refusal refusal) {
  std::string key = likeness_of(refusal);
  const std::uint64_t requests = refusal.requests;
  Part& part = own_part();
  const std::lock_guard lock(part.mutex);
  auto company = part.companies.find(refusal.company);
  if (company == part.companies.end()) {
    if (part.companies.size() >= kRefusalCompaniesMax) return count_dropped(requests);
    company = part.companies.try_emplace(refusal.company).first;
  }
  const std::size_t count = company->second.refusals.size();
  // Companies that have many leave room for those that have few.
  const bool has_room =
      count < kRefusalsSure || (count < kRefusalsOfCompanyMax && part.count < kRefusalsMax);
  if (!merge(company->second, std::move(key), std::move(refusal), has_room)) {
    return count_dropped(requests);
  }
  part.count += company->second.refusals.size() - count;
}

std::vector<store::Refusal> RefusalCollector::take() {
  Companies all;
  for (Part& part : parts_) {
    Companies taken;
    {
      const std::lock_guard lock(part.mutex);
      taken.swap(part.companies);
      part.count = 0;
    }
    for (auto& [id, company] : taken) {
      OfCompany& merged = all[id];
      if (company.dropped > 0 &&
          (merged.dropped == 0 || company.dropped_since < merged.dropped_since)) {
        merged.dropped_since = company.dropped_since;
      }
      merged.dropped += company.dropped;
      for (auto& [key, refusal] : company.refusals) {
        const std::uint64_t requests = refusal.requests;
        const bool has_room = merged.refusals.size() < kRefusalsOfCompanyMax;
        if (!merge(merged, key, std::move(refusal), has_room)) count_dropped(requests);
      }
    }
  }
  std::vector<store::Refusal> taken;
  for (auto& [id, company] : all) {
    const std::size_t begin = taken.size();
    for (auto& [key, refusal] : company.refusals) taken.push_back(std::move(refusal));
    std::sort(taken.begin() + static_cast<std::ptrdiff_t>(begin), taken.end(),
              [](const auto& a, const auto& b) { return a.time < b.time; });
    if (company.dropped == 0) continue;
    store::Refusal rest;
    rest.company = id;
    rest.time = company.dropped_since;
    rest.reason = kNotKept;
    rest.detail = "more were refused at once than are kept one by one";
    rest.requests = company.dropped;
    taken.push_back(std::move(rest));
  }
  return taken;
}

RefusalLog::RefusalLog(store::Store& store, std::chrono::milliseconds interval)
    : store_(store), interval_(interval), thread_([this] { run(); }) {}

RefusalLog::~RefusalLog() { end(); }

void RefusalLog::end() {
  stop(std::chrono::milliseconds(0));
  if (thread_.joinable()) thread_.join();
}

bool RefusalLog::submit(std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  if (is_stopping_ || tasks_.size() >= kTasksMax) return false;
  tasks_.push_back(std::move(task));
  changed_.notify_all();
  return true;
}

bool RefusalLog::stop(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  is_stopping_ = true;
  changed_.notify_all();
  return changed_.wait_for(lock, time, [this] { return is_over_; });
}

void RefusalLog::run() {
  auto due = std::chrono::steady_clock::now() + interval_;
  std::unique_lock lock(mutex_);
  for (bool is_last = false; !is_last;) {
    changed_.wait_until(lock, due, [this] { return is_stopping_ || !tasks_.empty(); });
    is_last = is_stopping_;
    std::deque<std::function<void()>> tasks;
    tasks.swap(tasks_);
    lock.unlock();
    // First, so that who asks sees what was refused before.
    const bool is_due = std::chrono::steady_clock::now() >= due;
    if (is_due || is_last || !tasks.empty()) {
      bring();
      due = std::chrono::steady_clock::now() + interval_;
    }
    for (const auto& task : tasks) task();
    tasks.clear();
    lock.lock();
    // One that came in between is answered too.
    is_last = is_last && tasks_.empty();
  }
  is_over_ = true;
  changed_.notify_all();
}

// Logs changes alone: it may fail once a second.
void RefusalLog::bring() {
  const std::vector<store::Refusal> refusals = collector_.take();
  if (refusals.empty()) return;
  const Status kept = store_.keep_refusals(refusals);
  if (!kept) {
    // Not tried again: memory for them is bounded, and newer ones come.
    std::uint64_t requests = 0;
    for (const store::Refusal& one : refusals) {
      if (one.reason != kNotKept) requests += one.requests;
    }
    collector_.count_dropped(requests);
  }
  if (!kept && !has_failed_) {
    log(Level::warn, "refusals_not_kept", {{"reason", kept.error().message}});
  } else if (kept && has_failed_) {
    log(Level::info, "refusals_kept_again");
  }
  has_failed_ = !kept;
}

}  // namespace earshot::api
