#include "store/kept_answer.h"

#include <algorithm>

#include "base/assert.h"
#include "store/codec.h"

namespace earshot::store {
namespace {

// What begins the results: of the pairs that the request named, or pairs that it did not.
enum class Form : std::uint8_t { of_pairs = 1, of_removed = 2 };

constexpr int kWaysShift = 4;  // the low half of a byte is the outcome
constexpr std::uint8_t kOutcomeMask = 15;

bool is_outcome(std::uint8_t byte) {
  return (byte & kOutcomeMask) <= static_cast<std::uint8_t>(core::PairOutcome::unknown_user);
}

std::string encode_results(const GrantCommand& command, std::span<const core::PairResult> results) {
  std::string out;
  if (command.with_results->all_of.index() == 0) {
    append_byte(out, static_cast<std::uint8_t>(Form::of_pairs));
    for (const core::PairResult& result : results) {
      append_byte(out, static_cast<std::uint8_t>(static_cast<unsigned>(result.outcome) |
                                                 unsigned{result.ways} << kWaysShift));
    }
    return out;
  }
  append_byte(out, static_cast<std::uint8_t>(Form::of_removed));
  for (const core::PairResult& result : results) {
    ASSERT(result.outcome == core::PairOutcome::removed);
    append_fixed64(out, result.call.value);
    append_fixed64(out, result.user.value);
  }
  return out;
}

// In the order of the command's pairs, whose terms are the grants that it was told of.
std::optional<std::vector<core::PairResult>> decode_pairs(ByteReader& reader,
                                                          const GrantCommand& command) {
  using enum core::PairOutcome;
  const std::vector<core::Grant>& terms = command.with_results->terms;
  std::vector<core::PairResult> results;
  for (const core::CallUsers& named : command.calls) {
    for (const UserId user : named.users) {
      const std::uint8_t byte = reader.byte();
      if (!reader.ok() || !is_outcome(byte)) return std::nullopt;
      core::PairResult result{named.call,
                              user,
                              static_cast<core::PairOutcome>(byte & kOutcomeMask),
                              static_cast<core::Ways>(byte >> kWaysShift),
                              {}};
      const bool has_grant =
          result.outcome == given || result.outcome == changed || result.outcome == already;
      if (has_grant) result.grant = terms.empty() ? core::Grant{} : terms.at(results.size());
      results.push_back(std::move(result));
    }
  }
  if (!reader.done()) return std::nullopt;
  return results;
}

std::optional<std::vector<core::PairResult>> decode_removed(ByteReader& reader) {
  std::vector<core::PairResult> results;
  while (reader.ok() && reader.rest_bytes() > 0) {
    const CallId call{reader.fixed64()};
    const UserId user{reader.fixed64()};
    results.push_back({call, user, core::PairOutcome::removed, 0, {}});
  }
  if (!reader.done()) return std::nullopt;
  return results;
}

std::optional<std::vector<core::PairResult>> decode_results(std::string_view bytes,
                                                            const GrantCommand& command) {
  ByteReader reader(bytes);
  switch (static_cast<Form>(reader.byte())) {
    case Form::of_pairs:
      return decode_pairs(reader, command);
    case Form::of_removed:
      return decode_removed(reader);
  }
  return std::nullopt;
}

Digest read_digest(ByteReader& reader) {
  Digest digest{};
  const std::string_view bytes = reader.bytes(digest.size());
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

AnswerKey read_answer_key(ByteReader& reader) {
  AnswerKey key;
  key.company = {reader.fixed64()};
  key.key = read_digest(reader);
  return key;
}

void append_answer_key(std::string& out, const AnswerKey& key) {
  append_fixed64(out, key.company.value);
  out.append(key.key.begin(), key.key.end());
}

}  // namespace

KeptAnswer make_kept_answer(const GrantCommand& command, const Outcome& outcome, Time at) {
  ASSERT(outcome.decision.index() == 0);
  return {.request = command.with_results->idempotency_key->request,
          .at = at,
          .request_id = command.origin.request_id,
          .revision = outcome.revision,
          .results = encode_results(command, outcome.results)};
}

Result<Outcome> answer_again(const KeptAnswer& kept, const GrantCommand& command) {
  if (kept.request != command.with_results->idempotency_key->request) {
    return invalid_argument("the idempotency key was used for another request");
  }
  auto results = decode_results(kept.results, command);
  if (!results) return internal("an answer was kept in a form that no release wrote");
  return Outcome{kept.revision, {}, std::move(*results), kept.request_id};
}

bool are_results(std::string_view bytes) {
  ByteReader reader(bytes);
  const std::uint8_t form = reader.byte();
  if (form == static_cast<std::uint8_t>(Form::of_removed))
    return decode_removed(reader).has_value();
  if (form != static_cast<std::uint8_t>(Form::of_pairs)) return false;
  return std::ranges::all_of(bytes.substr(1),
                             [](char byte) { return is_outcome(static_cast<std::uint8_t>(byte)); });
}

std::string encode_answers_prefix(CompanyId company) {
  return encode_company_key(kAnswerTag, company);
}

std::string encode_key(const AnswerKey& key) {
  std::string out(1, kAnswerTag);
  append_answer_key(out, key);
  return out;
}

std::optional<AnswerKey> decode_answer_key(std::string_view bytes) {
  ByteReader reader(bytes);
  if (reader.byte() != static_cast<std::uint8_t>(kAnswerTag)) return std::nullopt;
  const AnswerKey key = read_answer_key(reader);
  if (!reader.done()) return std::nullopt;
  return key;
}

std::string encode_key(const AnswerTimeKey& key) {
  std::string out(1, kAnswerTimeTag);
  append_time_in_key(out, key.at);
  append_answer_key(out, key.of);
  return out;
}

std::optional<AnswerTimeKey> decode_answer_time_key(std::string_view bytes) {
  ByteReader reader(bytes);
  if (reader.byte() != static_cast<std::uint8_t>(kAnswerTimeTag)) return std::nullopt;
  AnswerTimeKey key;
  key.at = read_time_in_key(reader);
  key.of = read_answer_key(reader);
  if (!reader.done()) return std::nullopt;
  return key;
}

std::string encode_value(const KeptAnswer& answer) {
  std::string out;
  append_byte(out, kValueFormat);
  out.append(answer.request.begin(), answer.request.end());
  append_signed_varint(out, answer.at.micros);
  out.append(answer.request_id.bytes.begin(), answer.request_id.bytes.end());
  append_varint(out, answer.revision);
  out += answer.results;
  return out;
}

std::optional<KeptAnswer> decode_kept_answer(std::string_view bytes) {
  ByteReader reader(bytes);
  if (reader.byte() != kValueFormat) return std::nullopt;
  KeptAnswer answer;
  answer.request = read_digest(reader);
  answer.at = Time{reader.signed_varint()};
  const std::string_view request_id = reader.bytes(answer.request_id.bytes.size());
  std::copy(request_id.begin(), request_id.end(), answer.request_id.bytes.begin());
  answer.revision = reader.varint();
  if (!reader.ok()) return std::nullopt;
  answer.results = reader.bytes(reader.rest_bytes());
  if (!are_results(answer.results)) return std::nullopt;
  return answer;
}

Store::WriteDone KeysUnderWay::take(const GrantCommand& command, Store::WriteDone done) {
  if (!command.with_results || !command.with_results->idempotency_key) return done;
  const std::pair place(command.company, command.with_results->idempotency_key->key);
  {
    const std::lock_guard lock(mutex_);
    if (keys_.insert(place).second) {
      return [this, place, done = std::move(done)](Result<Outcome> outcome) {
        {
          const std::lock_guard again(mutex_);
          keys_.erase(place);
        }
        done(std::move(outcome));
      };
    }
  }
  done(conflict("a request with this idempotency key is still under way"));
  return nullptr;
}

}  // namespace earshot::store
