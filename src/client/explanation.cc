#include "client/explanation.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "client/table.h"

namespace earshot::client {
namespace {

constexpr std::size_t kColumns = 80;

// Lines of at most kColumns, each after the margin; the first after `first`, which is as wide.
std::string wrap(std::string_view text, std::string_view first, std::size_t margin) {
  std::string lines(first);
  std::size_t column = margin;
  while (!text.empty()) {
    const auto end = std::min(text.find(' '), text.size());
    const auto word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (column > margin && column + 1 + word.size() > kColumns) {
      lines += '\n' + std::string(margin, ' ');
      column = margin;
    } else if (column > margin) {
      lines += ' ';
      ++column;
    }
    lines += word;
    column += word.size();
  }
  return lines + '\n';
}

std::string paragraph(std::string_view text) { return wrap(text, "", 0); }

// "1", "1 and 2", "1, 2 and 3"
std::string enumerate(const std::vector<std::string>& items, std::string_view last = "and") {
  std::string text;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) text += i + 1 == items.size() ? " " + std::string(last) + " " : ", ";
    text += items[i];
  }
  return text;
}

std::string enumerate_leads(const Profile& profile, std::string_view last) {
  std::vector<std::string> items;
  for (const UserId user : profile.team_leads) items.push_back(to_string(user));
  if (profile.leads_left_out > 0) {
    items.push_back(std::to_string(profile.leads_left_out) + " more");
  }
  return enumerate(items, last);
}

// "profile 20 (report-to-them)"
std::string name_of(ProfileId profile, const std::string& level) {
  return "profile " + to_string(profile) + " (" + clean(level) + ")";
}

// Writes of now or of then.
class Writer {
 public:
  Writer(const Finding& finding, bool is_past) : finding_(finding), is_past_(is_past) {}

  std::string ways() const {
    std::string text;
    for (const auto& way : finding_.ways) {
      constexpr std::size_t kMargin = 15;  // of the longest name
      std::string label = "  " + clean(way.name);
      label.resize(std::max(kMargin, label.size() + 2), ' ');
      text += wrap(sentence_of(way), label, label.size()) + draw(way, label.size());
    }
    return text;
  }

  std::string refusal() const {
    const std::string& reason = finding_.reason;
    if (reason == "unknown call") {
      return tense("There is no such call: no record of it was loaded, or it was removed.",
                   "There was no such call then.");
    }
    if (reason == "unknown user") {
      return tense("There is no such user: no record of them was loaded, or they were removed.",
                   "There was no such user then.");
    }
    if (reason == "user inactive") return inactive();
    if (reason == "grant expired" && finding_.expired_at) {
      return "They were given it until " + format_time(*finding_.expired_at) +
             tense(". That is over, and no other way is open to them.",
                   ". That was over, and no other way was open to them.");
    }
    if (reason == "call is private") {
      return tense(
          "The call is private: it is open to those who take part in it, to those it was shared "
          "with and to those it was given to, and they are none of these. No permission profile "
          "opens a private call.",
          "The call was private: it was open to those who took part in it, to those it had been "
          "shared with and to those it had been given to, and they were none of these. No "
          "permission profile opens a private call.");
    }
    return tense(
               "They take no part in the call, it was not shared with them, and they were not "
               "given it. ",
               "They took no part in the call, it had not been shared with them, and they had not "
               "been given it. ") +
           profile_refusal();
  }

 private:
  std::string tense(std::string_view now, std::string_view then) const {
    return std::string(is_past_ ? then : now);
  }

  std::string sentence_of(const Way& way) const {
    if (way.name == "individual") return sentence_of_grant(way);
    if (way.name == "shared") {
      return tense("It was shared with them.", "It had been shared with them.");
    }
    if (way.name == "participant") {
      return tense("They take part in it, as its host or as one of its parties.",
                   "They took part in it, as its host or as one of its parties.");
    }
    if (way.name == "profile" && way.profile) return sentence_of_profile(way);
    return tense("Earshot says so.", "Earshot says so.");
  }

  std::string sentence_of_grant(const Way& way) const {
    std::string text = tense("They were given it", "They had been given it");
    if (way.expires_at) {
      text += ", until " + format_time(*way.expires_at) + ".";
    } else {
      text += tense("; the grant does not expire.", "; the grant did not expire.");
    }
    if (!way.note.empty()) text += " Its note: " + clean(way.note);
    return text;
  }

  std::string sentence_of_profile(const Way& way) const {
    std::string text = "Their " + name_of(*way.profile, way.level) + tense(" covers ", " covered ");
    if (way.level == "all") {
      return text + tense("every call of its workspace that is not private.",
                          "every call of its workspace that was not private.");
    }
    if (way.level == "own") {
      return text + tense("the calls that they take part in.", "the calls that they took part in.");
    }
    if (way.lead) {
      text += "the calls of the teams of its team leads";
    } else if (way.level == "report-to-them") {
      text += "the calls of their team";
    } else if (way.level == "managers-team") {
      text += "the calls of their manager's team";
    } else {
      text += "it";
    }
    if (way.chain.empty()) return text + ".";
    const std::string first = to_string(way.chain.front());
    return text + tense(", and " + first + ", who takes part in this one, is in it:",
                        ", and " + first + ", who took part in this one, was in it:");
  }

