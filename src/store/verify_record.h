// What verify checks of a company's record of changes, whatever the store: the chain, and what the
// changes come to. Sets of rows that must be the same are compared by the sums of their hashes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/change_record.h"
#include "store/company_state.h"

namespace earshot::store {

// A set of rows, as the sum of a hash for each. Two different sets come out the same once in 2^64.
class RowSum {
 public:
  void add(std::string_view row) { sum_ += std::hash<std::string_view>{}(row); }
  void take(std::string_view row) { sum_ -= std::hash<std::string_view>{}(row); }
  friend bool operator==(const RowSum&, const RowSum&) = default;

 private:
  std::uint64_t sum_ = 0;
};

// What identifies a row of a call and says what it holds, stamps aside.
std::string call_row_text(CallId call, const core::Call& body);
std::string share_row_text(CallId call, UserId user);
std::string grant_row_text(CallId call, UserId user, const core::Grant& grant);

// Heads of companies that are to be found again in their records, and what is said of each in a
// report. Of one verification.
class HeadClaims {
 public:
  // A claim of one company, by its place among all.
  struct Claim {
    std::size_t place = 0;
    core::Revision revision = 0;
    Digest hash{};
  };

  explicit HeadClaims(std::span<const HeadClaim> claims);

  // In the order of their revisions.
  const std::vector<Claim>& of(CompanyId company) const;
  void judge(std::size_t place, HeadVerdict verdict) { judged_[place] = verdict; }

  // Puts the verdicts into the report, and a fault for each that is one. Those that nobody judged
  // are of companies without a record.
  void report_to(VerifyReport& report) const;

 private:
  const std::span<const HeadClaim> claims_;
  std::map<CompanyId, std::vector<Claim>> by_company_;
  std::map<std::size_t, HeadVerdict> judged_;
};

// The parts of one company's record, in their order: revisions without gaps, parts without gaps,
// times that do not go back, each part holding the hash of the one before it.
class RecordCheck {
 public:
  using Fault = std::function<void(const std::string& what)>;
  // `horizon` is the revision up to which retention cut the record; `claims` outlives this.
  RecordCheck(CompanyId company, core::Revision horizon, HeadClaims& claims, Fault fault)
      : company_(company), horizon_(horizon), claims_(claims), fault_(std::move(fault)) {}

  // Gives the changes of the part; none where it cannot be decoded.
  std::vector<Change> take(const ChangeKey& key, std::string_view key_bytes,
                           std::string_view value);
  // In place of a part of this revision that cannot be read: the chain is broken there.
  void take_unreadable(core::Revision revision);
  void end();

  const Head& head() const { return head_; }
  std::uint64_t changes() const { return changes_; }
  // The rows of calls, shares and grants that the changes come to, where nothing was cut.
  const RowSum& explained() const { return explained_; }

 private:
  void check_place(const ChangeKey& key, const ChangePart& part, const std::string& where);
  void explain(const Change& change);
  bool is_claimed(core::Revision revision) const;
  void judge(const HeadClaims::Claim& claim);

  const CompanyId company_;
  const core::Revision horizon_;
  HeadClaims& claims_;
  const Fault fault_;
  Head head_;
  std::uint32_t next_n_ = 0;
  bool revision_is_open_ = false;
  std::uint64_t changes_ = 0;
  RowSum explained_;
  // Of the revisions that are claimed, and of the one before the first: what they end with.
  std::map<core::Revision, Digest> ends_;
  core::Revision broken_at_ = 0;  // the last one that does not follow from the one before it
};

}  // namespace earshot::store
