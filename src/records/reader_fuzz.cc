// Whatever the reader accepts survives being written and read again unchanged.
#include "records/reader.h"

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/assert.h"
#include "base/text.h"
#include "records/writer.h"

namespace {

using namespace earshot;

core::Record without_secret(core::Record record) {
  if (auto* const key = std::get_if<core::KeyLine>(&record.thing)) key->secret_text.reset();
  return record;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  records::Reader::Options options;
  options.line_bytes_max = 4096;
  records::Reader reader("fuzz", records::read_from(text), options);
  std::string written;
  for (;;) {
    const auto record = reader.next();
    if (!record) {
      ASSERT(record.error().code == Code::invalid_argument);
      ASSERT(record.error().message.starts_with(reader.position() + ": "));
      break;
    }
    if (!*record) break;
    written.clear();
    records::append_record(written, **record);
    ASSERT(is_valid_utf8(written));
    records::Reader again("again", records::read_from(written));
    const auto copy = again.next();
    ASSERT(copy && *copy);
    ASSERT(**copy == without_secret(**record));
    const auto end = again.next();
    ASSERT(end && !*end);
  }
  return 0;
}
