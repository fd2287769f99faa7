// What the embedded store tells of its record of changes, on the threads that read.
#include <utility>

#include "base/wake.h"
#include "store/changes_page.h"
#include "store/embedded_store.h"

namespace earshot::store {

void EmbeddedStore::read_changes(ChangesCommand command, ChangesDone done) {
  if (const CompanyState* const state = companies_.find(command.company)) {
    const RecordHead head = record_head(*state);
    // Most readers have seen all there is.
    if (needs_no_parts(command, head)) return done(ChangesPage(command, head).finish());
  }
  auto job = [this, command = std::move(command), done] { done(find_changes(command)); };
  submit_long(std::move(job), done);
}

RecordHead EmbeddedStore::record_head(const CompanyState& state) const {
  const Head head = state.shown();
  return {head.revision, head.time, head.hash, rocks_->horizons().of(state.id)};
}

Result<ChangesView> EmbeddedStore::find_changes(const ChangesCommand& command) {
  const CompanyState& state = *TRY(companies_.meet(command.company));
  RecordHead head;
  std::unique_ptr<Snapshot> snapshot;
  do {
    // Whatever is shown is in the snapshot, unless it is cut off in between: then more was shown.
    // What is cut off later stays in the snapshot.
    head = record_head(state);
    snapshot = std::make_unique<Snapshot>(*rocks_);
    const auto cut =
        TRY(snapshot->get(Family::meta, encode_company_key(kHorizonTag, command.company)));
    const auto horizon = cut ? decode_horizon(*cut) : Horizon{};
    if (!horizon) return corrupt("meta");
    head.horizon = horizon->revision;
  } while (head.revision > 0 && head.revision <= head.horizon);
  ChangesPage page(command, head);
  if (needs_no_parts(command, head)) return page.finish();
  TRY(check_position(command.after, head));
  const auto parts = snapshot->iterate(Family::changes);
  const std::string prefix = encode_company_prefix(command.company);
  for (parts->SeekForPrev(encode_key(page.first())); parts->Valid(); parts->Next()) {
    if (!parts->key().starts_with(prefix)) break;
    const auto key = decode_change_key(view(parts->key()));
    if (!key) return corrupt("changes");
    // A commit is in the rows a moment before it is shown.
    if (key->revision > head.revision) break;
    if (!TRY(page.take(*key, view(parts->key()), view(parts->value())))) break;
  }
  if (!parts->status().ok()) return from_rocksdb(parts->status(), "reading a change");
  return page.finish();
}

std::unique_ptr<ChangesWatch> EmbeddedStore::watch_changes(CompanyId company,
                                                           std::function<void()> on_news) {
  return watchers_->add(company, std::move(on_news));
}

}  // namespace earshot::store
