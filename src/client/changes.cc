#include <algorithm>
#include <utility>

#include "base/ids.h"
#include "client/audit.h"
#include "client/audit_answers.h"

namespace earshot::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t kChangesOfPage = 1000;  // as many as the server gives
// Less than what proxies usually let a connection be silent for.
constexpr std::chrono::seconds kHold{25};
constexpr milliseconds kOutagePause{2'000};  // between questions to a server that is away
constexpr milliseconds kEmptyPause{1'000};   // where the server did not hold its answer back

class Reader {
 public:
  Reader(Session& session, const ListChanges& list)
      : session_(session), list_(list), table_(session.out, {"TIME", "REVISION", "BY", "CHANGE"}) {}

  Status run() {
    position_ = list_.after ? *list_.after : TRY(find_beginning());
    bool is_at_end = false;
    while (!is_at_end || list_.follows) {
      const auto began = steady_clock::now();
      const Position before = position_;
      is_at_end = TRY(read_page(is_at_end));
      if (position_ != before) continue;
      if (!is_at_end) return not_of_this_release();
      if (list_.follows && steady_clock::now() - began < kEmptyPause) session_.pause(kEmptyPause);
    }
    return {};
  }

 private:
  // Behind which revision the last ones begin that were asked for, of those that are kept.
  Result<Position> find_beginning() {
    const auto head = TRY(ask({"GET", path_of("/changes/head")}));
    const std::uint64_t newest = TRY(decode_head(head.body));
    const auto answer =
        TRY(ask({"GET", path_of("/changes?after=" + std::to_string(newest) + "&limit=1")}));
    const std::uint64_t oldest = TRY(decode_changes(answer.body)).oldest;
    const std::uint64_t last = list_.last.value_or(list_.follows ? kFollowedFrom : newest);
    const std::uint64_t wanted = newest - std::min(newest, last);
    if (oldest > wanted) {
      TRY(session_.say("revisions up to " + std::to_string(oldest) +
                       " are not kept any more; what follows begins behind them"));
    }
    return Position{std::max(oldest, wanted), {}};
  }

  // Prints what is behind the position, and moves that; whether it is the end.
  Result<bool> read_page(bool waits) {
    std::string target = path_of("/changes?after=" + to_string(position_) +
                                 "&limit=" + std::to_string(kChangesOfPage));
    if (list_.call) target += "&callId=" + to_string(*list_.call);
    if (list_.user) target += "&userId=" + to_string(*list_.user);
    Remote::Request request{"GET", target};
    if (waits) {
      request.target += "&wait=" + std::to_string(kHold.count());
      request.hold = kHold;
      request.is_wanted = [this] { return session_.out.has_reader(); };
    }
    const auto answer = TRY(ask(request));
    const auto page = TRY(decode_changes(answer.body));
    if (!is_behind_position(page)) return not_of_this_release();
    for (const auto& revision : page.revisions) {
      if (session_.as_json) {
        TRY(session_.print(revision.json + "\n"));
        continue;
      }
      for (const auto& change : revision.changes) {
        table_.add({revision.time, std::to_string(revision.revision), revision.by, change.text});
      }
    }
    TRY(session_.print(table_));
    position_ = page.next;
    return page.is_end;
  }

  // Whether nothing of the page was there before, and the next one begins behind it.
  bool is_behind_position(const ChangesPage& page) const {
    // Revision, and how many of its changes were seen.
    using Seen = std::pair<std::uint64_t, std::uint64_t>;
    const auto seen = [](const Position& position) {
      return Seen{position.revision, position.changes.value_or(kIdMax)};
    };
    Seen at = seen(position_);
    for (const auto& revision : page.revisions) {
      if (revision.changes.empty() && revision.revision < at.first) return false;
      for (const auto& change : revision.changes) {
        const Seen now{revision.revision, change.n + 1};
        if (now <= at) return false;
        at = now;
      }
    }
    return at <= seen(page.next);
  }

  // While it follows, a server that is away is waited for, once it has answered.
  Result<Remote::Answer> ask(const Remote::Request& request) {
    for (bool is_told = false;; is_told = true) {
      auto answer = session_.remote.ask(request);
      if (answer) {
        has_answered_ = true;
        return answer;
      }
      const Error& error = answer.error();
      const bool is_away = error.code == Code::unavailable || error.code == Code::not_found;
      if (!is_away || !list_.follows || !has_answered_ || !session_.out.has_reader()) return error;
      if (!is_told) {
        TRY(session_.say(error.message + "; goes on behind " + to_string(position_) +
                         " when it answers again"));
      }
      session_.pause(std::max(kOutagePause, session_.remote.asked_to_wait()));
    }
  }

  Session& session_;
  const ListChanges& list_;
  Table table_;
  Position position_;
  bool has_answered_ = false;
};

}  // namespace

std::optional<Position> parse_position(std::string_view text) {
  if (text == "0") return Position{};
  const auto dot = text.find('.');
  const auto revision = parse_id_number(text.substr(0, dot));
  if (!revision) return std::nullopt;
  if (dot == std::string_view::npos) return Position{*revision, {}};
  const auto changes = parse_id_number(text.substr(dot + 1));
  if (!changes || *changes > kPositionChangesMax) return std::nullopt;
  return Position{*revision, *changes};
}

std::string to_string(const Position& position) {
  std::string text = std::to_string(position.revision);
  if (position.changes) text += "." + std::to_string(*position.changes);
  return text;
}

Status list_changes(Session& session, const ListChanges& list) {
  return Reader(session, list).run();
}

}  // namespace earshot::client
