// Verify: whether what the embedded store holds is sound in itself. Each company is walked on its
// own, in bounded memory.
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "store/embedded_store.h"
#include "store/kept_answer.h"
#include "store/snapshot.h"
#include "store/verify_record.h"

namespace earshot::store {

namespace {

std::string pair_text(CallId call, UserId user) {
  return "call " + to_string(call) + ", user " + to_string(user);
}

class CompanyCheck {
 public:
  // `are_expiries_known`: every grant that expires has a row that says when.
  CompanyCheck(const Snapshot& snapshot, CompanyId company, bool are_expiries_known,
               HeadClaims& claims, VerifyReport& report)
      : snapshot_(snapshot),
        company_(company),
        are_expiries_known_(are_expiries_known),
        claims_(claims),
        report_(report) {}

  Status run() {
    removals_ = TRY(snapshot_.removals(company_));
    if (const auto cut =
            TRY(snapshot_.get(Family::meta, encode_company_key(kHorizonTag, company_)))) {
      const auto horizon = decode_horizon(*cut);
      if (!horizon) return corrupt("meta");
      horizon_ = horizon->revision;
    }
    RecordCheck record(company_, horizon_, claims_,
                       [this](const std::string& what) { fault(what); });
    TRY(snapshot_.scan_changes(
        company_,
        [&](const ChangeKey& key, std::string_view key_bytes, std::string_view value) -> Status {
          record.take(key, key_bytes, value);
          return {};
        }));
    record.end();
    newest_ = record.head().revision;
    report_.changes += record.changes();
    TRY(check_directory());
    TRY(check_calls());
    TRY(check_by_user());
    TRY(check_answers());
    if (!(calls_pairs_ == by_user_pairs_)) TRY(find_unequal_pairs());
    if (horizon_ == 0 && !(rows_ == record.explained())) {
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
    if (stamp.revision == 0 || stamp.revision > newest_) {
      fault(where + " carries revision " + std::to_string(stamp.revision) +
            ", the record ends at " + std::to_string(newest_));
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
                TRY(check_expiry(key, *row->grant));
                if (check_pair(key, row->stamp, call_is_there)) ++report_.grants;
              }
              return {};
            }
          }
          return {};
        });
  }

  Status check_expiry(const CallRowKey& key, const core::Grant& grant) {
    if (!grant.expires_at || !are_expiries_known_) return {};
    const ExpiryKey expiry{*grant.expires_at, company_, key.call, key.user};
    if (!TRY(snapshot_.get(Family::meta, encode_key(expiry)))) {
      fault("the grant of " + pair_text(key.call, key.user) +
            " expires, and no row says when: it would never be swept");
    }
    return {};
  }

  Status check_answers() {
    return snapshot_.scan_small(
        encode_answers_prefix(company_),
        [&](std::string_view key_bytes, std::string_view value) -> Status {
          const auto key = decode_answer_key(key_bytes);
          const auto answer = decode_kept_answer(value);
          if (!key || !answer) return fault("a kept answer cannot be decoded"), Status{};
          if (answer->revision > newest_) {
            fault("a kept answer is of revision " + std::to_string(answer->revision) +
                  ", the record ends at " + std::to_string(newest_));
          }
          if (!TRY(snapshot_.get(Family::meta, encode_key(AnswerTimeKey{answer->at, *key})))) {
            fault("a kept answer has no row by its time: it would be kept for good");
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
  const bool are_expiries_known_;
  HeadClaims& claims_;
  VerifyReport& report_;
  Removals removals_;
  core::Revision newest_ = 0;   // where the record ends
  core::Revision horizon_ = 0;  // up to which retention cut the record
  std::unordered_set<UserId> users_;
  RowSum rows_;  // of `calls`
  RowSum calls_pairs_, by_user_pairs_;
};

// What stands by its time alone: rows that cannot be read, times without their answers.
Status check_times(const Snapshot& snapshot,
                   const std::function<void(const std::string& what)>& fault) {
  TRY(snapshot.scan_small(std::string(1, kExpiryTag),
                          [&](std::string_view key, std::string_view) -> Status {
                            if (!decode_expiry_key(key)) fault("an expiry cannot be decoded");
                            return {};
                          }));
  return snapshot.scan_small(
      std::string(1, kAnswerTimeTag), [&](std::string_view key_bytes, std::string_view) -> Status {
        const auto key = decode_answer_time_key(key_bytes);
        if (!key) return fault("the time of a kept answer cannot be decoded"), Status{};
        const auto value = TRY(snapshot.get(Family::meta, encode_key(key->of)));
        const auto answer = value ? decode_kept_answer(*value) : std::nullopt;
        if (!answer || answer->at != key->at) {
          fault("company " + to_string(key->of.company) +
                ": the time of a kept answer stands without it");
        }
        return {};
      });
}

}  // namespace

Result<VerifyReport> EmbeddedStore::verify(std::span<const HeadClaim> heads) {
  const Snapshot snapshot(*rocks_);
  VerifyReport report;
  HeadClaims claims(heads);
  const auto expiries_known = TRY(snapshot.get(Family::meta, std::string(1, kExpiriesKnownTag)));
  const bool are_expiries_known =
      expiries_known && decode_text_value(*expiries_known) == std::string_view();
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
      if (checked.insert(company).second) {
        note(CompanyCheck(snapshot, company, are_expiries_known, claims, report).run());
      }
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
  note(check_times(snapshot, [&](const std::string& what) { note(internal(what)); }));
  claims.report_to(report);
  // What RocksDB itself can say of its files.
  const rocksdb::Status sums = rocks_->db().VerifyChecksum();
  if (!sums.ok()) note(from_rocksdb(sums, "a file is damaged"));
  return report;
}

}  // namespace earshot::store
