// Answers that are kept for their idempotency keys, so that a request that comes again is answered
// again: what is kept, as bytes, and what it says to a command. Pure; the embedded store's rows are
// described in docs/storage.md, and PostgreSQL has columns for the same.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "core/decide.h"
#include "store/store.h"

namespace earshot::store {

// `results` is of a fixed format: in the row of a key of a company.
struct KeptAnswer {
  Digest request{};  // of what was asked
  Time at;           // of the answer; kept from then on
  RequestId request_id;
  core::Revision revision = 0;
  std::string results;
  friend bool operator==(const KeptAnswer&, const KeptAnswer&) = default;
};

// What a command has come to, to be kept. REQUIRES: it has an idempotency key, and was carried out.
KeptAnswer make_kept_answer(const GrantCommand& command, const Outcome& outcome, Time at);

// What the answer says to a command with its key. invalid_argument where it was another command's;
// internal where its results are none that a release wrote.
Result<Outcome> answer_again(const KeptAnswer& kept, const GrantCommand& command);

// Whether it is to be forgotten: its key is as good as never used.
inline bool is_forgotten(const KeptAnswer& kept, std::chrono::seconds keep, Time now) {
  return now.micros - kept.at.micros > std::chrono::microseconds(keep).count();
}

// Whether bytes are results that a release wrote.
bool are_results(std::string_view bytes);

// --- rows of the embedded store: a key's answer, and where its time stands

struct AnswerKey {
  CompanyId company;
  Digest key{};
};
struct AnswerTimeKey {
  Time at;
  AnswerKey of;
};
inline constexpr char kAnswerTag = 'a';
inline constexpr char kAnswerTimeTag = 't';
std::string encode_answers_prefix(CompanyId company);
std::string encode_key(const AnswerKey& key);
std::optional<AnswerKey> decode_answer_key(std::string_view bytes);
std::string encode_key(const AnswerTimeKey& key);
std::optional<AnswerTimeKey> decode_answer_time_key(std::string_view bytes);
std::string encode_value(const KeptAnswer& answer);
std::optional<KeptAnswer> decode_kept_answer(std::string_view bytes);

// --- commands that are not answered yet

// The idempotency keys of commands that a store has taken and not answered. Any thread.
class KeysUnderWay {
 public:
  // Takes the command's key, where it has one, until `done` is called: what it gives calls `done`.
  // It must not outlive this. Null where another command has the key: `done` was told so.
  Store::WriteDone take(const GrantCommand& command, Store::WriteDone done);

 private:
  std::mutex mutex_;
  std::set<std::pair<CompanyId, Digest>> keys_;
};

}  // namespace earshot::store
