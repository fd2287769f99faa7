// Pages of the record of changes for readers, made of its parts in the same way whichever store
// they are read from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "store/change_record.h"
#include "store/changes.h"

namespace earshot::store {

// So much of the record one page looks at, whatever it finds: a part that it has begun is looked at
// to its end.
inline constexpr std::size_t kPagePartsMax = 1000;
inline constexpr std::size_t kPageBytesMax = 1 << 20;

// As a record that can be applied, and what was there before it. Nothing where the body of a thing
// is one that no release wrote.
std::optional<RecordedChange> record_of(CompanyId company, std::uint32_t n, const Change& change);

// Whether there can be a page behind this position. Errors: gone, invalid_argument, each as
// Store::read_changes has them.
Status check_position(const ChangesPosition& after, const RecordHead& head);

// What there is to read for this command without looking at the record: the head alone, or nothing
// behind the position of who has seen all of it.
bool needs_no_parts(const ChangesCommand& command, const RecordHead& head);

class ChangesPage {
 public:
  // A page without anything yet. `command` must outlive it.
  ChangesPage(const ChangesCommand& command, const RecordHead& head);

  // Where the record is to be read from: from the part of this revision that holds the change of
  // this number, or else from the next revision on.
  ChangeKey first() const;

  // Takes the next part of the record. Answers whether the page has room for another. Errors:
  // invalid_argument, where the revision of the position ends before it; internal, where the part
  // cannot be decoded or is not the next one.
  Result<bool> take(const ChangeKey& key, std::string_view key_bytes, std::string_view value);

  // The page with what was taken, once. Error: internal, where parts are there by the head, and
  // none was taken.
  Result<ChangesView> finish();

 private:
  Status check_place(const ChangeKey& key);
  RecordedRevision& open_revision(core::Revision revision);

  const ChangesCommand& command_;
  ChangesView view_;
  bool is_first_ = true;
  core::Revision next_revision_ = 0;
  std::uint32_t next_n_ = 0;
  std::size_t changes_ = 0, parts_ = 0, bytes_ = 0;
};

}  // namespace earshot::store
