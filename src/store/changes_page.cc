#include "store/changes_page.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace earshot::store {

namespace {

// Makes the record of one change; false where there is none that could be made.
struct Recording {
  CompanyId company;
  RecordedChange& told;

  template <class Before, class Line>
  bool set(const Before& before, const Line& line, bool was_there, bool is_there) {
    told.record = {company, !is_there, line};
    if (was_there) told.before = core::Record{company, false, before};
    return true;
  }
  bool operator()(const GrantChanged& change) {
    told.dead_since = change.dead_since;
    const auto line = [&](const std::optional<core::Grant>& grant) {
      return core::GrantLine{change.call, change.user, grant.value_or(core::Grant{})};
    };
    return set(line(change.before), line(change.after), change.before.has_value(),
               change.after.has_value());
  }
  bool operator()(const ShareChanged& change) {
    told.dead_since = change.dead_since;
    const core::ShareLine line{change.call, change.user};
    return set(line, line, change.before, change.after);
  }
  bool operator()(const CallChanged& change) {
    told.dead_since = change.dead_since;
    core::Call gone;
    gone.id = change.call;
    return set(change.before.value_or(gone), change.after.value_or(gone), change.before.has_value(),
               change.after.has_value());
  }
  bool operator()(const KeyChanged& change) {
    core::KeyLine line;
    if (change.after) line.key = *change.after;
    line.key.access_key = change.access_key;
    told.record = {company, !change.after, std::move(line)};
    return true;
  }
  bool operator()(const ThingChanged& change) {
    told.record.company = company;
    told.record.remove = !change.after;
    const std::optional<std::string_view> body = change.after;
    switch (change.kind) {
      case ThingKind::company:
        return thing(body ? decode_company(change.id, *body) : core::Company{{change.id}, {}});
      case ThingKind::workspace:
        return thing(body ? decode_workspace(change.id, *body) : core::Workspace{{change.id}, {}});
      case ThingKind::profile: {
        core::Profile gone;
        gone.id = {change.id};
        return thing(body ? decode_profile(change.id, *body) : gone);
      }
      case ThingKind::user: {
        core::User gone;
        gone.id = {change.id};
        return thing(body ? decode_user(change.id, *body) : gone);
      }
      case ThingKind::key:
        return false;
    }
    return false;
  }
  template <class Thing>
  bool thing(std::optional<Thing> decoded) {
    if (!decoded) return false;
    told.record.thing = std::move(*decoded);
    return true;
  }
};

std::string position_text(const ChangesPosition& position) {
  std::string text = std::to_string(position.revision);
  if (position.changes) text += "." + std::to_string(*position.changes);
  return text;
}

}  // namespace

std::optional<RecordedChange> record_of(CompanyId company, std::uint32_t n, const Change& change) {
  RecordedChange told;
  told.n = n;
  if (!std::visit(Recording{company, told}, change)) return std::nullopt;
  return told;
}

Status check_position(const ChangesPosition& after, const RecordHead& head) {
  if (after.revision > head.revision) {
    return invalid_argument("the record ends at revision " + std::to_string(head.revision));
  }
  if (after.revision == 0 && after.changes) {
    return invalid_argument("the record begins with revision 1");
  }
  // What is behind the whole of the horizon is there; the horizon itself is not.
  const bool is_cut_off =
      after.revision < head.horizon || (after.changes && after.revision == head.horizon);
  if (is_cut_off) {
    return gone("the record is kept behind position " + std::to_string(head.horizon) +
                ": what follows " + position_text(after) + " was cut off");
  }
  return {};
}

bool needs_no_parts(const ChangesCommand& command, const RecordHead& head) {
  return command.changes_max == 0 || command.after == ChangesPosition{head.revision, std::nullopt};
}

ChangesPage::ChangesPage(const ChangesCommand& command, const RecordHead& head)
    : command_(command) {
  view_.head = head;
  view_.last = command.after;
}

ChangeKey ChangesPage::first() const {
  const ChangesPosition& after = command_.after;
  if (after.changes) return {command_.company, after.revision, *after.changes};
  return {command_.company, after.revision + 1, 0};
}

Status ChangesPage::check_place(const ChangeKey& key) {
  const ChangeKey asked = first();
  const bool is_next = is_first_ ? key.revision == asked.revision && key.first_n <= asked.first_n
                                 : key.revision == next_revision_ && key.first_n == next_n_;
  if (is_next && key.company == command_.company) return {};
  return internal("the record of changes has a gap before revision " +
                  std::to_string(key.revision));
}

Result<bool> ChangesPage::take(const ChangeKey& key, std::string_view key_bytes,
                               std::string_view value) {
  TRY(check_place(key));
  const std::uint32_t passed = is_first_ ? first().first_n - key.first_n : 0;
  const std::size_t room = command_.changes_max - changes_;
  const auto found = find_changes(
      value, {.from = passed, .changes_max = room, .call = command_.call, .user = command_.user});
  if (!found) {
    return internal("revision " + std::to_string(key.revision) + " of the record cannot be read");
  }
  if (found->is_to_end && found->looked < passed) {
    return invalid_argument("revision " + std::to_string(key.revision) + " has " +
                            std::to_string(key.first_n + found->looked) + " changes");
  }
  is_first_ = false;
  for (std::size_t i = 0; i < found->changes.size(); ++i) {
    auto told = record_of(command_.company, key.first_n + found->numbers[i], found->changes[i]);
    if (!told) {
      return internal("revision " + std::to_string(key.revision) + " of the record cannot be read");
    }
    open_revision(key.revision).changes.push_back(std::move(*told));
  }
  changes_ += found->changes.size();
  // Who has seen the beginning of a revision is told its end, even if nothing of it is left.
  const bool goes_on = command_.after.changes && key.revision == command_.after.revision;
  if (goes_on && found->is_to_end && found->head.last_part) {
    open_revision(key.revision);
  }
  RecordedRevision* const open = view_.revisions.empty() ? nullptr : &view_.revisions.back();
  const bool is_open = open && open->revision == key.revision;
  // The newest part has the last word.
  if (is_open) {
    open->time = found->head.time;
    open->directory_revision = found->head.directory_revision;
    open->operation = found->head.operation;
    open->origin = found->head.origin;
  }
  const std::uint32_t looked = key.first_n + found->looked;
  if (!found->is_to_end) {
    if (looked > 0) view_.last = {key.revision, looked};
    return false;
  }
  if (!found->head.last_part) {
    view_.last = {key.revision, looked};
    next_revision_ = key.revision;
    next_n_ = looked;
  } else {
    view_.last = {key.revision, std::nullopt};
    next_revision_ = key.revision + 1;
    next_n_ = 0;
    if (is_open) {
      open->is_complete = true;
      open->hash = hash_change(key_bytes, value);
    }
  }
  ++parts_;
  bytes_ += value.size();
  return changes_ < command_.changes_max && parts_ < kPagePartsMax && bytes_ < kPageBytesMax;
}

RecordedRevision& ChangesPage::open_revision(core::Revision revision) {
  if (view_.revisions.empty() || view_.revisions.back().revision != revision) {
    view_.revisions.emplace_back().revision = revision;
  }
  return view_.revisions.back();
}

Result<ChangesView> ChangesPage::finish() {
  if (is_first_ && !needs_no_parts(command_, view_.head)) {
    return internal("the record of changes has a gap behind position " +
                    position_text(command_.after));
  }
  view_.is_end = view_.last == ChangesPosition{view_.head.revision, std::nullopt};
  return std::move(view_);
}

}  // namespace earshot::store
