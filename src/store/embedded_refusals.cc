// Refusals that are kept: rows of their own, written by whoever brings them and not by the
// committer. How many rows a company has is counted once, when the first of them since the start is
// brought, and known from then on; the oldest are found without reading what was deleted.
#include <algorithm>
#include <map>
#include <utility>

#include "store/embedded_store.h"
#include "store/refusal_bounds.h"
#include "store/refusal_rows.h"

namespace earshot::store {
namespace {

constexpr std::size_t kRefusalsForgottenAtOnce = 1000;  // rows in one write

std::string refusals_prefix(CompanyId company) { return encode_company_key(kRefusalTag, company); }

}  // namespace

// What is known of the rows of a company. REQUIRES: refusals_mutex_ is held.
Result<EmbeddedStore::RefusalRows*> EmbeddedStore::find_refusals(CompanyId company) {
  const auto known = refusals_.find(company);
  if (known != refusals_.end()) return &known->second;
  RefusalRows found;
  const std::string prefix = refusals_prefix(company);
  const auto rows = rocks_->iterate(Family::meta);
  for (rows->Seek(prefix); rows->Valid() && rows->key().starts_with(prefix); rows->Next()) {
    const auto key = decode_refusal_key(view(rows->key()));
    const auto kept = decode_refusal(company, view(rows->value()));
    if (!key || !kept) return corrupt("meta");
    if (found.count == 0) found.first = key->number;
    found.next = key->number + 1;
    found.add(*kept);
  }
  if (!rows->status().ok()) return from_rocksdb(rows->status(), "finding refusals");
  return &refusals_.emplace(company, found).first->second;
}

void EmbeddedStore::RefusalRows::add(const Refusal& refusal) {
  ++count;
  if (may_anybody_cause(refusal.reason)) ++of_anybody;
}

Status EmbeddedStore::write_refusals(rocksdb::WriteBatch& batch) {
  // Not synced: what a crash undoes is worth no wait.
  const rocksdb::Status written = rocks_->write(batch, false);
  batch.Clear();
  if (written.ok()) return {};
  return from_rocksdb(written, "keeping refusals");
}

Status EmbeddedStore::keep_refusals(std::span<const Refusal> refusals) {
  if (const auto refused = refusal()) return *refused;
  const std::lock_guard lock(refusals_mutex_);
  Status kept = put_refusals(refusals);
  if (!kept) refusals_.clear();  // nobody knows what is there
  return kept;
}

Status EmbeddedStore::put_refusals(std::span<const Refusal> refusals) {
  const Time now = options_.clock();
  std::map<CompanyId, bool> are_there;
  rocksdb::WriteBatch batch;
  for (const Refusal& one : refusals) {
    // One that was removed meanwhile is to leave nothing behind.
    const auto [place, is_new] = are_there.try_emplace(one.company, one.company.value == 0);
    if (is_new && !place->second) place->second = TRY(has_company(one.company));
    if (!place->second) continue;
    RefusalRows& rows = *TRY(find_refusals(one.company));
    if (rows.count == 0) {
      // Numbers that were given before are not given again.
      const auto least = static_cast<std::uint64_t>(std::max<std::int64_t>(now.micros, 1));
      rows.next = std::max(rows.next, least);
    }
    batch.Put(rocks_->family(Family::meta), encode_key(RefusalKey{one.company, rows.next++}),
              encode_value(one));
    rows.add(one);
  }
  if (batch.Count() == 0) return {};
  TRY(write_refusals(batch));
  for (const auto& [company, is_there] : are_there) {
    if (is_there) TRY(trim_refusals(company));
  }
  return {};
}

// Deletes the oldest of those that are too many. REQUIRES: refusals_mutex_ is held.
Status EmbeddedStore::trim_refusals(CompanyId company) {
  RefusalRows& rows = *TRY(find_refusals(company));
  const std::size_t of_anybody_max = refusals_of_anybody_max(company, options_.refusals);
  const std::size_t max = options_.refusals.per_company;
  if (rows.of_anybody > of_anybody_max) {
    TRY(delete_refusals(company, rows, rows.first_of_anybody, [&](const Refusal& one) {
      if (rows.of_anybody <= of_anybody_max) return Fate::stays_with_all_later;
      return may_anybody_cause(one.reason) ? Fate::goes : Fate::stays;
    }));
  }
  if (rows.count <= max) return {};
  return delete_refusals(company, rows, rows.first, [&](const Refusal&) {
    return rows.count > max ? Fate::goes : Fate::stays_with_all_later;
  });
}

// Deletes rows of a company, the oldest first. Begins at the number `first` and advances it behind
// what was looked at, so that no row is read twice. REQUIRES: refusals_mutex_ is held, `first` is
// of `known`.
Status EmbeddedStore::delete_refusals(CompanyId company, RefusalRows& known, std::uint64_t& first,
                                      const std::function<Fate(const Refusal&)>& fate_of) {
  const std::string prefix = refusals_prefix(company);
  rocksdb::WriteBatch batch;
  const auto rows = rocks_->iterate(Family::meta);
  rows->Seek(encode_key(RefusalKey{company, first}));
  for (; rows->Valid() && rows->key().starts_with(prefix); rows->Next()) {
    const auto key = decode_refusal_key(view(rows->key()));
    const auto kept = decode_refusal(company, view(rows->value()));
    if (!key || !kept) return corrupt("meta");
    const Fate fate = fate_of(*kept);
    if (fate == Fate::stays_with_all_later) break;
    first = key->number + 1;
    if (fate == Fate::stays) continue;
    --known.count;
    if (may_anybody_cause(kept->reason)) --known.of_anybody;
    batch.Delete(rocks_->family(Family::meta), rows->key());
    if (batch.Count() == kRefusalsForgottenAtOnce) TRY(write_refusals(batch));
  }
  if (!rows->status().ok()) return from_rocksdb(rows->status(), "forgetting refusals");
  return batch.Count() == 0 ? Status() : write_refusals(batch);
}

Result<RefusalsView> EmbeddedStore::list_refusals(const RefusalsCommand& command) {
  const Time oldest = options_.refusals.oldest(options_.clock());
  const std::string prefix = refusals_prefix(command.company);
  const std::uint64_t before = command.before == 0 ? ~std::uint64_t{0} : command.before;
  RefusalsView view_of_them{{}, true};
  const auto rows = rocks_->iterate(Family::meta);
  rows->SeekForPrev(encode_key(RefusalKey{command.company, before - 1}));
  for (; rows->Valid() && rows->key().starts_with(prefix); rows->Prev()) {
    const auto key = decode_refusal_key(view(rows->key()));
    auto kept = decode_refusal(command.company, view(rows->value()));
    if (!key || !kept) return corrupt("meta");
    if (kept->time < oldest) continue;
    if (view_of_them.refusals.size() == command.refusals_max) {
      view_of_them.is_end = false;
      break;
    }
    view_of_them.refusals.push_back({key->number, std::move(*kept)});
  }
  if (!rows->status().ok()) return from_rocksdb(rows->status(), "reading refusals");
  return view_of_them;
}

Status EmbeddedStore::forget_refusals_of(CompanyId company) {
  return forget_refusals_before(company, Time{INT64_MAX});
}

Result<std::vector<CompanyId>> EmbeddedStore::list_refused_companies() {
  std::vector<CompanyId> companies;
  TRY(visit_oldest_refusals([&](const Refusal& one) -> Status {
    companies.push_back(one.company);
    return {};
  }));
  return companies;
}

Status EmbeddedStore::forget_old_refusals() {
  const Time oldest = options_.refusals.oldest(options_.clock());
  return visit_oldest_refusals([&](const Refusal& one) -> Status {
    return one.time < oldest ? forget_refusals_before(one.company, oldest) : Status();
  });
}

// One of each company that has some. It is the first row, so that no others are read.
Status EmbeddedStore::visit_oldest_refusals(const std::function<Status(const Refusal&)>& visit) {
  const auto rows = rocks_->iterate(Family::meta);
  const std::string all(1, kRefusalTag);
  for (rows->Seek(all); rows->Valid() && rows->key().starts_with(all);) {
    const auto first = decode_refusal_key(view(rows->key()));
    if (!first) return corrupt("meta");
    const auto kept = decode_refusal(first->company, view(rows->value()));
    if (!kept) return corrupt("meta");
    TRY(visit(*kept));
    if (first->company.value == ~std::uint64_t{0}) break;
    rows->Seek(refusals_prefix({first->company.value + 1}));
  }
  if (!rows->status().ok()) return from_rocksdb(rows->status(), "reading refusals");
  return {};
}

Status EmbeddedStore::forget_refusals_before(CompanyId company, Time oldest) {
  const std::lock_guard lock(refusals_mutex_);
  RefusalRows not_met;  // who brings the first one counts
  const auto met = refusals_.find(company);
  RefusalRows& rows = met == refusals_.end() ? not_met : met->second;
  Status done = delete_refusals(company, rows, rows.first, [oldest](const Refusal& one) {
    return one.time < oldest ? Fate::goes : Fate::stays_with_all_later;
  });
  if (!done) refusals_.clear();  // nobody knows what is there
  return done;
}

}  // namespace earshot::store
