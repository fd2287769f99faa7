#include "client/run.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/random.h"
#include "client/answers.h"
#include "client/audit.h"
#include "client/encode.h"
#include "client/explanation.h"
#include "client/pairs.h"
#include "client/session.h"
#include "client/table.h"

namespace earshot::client {
namespace {

constexpr std::size_t kPageLimit = 1000;          // items of a page, as many as the server gives
constexpr std::size_t kBodyBytesMax = 8'000'000;  // servers take a little more by default
constexpr std::size_t kPairBytesMax = 160;        // in a body, without its note
constexpr std::size_t kEscapedBytesMax = 6;       // of a byte of a note: \u0001

// Of pairs with a long note fewer fit into a body.
std::size_t pairs_together(const ChangeGrants& change) {
  return std::min(change.pairs.batch,
                  kBodyBytesMax / (kPairBytesMax + kEscapedBytesMax * change.note.size()) + 1);
}

// One command on its way. Each of its parts prints what it learns at once, so that memory holds one
// answer at most.
class Run {
 public:
  explicit Run(Session& session) : session_(session) {}

  Result<ExitCode> operator()(const ChangeGrants& change) {
    const auto pairs = TRY(gather(change.pairs));
    const bool is_all = change.all_of_user || change.all_of_call;
    const std::size_t together = pairs_together(change);
    const std::size_t requests = is_all ? 1 : (pairs.size() + together - 1) / together;
    if (requests > 1 && change.if_revision) {
      // The first request would be a change since that revision for the second.
      return invalid_argument("--if-revision: is for one request; there are " +
                              std::to_string(pairs.size()) + " pairs, and at most " +
                              std::to_string(together) + " go into one");
    }
    const std::string key =
        change.idempotency_key.empty() ? make_random_text(22) : change.idempotency_key;
    Table table(session_.out, {"USER", "CALL", "RESULT", "EXPIRES", "NOTE"});
    ExitCode code = kYes;
    std::span<const Pair> rest = pairs;
    for (std::size_t i = 1; i <= requests; ++i) {
      const auto batch = rest.first(std::min(rest.size(), together));
      rest = rest.subspan(batch.size());
      Remote::Request request{change.gives ? "PUT" : "DELETE", path_of("/grants"),
                              encode_grants(batch, change)};
      if (!change.dry_run) {
        request.idempotency_key = requests == 1 ? key : key + "." + std::to_string(i);
      }
      const auto answer = session_.remote.ask(request);
      if (!answer) {
        return lost_change(answer.error(), change, key, pairs.size() - rest.size() - batch.size(),
                           pairs.size());
      }
      const auto decoded = TRY(decode_grants(answer->body));
      if (!is_all && decoded.results.size() != batch.size()) return not_of_this_release();
      TRY(print(decoded, change.dry_run, table));
      if (answer->is_replay && !change.idempotency_key.empty()) {
        TRY(session_.say("answered before; nothing was done again"));
      }
      for (const auto& result : decoded.results) {
        if (result.result.starts_with("unknown")) code = kNo;
      }
    }
    return code;
  }

  Result<ExitCode> operator()(const Check& check) {
    const auto pairs = TRY(gather(check.pairs));
    Table table(session_.out, {"USER", "CALL", "ACCESS", "BY"});
    ExitCode code = kYes;
    std::span<const Pair> rest = pairs;
    while (!rest.empty()) {
      const auto batch = rest.first(std::min(rest.size(), check.pairs.batch));
      rest = rest.subspan(batch.size());
      const auto answer = TRY(ask_about(batch, check.moment));
      for (const auto& finding : answer.findings) {
        if (!finding.allowed) code = kNo;
        const auto& [user, call] = finding.pair;
        if (session_.as_json) {
          TRY(session_.print(json_line(finding, answer.as_of)));
        } else {
          table.add({to_string(user), to_string(call), finding.allowed ? "yes" : "no",
                     summarize(finding)});
        }
      }
      TRY(session_.print(table));
    }
    return code;
  }

