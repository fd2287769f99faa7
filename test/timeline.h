// The model with its past: every revision of every company kept whole, so that what was asked of
// any moment is asked of the state that was there. Plain and wasteful, for tests only; one thread.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <vector>

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

  Timeline();
  Timeline(const Timeline&);
  Timeline(Timeline&&) noexcept;
  Timeline& operator=(const Timeline&);
  Timeline& operator=(Timeline&&) noexcept;
  ~Timeline();

  // The state as it is now. What is changed here belongs to no revision until note() says so.
  Model now;

  // The company has come to its next revision, which is the state as it is now. Times of revisions
  // never go back, however the clock does. `touched`: calls that a change named without leaving
  // them other than they were.
  void note(CompanyId company, Time clock, std::set<CallId> touched = {});

  // The company has come to a next revision that left everything as it was for whoever asks: what
  // had expired was swept.
  void note_sweep(CompanyId company, Time time);

  core::Revision newest(CompanyId company) const;

  // The time that decides about expiries: that of the clock, but never before a change that is
  // there.
  Time judged_now(CompanyId company, Time clock) const;

  // What an answer about this moment is as of, or why there is none: it is still to come.
  Result<store::AsOf> find(CompanyId company, const store::Moment& moment, Time clock) const;

  // The company as it was. REQUIRES: it has come to this revision.
  const Model& at(CompanyId company, core::Revision revision) const;
  Time time_of(CompanyId company, core::Revision revision) const;

  // Which calls a change after this revision left other than they were, and which it only named.
  struct Changed {
    std::set<CallId> surely, perhaps;
    std::size_t sweeps = 0;  // each may have changed any call
  };
  Changed calls_changed_after(CompanyId company, core::Revision revision) const;

 private:
  const std::vector<Point>& points(CompanyId company) const;
  const Point& last_point(CompanyId company) const;
  const Point& point(CompanyId company, core::Revision revision) const;

  std::map<CompanyId, std::vector<Point>> companies_;
};

}  // namespace earshot::test