  // From whoever takes part up to the one whose team it is.
  std::string draw(const Way& way, std::size_t margin) const {
    if (way.chain.empty() || way.level == "own") return "";
    std::string text = std::string(margin, ' ') + to_string(way.chain.front());
    const bool is_cut = way.left_out > 0 || way.chain.size() > kChainDrawnMax;
    const std::size_t drawn = std::min(way.chain.size(), kChainDrawnMax);
    std::size_t indent = margin;
    const auto rise = [&](const std::string& what) {
      text += "\n" + std::string(indent, ' ') + "└─ " + what;
      indent += 3;
    };
    for (std::size_t i = 1; i + 1 < drawn; ++i) {
      rise(tense("reports to ", "reported to ") + to_string(way.chain[i]));
    }
    if (is_cut) {
      rise("… " + std::to_string(way.chain.size() - drawn + way.left_out) + " more …");
    }
    const std::string role = ", " + role_of(way) + "\n";
    if (way.chain.size() == 1) return text + role;
    rise(tense("reports to ", "reported to ") + to_string(way.chain.back()));
    return text + role;
  }

  std::string role_of(const Way& way) const {
    if (way.lead) return "a team lead of the profile";
    return way.chain.back() == finding_.pair.user ? "the user" : "the user's manager";
  }

  std::string inactive() const {
    const std::string text = tense("They are inactive, and who is inactive hears nothing. ",
                                   "They were inactive, and who is inactive hears nothing. ");
    if (finding_.ways_if_active.empty()) {
      return text + tense("If they were active, no way would be open to them either.",
                          "Had they been active, no way would have been open to them either.");
    }
    return text +
           tense("Nothing was taken from them: if they were active, they could hear it (",
                 "Nothing had been taken from them: had they been active, they could have "
                 "heard it (") +
           clean(enumerate(finding_.ways_if_active)) + ").";
  }

  // Why no profile helps, where that is what was missing in the end.
  std::string profile_refusal() const {
    const std::string& reason = finding_.reason;
    if (reason == "unknown workspace") {
      return tense(
          "No permission profile can cover it, since it is in no workspace that has a record.",
          "No permission profile could cover it, since it was in no workspace that had a record.");
    }
    if (reason == "no profile in this workspace") {
      return tense("In its workspace they have no permission profile.",
                   "In its workspace they had no permission profile.");
    }
    if (!finding_.profile) return "Reason: " + clean(reason) + ".";
    const Profile& profile = *finding_.profile;
    const std::string covers =
        "Their " + name_of(profile.id, profile.level) + tense(" covers ", " covered ");
    if (reason == "profile gives no calls") return covers + "no calls.";
    if (reason == "not a participant") {
      return covers +
             tense("only calls that they take part in.", "only calls that they took part in.");
    }
    if (reason == "no participant reports to the user") {
      return covers + tense(
                          "the calls of their team, and nobody who takes part in this one reports "
                          "to them.",
                          "the calls of their team, and nobody who took part in this one "
                          "reported to them.");
    }
    if (reason == "user has no manager") {
      return covers + tense(
                          "the calls of their manager's team, and they have no manager, or one "
                          "who does not exist.",
                          "the calls of their manager's team, and they had no manager, or one "
                          "who did not exist.");
    }
    if (reason == "no participant reports to the user's manager") {
      return covers + tense(
                          "the calls of their manager's team, and nobody who takes part in this "
                          "one is in it.",
                          "the calls of their manager's team, and nobody who took part in this "
                          "one was in it.");
    }
    if (reason == "no participant reports to a team lead") {
      return covers + "the calls of the teams of its team leads (" +
             enumerate_leads(profile, "and") +
             tense("), and nobody who takes part in this one is in them.",
                   "), and nobody who took part in this one was in them.");
    }
    return "Reason: " + clean(reason) + ".";
  }

  const Finding& finding_;
  const bool is_past_;
};

bool is_any_of(std::string_view text, std::initializer_list<std::string_view> texts) {
  return std::ranges::find(texts, text) != texts.end();
}

