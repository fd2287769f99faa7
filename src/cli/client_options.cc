#include "cli/client_options.h"

#include <algorithm>
#include <utility>

#include "cli/values.h"
#include "http/client.h"
#include "records/limits.h"

namespace earshot::cli {
namespace {

constexpr std::string_view kServerDefault = "http://127.0.0.1:8080";

Error no_time(const std::string& text) {
  return invalid_argument("'" + text + "' is no time, such as 2026-03-01T10:00:00Z or 2026-03-01");
}

// A time, or a day: its beginning, UTC.
Result<Time> parse_moment(const std::string& text) {
  constexpr std::size_t kDayChars = 10;
  const auto time = parse_time(text.size() == kDayChars ? text + "T00:00:00Z" : text);
  if (!time) return no_time(text);
  return *time;
}

// A time to come, or how long from now; not in seconds without saying so, since whoever writes 30
// may well mean days.
Result<Time> parse_expiry(const std::string& text) {
  const bool has_unit = text.find_first_not_of("0123456789") != std::string::npos;
  if (const auto duration = parse_duration(text); duration && has_unit) {
    return Time{wall_now().micros + std::chrono::microseconds(*duration).count()};
  }
  const auto time = parse_moment(text);
  if (!time) {
    return invalid_argument("'" + text +
                            "' is neither a time, such as 2027-01-01T00:00:00Z, nor a "
                            "duration, such as 30d");
  }
  return *time;
}

template <class IdType>
Result<IdType> parse_id_text(const std::string& text) {
  if (const auto id = parse_id<IdType>(text)) return *id;
  return invalid_argument("'" + text + "' is no id, which is a number of 1 to 19 digits");
}

Result<std::uint64_t> parse_revision(const std::string& text) {
  return parse_count(text, 0, kIdMax);
}

Result<client::Position> parse_position_text(const std::string& text) {
  if (const auto position = client::parse_position(text)) return *position;
  return invalid_argument("'" + text + "' is no position, such as 7 or 7.1000");
}

// Not in seconds without saying so, either.
Result<std::chrono::seconds> parse_overlap(const std::string& text) {
  const auto duration = parse_duration(text);
  const bool has_unit = text.find_first_not_of("0123456789") != std::string::npos;
  if (!duration || !has_unit || duration->count() % 1000 != 0) {
    return invalid_argument("'" + text +
                            "' is no duration in whole seconds, such as 7d, 12h or 0s");
  }
  return std::chrono::duration_cast<std::chrono::seconds>(*duration);
}

Result<std::string> parse_note(const std::string& text) {
  if (text.size() <= records::kNoteBytesMax) return text;
  return invalid_argument("is longer than " + std::to_string(records::kNoteBytesMax) + " bytes");
}

Result<std::string> parse_idempotency_key(const std::string& text) {
  const bool is_visible = std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7F; });
  if (!text.empty() && text.size() <= client::kIdempotencyKeyCharsMax && is_visible) return text;
  return invalid_argument("give 1 to " + std::to_string(client::kIdempotencyKeyCharsMax) +
                          " visible ASCII characters");
}

// What all commands that ask a server have.
class ClientParser : public Parser {
 public:
  ClientParser(const std::string& name, const std::string& description)
      : Parser(name, description), name_(name) {
    command_.server.url = kServerDefault;
  }

  template <class IdType, class Keep>
  CLI::Option* id(const std::string& name, const std::string& help, Keep keep) {
    return value(name, help, name.starts_with("--") ? "ID" : name, parse_id_text<IdType>, keep);
  }

  // USER CALL..., or a file of pairs.
  void pairs(client::Pairs& pairs) {
    id<UserId>("USER", "whose access", [this](UserId id) { user_ = id; });
    texts("CALL", calls_, "to which calls", "CALL");
    text("--from", pairs.file,
         "file of pairs, one a line: USER CALL, or a line that --json printed; -: standard input",
         "FILE");
    count("--batch", pairs.batch, 1, client::kBatchMax,
          "pairs in one request, which is done whole or not at all");
  }

  void moment(client::Moment& moment) {
    value("--at", "as of this time; not given: now", "TIME", parse_moment,
          [&moment](Time time) { moment.at = time; });
    value("--revision", "as of this revision", "N", parse_revision,
          [&moment](std::uint64_t revision) { moment.revision = revision; });
  }