  Result<ExitCode> operator()(const Why& why) {
    const auto answer = TRY(ask_about({&why.pair, 1}, why.moment));
    const Finding& finding = answer.findings.front();
    if (session_.as_json) {
      const auto alternatives =
          finding.allowed ? std::vector<std::string>() : list_alternatives(finding);
      TRY(session_.print(json_line(finding, answer.as_of, alternatives)));
    } else {
      TRY(session_.print(explain(finding, answer.as_of, why.moment)));
    }
    return finding.allowed ? kYes : kNo;
  }

  Result<ExitCode> operator()(const Who& who) {
    Table table(session_.out, {"USER", "BY"});
    const auto target = path_of("/calls/" + to_string(who.call) + "/access");
    return list_pages(
        target, {}, who.moment,
        [&](std::string_view body) { return decode_call_page(body, who.call); },
        [](const Pair& pair) { return to_string(pair.user); }, table, "nobody\n");
  }

  Result<ExitCode> operator()(const ListCalls& list) {
    Table table(session_.out, {"CALL", "BY"});
    std::string query;
    for (const auto& way : list.ways) query += "&way=" + way;
    const auto target = path_of("/users/" + to_string(list.user) + "/access");
    return list_pages(
        target, query, list.moment,
        [&](std::string_view body) { return decode_user_page(body, list.user); },
        [](const Pair& pair) { return to_string(pair.call); }, table, "no calls\n");
  }

  Result<ExitCode> operator()(const ListGrants& list) {
    Table table(session_.out, {"USER", "CALL"});
    const auto answer =
        TRY(session_.remote.ask({"POST", "/v2/calls/users-access", encode_filter(list.calls)}));
    for (const auto& pair : TRY(decode_listed(answer.body))) {
      if (session_.as_json) {
        TRY(session_.print(json_line(pair)));
      } else {
        table.add({to_string(pair.user), to_string(pair.call)});
      }
    }
    TRY(session_.print(table));
    return kYes;
  }

  Result<ExitCode> operator()(const ListChanges& question) {
    return done(list_changes(session_, question));
  }
  Result<ExitCode> operator()(const ListRefusals& question) {
    return done(list_refusals(session_, question));
  }
  Result<ExitCode> operator()(const ListKeys&) { return done(list_keys(session_)); }
  Result<ExitCode> operator()(const CreateKey& question) {
    return done(create_key(session_, question));
  }
  Result<ExitCode> operator()(const RevokeKey& question) {
    return done(revoke_key(session_, question));
  }

 private:
  static Result<ExitCode> done(Status status) {
    TRY(std::move(status));
    return kYes;
  }

  static std::string query_of(const Moment& moment) {
    if (moment.at) return "at=" + format_time(*moment.at);
    if (moment.revision) return "revision=" + std::to_string(*moment.revision);
    return "";
  }

  // What does not know of moments would answer as of now.
  static bool is_of(const AsOf& as_of, const Moment& moment) {
    return (!moment.at || *moment.at == as_of.time) &&
           (!moment.revision || *moment.revision == as_of.revision);
  }

  static Result<std::vector<Pair>> gather(const Pairs& pairs) {
    if (pairs.file.empty()) return pairs.named;
    return read_pairs(pairs.file);
  }

  Status print(const GrantsAnswer& answer, bool is_dry_run, Table& table) {
    for (const auto& result : answer.results) {
      if (session_.as_json) {
        TRY(session_.print(json_line(result, answer, is_dry_run)));
      } else {
        table.add({to_string(result.pair.user), to_string(result.pair.call), result.result,
                   result.expires_at ? format_time(*result.expires_at) : "", result.note});
      }
    }
    return session_.print(table);
  }

