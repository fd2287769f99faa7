// What the embedded store gives away whole: its records, and a copy of itself.
#include <fcntl.h>
#include <rocksdb/utilities/checkpoint.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <system_error>

#include "store/embedded_store.h"
#include "store/snapshot.h"

namespace earshot::store {

namespace {

using TakeRecord = std::function<Status(const core::Record&)>;

// A day, and the requests made on it.
std::optional<std::pair<std::uint32_t, std::uint64_t>> decode_usage(std::string_view value) {
  ByteReader reader(value);
  if (reader.byte() != kValueFormat) return std::nullopt;
  const std::uint64_t day = reader.varint();
  const std::uint64_t requests = reader.varint();
  if (!reader.done() || day > UINT32_MAX) return std::nullopt;
  return std::pair(static_cast<std::uint32_t>(day), requests);
}

Status dump_things(const Snapshot& snapshot, CompanyId company, const Removals& removals,
                   const std::vector<KeyRow>& keys, const TakeRecord& take) {
  return snapshot.scan_things(
      company, removals, [&](const DirectoryKey& key, std::string_view body) -> Status {
        switch (key.kind) {
          case ThingKind::company: {
            auto thing = decode_company(key.id, body);
            if (!thing) return corrupt("directory");
            TRY(take({company, false, std::move(*thing)}));
            for (const KeyRow& row : keys)
              TRY(take({company, false, core::KeyLine{*row.key, std::nullopt}}));
            return {};
          }
          case ThingKind::workspace: {
            auto thing = decode_workspace(key.id, body);
            if (!thing) return corrupt("directory");
            return take({company, false, std::move(*thing)});
          }
          case ThingKind::profile: {
            auto thing = decode_profile(key.id, body);
            if (!thing) return corrupt("directory");
            return take({company, false, std::move(*thing)});
          }
          case ThingKind::user: {
            auto thing = decode_user(key.id, body);
            if (!thing) return corrupt("directory");
            return take({company, false, std::move(*thing)});
          }
          case ThingKind::key:
            break;
        }
        return corrupt("directory");
      });
}

Status dump_calls(const Snapshot& snapshot, CompanyId company, const Removals& removals,
                  const TakeRecord& take) {
  bool call_is_there = false;
  return snapshot.scan_calls(company, [&](const CallRowKey& key, std::string_view value) -> Status {
    switch (key.kind) {
      case RowKind::call: {
        auto row = decode_call_row(value);
        if (!row) return corrupt("calls");
        call_is_there = row->call && !removals.company.kills(row->stamp, kAnyRevision);
        if (!call_is_there) return {};
        row->call->id = key.call;
        return take({company, false, std::move(*row->call)});
      }
      case RowKind::share: {
        const auto row = decode_share_row(value);
        if (!row) return corrupt("calls");
        if (!row->live || removals.kills(key.call, key.user, row->stamp, kAnyRevision)) return {};
        return take({company, false, core::ShareLine{key.call, key.user}});
      }
      case RowKind::grant: {
        auto row = decode_grant_row(value);
        if (!row) return corrupt("calls");
        if (!row->grant || removals.kills(key.call, key.user, row->stamp, kAnyRevision)) return {};
        return take({company, false, core::GrantLine{key.call, key.user, std::move(*row->grant)}});
      }
    }
    return {};
  });
}

}  // namespace

Status EmbeddedStore::dump(const TakeRecord& take) {
  const Snapshot snapshot(*rocks_);
  std::map<CompanyId, std::vector<KeyRow>> keys;
  TRY(snapshot.scan_keys([&](KeyRow row) -> Status {
    if (row.key) keys[row.company].push_back(std::move(row));
    return {};
  }));
  return snapshot.each_company(Family::directory, [&](CompanyId company) -> Status {
    const Removals removals = TRY(snapshot.removals(company));
    TRY(dump_things(snapshot, company, removals, keys[company], take));
    return dump_calls(snapshot, company, removals, take);
  });
}

Status EmbeddedStore::copy_to(const std::string& directory) {
  rocksdb::Checkpoint* raw = nullptr;
  const rocksdb::Status made = rocksdb::Checkpoint::Create(&rocks_->db(), &raw);
  if (!made.ok()) return from_rocksdb(made, "backing up");
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(raw);
  const rocksdb::Status copied = checkpoint->CreateCheckpoint(directory + "/" + kRowsDirectory);
  if (!copied.ok()) return from_rocksdb(copied, "backing up to " + directory);
  TRY(write_synced(directory + "/" + kFormatFile, kFormatText));
  return sync_directory(directory);
}

Status EmbeddedStore::backup(const std::string& directory) {
  namespace fs = std::filesystem;
  const std::string unfinished = directory + ".unfinished";
  std::error_code failed;
  for (const std::string& path : {directory, unfinished}) {
    if (fs::exists(path, failed)) {
      return conflict(path + " is there already; name a new directory, or remove it");
    }
  }
  if (!fs::create_directory(unfinished, failed) || failed) {
    return invalid_argument("cannot make " + unfinished + ": " + failed.message());
  }
  fs::permissions(unfinished, fs::perms::owner_all, failed);
  Status copied = copy_to(unfinished);
  if (!copied) {
    fs::remove_all(unfinished, failed);
    return copied;
  }
  // Only a whole copy gets the name that was asked for.
  fs::rename(unfinished, directory, failed);
  if (failed) return internal("backing up to " + directory + ": " + failed.message());
  return sync_directory(fs::absolute(directory, failed).parent_path().string());
}

Result<std::vector<DayUsage>> EmbeddedStore::load_usage(std::uint32_t day) {
  std::vector<DayUsage> usage;
  TRY(rocks_->scan(Family::meta, std::string(1, kUsageTag), nullptr,
                   [&](std::string_view key, std::string_view value) -> Result<bool> {
                     const auto company = decode_company_key(kUsageTag, key);
                     const auto of_day = decode_usage(value);
                     if (!company || !of_day) return corrupt("meta");
                     if (of_day->first == day) usage.push_back({*company, day, of_day->second});
                     return true;
                   }));
  return usage;
}

Result<std::vector<DayUsage>> EmbeddedStore::add_usage(std::span<const DayUsage> more) {
  if (const auto refused = refusal()) return *refused;
  const std::lock_guard one_at_a_time(usage_mutex_);
  std::vector<DayUsage> sums(more.begin(), more.end());
  rocksdb::WriteBatch batch;
  for (DayUsage& one : sums) {
    const auto kept = TRY(rocks_->get(Family::meta, encode_company_key(kUsageTag, one.company)));
    const auto before = kept ? decode_usage(*kept) : std::nullopt;
    if (kept && !before) return corrupt("meta");
    if (before && before->first == one.day) one.requests += before->second;
    std::string value(1, static_cast<char>(kValueFormat));
    append_varint(value, one.day);
    append_varint(value, one.requests);
    batch.Put(rocks_->family(Family::meta), encode_company_key(kUsageTag, one.company), value);
  }
  // Not synced: it must survive the end of the process, and may be a little old after that of the
  // machine.
  const rocksdb::Status written = rocks_->write(batch, false);
  if (!written.ok()) return from_rocksdb(written, "saving the day's usage");
  return sums;
}

}  // namespace earshot::store
