// The embedded store as it is at one moment, to be walked whole: by dump and verify.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/change_record.h"
#include "store/codec.h"
#include "store/company_state.h"
#include "store/rocks.h"

namespace earshot::store {

// Puts a thing in place in a directory; a company has no place there. Error: internal, for a body
// that no release wrote.
Status put_body(core::Directory& directory, ThingKind kind, std::uint64_t id,
                std::string_view body);

// For asking whether a removal holds at all.
inline constexpr core::Revision kAnyRevision = ~core::Revision{0};

class Snapshot {
 public:
  // `rocks` must outlive it. While it lives, nothing that it sees is given back to the disk.
  explicit Snapshot(Rocks& rocks) : rocks_(rocks), snapshot_(rocks.take_snapshot()) {}
  ~Snapshot() { rocks_.db().ReleaseSnapshot(snapshot_); }
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  // Every company that has a row in the family, ascending. Not for keys or meta.
  Status each_company(Family family, const std::function<Status(CompanyId)>& take) const;

  // The newest part of a company's record, which is its head. `take` is not called where there is
  // none.
  Status find_head(
      CompanyId company,
      const std::function<Status(const ChangeKey&, const ChangeHead&, std::string_view key,
                                 std::string_view value)>& take) const;

  // The removals that await their sweep.
  Result<Removals> removals(CompanyId company) const;

  // The things of a company that are there, by kind and id.
  Status scan_things(
      CompanyId company, const Removals& removals,
      const std::function<Status(const DirectoryKey&, std::string_view body)>& take) const;

  // The company's people, of this directory revision.
  Result<PeoplePtr> load_people(CompanyId company, const Removals& removals,
                                core::Revision directory_revision) const;

  // All rows as they stand, markers and dead ones too.
  Status scan_directory(
      CompanyId company,
      const std::function<Status(const DirectoryKey&, const DirectoryValue&)>& take) const;
  Status scan_calls(
      CompanyId company,
      const std::function<Status(const CallRowKey&, std::string_view value)>& take) const;
  Status scan_by_user(
      CompanyId company,
      const std::function<Status(const UserCallKey&, const UserCallValue&)>& take) const;
  Status scan_changes(CompanyId company,
                      const std::function<Status(const ChangeKey&, std::string_view key,
                                                 std::string_view value)>& take) const;
  Status scan_keys(const std::function<Status(KeyRow)>& take) const;

  // Rows of `default` whose keys begin so.
  Status scan_small(
      std::string_view prefix,
      const std::function<Status(std::string_view key, std::string_view value)>& take) const;

  Result<std::optional<std::string>> get(Family family, std::string_view key) const;

  // It must not outlive this.
  std::unique_ptr<rocksdb::Iterator> iterate(Family family) const {
    return rocks_.iterate(family, snapshot_);
  }

 private:
  Rocks& rocks_;
  const rocksdb::Snapshot* const snapshot_;
};

}  // namespace earshot::store
