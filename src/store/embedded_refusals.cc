// Refusals that are kept: rows of their own, written by whoever brings them and not by the
// committer. The rows of a company have numbers without gaps, so that how many there are is known
// without counting, and the oldest are deleted without being read.
#include <algorithm>
#include <utility>

#include "store/embedded_store.h"
#include "store/refusal_rows.h"

namespace earshot::store {
namespace {

constexpr std::size_t kRefusalsForgottenAtOnce = 1000;  // rows in one write

std::string refusals_prefix(CompanyId company) { return encode_company_key(kRefusalTag, company); }

}  // namespace

// Where the rows of a company begin and end. REQUIRES: refusals_mutex_ is held.
Result<EmbeddedStore::RefusalNumbers*> EmbeddedStore::find_refusals(CompanyId company) {
  const auto known = refusals_.find(company);
  if (known != refusals_.end()) return &known->second;
  RefusalNumbers numbers;
  const std::string prefix = refusals_prefix(company);
  const auto rows = rocks_->iterate(Family::meta);
  rows->Seek(prefix);
  if (rows->Valid() && rows->key().starts_with(prefix)) {
    const auto first = decode_refusal_key(view(rows->key()));
    rows->SeekForPrev(encode_key(RefusalKey{company, ~std::uint64_t{0}}));
    const auto last = rows->Valid() ? decode_refusal_key(view(rows->key())) : std::nullopt;
    if (!rows->status().ok()) return from_rocksdb(rows->status(), "finding refusals");
    if (!first || !last || last->company != company) return corrupt("meta");
    numbers = {first->number, last->number + 1};
  }
  if (!rows->status().ok()) return from_rocksdb(rows->status(), "finding refusals");
  return &refusals_.emplace(company, numbers).first->second;
}

Status EmbeddedStore::write_refusals(rocksdb::WriteBatch& batch) {
  // Not synced: what a crash undoes is worth no wait. In the order of the log, so that no number is
  // missing in between.
  const rocksdb::Status written = rocks_->write(batch, false);
  batch.Clear();
  if (written.ok()) return {};
  refusals_.clear();  // nobody knows what is there
  return from_rocksdb(written, "keeping refusals");
}

Status EmbeddedStore::keep_refusals(std::span<const Refusal> refusals) {
  if (const auto refused = refusal()) return *refused;
  rocksdb::ColumnFamilyHandle* const meta = rocks_->family(Family::meta);
  const Time now = options_.clock();
  const std::lock_guard lock(refusals_mutex_);
  rocksdb::WriteBatch batch;
  for (const Refusal& one : refusals) {
    // One that was removed meanwhile has no keys any more, and is to leave nothing behind.
    const bool is_there = one.company.value == 0 || !keys_.list(one.company).empty();
    if (!is_there) continue;
    const Result<RefusalNumbers*> found = find_refusals(one.company);
    if (!found) {
      refusals_.clear();  // the numbers given so far are not written
      return found.error();
    }
    RefusalNumbers& numbers = **found;
    if (numbers.begin == numbers.end) {
      // Numbers that were given before are not given again.
      const auto least = static_cast<std::uint64_t>(std::max<std::int64_t>(now.micros, 1));
      numbers.begin = numbers.end = std::max(numbers.end, least);
    }
    batch.Put(meta, encode_key(RefusalKey{one.company, numbers.end++}), encode_value(one));
    while (numbers.end - numbers.begin > options_.refusals.per_company) {
      batch.Delete(meta, encode_key(RefusalKey{one.company, numbers.begin++}));
    }
  }
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
  return forget_refusals_before(company, ~std::uint64_t{0});
}

// The oldest of each company are the first, so that nothing is read of what stays.
Status EmbeddedStore::forget_old_refusals() {
  const Time oldest = options_.refusals.oldest(options_.clock());
  const auto rows = rocks_->iterate(Family::meta);
  const std::string all(1, kRefusalTag);
  for (rows->Seek(all); rows->Valid() && rows->key().starts_with(all);) {
    const auto first = decode_refusal_key(view(rows->key()));
    if (!first) return corrupt("meta");
    std::uint64_t end = first->number;
    for (; rows->Valid() && rows->key().starts_with(refusals_prefix(first->company));
         rows->Next()) {
      const auto kept = decode_refusal(first->company, view(rows->value()));
      if (!kept) return corrupt("meta");
      if (kept->time >= oldest) break;
      ++end;
    }
    if (end > first->number) TRY(forget_refusals_before(first->company, end));
    if (first->company.value == ~std::uint64_t{0}) break;
    rows->Seek(refusals_prefix({first->company.value + 1}));
  }
  if (!rows->status().ok()) return from_rocksdb(rows->status(), "forgetting refusals");
  return {};
}

Status EmbeddedStore::forget_refusals_before(CompanyId company, std::uint64_t number) {
  const std::lock_guard lock(refusals_mutex_);
  RefusalNumbers& numbers = *TRY(find_refusals(company));
  rocksdb::WriteBatch batch;
  while (numbers.begin < std::min(number, numbers.end)) {
    batch.Delete(rocks_->family(Family::meta), encode_key(RefusalKey{company, numbers.begin++}));
    if (batch.Count() == kRefusalsForgottenAtOnce) TRY(write_refusals(batch));
  }
  return batch.Count() == 0 ? Status() : write_refusals(batch);
}

}  // namespace earshot::store
