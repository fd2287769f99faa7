#include "timeline.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "base/assert.h"

namespace earshot::test {

Timeline::Timeline() = default;
Timeline::Timeline(const Timeline&) = default;
Timeline::Timeline(Timeline&&) noexcept = default;
Timeline& Timeline::operator=(const Timeline&) = default;
Timeline& Timeline::operator=(Timeline&&) noexcept = default;
Timeline::~Timeline() = default;

void Timeline::note(CompanyId company, Time clock, std::set<CallId> touched) {
  auto& points = companies_[company];
  if (points.empty())
    points.push_back({0, Time{INT64_MIN}, std::make_shared<const Model>(), {}, false});
  const Point& last = points.back();
  points.push_back({last.revision + 1, std::max(last.time, clock),
                    std::make_shared<const Model>(now), std::move(touched), false});
}

void Timeline::note_sweep(CompanyId company, Time time) {
  ASSERT(companies_.contains(company));
  Point next = last_point(company);
  ++next.revision;
  next.time = std::max(next.time, time);
  next.touched.clear();
  next.is_sweep = true;
  companies_[company].push_back(std::move(next));
}

core::Revision Timeline::newest(CompanyId company) const { return last_point(company).revision; }

Time Timeline::judged_now(CompanyId company, Time clock) const {
  return std::max(clock, last_point(company).time);
}

Result<store::AsOf> Timeline::find(CompanyId company, const store::Moment& moment,
                                   Time clock) const {
  const Time latest = judged_now(company, clock);
  if (moment.is_now()) return store::AsOf{newest(company), latest};
  if (moment.revision) {
    if (*moment.revision > newest(company)) return invalid_argument("no such revision yet");
    return store::AsOf{*moment.revision, moment.at.value_or(point(company, *moment.revision).time)};
  }
  if (*moment.at > latest) return invalid_argument("that is still to come");
  store::AsOf found{0, *moment.at};
  for (const Point& one : points(company)) {
    if (one.time <= *moment.at) found.revision = one.revision;
  }
  return found;
}

const Model& Timeline::at(CompanyId company, core::Revision revision) const {
  return *point(company, revision).state;
}

Time Timeline::time_of(CompanyId company, core::Revision revision) const {
  return point(company, revision).time;
}

Timeline::Changed Timeline::calls_changed_after(CompanyId company, core::Revision revision) const {
  Changed calls;
  for (const Point& one : points(company)) {
    if (one.revision <= revision || one.revision == 0) continue;
    calls.surely.merge(one.state->calls_that_differ(company, at(company, one.revision - 1)));
    calls.perhaps.insert(one.touched.begin(), one.touched.end());
    calls.sweeps += one.is_sweep ? 1 : 0;
  }
  return calls;
}

const std::vector<Timeline::Point>& Timeline::points(CompanyId company) const {
  static const std::vector<Point> nothing = {
      {0, Time{INT64_MIN}, std::make_shared<const Model>(), {}, false}};
  const auto found = companies_.find(company);
  return found == companies_.end() ? nothing : found->second;
}

const Timeline::Point& Timeline::last_point(CompanyId company) const {
  return points(company).back();
}

const Timeline::Point& Timeline::point(CompanyId company, core::Revision revision) const {
  ASSERT(revision < points(company).size());
  return points(company)[static_cast<std::size_t>(revision)];
}

}  // namespace earshot::test