  Result<CheckAnswer> ask_about(std::span<const Pair> pairs, const Moment& moment) {
    std::string target = path_of("/access/check");
    if (const std::string query = query_of(moment); !query.empty()) target += "?" + query;
    const auto answer = TRY(session_.remote.ask({"POST", target, encode_checks(pairs)}));
    auto decoded = TRY(decode_check(answer.body));
    const auto& findings = decoded.findings;
    const bool is_of_these = std::ranges::equal(
        findings, pairs,
        [](const Finding& finding, const Pair& pair) { return finding.pair == pair; });
    if (!is_of_these || !is_of(decoded.as_of, moment)) return not_of_this_release();
    return decoded;
  }

  // Prints all pages, or says that something is missing.
  template <class Decode, class Show>
  Result<ExitCode> list_pages(const std::string& target, const std::string& query,
                              const Moment& moment, Decode decode, Show show, Table& table,
                              std::string_view nothing) {
    std::string first = target + "?limit=" + std::to_string(kPageLimit) + query;
    if (const std::string text = query_of(moment); !text.empty()) first += "&" + text;
    std::optional<std::string> cursor;
    bool has_printed = false;
    for (;;) {
      const auto answer =
          session_.remote.ask({"GET", cursor ? first + "&cursor=" + *cursor : first});
      auto page = answer ? decode(answer->body) : Result<Page>(answer.error());
      const bool stands_still = page && page->cursor && page->cursor == cursor;
      if (page && (stands_still || !is_of(page->as_of, moment))) page = not_of_this_release();
      if (!page) {
        if (has_printed) TRY(session_.say("the list above is not complete"));
        return page.error();
      }
      for (const auto& finding : page->findings) {
        has_printed = true;
        if (session_.as_json) {
          TRY(session_.print(json_line(finding, page->as_of)));
        } else {
          table.add({show(finding.pair), summarize(finding)});
        }
      }
      TRY(session_.print(table));
      if (!page->reason.empty()) TRY(session_.say("they hear nothing: " + page->reason));
      if (!page->cursor) {
        const bool is_for_people = session_.out.is_terminal() && !session_.as_json;
        if (is_for_people && !has_printed && page->reason.empty()) TRY(session_.print(nothing));
        return kYes;
      }
      cursor = page->cursor;
    }
  }

  // The error, what was done before it, and how to learn whether the rest was done all the same.
  static Error lost_change(Error error, const ChangeGrants& change, const std::string& key,
                           std::size_t done, std::size_t all) {
    if (done > 0) {
      error.message += ". Before that, " + std::to_string(done) + " of " + std::to_string(all) +
                       " pairs were done";
    }
    if (error.code == Code::unavailable && !change.dry_run) {
      error.message +=
          ". Whether this was done is not known: the same command with --idempotency-key " + key +
          " tells, and does nothing twice";
    }
    return error;
  }

  Session& session_;
};

ExitCode code_of(const Error& error) {
  switch (error.code) {
    case Code::invalid_argument:
      return kMisused;
    case Code::denied:
      return kRefused;
    case Code::unavailable:
    case Code::not_found:
      return kNoAnswer;
    default:
      return kBroken;
  }
}

Result<ExitCode> ask(const Command& command, Output& out, Output& err, const Pause& pause) {
  Session session{TRY(Remote::open(command.server, pause)), out, err, pause, command.as_json};
  Run run(session);
  return std::visit([&run](const auto& question) { return run(question); }, command.question);
}

}  // namespace

ExitCode run(const Command& command, Output& out, Output& err, const Pause& pause) {
  auto code = ask(command, out, err, pause);
  // What follows ends when nobody reads on, as tail -f does.
  const auto* changes = std::get_if<ListChanges>(&command.question);
  if (changes != nullptr && changes->follows && !out.has_reader()) return kYes;
  if (code) {
    if (const auto flushed = out.flush(); !flushed) code = internal(flushed.error().message);
  }
  if (code) return *code;
  (void)err.write("earshot: " + clean(code.error().message) + "\n");
  (void)err.flush();
  return code_of(code.error());
}

}  // namespace earshot::client
