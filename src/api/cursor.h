// Where the next page of an answer begins: a text that whoever has the store's secret alone can
// make, and that is good for one query of one company.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/ids.h"
#include "base/time.h"
#include "core/entry.h"
#include "core/rules.h"

namespace earshot::api {

// What a cursor belongs to.
struct PagedQuery {
  CompanyId company;
  std::string_view operation;
  std::uint64_t id = 0;  // of the path
  core::Ways ways = core::kAllWays;
  // As asked for; neither: now.
  std::optional<Time> at{};
  std::optional<core::Revision> revision{};
};

// What it says: all pages are as of the moment of the first.
struct Cursor {
  core::Revision revision = 0;
  Time time;
  std::uint64_t after = 0;  // the last id that was looked at
  friend bool operator==(const Cursor&, const Cursor&) = default;
};

// Lowercase letters and digits, always as many.
std::string encode_cursor(const Digest& secret, const PagedQuery& query, const Cursor& cursor);

// Nothing where the text was not made with this secret for this very query.
std::optional<Cursor> decode_cursor(const Digest& secret, const PagedQuery& query,
                                    std::string_view text);

}  // namespace earshot::api
