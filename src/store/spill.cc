// The large half of Transaction: loads that do not fit in memory, or in one write of RocksDB.
#include "store/transaction.h"

namespace earshot::store {

namespace {

// Beyond it sorted files are quicker than the log and the write buffers.
constexpr std::size_t kBatchBytesMax = 4 << 20;

}  // namespace

Result<core::EntryPtr> Transaction::find_loading(const CallRef& ref) {
  static const core::EntryPtr none = std::make_shared<const core::CallEntry>();
  std::shared_ptr<core::CallEntry> entry;
  // A company without a record has no rows either.
  const bool is_new = companies_.at(ref.company)->state->head.revision == 0;
  TRY(rows_->scan_spilled(Family::calls, encode_call_prefix(ref.company, ref.call),
                          [&](std::string_view key, std::string_view value) -> Status {
                            if (!entry) {
                              const core::EntryPtr below =
                                  is_new ? none
                                         : *TRY(ground_.rocks.read_entry(ref, Rocks::Tier::disk));
                              entry = std::make_shared<core::CallEntry>(*below);
                            }
                            if (!apply_row(*entry, key, value)) return corrupt("calls");
                            return {};
                          }));
  if (entry) return core::EntryPtr(std::move(entry));
  if (is_new) return none;
  const auto cached = rows_->has_spilled() ? nullptr : ground_.cache.find_newest(ref);
  return cached ? std::make_shared<const core::CallEntry>(cached->unpack()) : nullptr;
}

Status Transaction::bound_memory() {
  if (rows_->memory_bytes() + entries_bytes_ + writers_bytes_ < memory_bytes_max_) return {};
  if (rows_->row_bytes() == 0 && writers_bytes_ == 0) {  // only looked at so far
    forget_loaded();
    return {};
  }
  for (auto& [id, working] : companies_) {
    if (working->writer.count() > 0) TRY(write_part(*working, false));
  }
  if (!only_removes_) TRY(ground_.check_space());
  TRY(rows_->spill());
  forget_loaded();
  return {};
}

void Transaction::forget_loaded() {
  entries_.clear();
  entries_index_.clear();
  entries_bytes_ = 0;
  calls_.clear();
  things_.clear();
}

bool Transaction::must_write_files() const {
  return rows_->has_spilled() || rows_->row_bytes() > kBatchBytesMax;
}

Status Transaction::commit_files() {
  TRY(rows_->write_files());
  if (!only_removes_) TRY(ground_.check_space());
  disk_was_asked_ = true;
  return rows_->ingest();
}

}  // namespace earshot::store
