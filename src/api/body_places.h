// The shapes of bodies, as a table of the places where a value may stand. Not for users of the
// decoder.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "api/decode.h"

namespace earshot::api {

// What a value means by where it stands.
enum class Place : std::uint8_t {
  root,
  call_access_list,
  item,
  item_call_id,
  item_user_ids,
  item_user_id,
  filter,
  filter_call_ids,
  filter_call_id,
  checks,
  check,
  check_call_id,
  check_user_id,
  grants,
  grant,
  grant_call_id,
  grant_user_id,
  grant_expires_at,
  grant_note,
  all_of,
  all_of_call_id,
  all_of_user_id,
  dry_run,
  if_revision,
  scopes,
  scope,
  replaces,
  overlap_seconds,
  key_expires_at,
  access_key,
  ignored,  // a member that we do not read, with all that is in it
};
inline constexpr std::size_t kPlaces = static_cast<std::size_t>(Place::ignored);

using PlaceSet = std::uint32_t;
constexpr PlaceSet bit_of(Place place) { return PlaceSet{1} << static_cast<unsigned>(place); }

enum class Type : std::uint8_t { object, array, id, time, text, number, boolean };

using Shapes = std::uint8_t;
constexpr Shapes of(Shape shape) { return static_cast<Shapes>(1U << static_cast<unsigned>(shape)); }
inline constexpr Shapes kAnyShape = 0xFF;

struct Rule {
  std::string_view name;  // of a member; empty: the elements of the array around it, or the root
  Place parent = Place::ignored;
  Type type = Type::object;
  Shapes shapes = kAnyShape;  // in which it is read
  bool is_required = false;
};

inline constexpr Shapes kOfGrants = of(Shape::grants_to_give) | of(Shape::grants_to_remove);

// By place.
inline constexpr std::array<Rule, kPlaces> kRules = {{
    {"", Place::ignored, Type::object},
    {"callAccessList", Place::root, Type::array, of(Shape::call_access_list), true},
    {"", Place::call_access_list, Type::object},
    {"callId", Place::item, Type::id, kAnyShape, true},
    {"userIds", Place::item, Type::array, kAnyShape, true},
    {"", Place::item_user_ids, Type::id},
    {"filter", Place::root, Type::object, of(Shape::filter), true},
    {"callIds", Place::filter, Type::array, kAnyShape, true},
    {"", Place::filter_call_ids, Type::id},
    {"checks", Place::root, Type::array, of(Shape::checks), true},
    {"", Place::checks, Type::object},
    {"callId", Place::check, Type::id, kAnyShape, true},
    {"userId", Place::check, Type::id, kAnyShape, true},
    {"grants", Place::root, Type::array, kOfGrants},
    {"", Place::grants, Type::object},
    {"callId", Place::grant, Type::id, kAnyShape, true},
    {"userId", Place::grant, Type::id, kAnyShape, true},
    {"expiresAt", Place::grant, Type::time, of(Shape::grants_to_give)},
    {"note", Place::grant, Type::text, of(Shape::grants_to_give)},
    {"allOf", Place::root, Type::object, of(Shape::grants_to_remove)},
    {"callId", Place::all_of, Type::id},
    {"userId", Place::all_of, Type::id},
    {"dryRun", Place::root, Type::boolean, kOfGrants},
    {"ifRevision", Place::root, Type::number, kOfGrants},
    {"scopes", Place::root, Type::array, of(Shape::key_to_make)},
    {"", Place::scopes, Type::text},
    {"replaces", Place::root, Type::text, of(Shape::key_to_make)},
    {"overlapSeconds", Place::root, Type::number, of(Shape::key_to_make)},
    {"expiresAt", Place::root, Type::time, of(Shape::key_to_make)},
    {"accessKey", Place::root, Type::text, of(Shape::key_to_revoke), true},
}};

constexpr const Rule& rule_of(Place place) { return kRules[static_cast<std::size_t>(place)]; }
constexpr bool is_of(const Rule& rule, Shape shape) { return (rule.shapes & of(shape)) != 0; }
constexpr bool is_element(Place place) {
  return place != Place::root && rule_of(place).name.empty();
}

// The place of an array's elements. REQUIRES: it is an array.
constexpr Place element_of(Place array) {
  for (std::size_t i = 1; i < kPlaces; ++i) {
    if (kRules[i].parent == array) return static_cast<Place>(i);
  }
  return Place::ignored;
}

// The nearest object that the place is in. REQUIRES: it is not the root.
constexpr Place object_around(Place place) {
  do {
    place = rule_of(place).parent;
  } while (rule_of(place).type != Type::object);
  return place;
}

constexpr PlaceSet members_of(Place object) {
  PlaceSet members = 0;
  for (std::size_t i = 1; i < kPlaces; ++i) {
    if (kRules[i].parent == object) members |= bit_of(static_cast<Place>(i));
  }
  return members;
}

// The member of this name; `ignored` where none is read.
constexpr Place find_member(Place object, std::string_view name, Shape shape) {
  for (std::size_t i = 1; i < kPlaces; ++i) {
    const Rule& rule = kRules[i];
    if (rule.parent == object && rule.name == name && is_of(rule, shape)) {
      return static_cast<Place>(i);
    }
  }
  return Place::ignored;
}

// What is told of a value of another type.
constexpr std::string_view demand_of(Type type) {
  switch (type) {
    case Type::object:
      return "must be an object";
    case Type::array:
      return "must be an array";
    case Type::id:
      return "must be a string of 1–19 digits";
    case Type::time:
      return "must be a time like \"2026-03-01T10:00:00Z\" (RFC 3339)";
    case Type::text:
      return "must be a string";
    case Type::number:
      return "must be a number from 0 to 9223372036854775807";
    case Type::boolean:
      return "must be true or false";
  }
  return {};
}

}  // namespace earshot::api
