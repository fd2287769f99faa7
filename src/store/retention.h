// Retention over the embedded store: what is older than asked for, or more than that, leaves the
// record of changes; old versions of the directory go with it, and markers when their rows are next
// compacted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/retention_limits.h"
#include "store/rocks.h"
#include "store/transaction.h"

namespace earshot::store {

// How much of one step: so many rows are looked at, or a little more than so many bytes of them. Of
// a thing of the directory all versions are of one step, however many.
struct RetentionStep {
  std::size_t rows = 2000;
  std::size_t bytes = 1 << 20;
};

// What a cut left behind of a company's files, to be given back to the disk.
struct CutRange {
  CompanyId company;
  core::Revision horizon = 0;
  std::uint64_t bytes = 0;  // of the record that went, as it was written
};

// Cuts the records of all companies, one after the other, in bounded steps with commits in between.
// After each step, and wherever a crash ends it, the store is sound and tells the same: the horizon
// of a company is written first, and what is behind it is nobody's business any more. What a crash
// leaves is cut by the next round. Of the committer's thread.
class Retention {
 public:
  // Both must outlive it.
  Retention(Rocks& rocks, Companies& companies, RetentionStep step = {})
      : rocks_(rocks), companies_(companies), step_(step) {}

  // Begins a round, from the first company on.
  void begin(const RetentionLimits& limits);
  bool is_under_way() const { return is_under_way_; }

  // Does one step. An error ends the round. REQUIRES: is_under_way().
  Status step();

  // What was cut since this was asked last.
  std::vector<CutRange> take_cut();

 private:
  // A company that is being cut.
  struct Cut {
    CutRange range;
    core::Stamp removed;  // the company, the last time up to the horizon
    // How far the directory was walked: the things first, and the company itself last, since its
    // removals decide about the things.
    std::string directory_at;
    bool are_things_done = false;
    bool is_directory_done = false;
  };

  Status find_next();
  Result<core::Revision> find_target(CompanyId company, core::Revision first) const;
  Result<ChangeHead> read_head(CompanyId company, core::Revision revision) const;
  Status begin_cut(CompanyId company, core::Revision first, core::Revision target);
  Status cut_directory(Cut& cut, bool company_itself);
  Status cut_changes(Cut& cut);

  Rocks& rocks_;
  Companies& companies_;
  const RetentionStep step_;
  RetentionLimits limits_;
  bool is_under_way_ = false;
  std::uint64_t next_company_ = 0;
  std::optional<Cut> cut_;
  std::vector<CutRange> ranges_;
};

// Whole rounds at once, for tests.
Status apply_retention(Rocks& rocks, Companies& companies, const RetentionLimits& limits);

}  // namespace earshot::store
