// What the answers of /earshot/v1 have in common: arrays of results, written in pieces. Not for
// users of the encoders.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "api/pen.h"
#include "base/time.h"
#include "core/rules.h"

namespace earshot::api {

// As the wire says it: "profile".
std::string_view name_of(core::Way way);

// The order in which ways are told: the most particular first.
inline constexpr core::Way kWaysInOrder[] = {core::Way::individual, core::Way::shared,
                                             core::Way::participant, core::Way::profile};

// Room for one result, but for lists and notes, which make their own.
inline constexpr std::size_t kResultBytesMax = 640;

// Each needs room for it in the pen.
inline void write_time(GrowingPen& pen, Time time) {
  pen.write("\"");
  pen.write(format_time(time));
  pen.write("\"");
}
void write_way_names(GrowingPen& pen, core::Ways ways);

// Appends the head, `count` items with commas between, and the tail, until `out` holds `size`
// bytes, and goes on from there the next time. Returns whether that was the end. An item finds room
// for kResultBytesMax bytes.
template <class WriteItem>
bool append_items(std::string& out, std::size_t size, std::string& head, std::string_view tail,
                  std::size_t& next, std::size_t count, WriteItem write_item) {
  const std::size_t begin = out.size();
  out += std::exchange(head, {});
  GrowingPen pen(out);
  while (next < count && (pen.size() < size || pen.size() == begin)) {
    pen.make_room(kResultBytesMax);
    pen.write_comma_if(next > 0);
    write_item(pen, next++);
  }
  pen.finish();
  if (next < count) return false;
  out += tail;
  return true;
}

}  // namespace earshot::api
