// Retention: what is older than asked for leaves the record of changes; old versions of the
// directory go with it, and markers when their rows are next compacted. Runs on the committer's
// thread.
#include <algorithm>

#include "store/embedded_store.h"

namespace earshot::store {

namespace {
constexpr std::size_t kCutBytesMax = 1 << 20;  // of deletions in one write
}

Status EmbeddedStore::apply_retention() {
  const Time oldest{
      options_.clock().micros -
      std::chrono::duration_cast<std::chrono::microseconds>(*options_.retention).count()};
  const auto changes = rocks_->iterate(Family::changes);
  changes->SeekToFirst();
  while (changes->Valid()) {
    const auto first = decode_change_key(view(changes->key()));
    if (!first) return corrupt("changes");
    const CompanyId company = first->company;
    core::Revision horizon = 0;
    core::Revision newest_old = 0;
    // The newest record of a company always stays: it is the company's head.
    for (; changes->Valid() && changes->key().starts_with(encode_company_prefix(company));
         changes->Next()) {
      const auto key = decode_change_key(view(changes->key()));
      const auto head = decode_change_head(view(changes->value()));
      if (!key || !head) return corrupt("changes");
      if (key->revision != newest_old) horizon = newest_old;
      if (head->time >= oldest) break;
      newest_old = key->revision;
    }
    if (horizon > 0) TRY(cut_company(company, horizon));
    if (company.value == ~std::uint64_t{0}) break;
    changes->Seek(encode_company_prefix({company.value + 1}));
  }
  if (!changes->status().ok()) return from_rocksdb(changes->status(), "applying the retention");
  return {};
}

Status EmbeddedStore::cut_company(CompanyId company, core::Revision horizon) {
  const CompanyState* state = TRY(companies_.meet(company));
  if (state->removals()) return {};  // rows that await their sweep still need their markers
  // One by one, not as a range: see read_options() in rocks.cc. The horizon comes first, so that a
  // cut that ends half-way is known as one: what it left is cut next time.
  rocksdb::WriteBatch batch;
  batch.Put(rocks_->family(Family::meta), encode_company_key(kHorizonTag, company),
            encode_stamp_value({horizon, 0}));
  TRY(cut_directory(company, horizon, batch));
  TRY(rocks_->scan(Family::changes, encode_company_prefix(company), nullptr,
                   [&](std::string_view key_bytes, std::string_view) -> Result<bool> {
                     const auto key = decode_change_key(key_bytes);
                     if (!key) return corrupt("changes");
                     if (key->revision > horizon) return false;
                     batch.Delete(rocks_->family(Family::changes), slice(key_bytes));
                     if (batch.GetDataSize() > kCutBytesMax) TRY(write_cut(batch));
                     return true;
                   }));
  TRY(write_cut(batch));
  rocks_->horizons().set(company, horizon);
  return {};
}

Status EmbeddedStore::write_cut(rocksdb::WriteBatch& batch) {
  const rocksdb::Status written = rocks_->write(batch, false);
  batch.Clear();
  if (!written.ok()) return from_rocksdb(written, "cutting the record of changes");
  return {};
}

// Of each thing, what is newer than the horizon stays, and what was in force there; a marker in
// force goes too.
Status EmbeddedStore::cut_directory(CompanyId company, core::Revision horizon,
                                    rocksdb::WriteBatch& batch) {
  std::string last_thing;
  bool in_force_seen = false;
  return rocks_->scan(
      Family::directory, encode_company_prefix(company), nullptr,
      [&](std::string_view key_bytes, std::string_view value_bytes) -> Result<bool> {
        const auto key = decode_directory_key(key_bytes);
        const auto value = decode_directory_value(value_bytes);
        if (!key || !value) return corrupt("directory");
        const std::string_view thing = key_bytes.substr(0, key_bytes.size() - 8);
        if (thing != last_thing) in_force_seen = false;
        last_thing = thing;
        if (key->revision > horizon) return true;
        if (in_force_seen || !value->body) {
          batch.Delete(rocks_->family(Family::directory), slice(key_bytes));
        }
        in_force_seen = true;
        return true;
      });
}

}  // namespace earshot::store
