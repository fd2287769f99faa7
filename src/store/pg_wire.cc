#include "store/pg_wire.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/assert.h"

namespace earshot::store {
namespace {

// Of PostgreSQL's catalog; they never change.
constexpr std::uint32_t kBoolType = 16, kByteaType = 17, kBigintType = 20, kTextType = 25,
                        kTimestamptzType = 1184;
constexpr std::int64_t kEpochMicros = 946'684'800'000'000;  // 2000-01-01, where its time begins
constexpr std::int32_t kEpochDays = 10'957;

template <class Number>
Number big_endian(Number number) {
  if constexpr (std::endian::native == std::endian::little) {
    if constexpr (sizeof(Number) == 8) {
      return static_cast<Number>(__builtin_bswap64(static_cast<std::uint64_t>(number)));
    } else {
      return static_cast<Number>(__builtin_bswap32(static_cast<std::uint32_t>(number)));
    }
  }
  return number;
}

template <class Number>
Number read_number(std::string_view bytes) {
  ASSERT(bytes.size() == sizeof(Number));
  Number number;
  std::memcpy(&number, bytes.data(), sizeof number);
  return big_endian(number);
}

// The elements of a one-dimensional array, NULL as nullopt.
template <class Take>
void each_element(std::string_view bytes, Take&& take) {
  constexpr std::size_t kHead = 12, kDimension = 8;
  ASSERT(bytes.size() >= kHead);
  const auto dimensions = read_number<std::int32_t>(bytes.substr(0, 4));
  if (dimensions == 0) return;
  ASSERT(dimensions == 1 && bytes.size() >= kHead + kDimension);
  const auto count = read_number<std::int32_t>(bytes.substr(kHead, 4));
  std::string_view rest = bytes.substr(kHead + kDimension);
  for (std::int32_t i = 0; i < count; ++i) {
    ASSERT(rest.size() >= 4);
    const auto size = read_number<std::int32_t>(rest.substr(0, 4));
    rest.remove_prefix(4);
    if (size < 0) {
      take(std::optional<std::string_view>());
      continue;
    }
    ASSERT(rest.size() >= static_cast<std::size_t>(size));
    take(std::optional(rest.substr(0, static_cast<std::size_t>(size))));
    rest.remove_prefix(static_cast<std::size_t>(size));
  }
}

Time read_time(std::string_view bytes) {
  return Time{read_number<std::int64_t>(bytes) + kEpochMicros};
}

}  // namespace

void PgParams::append_int(std::int32_t number) {
  number = big_endian(number);
  bytes_.append(reinterpret_cast<const char*>(&number), sizeof number);
}

void PgParams::append_bigint(std::int64_t number) {
  number = big_endian(number);
  bytes_.append(reinterpret_cast<const char*>(&number), sizeof number);
}

void PgParams::append_sized(std::string_view element) {
  append_int(static_cast<std::int32_t>(element.size()));
  bytes_ += element;
}

void PgParams::begin() { places_.push_back(bytes_.size()); }

PgParams& PgParams::end() {
  lengths_.push_back(static_cast<int>(bytes_.size() - places_.back()));
  return *this;
}

void PgParams::begin_array(std::uint32_t element_type, std::size_t size, bool has_null) {
  begin();
  append_int(size == 0 ? 0 : 1);
  append_int(has_null ? 1 : 0);
  append_int(static_cast<std::int32_t>(element_type));
  if (size == 0) return;
  append_int(static_cast<std::int32_t>(size));
  append_int(1);  // the first index
}

PgParams& PgParams::add(std::uint64_t number) {
  begin();
  append_bigint(static_cast<std::int64_t>(number));
  return end();
}

PgParams& PgParams::add_id(std::uint64_t id) { return id == 0 ? add_null() : add(id); }

PgParams& PgParams::add(bool value) {
  begin();
  bytes_.push_back(value ? 1 : 0);
  return end();
}

PgParams& PgParams::add(Time time) {
  begin();
  append_bigint(time.micros - kEpochMicros);
  return end();
}

PgParams& PgParams::add_day(std::uint32_t days) {
  begin();
  append_int(static_cast<std::int32_t>(days) - kEpochDays);
  return end();
}

PgParams& PgParams::add_text(std::string_view text) {
  begin();
  bytes_ += text;
  return end();
}

PgParams& PgParams::add_bytes(std::string_view bytes) { return add_text(bytes); }

PgParams& PgParams::add_null() {
  places_.push_back(std::string::npos);
  lengths_.push_back(0);
  return *this;
}

PgParams& PgParams::add_numbers(std::span<const std::uint64_t> numbers) {
  begin_array(kBigintType, numbers.size(), false);
  for (const std::uint64_t number : numbers) {
    append_int(sizeof number);
    append_bigint(static_cast<std::int64_t>(number));
  }
  return end();
}

PgParams& PgParams::add_ids(std::span<const std::uint64_t> ids) {
  begin_array(kBigintType, ids.size(), true);
  for (const std::uint64_t id : ids) {
    if (id == 0) {
      append_null();
    } else {
      append_int(sizeof id);
      append_bigint(static_cast<std::int64_t>(id));
    }
  }
  return end();
}

PgParams& PgParams::add_bools(const std::vector<bool>& values) {
  begin_array(kBoolType, values.size(), false);
  for (const bool value : values)
    append_sized(value ? std::string_view("\1", 1) : std::string_view("\0", 1));
  return end();
}

PgParams& PgParams::add_times(std::span<const std::optional<Time>> times) {
  begin_array(kTimestamptzType, times.size(), true);
  for (const auto& time : times) {
    if (!time) {
      append_null();
    } else {
      append_int(sizeof time->micros);
      append_bigint(time->micros - kEpochMicros);
    }
  }
  return end();
}

PgParams& PgParams::add_texts(std::span<const std::string> texts) {
  begin_array(kTextType, texts.size(), false);
  for (const std::string& text : texts) append_sized(text);
  return end();
}

PgParams& PgParams::add_texts(std::span<const std::optional<std::string>> texts) {
  begin_array(kTextType, texts.size(), true);
  for (const auto& text : texts) {
    if (text) {
      append_sized(*text);
    } else {
      append_null();
    }
  }
  return end();
}

PgParams& PgParams::add_byte_strings(std::span<const std::string> strings) {
  begin_array(kByteaType, strings.size(), false);
  for (const std::string& string : strings) append_sized(string);
  return end();
}

std::vector<const char*> PgParams::values() const {
  std::vector<const char*> values(places_.size());
  std::ranges::transform(places_, values.begin(), [this](std::size_t place) {
    return place == std::string::npos ? nullptr : bytes_.data() + place;
  });
  return values;
}

std::string array_text(std::span<const std::uint64_t> ids) {
  std::string text = "{";
  for (const std::uint64_t id : ids) {
    if (text.size() > 1) text += ',';
    append_number(text, id);
  }
  return text + '}';
}

std::string_view PgResult::sqlstate() const {
  const char* const state = PQresultErrorField(result_.get(), PG_DIAG_SQLSTATE);
  return state ? state : "";
}

std::string PgResult::message() const {
  const char* text = PQresultErrorField(result_.get(), PG_DIAG_MESSAGE_PRIMARY);
  if (!text) text = PQresultErrorMessage(result_.get());
  std::string message = text;
  while (!message.empty() && message.back() == '\n') message.pop_back();
  std::ranges::replace(message, '\n', ' ');
  return message;
}

std::string_view PgResult::value(int row, int column) const {
  ASSERT(PQfformat(result_.get(), column) == 1);
  return {PQgetvalue(result_.get(), row, column),
          static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
}

std::uint64_t PgResult::number(int row, int column) const {
  return static_cast<std::uint64_t>(read_number<std::int64_t>(value(row, column)));
}

std::uint64_t PgResult::id(int row, int column) const {
  return is_null(row, column) ? 0 : number(row, column);
}

bool PgResult::boolean(int row, int column) const {
  const std::string_view byte = value(row, column);
  ASSERT(byte.size() == 1);
  return byte[0] != 0;
}

Time PgResult::timestamp(int row, int column) const { return read_time(value(row, column)); }

std::uint32_t PgResult::day(int row, int column) const {
  return static_cast<std::uint32_t>(read_number<std::int32_t>(value(row, column)) + kEpochDays);
}

std::string_view PgResult::text(int row, int column) const { return value(row, column); }

std::vector<std::uint64_t> PgResult::numbers(int row, int column) const {
  std::vector<std::uint64_t> numbers;
  each_element(value(row, column), [&](std::optional<std::string_view> element) {
    numbers.push_back(element ? static_cast<std::uint64_t>(read_number<std::int64_t>(*element))
                              : 0);
  });
  return numbers;
}

std::vector<std::optional<Time>> PgResult::timestamps(int row, int column) const {
  std::vector<std::optional<Time>> times;
  each_element(value(row, column), [&](std::optional<std::string_view> element) {
    times.push_back(element ? std::optional(read_time(*element)) : std::nullopt);
  });
  return times;
}

std::vector<std::string> PgResult::texts(int row, int column) const {
  std::vector<std::string> texts;
  each_element(value(row, column), [&](std::optional<std::string_view> element) {
    ASSERT(element);
    texts.emplace_back(*element);
  });
  return texts;
}

}  // namespace earshot::store