  // Declares what all have, reads the command line, and checks what concerns all.
  Result<std::optional<Text>> read(const Invocation& invocation) {
    text("--server", command_.server.url, "address of the server", "URL")->capture_default_str();
    text("--key-file", command_.server.key_file,
         "file with accessKey:secret, of mode 0600; or set EARSHOT_KEY=accessKey:secret", "FILE");
    text("--ca-file", command_.server.ca_file,
         "whose certificates to believe; not given: those that the system believes", "PEM");
    flag("--insecure-plaintext", is_insecure_,
         "allow http:// to other addresses than loopback, with the secret in the clear");
    duration("--timeout", command_.server.timeout, "of one request, with its repetitions");
    count("--retries", command_.server.retries, 0, 100,
          "repeat a request so often that got no answer, or 429, 502, 503 or 504");
    flag("--json", command_.as_json, "print JSON, one object a line");
    const bool has_key = std::ranges::any_of(invocation.arguments, [](const auto& argument) {
      return argument == "--key" || argument.starts_with("--key=");
    });
    if (has_key) {
      return invalid_argument(
          "--key: a secret on the command line can be seen by others: set EARSHOT_KEY or give "
          "--key-file");
    }
    if (auto help = TRY(parse(invocation))) return std::optional(std::move(*help));
    TRY(check_server(invocation.environment));
    return std::optional<Text>();
  }

  // The pairs that were named. `other_choice` is what else the command takes. REQUIRES: pairs() and
  // read().
  Status gather(client::Pairs& pairs, const std::string& other_choice = "") const {
    if (!pairs.file.empty()) {
      if (user_) return invalid_argument("--from: in place of USER and CALL, not besides");
      return {};
    }
    if (!user_ || calls_.empty()) {
      return invalid_argument(name_ + ": say USER and CALL, or --from FILE" + other_choice);
    }
    for (const auto& text : calls_) {
      const auto call = parse_id_text<CallId>(text);
      if (!call) return invalid_argument("CALL: " + call.error().message);
      pairs.named.push_back({*user_, *call});
    }
    return {};
  }

  bool has_named_pairs() const { return user_ || !calls_.empty(); }

  Result<Task> task(client::Question question) {
    command_.question = std::move(question);
    return Task(std::move(command_));
  }

 private:
  Status check_server(const Environment& environment) {
    auto& server = command_.server;
    const auto address = http::parse_server_address(server.url);
    if (!address) return invalid_argument("--server: " + address.error().message);
    if (!address->is_tls && !is_insecure_ && !is_loopback(address->host)) {
      return invalid_argument(
          "--server: the secret would go in the clear to " + address->host +
          ", which is no loopback address; give an https:// address, or --insecure-plaintext");
    }
    const auto key = environment("EARSHOT_KEY");
    if (key && !server.key_file.empty()) {
      return invalid_argument("--key-file: EARSHOT_KEY is set too; give one of them");
    }
    if (!key && server.key_file.empty()) {
      return invalid_argument("no key: set EARSHOT_KEY=accessKey:secret or give --key-file FILE");
    }
    if (!key) return {};
    const auto parsed = client::parse_key(*key);
    if (!parsed) return invalid_argument("EARSHOT_KEY: " + parsed.error().message);
    server.key = *parsed;
    return {};
  }

  const std::string name_;
  client::Command command_;
  bool is_insecure_ = false;
  std::optional<UserId> user_;
  std::vector<std::string> calls_;
};

Status check_moment(const client::Moment& moment) {
  if (!moment.at || !moment.revision) return {};
  return invalid_argument("--at and --revision: give one of them");
}

