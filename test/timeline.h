// The model with its past: every revision of every company kept whole, so that what was asked of
// any moment is asked of the state that was there. Plain and wasteful, for tests only; one thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/result.h"
#include "base/time.h"
#include "core/entry.h"
#include "model.h"
#include "store/store.h"

namespace earshot::test {

class Timeline {
 public:
  // A company from one revision on until the next.
  struct Point {
    core::Revision revision = 0;
    Time time;
    std::shared_ptr<const Model> state;
    std::set<CallId> touched;
    bool is_sweep = false;
  };

  // The state as it is now. What is changed here belongs to no revision until note() says so.
  Model now;

  // The company has come to its next revision, which is the state as it is now. Times of revisions
  // never go back, however the clock does. `touched`: calls that a change named without leaving
  // them other than they were.
  void note(CompanyId company, Time clock, std::set<CallId> touched = {}) {
    auto& points = companies_[company];
    if (points.empty())
      points.push_back({0, Time{INT64_MIN}, std::make_shared<const Model>(), {}, false});
    const Point& last = points.back();
    points.push_back({last.revision + 1, std::max(last.time, clock),
                      std::make_shared<const Model>(now), std::move(touched), false});
  }

  // The company has come to a next revision that left everything as it was for whoever asks: what
  // had expired was swept.
  void note_sweep(CompanyId company, Time time) {
    ASSERT(companies_.contains(company));
    Point next = last_point(company);
    ++next.revision;
    next.time = std::max(next.time, time);
    next.touched.clear();
    next.is_sweep = true;
    companies_[company].push_back(std::move(next));
  }

  core::Revision newest(CompanyId company) const { return last_point(company).revision; }

  // The time that decides about expiries: that of the clock, but never before a change that is
  // there.
  Time judged_now(CompanyId company, Time clock) const {
    return std::max(clock, last_point(company).time);
  }

  // What an answer about this moment is as of, or why there is none: it is still to come.
  Result<store::AsOf> find(CompanyId company, const store::Moment& moment, Time clock) const {
    const Time latest = judged_now(company, clock);
    if (moment.is_now()) return store::AsOf{newest(company), latest};
    if (moment.revision) {
      if (*moment.revision > newest(company)) return invalid_argument("no such revision yet");
      return store::AsOf{*moment.revision,
                         moment.at.value_or(point(company, *moment.revision).time)};
    }
    if (*moment.at > latest) return invalid_argument("that is still to come");
    store::AsOf found{0, *moment.at};
    for (const Point& one : points(company)) {
      if (one.time <= *moment.at) found.revision = one.revision;
    }
    return found;
  }

  // The company as it was. REQUIRES: it has come to this revision.
  const Model& at(CompanyId company, core::Revision revision) const {
    return *point(company, revision).state;
  }
  Time time_of(CompanyId company, core::Revision revision) const {
    return point(company, revision).time;
  }

  // Which calls a change after this revision left other than they were, and which it only named.
  struct Changed {
    std::set<CallId> surely, perhaps;
    std::size_t sweeps = 0;  // each may have changed any call
  };
  Changed calls_changed_after(CompanyId company, core::Revision revision) const {
    Changed calls;
    for (const Point& one : points(company)) {
      if (one.revision <= revision || one.revision == 0) continue;
      calls.surely.merge(one.state->calls_that_differ(company, at(company, one.revision - 1)));
      calls.perhaps.insert(one.touched.begin(), one.touched.end());
      calls.sweeps += one.is_sweep ? 1 : 0;
    }
    return calls;
  }

 private:
  const std::vector<Point>& points(CompanyId company) const {
    static const std::vector<Point> nothing = {
        {0, Time{INT64_MIN}, std::make_shared<const Model>(), {}, false}};
    const auto found = companies_.find(company);
    return found == companies_.end() ? nothing : found->second;
  }
  const Point& last_point(CompanyId company) const { return points(company).back(); }
  const Point& point(CompanyId company, core::Revision revision) const {
    ASSERT(revision < points(company).size());
    return points(company)[static_cast<std::size_t>(revision)];
  }

  std::map<CompanyId, std::vector<Point>> companies_;
};

}  // namespace earshot::test
