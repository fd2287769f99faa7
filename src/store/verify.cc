// Verify: whether what the embedded store holds is sound in itself. Each company is walked on its
// own, in bounded memory: sets of rows that must be the same are compared by the sums of their
// hashes.
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "store/embedded_store.h"
#include "store/snapshot.h"

namespace earshot::store {

namespace {

// A set of rows, as the sum of a hash for each. Two different sets come out the same once in 2^64.
class RowSum {
 public:
  void add(std::string_view row) { sum_ += std::hash<std::string_view>{}(row); }
  void take(std::string_view row) { sum_ -= std::hash<std::string_view>{}(row); }
  friend bool operator==(const RowSum&, const RowSum&) = default;

 private:
  std::uint64_t sum_ = 0;
};

std::string pair_text(CallId call, UserId user) {
  return "call " + to_string(call) + ", user " + to_string(user);
}

// What identifies a row of `calls` and says what it holds, stamps aside.
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

class CompanyCheck {
 public:
  CompanyCheck(const Snapshot& snapshot, CompanyId company, VerifyReport& report)
      : snapshot_(snapshot), company_(company), report_(report) {}

  Status run() {
    removals_ = TRY(snapshot_.removals(company_));
    if (const auto cut =
            TRY(snapshot_.get(Family::meta, encode_company_key(kHorizonTag, company_)))) {
      const auto horizon = decode_stamp_value(*cut);
      if (!horizon) return corrupt("meta");
      horizon_ = horizon->revision;
    }
    TRY(check_changes());
    TRY(check_directory());
    TRY(check_calls());
    TRY(check_by_user());
    if (!(calls_pairs_ == by_user_pairs_)) TRY(find_unequal_pairs());
    if (horizon_ == 0 && !(rows_ == explained_)) {
      fault("the rows of calls are not what the record of changes comes to");
    }
    return {};
  }

 private:
  void fault(const std::string& what) {
    if (report_.faults.size() < kVerifyFaultsMax) {
      report_.faults.push_back("company " + to_string(company_) + ": " + what);
    }
  }

  void check_stamp(core::Stamp stamp, const std::string& where) {
    if (stamp.revision == 0 || stamp.revision > head_.revision) {
      fault(where + " carries revision " + std::to_string(stamp.revision) +
            ", the record ends at " + std::to_string(head_.revision));
    }
  }

  // The chain: revisions without gaps, parts without gaps, each holding the hash of the part before
  // it.
  Status check_changes() {
    std::uint32_t next_n = 0;
    bool revision_is_open = false;
    TRY(snapshot_.scan_changes(
        company_,
        [&](const ChangeKey& key, std::string_view key_bytes, std::string_view value) -> Status {
          const std::string where = "revision " + std::to_string(key.revision) + ", part at " +
                                    std::to_string(key.first_n);
          const auto part = decode_change(value);
          if (!part) {
            fault(where + " cannot be decoded");
            head_ = {key.revision, 0, head_.time, hash_change(key_bytes, value)};
            return {};
          }
          const bool is_first = head_.revision == 0;
          if (is_first) {
            // A cut may have ended half-way: what it has left begins before the horizon.
            if (key.revision > horizon_ + 1 || (key.revision == horizon_ + 1 && key.first_n != 0)) {
              fault(where + " is the first, and the retention cut only up to revision " +
                    std::to_string(horizon_));
            }
          } else if (part->head.previous_hash != head_.hash) {
            fault(where + " does not hold the hash of the part before it");
          }
          const core::Revision expected = revision_is_open ? head_.revision : head_.revision + 1;
          if (!is_first &&
              (key.revision != expected || key.first_n != (revision_is_open ? next_n : 0))) {
            fault(where + " follows revision " + std::to_string(head_.revision) +
                  ": something is missing");
          }
          if (is_first && key.revision == 1 && part->head.previous_hash != Digest{}) {
            fault(where + " is the first and names one before it");
          }
          if (part->head.time < head_.time) fault(where + " is older than the one before it");
          if (part->changes.empty() && (!part->head.last_part || key.first_n == 0)) {
            fault(where + " is empty");
          }
          if (part->head.directory_revision > key.revision)
            fault(where + " names a directory of the future");
          next_n = key.first_n + static_cast<std::uint32_t>(part->changes.size());
          revision_is_open = !part->head.last_part;
          head_ = {key.revision, part->head.directory_revision, part->head.time,
                   hash_change(key_bytes, value)};
          for (const Change& change : part->changes) explain(change);
          report_.changes += part->changes.size();
          return {};
        }));
    if (revision_is_open) fault("the last revision lacks its last part");
    return {};
  }

