#include "store/snapshot.h"

namespace earshot::store {

namespace {

template <class Thing>
Status put_decoded(core::Directory& directory, const std::optional<Thing>& thing) {
  if (!thing) return corrupt("directory");
  directory.put(*thing);
  return {};
}

}  // namespace

Status put_body(core::Directory& directory, ThingKind kind, std::uint64_t id,
                std::string_view body) {
  switch (kind) {
    case ThingKind::company:
      return {};
    case ThingKind::workspace:
      return put_decoded(directory, decode_workspace(id, body));
    case ThingKind::profile:
      return put_decoded(directory, decode_profile(id, body));
    case ThingKind::user:
      return put_decoded(directory, decode_user(id, body));
    case ThingKind::key:
      break;
  }
  return corrupt("directory");
}

Status Snapshot::find_head(
    CompanyId company,
    const std::function<Status(const ChangeKey&, const ChangeHead&, std::string_view key,
                               std::string_view value)>& take) const {
  const auto changes = iterate(Family::changes);
  changes->SeekForPrev(encode_key(ChangeKey{company, ~std::uint64_t{0}, ~std::uint32_t{0}}));
  if (!changes->status().ok()) return from_rocksdb(changes->status(), "reading a company's head");
  if (!changes->Valid()) return {};
  const auto key = decode_change_key(view(changes->key()));
  if (!key) return corrupt("changes");
  if (key->company != company) return {};
  const auto head = decode_change_head(view(changes->value()));
  if (!head) return corrupt("changes");
  return take(*key, *head, view(changes->key()), view(changes->value()));
}

Result<PeoplePtr> Snapshot::load_people(CompanyId company, const Removals& removals,
                                        core::Revision directory_revision) const {
  auto people = std::make_shared<People>();
  people->directory_revision = directory_revision;
  TRY(scan_things(company, removals, [&](const DirectoryKey& key, std::string_view body) {
    if (key.kind == ThingKind::company) people->company_exists = true;
    return put_body(people->directory, key.kind, key.id, body);
  }));
  return PeoplePtr(std::move(people));
}

Status Snapshot::each_company(Family family, const std::function<Status(CompanyId)>& take) const {
  const auto rows = rocks_.iterate(family, snapshot_);
  for (rows->SeekToFirst(); rows->Valid();) {
    ByteReader reader(view(rows->key()));
    const CompanyId company{reader.fixed64()};
    if (!reader.ok()) return corrupt("a key");
    TRY(take(company));
    if (company.value == kAnyRevision) break;
    rows->Seek(encode_company_prefix({company.value + 1}));
  }
  if (!rows->status().ok()) return from_rocksdb(rows->status(), "listing companies");
  return {};
}

Result<Removals> Snapshot::removals(CompanyId company) const {
  Removals removals;
  TRY(rocks_.scan(Family::meta, encode_company_key(kSweepTag, company), snapshot_,
                  [&](std::string_view key, std::string_view value) -> Result<bool> {
                    const auto sweep = decode_sweep_key(key);
                    auto stamps = decode_sweep_value(value);
                    if (!sweep || !stamps) return corrupt("meta");
                    Removal removal{.stamps = std::move(*stamps), .swept_to = 0};
                    switch (sweep->kind) {
                      case SweepKind::company:
                        removals.company = std::move(removal);
                        break;
                      case SweepKind::user:
                        removals.users[{sweep->id}] = std::move(removal);
                        break;
                      case SweepKind::call:
                        removals.calls[{sweep->id}] = std::move(removal);
                        break;
                    }
                    return true;
                  }));
  return removals;
}

Status Snapshot::scan_things(
    CompanyId company, const Removals& removals,
    const std::function<Status(const DirectoryKey&, std::string_view body)>& take) const {
  DirectoryKey last;
  bool first = true;
  return scan_directory(
      company, [&](const DirectoryKey& key, const DirectoryValue& value) -> Status {
        // Versions come newest first: the first of each thing counts.
        if (!first && key.kind == last.kind && key.id == last.id) return {};
        first = false;
        last = key;
        if (!value.body || removals.company.kills({key.revision, value.n}, kAnyRevision)) return {};
        return take(key, *value.body);
      });
}

Status Snapshot::scan_directory(
    CompanyId company,
    const std::function<Status(const DirectoryKey&, const DirectoryValue&)>& take) const {
  return rocks_.scan(Family::directory, encode_company_prefix(company), snapshot_,
                     [&](std::string_view key_bytes, std::string_view value_bytes) -> Result<bool> {
                       const auto key = decode_directory_key(key_bytes);
                       const auto value = decode_directory_value(value_bytes);
                       if (!key || !value) return corrupt("directory");
                       TRY(take(*key, *value));
                       return true;
                     });
}

Status Snapshot::scan_calls(
    CompanyId company,
    const std::function<Status(const CallRowKey&, std::string_view value)>& take) const {
  return rocks_.scan(Family::calls, encode_company_prefix(company), snapshot_,
                     [&](std::string_view key_bytes, std::string_view value) -> Result<bool> {
                       const auto key = decode_call_row_key(key_bytes);
                       if (!key) return corrupt("calls");
                       TRY(take(*key, value));
                       return true;
                     });
}

Status Snapshot::scan_by_user(
    CompanyId company,
    const std::function<Status(const UserCallKey&, const UserCallValue&)>& take) const {
  return rocks_.scan(Family::by_user, encode_company_prefix(company), snapshot_,
                     [&](std::string_view key_bytes, std::string_view value_bytes) -> Result<bool> {
                       const auto key = decode_user_call_key(key_bytes);
                       const auto value = decode_user_call_value(value_bytes);
                       if (!key || !value) return corrupt("by_user");
                       TRY(take(*key, *value));
                       return true;
                     });
}

Status Snapshot::scan_changes(CompanyId company,
                              const std::function<Status(const ChangeKey&, std::string_view key,
                                                         std::string_view value)>& take) const {
  return rocks_.scan(Family::changes, encode_company_prefix(company), snapshot_,
                     [&](std::string_view key_bytes, std::string_view value) -> Result<bool> {
                       const auto key = decode_change_key(key_bytes);
                       if (!key) return corrupt("changes");
                       TRY(take(*key, key_bytes, value));
                       return true;
                     });
}

Status Snapshot::scan_keys(const std::function<Status(KeyRow)>& take) const {
  return rocks_.scan(Family::keys, "", snapshot_,
                     [&](std::string_view access_key, std::string_view value) -> Result<bool> {
                       auto row = decode_key_row(access_key, value);
                       if (!row) return corrupt("keys");
                       TRY(take(std::move(*row)));
                       return true;
                     });
}

Status Snapshot::scan_small(
    std::string_view prefix,
    const std::function<Status(std::string_view key, std::string_view value)>& take) const {
  return rocks_.scan(Family::meta, prefix, snapshot_,
                     [&](std::string_view key, std::string_view value) -> Result<bool> {
                       TRY(take(key, value));
                       return true;
                     });
}

Result<std::optional<std::string>> Snapshot::get(Family family, std::string_view key) const {
  rocksdb::ReadOptions options;
  options.snapshot = snapshot_;
  std::string value;
  const rocksdb::Status status =
      rocks_.db().Get(options, rocks_.family(family), slice(key), &value);
  if (status.IsNotFound()) return std::optional<std::string>();
  if (!status.ok()) return from_rocksdb(status, "reading");
  return std::optional<std::string>(std::move(value));
}

}  // namespace earshot::store
