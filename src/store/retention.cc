#include "store/retention.h"

#include <rocksdb/write_batch.h>

#include <algorithm>

namespace earshot::store {

namespace {

constexpr std::size_t kCutBytesMax = 1 << 20;  // of deletions in one write

Status write_cut(Rocks& rocks, rocksdb::WriteBatch& batch) {
  const rocksdb::Status written = rocks.write(batch, false);
  batch.Clear();
  if (!written.ok()) return from_rocksdb(written, "cutting the record of changes");
  return {};
}

// Of each thing, what is newer than the horizon stays, and what was in force there; a marker in
// force goes too, and what was dead since its company was removed.
Status cut_directory(Rocks& rocks, CompanyId company, core::Revision horizon,
                     rocksdb::WriteBatch& batch) {
  std::string last_thing;
  bool in_force_seen = false;
  core::Stamp removed;  // the company, the last time up to the horizon
  return rocks.scan(Family::directory, encode_company_prefix(company), nullptr,
                    [&](std::string_view key_bytes, std::string_view value_bytes) -> Result<bool> {
                      const auto key = decode_directory_key(key_bytes);
                      const auto value = decode_directory_value(value_bytes);
                      if (!key || !value) return corrupt("directory");
                      const std::string_view thing = key_bytes.substr(0, key_bytes.size() - 8);
                      if (thing != last_thing) in_force_seen = false;
                      last_thing = thing;
                      if (key->revision > horizon) return true;
                      const core::Stamp stamp{key->revision, value->n};
                      if (key->kind == ThingKind::company) {  // it comes before its things
                        if (!value->body) removed = std::max(removed, stamp);
                        if (value->removed_n)
                          removed = std::max(removed, {key->revision, *value->removed_n});
                      }
                      if (in_force_seen || !value->body || stamp < removed) {
                        batch.Delete(rocks.family(Family::directory), slice(key_bytes));
                      }
                      in_force_seen = true;
                      return true;
                    });
}

Status cut_company(Rocks& rocks, Companies& companies, CompanyId company, Horizon horizon) {
  const CompanyState* state = TRY(companies.meet(company));
  if (state->removals()) return {};  // rows that await their sweep still need their markers
  // One by one, not as a range: see read_options() in rocks.cc. The horizon comes first, so that a
  // cut that ends half-way is known as one: what it left is cut next time.
  rocksdb::WriteBatch batch;
  const std::string place = encode_company_key(kHorizonTag, company);
  if (const auto cut = TRY(rocks.get(Family::meta, place))) {
    const auto known = decode_horizon(*cut);
    if (!known) return corrupt("meta");
    // It does not go back, even if what is kept is kept longer now: the directory was cut whole.
    if (known->revision >= horizon.revision) horizon = *known;
  }
  batch.Put(rocks.family(Family::meta), place, encode_value(horizon));
  TRY(cut_directory(rocks, company, horizon.revision, batch));
  TRY(rocks.scan(Family::changes, encode_company_prefix(company), nullptr,
                 [&](std::string_view key_bytes, std::string_view) -> Result<bool> {
                   const auto key = decode_change_key(key_bytes);
                   if (!key) return corrupt("changes");
                   if (key->revision > horizon.revision) return false;
                   batch.Delete(rocks.family(Family::changes), slice(key_bytes));
                   if (batch.GetDataSize() > kCutBytesMax) TRY(write_cut(rocks, batch));
                   return true;
                 }));
  TRY(write_cut(rocks, batch));
  rocks.horizons().set(company, horizon.revision);
  return {};
}

}  // namespace

Status apply_retention(Rocks& rocks, Companies& companies, Time oldest) {
  const auto changes = rocks.iterate(Family::changes);
  changes->SeekToFirst();
  while (changes->Valid()) {
    const auto first = decode_change_key(view(changes->key()));
    if (!first) return corrupt("changes");
    const CompanyId company = first->company;
    Horizon horizon;
    Horizon newest_old;
    // The newest record of a company always stays: it is the company's head.
    for (; changes->Valid() && changes->key().starts_with(encode_company_prefix(company));
         changes->Next()) {
      const auto key = decode_change_key(view(changes->key()));
      const auto head = decode_change_head(view(changes->value()));
      if (!key || !head) return corrupt("changes");
      if (key->revision != newest_old.revision) horizon = newest_old;
      if (head->time >= oldest) break;
      newest_old = {key->revision, Horizon::Head{head->time, head->directory_revision}};
    }
    if (horizon.revision > 0) TRY(cut_company(rocks, companies, company, horizon));
    if (company.value == ~std::uint64_t{0}) break;
    changes->Seek(encode_company_prefix({company.value + 1}));
  }
  if (!changes->status().ok()) return from_rocksdb(changes->status(), "applying the retention");
  return {};
}

}  // namespace earshot::store