Result<Task> parse_change(client::ChangeGrants change, ClientParser& parser,
                          const Invocation& invocation) {
  parser.pairs(change.pairs);
  parser.flag("--dry-run", change.dry_run, "tell what would be done, and do nothing");
  parser.value("--if-revision", "only if none of the calls has changed after this revision", "N",
               parse_revision, [&](std::uint64_t revision) { change.if_revision = revision; });
  parser.value(
      "--idempotency-key", "with the same key and the same pairs again, nothing is done twice",
      "KEY", parse_idempotency_key, [&](const std::string& key) { change.idempotency_key = key; });
  bool expires_by_clock = false;
  if (change.gives) {
    parser.value(
        "--expires", "when it ends, or how long it lasts; not given: for good", "TIME|DURATION",
        [&](const std::string& text) {
          expires_by_clock = parse_duration(text).has_value();
          return parse_expiry(text);
        },
        [&](Time time) { change.expires_at = time; });
    parser.value("--note", "why, for those who read it later", "TEXT", parse_note,
                 [&](const std::string& note) { change.note = note; });
  } else {
    parser.id<UserId>("--all-of-user", "all that was given to this user",
                      [&](UserId id) { change.all_of_user = id; });
    parser.id<CallId>("--all-of-call", "all that was given of this call",
                      [&](CallId id) { change.all_of_call = id; });
  }
  if (auto help = TRY(parser.read(invocation))) return Task(std::move(*help));
  if (expires_by_clock && !change.idempotency_key.empty()) {
    return invalid_argument(
        "--expires: with --idempotency-key give a time; a duration makes another request of it "
        "each time");
  }
  if (!change.all_of_user && !change.all_of_call) {
    TRY(parser.gather(change.pairs,
                      change.gives ? "" : ", or --all-of-user ID, or --all-of-call ID"));
  } else if ((change.all_of_user && change.all_of_call) || parser.has_named_pairs() ||
             !change.pairs.file.empty()) {
    return invalid_argument("--all-of-user, --all-of-call: one of them, without pairs");
  }
  return parser.task(std::move(change));
}

void declare_key_expiry(ClientParser& parser, client::CreateKey& create) {
  parser.value("--expires", "when the key ends, or how long it lasts; not given: never",
               "TIME|DURATION", parse_expiry, [&create](Time time) { create.expires_at = time; });
}

}  // namespace

Result<Task> parse_give(const Invocation& invocation) {
  ClientParser parser("give",
                      "Gives a user access to calls, or each user of a file to theirs, and tells "
                      "for each what came of it. Who may hear a call already is left alone.");
  return parse_change({}, parser, invocation);
}

Result<Task> parse_remove(const Invocation& invocation) {
  ClientParser parser("remove",
                      "Takes away from a user what was given to them of calls, or from each user "
                      "of a file. What they may hear in another way they still may.");
  client::ChangeGrants change;
  change.gives = false;
  return parse_change(change, parser, invocation);
}

Result<Task> parse_list(const Invocation& invocation) {
  ClientParser parser("list",
                      "Lists the calls that a user may hear, and why. With --call: who was given "
                      "these calls, inactive users too.");
  std::optional<UserId> user;
  std::vector<std::string> calls;
  client::ListCalls list;
  parser.id<UserId>("USER", "whose calls", [&user](UserId id) { user = id; });
  parser.choice("--way", list.ways, {"individual", "shared", "participant", "profile"},
                "only calls that are heard this way; may come again", "WAY");
  parser.texts("--call", calls, "who was given this call; may come again", "ID");
  parser.moment(list.moment);
  if (auto help = TRY(parser.read(invocation))) return Task(std::move(*help));
  if (user.has_value() != calls.empty()) return invalid_argument("list: say USER, or --call ID");
  if (user) {
    TRY(check_moment(list.moment));
    list.user = *user;
    return parser.task(std::move(list));
  }
  if (!list.ways.empty() || list.moment.at || list.moment.revision) {
    return invalid_argument(
        "--call: tells who was given a call, now; earshot who CALL takes --at and --revision");
  }
  client::ListGrants grants;
  for (const auto& text : calls) {
    const auto call = parse_id_text<CallId>(text);
    if (!call) return invalid_argument("--call: " + call.error().message);
    grants.calls.push_back(*call);
  }
  return parser.task(std::move(grants));
}

Result<Task> parse_check(const Invocation& invocation) {
  ClientParser parser("check",
                      "Tells whether a user may hear calls, or each user of a file theirs, and by "
                      "what. Exit code 0: all may; 1: some may not.");
  client::Check check;
  parser.pairs(check.pairs);
  parser.moment(check.moment);
  if (auto help = TRY(parser.read(invocation))) return Task(std::move(*help));
  TRY(check_moment(check.moment));
  TRY(parser.gather(check.pairs));
  return parser.task(std::move(check));
}

Result<Task> parse_who(const Invocation& invocation) {
  ClientParser parser("who", "Lists everyone who may hear a call, and why.");
  client::Who who;
  parser.id<CallId>("CALL", "which call", [&who](CallId id) { who.call = id; })->required();
  parser.moment(who.moment);
  if (auto help = TRY(parser.read(invocation))) return Task(std::move(*help));
  TRY(check_moment(who.moment));
  return parser.task(who);
}

