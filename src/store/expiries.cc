// What the committer takes away because its time is over: grants that have expired, and answers
// that were kept for their idempotency keys. In bounded steps, between commits.
#include <algorithm>

#include "base/log.h"
#include "store/embedded_store.h"
#include "store/kept_answer.h"

namespace earshot::store {

namespace {

constexpr std::size_t kExpiredAtOnce = 1000;     // grants of one step
constexpr std::size_t kForgottenAtOnce = 1000;   // answers of one step
constexpr std::size_t kLookedAtAtOnce = 20'000;  // rows of calls, in a store of an older release

}  // namespace

void EmbeddedStore::sweep_expired() {
  const auto now = std::chrono::steady_clock::now();
  if (!is_more_expired_ && now - expired_swept_ < options_.expiry_every) return;
  expired_swept_ = now;
  is_more_expired_ = false;
  if (refusal()) return;
  Transaction transaction(ground(), options_.clock());
  Result<bool> swept = transaction.sweep_expired(kExpiredAtOnce);
  if (swept && !transaction.is_empty()) {
    const Status committed = commit_and_publish(transaction, 0);
    if (!committed) swept = committed.error();
  }
  Result<bool> forgotten = forget_answers();
  // What was not taken away gives no access either, and is taken away next time.
  for (const Result<bool>* const done : {&swept, &forgotten}) {
    if (!*done) log(Level::error, "sweep_failed", {{"error", done->error().message}});
  }
  is_more_expired_ = (swept && !*swept) || (forgotten && !*forgotten);
}

// Whether none is left that has been kept long enough.
Result<bool> EmbeddedStore::forget_answers() {
  const Time now = options_.clock();
  rocksdb::ColumnFamilyHandle* const meta = rocks_->family(Family::meta);
  rocksdb::WriteBatch batch;
  std::size_t count = 0;
  TRY(rocks_->scan(
      Family::meta, std::string(1, kAnswerTimeTag), nullptr,
      [&](std::string_view key_bytes, std::string_view) -> Result<bool> {
        const auto key = decode_answer_time_key(key_bytes);
        if (!key) return corrupt("meta");
        const KeptAnswer answer{
            .request = {}, .at = key->at, .request_id = {}, .revision = 0, .results = {}};
        if (!is_forgotten(answer, options_.idempotency_keep, now)) return false;
        if (count == kForgottenAtOnce) return false;
        ++count;
        batch.Delete(meta, slice(key_bytes));
        batch.Delete(meta, encode_key(key->of));
        return true;
      }));
  if (count == 0) return true;
  // Not synced: what a crash brings back is forgotten again.
  const rocksdb::Status written = rocks_->write(batch, false);
  if (!written.ok()) return from_rocksdb(written, "forgetting answers");
  return count < kForgottenAtOnce;
}

// Releases before this one wrote no rows of expiries: where they left a store, all its calls are
// looked through once.
Status EmbeddedStore::load_expiries_known() {
  const auto value = TRY(rocks_->get(Family::meta, std::string(1, kExpiriesKnownTag)));
  if (!value) {
    expiries_known_to_.emplace();
    return {};
  }
  const auto known_to = decode_text_value(*value);
  if (!known_to) return corrupt("meta");
  if (!known_to->empty()) expiries_known_to_ = *known_to;
  return {};
}

void EmbeddedStore::find_expiries() {
  if (!expiries_known_to_ || refusal()) return;
  const Status found = find_some_expiries();
  if (found) return;
  // Taken up again at the next start.
  log(Level::error, "finding_expiries_failed", {{"error", found.error().message}});
  expiries_known_to_.reset();
}

Status EmbeddedStore::find_some_expiries() {
  rocksdb::ColumnFamilyHandle* const meta = rocks_->family(Family::meta);
  rocksdb::WriteBatch batch;
  const auto rows = rocks_->iterate(Family::calls);
  std::size_t room = kLookedAtAtOnce;
  for (rows->Seek(slice(*expiries_known_to_)); rows->Valid() && room > 0; rows->Next(), --room) {
    const auto key = decode_call_row_key(view(rows->key()));
    if (!key) return corrupt("calls");
    if (key->kind != RowKind::grant) continue;
    const auto row = decode_grant_row(view(rows->value()));
    if (!row) return corrupt("calls");
    if (!row->grant || !row->grant->expires_at) continue;
    batch.Put(meta,
              encode_key(ExpiryKey{*row->grant->expires_at, key->company, key->call, key->user}),
              encode_text_value({}));
  }
  if (!rows->status().ok()) return from_rocksdb(rows->status(), "looking for grants that expire");
  std::optional<std::string> known_to;
  if (rows->Valid()) known_to = view(rows->key());
  batch.Put(meta, std::string(1, kExpiriesKnownTag), encode_text_value(known_to.value_or("")));
  // Not synced: the rows stand in the log in their order.
  const rocksdb::Status written = rocks_->write(batch, false);
  if (!written.ok()) return from_rocksdb(written, "noting grants that expire");
  expiries_known_to_ = std::move(known_to);
  return {};
}

}  // namespace earshot::store
