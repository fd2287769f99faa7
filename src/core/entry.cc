#include "core/entry.h"

#include <algorithm>

#include "base/assert.h"

namespace earshot::core {
namespace {

// Where the row of a user stands, or would stand, in rows that ascend by user.
template <class Rows>
auto find_place(Rows& rows, UserId user) {
  return std::lower_bound(rows.begin(), rows.end(), user,
                          [](const auto& row, UserId wanted) { return row.user < wanted; });
}

template <class Row>
const Row* find_row(const std::vector<Row>& rows, UserId user) {
  const auto place = find_place(rows, user);
  return place != rows.end() && place->user == user ? &*place : nullptr;
}

template <class Row>
void put_row(std::vector<Row>& rows, const Row& row) {
  const auto place = find_place(rows, row.user);
  if (place != rows.end() && place->user == row.user) {
    *place = row;
  } else {
    rows.insert(place, row);
  }
}

template <class Row>
void remove_row(std::vector<Row>& rows, UserId user) {
  const auto place = find_place(rows, user);
  if (place != rows.end() && place->user == user) rows.erase(place);
}

using Notes = std::vector<std::pair<UserId, std::string>>;

template <class SomeNotes>
auto find_note_place(SomeNotes& notes, UserId user) {
  return std::lower_bound(notes.begin(), notes.end(), user,
                          [](const auto& note, UserId wanted) { return note.first < wanted; });
}

void put_note(Notes& notes, UserId user, const std::string& text) {
  const auto place = find_note_place(notes, user);
  const bool is_there = place != notes.end() && place->first == user;
  if (is_there && text.empty()) {
    notes.erase(place);
  } else if (is_there) {
    place->second = text;
  } else if (!text.empty()) {
    notes.insert(place, {user, text});
  }
}

}  // namespace

CallFacts facts_of(const Call& call) {
  CallFacts facts{call.workspace, call.is_private, call.parties};
  auto& people = facts.participants;
  people.push_back(call.primary_user);
  std::sort(people.begin(), people.end());
  people.erase(std::unique(people.begin(), people.end()), people.end());
  if (people.front() == UserId{}) people.erase(people.begin());
  return facts;
}

const ShareRow* CallEntry::find_share(UserId user) const { return find_row(shares, user); }

const GrantRow* CallEntry::find_grant(UserId user) const { return find_row(grants, user); }

Grant CallEntry::grant_of(const GrantRow& row) const {
  Grant grant;
  if (row.expires_at != GrantRow::kNever) grant.expires_at = row.expires_at;
  if (row.has_note) {
    const auto place = find_note_place(notes, row.user);
    ASSERT(place != notes.end() && place->first == row.user);
    grant.note = place->second;
  }
  return grant;
}

void CallEntry::put_share(UserId user, Stamp stamp) {
  put_row(shares, ShareRow{user, stamp});
  newest = std::max(newest, stamp);
}

void CallEntry::remove_share(UserId user, Stamp stamp) {
  remove_row(shares, user);
  newest = std::max(newest, stamp);
}

void CallEntry::put_grant(UserId user, const Grant& grant, Stamp stamp) {
  put_row(grants,
          GrantRow{user, stamp, grant.expires_at.value_or(GrantRow::kNever), !grant.note.empty()});
  put_note(notes, user, grant.note);
  newest = std::max(newest, stamp);
}

void CallEntry::remove_grant(UserId user, Stamp stamp) {
  remove_row(grants, user);
  put_note(notes, user, {});
  newest = std::max(newest, stamp);
}

void CallEntry::apply(std::span<const GrantEdit> edits) {
  if (edits.size() == 1) {
    const GrantEdit& edit = edits.front();
    if (edit.after) return put_grant(edit.user, *edit.after, edit.stamp);
    return remove_grant(edit.user, edit.stamp);
  }
  std::vector<GrantRow> merged;
  merged.reserve(grants.size() + edits.size());
  auto row = grants.begin();
  for (const GrantEdit& edit : edits) {
    while (row != grants.end() && row->user < edit.user) merged.push_back(*row++);
    if (row != grants.end() && row->user == edit.user) ++row;
    if (edit.after) {
      merged.push_back({edit.user, edit.stamp, edit.after->expires_at.value_or(GrantRow::kNever),
                        !edit.after->note.empty()});
    }
    if (!notes.empty() || (edit.after && !edit.after->note.empty())) {
      put_note(notes, edit.user, edit.after ? edit.after->note : std::string());
    }
    newest = std::max(newest, edit.stamp);
  }
  merged.insert(merged.end(), row, grants.end());
  grants = std::move(merged);
}

void CallEntry::clear() {
  call.reset();
  call_stamp = newest = {};
  shares.clear();
  grants.clear();
  notes.clear();
}

std::size_t CallEntry::memory_bytes() const {
  std::size_t bytes = sizeof *this + shares.capacity() * sizeof shares[0] +
                      grants.capacity() * sizeof grants[0] + notes.capacity() * sizeof notes[0];
  for (const auto& note : notes) bytes += note.second.capacity();
  if (call) bytes += call->participants.capacity() * sizeof(UserId);
  return bytes;
}

}  // namespace earshot::core