// What opens a call to a user whose profile does not cover it. A profile is named only where the
// call is in its workspace and not private.
void add_profile_alternatives(const Finding& finding, std::vector<Alternative>& any_of) {
  if (finding.reason == "no profile in this workspace") {
    any_of.push_back({"a permission profile of level all in the call's workspace",
                      "first in profileIds of the user's record"});
  }
  if (!finding.profile) return;
  const Profile& profile = *finding.profile;
  const bool has_leads = !profile.team_leads.empty();
  const bool goes_by_team = is_any_of(profile.level, {"report-to-them", "managers-team"});
  any_of.push_back({"level all of profile " + to_string(profile.id),
                    "permissionLevel of its record; it then holds for all who have the profile"});
  if (!goes_by_team) return;
  if (has_leads) {
    any_of.push_back(
        {"a chain of managers from somebody who takes part up to " + enumerate_leads(profile, "or"),
         "managerId of users' records; a lead without a record leads nobody"});
  } else if (profile.level == "report-to-them") {
    any_of.push_back({"a chain of managers from somebody who takes part up to them",
                      "managerId of users' records"});
  } else {
    any_of.push_back({"a manager who is above somebody who takes part, directly or through others",
                      "managerId of users' records"});
  }
}

std::string record_of(std::string_view kind, const Pair& pair) {
  return R"({"kind":")" + std::string(kind) + R"(","callId":")" + to_string(pair.call) +
         R"(","userId":")" + to_string(pair.user) + R"("})";
}

std::string describe_alternatives(const Finding& finding, bool is_past) {
  const Alternatives found = find_alternatives(finding);
  if (!found.is_possible) {
    if (is_past) return "";
    return paragraph(
        "Nothing can open it before the record is loaded (earshot load). Is the id right?");
  }
  if (found.needs_activation && found.any_of.empty()) {
    if (is_past) return "";
    return paragraph("It opens when they are active again: \"active\":true in the user's record.");
  }
  std::string text = found.needs_activation ? "Besides their being active, any one of these "
                                            : "Any one of these ";
  text += is_past ? "would have opened it to them:\n" : "would open it to them:\n";
  for (const auto& [what, how] : found.any_of) {
    text += wrap(what, "  - ", 4);
    if (!is_past) text += "      " + how + "\n";
  }
  return text;
}

}  // namespace

Alternatives find_alternatives(const Finding& finding) {
  Alternatives found;
  if (is_any_of(finding.reason, {"unknown call", "unknown user"})) {
    found.is_possible = false;
    return found;
  }
  found.needs_activation = finding.reason == "user inactive";
  if (found.needs_activation && !finding.ways_if_active.empty()) return found;
  const std::string user = to_string(finding.pair.user), call = to_string(finding.pair.call);
  found.any_of.push_back({"an individual grant", "earshot give " + user + " " + call});
  found.any_of.push_back({"a share", "the record " + record_of("share", finding.pair)});
  found.any_of.push_back({"a part in the call, as its host or as a party",
                          "primaryUserId or partyUserIds of the call's record"});
  add_profile_alternatives(finding, found.any_of);
  return found;
}

std::vector<std::string> list_alternatives(const Finding& finding) {
  std::vector<std::string> texts;
  const Alternatives found = find_alternatives(finding);
  if (found.needs_activation && found.any_of.empty()) texts.emplace_back("that they are active");
  for (const auto& alternative : found.any_of) {
    texts.push_back((found.needs_activation ? "that they are active, and " : "") +
                    alternative.what);
  }
  return texts;
}

std::string explain(const Finding& finding, const AsOf& as_of, const Moment& moment) {
  const bool is_past = moment.revision || moment.at;
  const std::string user = "user " + to_string(finding.pair.user);
  const std::string call = "call " + to_string(finding.pair.call);
  const std::string time = format_time(as_of.time);
  std::string text = finding.allowed ? "Yes: " : "No: ";
  if (moment.at) text += "on " + time + " ";
  if (moment.revision) text += "at revision " + std::to_string(as_of.revision) + " ";
  text += user + (is_past ? " could " : " may ") + (finding.allowed ? "" : "not ") + "hear " + call;
  const Writer writer(finding, is_past);
  if (finding.allowed) {
    text += finding.ways.size() == 1 ? ", in one way."
                                     : ", in " + std::to_string(finding.ways.size()) + " ways.";
    text = paragraph(text) + "\n" + writer.ways();
  } else {
    text = paragraph(text + ".") + "\n" + paragraph(writer.refusal());
    const std::string alternatives = describe_alternatives(finding, is_past);
    if (!alternatives.empty()) text += "\n" + alternatives;
  }
  return text + "\nThis is as of revision " + std::to_string(as_of.revision) + ", " + time + ".\n";
}

std::string summarize(const Finding& finding) {
  if (!finding.allowed) {
    std::string text = finding.reason;
    if (finding.reason == "grant expired" && finding.expired_at)
      text += " on " + format_time(*finding.expired_at);
    return text;
  }
  std::vector<std::string> items;
  for (const auto& way : finding.ways) {
    std::string item = way.name;
    if (way.expires_at) item += " until " + format_time(*way.expires_at);
    if (way.profile) item = name_of(*way.profile, way.level);
    items.push_back(std::move(item));
  }
  std::string text;
  for (const auto& item : items) text += (text.empty() ? "" : ", ") + item;
  return text;
}

}  // namespace earshot::client
