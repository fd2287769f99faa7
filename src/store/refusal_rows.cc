#include "store/refusal_rows.h"

#include <algorithm>

namespace earshot::store {

std::string encode_key(const RefusalKey& key) {
  std::string out(1, kRefusalTag);
  append_fixed64(out, key.company.value);
  append_fixed64(out, key.number);
  return out;
}

std::optional<RefusalKey> decode_refusal_key(std::string_view bytes) {
  ByteReader reader(bytes);
  if (reader.byte() != static_cast<std::uint8_t>(kRefusalTag)) return std::nullopt;
  RefusalKey key;
  key.company = {reader.fixed64()};
  key.number = reader.fixed64();
  if (!reader.done()) return std::nullopt;
  return key;
}

std::string encode_value(const Refusal& refusal) {
  std::string out;
  append_byte(out, kValueFormat);
  append_signed_varint(out, refusal.time.micros);
  for (const std::uint8_t byte : refusal.request_id.bytes) append_byte(out, byte);
  append_varint(out, refusal.requests);
  for (const std::string* const text : {&refusal.reason, &refusal.operation, &refusal.access_key,
                                        &refusal.remote_address, &refusal.detail}) {
    append_text(out, *text);
  }
  return out;
}

std::optional<Refusal> decode_refusal(CompanyId company, std::string_view bytes) {
  ByteReader reader(bytes);
  if (reader.byte() != kValueFormat) return std::nullopt;
  Refusal refusal;
  refusal.company = company;
  refusal.time = {reader.signed_varint()};
  for (std::uint8_t& byte : refusal.request_id.bytes) byte = reader.byte();
  refusal.requests = reader.varint();
  for (std::string* const text : {&refusal.reason, &refusal.operation, &refusal.access_key,
                                  &refusal.remote_address, &refusal.detail}) {
    *text = reader.text();
  }
  if (!reader.done()) return std::nullopt;
  return refusal;
}

}  // namespace earshot::store
