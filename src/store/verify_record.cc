#include "store/verify_record.h"

#include <algorithm>

namespace earshot::store {

std::string call_row_text(CallId call, const core::Call& body) {
  std::string text = "c";
  append_fixed64(text, call.value);
  append_call_body(text, body);
  return text;
}

std::string share_row_text(CallId call, UserId user) {
  std::string text = "s";
  append_fixed64(text, call.value);
  append_fixed64(text, user.value);
  return text;
}

std::string grant_row_text(CallId call, UserId user, const core::Grant& grant) {
  std::string text = "g";
  append_fixed64(text, call.value);
  append_fixed64(text, user.value);
  append_grant_body(text, grant);
  return text;
}

HeadClaims::HeadClaims(std::span<const HeadClaim> claims) : claims_(claims) {
  for (std::size_t i = 0; i < claims.size(); ++i) {
    by_company_[claims[i].company].push_back({i, claims[i].revision, claims[i].hash});
  }
  for (auto& [company, of_company] : by_company_) {
    std::ranges::stable_sort(of_company, {}, &Claim::revision);
  }
}

const std::vector<HeadClaims::Claim>& HeadClaims::of(CompanyId company) const {
  static const std::vector<Claim> none;
  const auto found = by_company_.find(company);
  return found == by_company_.end() ? none : found->second;
}

void HeadClaims::report_to(VerifyReport& report) const {
  for (std::size_t i = 0; i < claims_.size(); ++i) {
    const HeadClaim& claim = claims_[i];
    const auto judged = judged_.find(i);
    HeadVerdict verdict = HeadVerdict::ahead;
    if (judged != judged_.end()) {
      verdict = judged->second;
    } else if (claim.revision == 0) {
      verdict = claim.hash == Digest{} ? HeadVerdict::extended : HeadVerdict::contradicted;
    }
    report.heads.push_back(verdict);
    const std::string where = "company " + to_string(claim.company) + ": the head of revision " +
                              std::to_string(claim.revision) + " that was claimed ";
    std::string fault;
    if (verdict == HeadVerdict::contradicted) {
      fault = where + "is not in the record, or the record does not go on from it";
    } else if (verdict == HeadVerdict::ahead) {
      fault = where + "is later than the end of the record";
    }
    if (!fault.empty() && report.faults.size() < kVerifyFaultsMax) {
      report.faults.push_back(std::move(fault));
    }
  }
}

std::vector<Change> RecordCheck::take(const ChangeKey& key, std::string_view key_bytes,
                                      std::string_view value) {
  const std::string where =
      "revision " + std::to_string(key.revision) + ", part at " + std::to_string(key.first_n);
  auto part = decode_change(value);
  if (!part) {
    fault_(where + " cannot be decoded");
    take_unreadable(key.revision);
    head_.hash = hash_change(key_bytes, value);
    return {};
  }
  check_place(key, *part, where);
  next_n_ = key.first_n + static_cast<std::uint32_t>(part->changes.size());
  revision_is_open_ = !part->head.last_part;
  head_ = {key.revision, part->head.directory_revision, part->head.time,
           hash_change(key_bytes, value)};
  if (part->head.last_part && is_claimed(key.revision)) ends_[key.revision] = head_.hash;
  for (const Change& change : part->changes) explain(change);
  changes_ += part->changes.size();
  return std::move(part->changes);
}

void RecordCheck::take_unreadable(core::Revision revision) {
  broken_at_ = revision;
  head_ = {revision, 0, head_.time, {}};
}

void RecordCheck::check_place(const ChangeKey& key, const ChangePart& part,
                              const std::string& where) {
  const bool is_first = head_.revision == 0;
  if (is_first) {
    // A cut may have ended half-way: what it has left begins before the horizon.
    if (key.revision > horizon_ + 1 || (key.revision == horizon_ + 1 && key.first_n != 0)) {
      fault_(where + " is the first, and the retention cut only up to revision " +
             std::to_string(horizon_));
    }
    if (key.revision == 1 && part.head.previous_hash != Digest{}) {
      fault_(where + " is the first and names one before it");
    }
    // Where more is missing than was cut, nothing vouches for this hash.
    if (key.first_n == 0 && key.revision - 1 <= horizon_) {
      ends_[key.revision - 1] = part.head.previous_hash;
    }
  } else {
    if (part.head.previous_hash != head_.hash) {
      fault_(where + " does not hold the hash of the part before it");
      broken_at_ = key.revision;
    }
    const core::Revision expected = revision_is_open_ ? head_.revision : head_.revision + 1;
    if (key.revision != expected || key.first_n != (revision_is_open_ ? next_n_ : 0)) {
      fault_(where + " follows revision " + std::to_string(head_.revision) +
             ": something is missing");
      broken_at_ = key.revision;
    }
  }
  if (part.head.time < head_.time) fault_(where + " is older than the one before it");
  if (part.changes.empty() && (!part.head.last_part || key.first_n == 0)) {
    fault_(where + " is empty");
  }
  if (part.head.directory_revision > key.revision) {
    fault_(where + " names a directory of the future");
  }
}

void RecordCheck::end() {
  if (revision_is_open_) fault_("the last revision lacks its last part");
  for (const HeadClaims::Claim& claim : claims_.of(company_)) judge(claim);
}

bool RecordCheck::is_claimed(core::Revision revision) const {
  return std::ranges::binary_search(claims_.of(company_), revision, {},
                                    &HeadClaims::Claim::revision);
}

void RecordCheck::judge(const HeadClaims::Claim& claim) {
  const auto end = ends_.find(claim.revision);
  HeadVerdict verdict = HeadVerdict::contradicted;
  if (claim.revision > head_.revision) {
    verdict = HeadVerdict::ahead;
  } else if (end == ends_.end() && horizon_ > 0 && claim.revision <= horizon_) {
    verdict = HeadVerdict::cut_off;
  } else if (end != ends_.end() && end->second == claim.hash && broken_at_ <= claim.revision) {
    verdict = HeadVerdict::extended;
  }
  claims_.judge(claim.place, verdict);
}

void RecordCheck::explain(const Change& change) {
  if (const auto* grant = std::get_if<GrantChanged>(&change)) {
    if (grant->before) explained_.take(grant_row_text(grant->call, grant->user, *grant->before));
    if (grant->after) explained_.add(grant_row_text(grant->call, grant->user, *grant->after));
  } else if (const auto* share = std::get_if<ShareChanged>(&change)) {
    if (share->before) explained_.take(share_row_text(share->call, share->user));
    if (share->after) explained_.add(share_row_text(share->call, share->user));
  } else if (const auto* call = std::get_if<CallChanged>(&change)) {
    if (call->before) explained_.take(call_row_text(call->call, *call->before));
    if (call->after) explained_.add(call_row_text(call->call, *call->after));
  }
}

}  // namespace earshot::store