  void explain(const Change& change) {
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

  Status check_directory() {
    DirectoryKey last;
    bool first = true;
    TRY(snapshot_.scan_directory(
        company_, [&](const DirectoryKey& key, const DirectoryValue& value) -> Status {
          check_stamp({key.revision, value.n}, "a version in the directory");
          if (!first && key.kind == last.kind && key.id == last.id) return {};
          first = false;
          last = key;
          if (!value.body) return {};
          const bool decoded =
              key.kind == ThingKind::company     ? decode_company(key.id, *value.body).has_value()
              : key.kind == ThingKind::workspace ? decode_workspace(key.id, *value.body).has_value()
              : key.kind == ThingKind::profile   ? decode_profile(key.id, *value.body).has_value()
                                                 : decode_user(key.id, *value.body).has_value();
          if (!decoded)
            fault("a thing of kind " + std::to_string(static_cast<int>(key.kind)) + ", id " +
                  std::to_string(key.id) + " cannot be decoded");
          if (removals_.company.kills({key.revision, value.n}, kAnyRevision)) return {};
          if (key.kind == ThingKind::user) users_.insert({key.id});
          if (key.kind == ThingKind::company) ++report_.companies;
          return {};
        }));
    return {};
  }

  Status check_calls() {
    bool call_is_there = false;
    CallId current;
    return snapshot_.scan_calls(
        company_, [&](const CallRowKey& key, std::string_view value) -> Status {
          if (key.call != current) call_is_there = false;
          current = key.call;
          switch (key.kind) {
            case RowKind::call: {
              const auto row = decode_call_row(value);
              if (!row)
                return fault("call " + to_string(key.call) + " cannot be decoded"), Status{};
              check_stamp(row->stamp, "call " + to_string(key.call));
              if (row->call) rows_.add(call_row_text(key.call, *row->call));
              call_is_there = row->call && !removals_.company.kills(row->stamp, kAnyRevision);
              if (call_is_there) ++report_.calls;
              return {};
            }
            case RowKind::share: {
              const auto row = decode_share_row(value);
              if (!row)
                return fault("the share of " + pair_text(key.call, key.user) +
                             " cannot be decoded"),
                       Status{};
              if (row->live) {
                rows_.add(share_row_text(key.call, key.user));
                if (check_pair(key, row->stamp, call_is_there)) ++report_.shares;
              }
              return {};
            }
            case RowKind::grant: {
              const auto row = decode_grant_row(value);
              if (!row)
                return fault("the grant of " + pair_text(key.call, key.user) +
                             " cannot be decoded"),
                       Status{};
              if (row->grant) {
                rows_.add(grant_row_text(key.call, key.user, *row->grant));
                if (check_pair(key, row->stamp, call_is_there)) ++report_.grants;
              }
              return {};
            }
          }
          return {};
        });
  }

  // Answers whether the row is alive.
  bool check_pair(const CallRowKey& key, core::Stamp stamp, bool call_is_there) {
    check_stamp(stamp, pair_text(key.call, key.user));
    calls_pairs_.add(pair_row_text(key.kind, key.call, key.user));
    if (removals_.kills(key.call, key.user, stamp, kAnyRevision)) return false;
    if (!call_is_there)
      fault(pair_text(key.call, key.user) + " has a row, and the call is not there");
    if (!users_.contains(key.user))
      fault(pair_text(key.call, key.user) + " has a row, and the user is not there");
    return true;
  }

  static std::string pair_row_text(RowKind kind, CallId call, UserId user) {
    std::string text(1, static_cast<char>(kind));
    append_fixed64(text, call.value);
    append_fixed64(text, user.value);
    return text;
  }

  Status check_by_user() {
    return snapshot_.scan_by_user(
        company_, [&](const UserCallKey& key, const UserCallValue& value) -> Status {
          if (value.grant) by_user_pairs_.add(pair_row_text(RowKind::grant, key.call, key.user));
          if (value.share) by_user_pairs_.add(pair_row_text(RowKind::share, key.call, key.user));
          return {};
        });
  }

  // Only when the sums differ: which pairs do.
  Status find_unequal_pairs() {
    TRY(snapshot_.scan_by_user(
        company_, [&](const UserCallKey& key, const UserCallValue& value) -> Status {
          for (const RowKind kind : {RowKind::share, RowKind::grant}) {
            const bool said = kind == RowKind::share ? value.share : value.grant;
            if (said && !TRY(has_row({company_, key.call, kind, key.user}))) {
              fault(pair_text(key.call, key.user) +
                    " stands in by_user, and its row is not in calls");
            }
          }
          return {};
        }));
    return snapshot_.scan_calls(company_, [&](const CallRowKey& key, std::string_view) -> Status {
      if (key.kind == RowKind::call || !TRY(has_row(key))) return {};
      const auto value = TRY(
          snapshot_.get(Family::by_user, encode_key(UserCallKey{company_, key.user, key.call})));
      const auto said = value ? decode_user_call_value(*value) : std::nullopt;
      if (!said || !(key.kind == RowKind::share ? said->share : said->grant)) {
        fault(pair_text(key.call, key.user) + " has a row in calls, and does not stand in by_user");
      }
      return {};
    });
  }

  Result<bool> has_row(const CallRowKey& key) const {
    const auto value = TRY(snapshot_.get(Family::calls, encode_key(key)));
    if (!value) return false;
    if (key.kind == RowKind::share) {
      const auto row = decode_share_row(*value);
      return row && row->live;
    }
    const auto row = decode_grant_row(*value);
    return row && row->grant;
  }

  const Snapshot& snapshot_;
  const CompanyId company_;
  VerifyReport& report_;
  Removals removals_;
  Head head_;
  core::Revision horizon_ = 0;  // up to which retention cut the record
  std::unordered_set<UserId> users_;
  RowSum rows_, explained_;  // of `calls`, and of what the record comes to
  RowSum calls_pairs_, by_user_pairs_;
};

}  // namespace

Result<VerifyReport> EmbeddedStore::verify() {
  const Snapshot snapshot(*rocks_);
  VerifyReport report;
  // What cannot be read is a fault to report, not an end to the search.
  const auto note = [&report](const Status& walked) {
    if (!walked && report.faults.size() < kVerifyFaultsMax) {
      report.faults.push_back(walked.error().message);
    }
  };
  // A company without a record has no rows either; each family is asked, in case it does.
  std::unordered_set<CompanyId> checked;
  for (const Family family : {Family::changes, Family::directory, Family::calls, Family::by_user}) {
    note(snapshot.each_company(family, [&](CompanyId company) -> Status {
      if (checked.insert(company).second) note(CompanyCheck(snapshot, company, report).run());
      return {};
    }));
  }
  note(snapshot.scan_keys([&](const KeyRow& row) -> Status {
    if (row.key && !checked.contains(row.company)) {
      note(
          internal("an access key of company " + to_string(row.company) + ", which has no record"));
    }
    return {};
  }));
  // What RocksDB itself can say of its files.
  const rocksdb::Status sums = rocks_->db().VerifyChecksum();
  if (!sums.ok()) note(from_rocksdb(sums, "a file is damaged"));
  return report;
}

}  // namespace earshot::store
