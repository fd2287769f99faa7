#include "api/results.h"

#include "base/assert.h"

namespace earshot::api {

std::string_view name_of(core::Way way) {
  switch (way) {
    case core::Way::participant:
      return "participant";
    case core::Way::shared:
      return "shared";
    case core::Way::profile:
      return "profile";
    case core::Way::individual:
      return "individual";
  }
  ASSERT(false);
}

void write_way_names(GrowingPen& pen, core::Ways ways) {
  pen.write("[");
  bool is_first = true;
  for (const core::Way way : kWaysInOrder) {
    if (!core::has(ways, way)) continue;
    pen.write_comma_if(!std::exchange(is_first, false));
    pen.write("\"");
    pen.write(name_of(way));
    pen.write("\"");
  }
  pen.write("]");
}

}  // namespace earshot::api