Result<Task> parse_why(const Invocation& invocation) {
  ClientParser parser("why",
                      "Explains why a user may hear a call; or why not, and what would have to "
                      "change. Exit code 0: they may; 1: they may not.");
  client::Why why;
  parser.id<UserId>("USER", "which user", [&why](UserId id) { why.pair.user = id; })->required();
  parser.id<CallId>("CALL", "which call", [&why](CallId id) { why.pair.call = id; })->required();
  parser.moment(why.moment);
  if (auto help = TRY(parser.read(invocation))) return Task(std::move(*help));
  TRY(check_moment(why.moment));
  return parser.task(why);
}

Result<Task> parse_changes(const Invocation& invocation) {
  ClientParser parser("changes",
                      "Prints what changed, by which key and when, in the order in which it did. "
                      "With --follow it goes on with what comes, over lost connections too.");
  client::ListChanges list;
  parser.value("--after", "what is behind this revision, or behind the first N changes of it",
               "REVISION[.N]", parse_position_text,
               [&list](client::Position position) { list.after = position; });
  parser.value("-n,--last", "only the last N revisions; with --follow, where nothing is said: 10",
               "N", parse_revision, [&list](std::uint64_t last) { list.last = last; });
  parser.id<CallId>("--call", "only what concerns this call",
                    [&list](CallId id) { list.call = id; });
  parser.id<UserId>("--user", "only what concerns this user",
                    [&list](UserId id) { list.user = id; });
  parser.flag("-f,--follow", list.follows, "then print what comes, until it is interrupted");
  if (auto help = TRY(parser.read(invocation))) return Task(std::move(*help));
  if (list.after && list.last) return invalid_argument("--after and --last: give one of them");
  return parser.task(list);
}

Result<Task> parse_refusals(const Invocation& invocation) {
  ClientParser parser("refusals",
                      "Lists requests of the company's keys that were refused, the newest first.");
  client::ListRefusals list;
  parser.value(
      "--limit", "only the newest N; not given: all that are kept", "N",
      [](const std::string& text) { return parse_count(text, 1, kIdMax); },
      [&list](std::uint64_t limit) { list.limit = limit; });
  if (auto help = TRY(parser.read(invocation))) return Task(std::move(*help));
  return parser.task(list);
}

Result<Task> parse_keys_list(const Invocation& invocation) {
  ClientParser parser("keys list", "Lists the company's access keys, without secrets.");
  if (auto help = TRY(parser.read(invocation))) return Task(std::move(*help));
  return parser.task(client::ListKeys{});
}

Result<Task> parse_keys_create(const Invocation& invocation) {
  ClientParser parser("keys create",
                      "Makes an access key and prints accessKey:secret, once: what a file for "
                      "--key-file holds. It may do no more than the key that asks.");
  client::CreateKey create;
  parser.scopes(create.scopes);
  declare_key_expiry(parser, create);
  if (auto help = TRY(parser.read(invocation))) return Task(std::move(*help));
  return parser.task(std::move(create));
}

Result<Task> parse_keys_rotate(const Invocation& invocation) {
  ClientParser parser("keys rotate",
                      "Makes a key with the scopes of another, and prints accessKey:secret, once. "
                      "The other one goes on for a while, so that nothing stands still meanwhile.");
  client::CreateKey create;
  parser.text("ACCESSKEY", create.replaces, "the key that is to end", "ACCESSKEY")->required();
  parser.value("--overlap", "how long that one goes on; not given: a day", "TIME", parse_overlap,
               [&create](std::chrono::seconds overlap) { create.overlap = overlap; });
  declare_key_expiry(parser, create);
  if (auto help = TRY(parser.read(invocation))) return Task(std::move(*help));
  return parser.task(std::move(create));
}

Result<Task> parse_keys_revoke(const Invocation& invocation) {
  ClientParser parser("keys revoke", "Ends an access key of the company, at once.");
  client::RevokeKey revoke;
  parser.text("ACCESSKEY", revoke.access_key, "the key's name", "ACCESSKEY")->required();
  if (auto help = TRY(parser.read(invocation))) return Task(std::move(*help));
  return parser.task(std::move(revoke));
}

}  // namespace earshot::cli
