#include "store/retention.h"

#include <rocksdb/write_batch.h>

#include <algorithm>
#include <utility>

namespace earshot::store {

namespace {

constexpr std::size_t kCompaniesAtOnce = 50;  // looked at in one step

Status write_cut(Rocks& rocks, rocksdb::WriteBatch& batch) {
  if (batch.Count() == 0) return {};
  const rocksdb::Status written = rocks.write(batch, false);
  if (!written.ok()) return from_rocksdb(written, "cutting the record of changes");
  return {};
}

// The last time up to the horizon that the company was removed; zero: never.
Result<core::Stamp> find_removal(Rocks& rocks, CompanyId company, core::Revision horizon) {
  core::Stamp removed;
  TRY(rocks.scan(Family::directory, encode_directory_prefix(company, ThingKind::company), nullptr,
                 [&](std::string_view key_bytes, std::string_view value_bytes) -> Result<bool> {
                   const auto key = decode_directory_key(key_bytes);
                   const auto value = decode_directory_value(value_bytes);
                   if (!key || !value) return corrupt("directory");
                   if (key->revision > horizon) return true;
                   if (!value->body) removed = std::max(removed, {key->revision, value->n});
                   if (value->removed_n) {
                     removed = std::max(removed, {key->revision, *value->removed_n});
                   }
                   return true;
                 }));
  return removed;
}

}  // namespace

void Retention::begin(const RetentionLimits& limits) {
  limits_ = limits;
  is_under_way_ = true;
  next_company_ = 0;
  cut_.reset();
}

Status Retention::step() {
  Status done;
  if (!cut_) {
    done = find_next();
  } else if (!cut_->is_directory_done) {
    done = cut_directory(*cut_, cut_->are_things_done);
  } else {
    done = cut_changes(*cut_);
  }
  if (!done) is_under_way_ = false;
  return done;
}

std::vector<CutRange> Retention::take_cut() { return std::exchange(ranges_, {}); }

Status Retention::find_next() {
  const auto changes = rocks_.iterate(Family::changes);
  for (std::size_t looked_at = 0; looked_at < kCompaniesAtOnce; ++looked_at) {
    changes->Seek(encode_company_prefix({next_company_}));
    if (!changes->status().ok()) return from_rocksdb(changes->status(), "applying the retention");
    if (!changes->Valid()) {
      is_under_way_ = false;
      return {};
    }
    const auto first = decode_change_key(view(changes->key()));
    if (!first) return corrupt("changes");
    next_company_ = first->company.value + 1;
    const core::Revision target = TRY(find_target(first->company, first->revision));
    if (target >= first->revision) TRY(begin_cut(first->company, first->revision, target));
    if (next_company_ == 0) is_under_way_ = cut_.has_value();
    if (cut_ || !is_under_way_) return {};
  }
  return {};
}

// The last revision that is to go, where `first` is the first that is there; less than that: none.
Result<core::Revision> Retention::find_target(CompanyId company, core::Revision first) const {
  const core::Revision none = first - 1;
  const auto last = rocks_.iterate(Family::changes);
  last->SeekForPrev(encode_key(ChangeKey{company, ~core::Revision{0}, ~std::uint32_t{0}}));
  if (!last->status().ok()) return from_rocksdb(last->status(), "applying the retention");
  const auto key = last->Valid() ? decode_change_key(view(last->key())) : std::nullopt;
  if (!key || key->company != company) return corrupt("changes");
  const core::Revision newest = key->revision;
  core::Revision target = none;
  if (limits_.revisions && newest > *limits_.revisions) {
    target = std::max(target, newest - *limits_.revisions);
  }
  if (limits_.oldest) {
    // The newest always stays: it is the company's head. Times never go back from one revision to
    // the next.
    core::Revision low = target, high = newest - 1;
    while (low < high) {
      const core::Revision middle = low + (high - low + 1) / 2;
      if (TRY(read_head(company, middle)).time < *limits_.oldest) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    target = std::max(target, low);
  }
  if (const auto cut = TRY(rocks_.get(Family::meta, encode_company_key(kHorizonTag, company)))) {
    const auto known = decode_horizon(*cut);
    if (!known) return corrupt("meta");
    // What a cut that ended half-way has left; and a horizon does not go back.
    target = std::max(target, known->revision);
  }
  return target;
}

// Of a revision, by its last part: that has the last word on the directory revision.
Result<ChangeHead> Retention::read_head(CompanyId company, core::Revision revision) const {
  const auto part = rocks_.iterate(Family::changes);
  part->SeekForPrev(encode_key(ChangeKey{company, revision, ~std::uint32_t{0}}));
  if (!part->status().ok()) return from_rocksdb(part->status(), "applying the retention");
  const auto key = part->Valid() ? decode_change_key(view(part->key())) : std::nullopt;
  if (!key || key->company != company || key->revision != revision) return corrupt("changes");
  auto head = decode_change_head(view(part->value()));
  if (!head) return corrupt("changes");
  return std::move(*head);
}

Status Retention::begin_cut(CompanyId company, core::Revision first, core::Revision target) {
  const CompanyState* const state = TRY(companies_.meet(company));
  if (state->removals()) return {};  // rows that await their sweep still need their markers
  const std::string place = encode_company_key(kHorizonTag, company);
  std::optional<Horizon> known;
  if (const auto cut = TRY(rocks_.get(Family::meta, place))) known = decode_horizon(*cut);
  Cut next;
  next.range = {company, target, 0};
  if (!known || known->revision < target) {
    const ChangeHead head = TRY(read_head(company, target));
    // First, so that a cut that ends half-way is known as one.
    rocksdb::WriteBatch batch;
    batch.Put(rocks_.family(Family::meta), place,
              encode_value(Horizon{target, Horizon::Head{head.time, head.directory_revision}}));
    TRY(write_cut(rocks_, batch));
    // The cut before was done to its end, and the directory has not changed since.
    next.is_directory_done = known && first > known->revision && known->head &&
                             known->head->directory_revision == head.directory_revision;
  }
  rocks_.horizons().set(company, target);
  next.removed = TRY(find_removal(rocks_, company, target));
  next.directory_at = encode_directory_prefix(company, ThingKind::workspace);
  cut_ = std::move(next);
  return {};
}

// Of each thing, what is newer than the horizon stays, and what was in force there; a marker in
// force goes too, and what was dead since its company was removed. One by one, not as a range: see
// read_options() in rocks.cc.
Status Retention::cut_directory(Cut& cut, bool company_itself) {
  const CompanyId company = cut.range.company;
  const std::string prefix = company_itself ? encode_directory_prefix(company, ThingKind::company)
                                            : encode_company_prefix(company);
  const auto rows = rocks_.iterate(Family::directory);
  rocksdb::WriteBatch batch;
  std::string last_thing;
  bool in_force_seen = false;
  std::size_t looked_at = 0;
  rows->Seek(cut.directory_at);
  for (; rows->Valid() && rows->key().starts_with(prefix); rows->Next(), ++looked_at) {
    const std::string_view key_bytes = view(rows->key());
    const std::string_view thing = key_bytes.substr(0, kThingPrefixBytes);
    if (thing != last_thing) {
      // Not within a thing: without the marker in force, the body behind it would be in force.
      if (looked_at >= step_.rows) break;
      last_thing = thing;
      in_force_seen = false;
    }
    const auto key = decode_directory_key(key_bytes);
    const auto value = decode_directory_value(view(rows->value()));
    if (!key || !value) return corrupt("directory");
    if (key->revision > cut.range.horizon) continue;
    if (in_force_seen || !value->body || core::Stamp{key->revision, value->n} < cut.removed) {
      batch.Delete(rocks_.family(Family::directory), slice(key_bytes));
    }
    in_force_seen = true;
  }
  if (!rows->status().ok()) return from_rocksdb(rows->status(), "cutting a directory");
  const bool is_end = !rows->Valid() || !rows->key().starts_with(prefix);
  if (!is_end) {
    cut.directory_at = view(rows->key());
  } else if (company_itself) {
    cut.is_directory_done = true;
  } else {
    cut.are_things_done = true;
    cut.directory_at = encode_directory_prefix(company, ThingKind::company);
  }
  return write_cut(rocks_, batch);
}

Status Retention::cut_changes(Cut& cut) {
  const std::string prefix = encode_company_prefix(cut.range.company);
  const auto parts = rocks_.iterate(Family::changes);
  rocksdb::WriteBatch batch;
  std::size_t looked_at = 0, bytes = 0;
  bool is_end = false;
  for (parts->Seek(prefix); looked_at < step_.rows && bytes < step_.bytes;
       parts->Next(), ++looked_at) {
    is_end = !parts->Valid() || !parts->key().starts_with(prefix);
    if (is_end) break;
    const auto key = decode_change_key(view(parts->key()));
    if (!key) return corrupt("changes");
    is_end = key->revision > cut.range.horizon;
    if (is_end) break;
    batch.Delete(rocks_.family(Family::changes), parts->key());
    bytes += parts->key().size() + parts->value().size();
  }
  if (!parts->status().ok()) {
    return from_rocksdb(parts->status(), "cutting the record of changes");
  }
  TRY(write_cut(rocks_, batch));
  cut.range.bytes += bytes;
  if (!is_end) return {};
  ranges_.push_back(cut.range);
  cut_.reset();
  is_under_way_ = next_company_ != 0;
  return {};
}

Status apply_retention(Rocks& rocks, Companies& companies, const RetentionLimits& limits) {
  Retention retention(rocks, companies);
  retention.begin(limits);
  while (retention.is_under_way()) TRY(retention.step());
  return {};
}

}  // namespace earshot::store
