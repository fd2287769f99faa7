// Stored bytes, damaged in any way, must be told from sound ones without harm: whatever a decoder
// accepts encodes to the same bytes again.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "store/change_record.h"
#include "store/codec.h"
#include "store/kept_answer.h"

namespace {

using namespace earshot;
using namespace earshot::store;

template <class Value>
void expect_same(std::string_view bytes, const std::optional<Value>& decoded) {
  if (decoded) ASSERT(encode_value(*decoded) == bytes);
}
template <class Key>
void expect_same_key(std::string_view bytes, const std::optional<Key>& decoded) {
  if (decoded) ASSERT(encode_key(*decoded) == bytes);
}
template <class Thing>
void expect_same_body(std::string_view bytes, const std::optional<Thing>& decoded) {
  if (!decoded) return;
  std::string again;
  append_body(again, *decoded);
  ASSERT(again == bytes);
}

// Neighbouring pairs of one call are always written as one group, so a record that was accepted may
// be written in another way; what it says must stay the same from then on.
void check_change(std::string_view bytes) {
  const auto part = decode_change(bytes);
  if (!part) return;
  ChangeWriter writer;
  for (const Change& change : part->changes) {
    std::visit([&writer](const auto& one) { writer.add(one); }, change);
  }
  const std::string again = writer.finish(part->head);
  const auto decoded = decode_change(again);
  ASSERT(decoded && decoded->changes.size() == part->changes.size());
  ChangeWriter rewriter;
  for (const Change& change : decoded->changes) {
    std::visit([&rewriter](const auto& one) { rewriter.add(one); }, change);
  }
  ASSERT(rewriter.finish(decoded->head) == again);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 20) {
    case 0:
      expect_same_key(bytes, decode_call_row_key(bytes));
      break;
    case 1:
      expect_same_key(bytes, decode_user_call_key(bytes));
      break;
    case 2:
      expect_same_key(bytes, decode_directory_key(bytes));
      break;
    case 3:
      expect_same_key(bytes, decode_sweep_key(bytes));
      break;
    case 4:
      expect_same_key(bytes, decode_change_key(bytes));
      break;
    case 5:
      expect_same(bytes, decode_call_row(bytes));
      break;
    case 6:
      expect_same(bytes, decode_share_row(bytes));
      break;
    case 7:
      expect_same(bytes, decode_grant_row(bytes));
      break;
    case 8:
      expect_same(bytes, decode_user_call_value(bytes));
      break;
    case 9:
      expect_same(bytes, decode_directory_value(bytes));
      break;
    case 10:
      expect_same(bytes, decode_key_row("KEY", bytes));
      break;
    case 11:
      expect_same_body(bytes, decode_company(1, bytes));
      break;
    case 12:
      expect_same_body(bytes, decode_profile(1, bytes));
      break;
    case 13:
      expect_same_body(bytes, decode_user(1, bytes));
      break;
    case 14:
      expect_same_key(bytes, decode_expiry_key(bytes));
      break;
    case 15:
      expect_same_key(bytes, decode_answer_key(bytes));
      break;
    case 16:
      expect_same_key(bytes, decode_answer_time_key(bytes));
      break;
    case 17:
      expect_same(bytes, decode_kept_answer(bytes));
      break;
    default:
      check_change(bytes);
      break;
  }
  return 0;
}
