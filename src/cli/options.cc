#include "cli/options.h"

#include <sched.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <thread>
#include <utility>

#include "auth/scopes.h"
#include "base/signature.h"
#include "cli/client_options.h"
#include "cli/completion.h"
#include "cli/manual.h"
#include "cli/parser.h"
#include "cli/values.h"
#include "records/limits.h"

namespace earshot::cli {
namespace {

constexpr std::string_view kVersion = EARSHOT_VERSION;
constexpr std::string_view kStoreDefault = "./earshot-data";

constexpr std::string_view kIntroduction =
    "earshot: who may hear recorded calls, and individual access to them, over HTTP\n";

constexpr std::string_view kClosing = R"(
`earshot COMMAND --help` lists the options of one.

A store is a directory (--store DIR) or a database (--store postgresql://USER@HOST/DATABASE, for any
number of servers). A command whose directory a server has open is carried out by that server. A
password belongs in a file: --config, or PostgreSQL's own ~/.pgpass.

A server is asked with a key: EARSHOT_KEY=accessKey:secret, or --key-file FILE.
)";

std::string absolute(const std::string& path) {
  return std::filesystem::absolute(path).lexically_normal().string();
}

Status check_store_place(std::string_view store) {
  if (store.empty()) return invalid_argument("--store: give a directory or a postgresql:// URL");
  // A directory of such a name is hardly meant.
  const bool is_like_url = store.find("://") != std::string_view::npos ||
                           store.starts_with("postgres:") || store.starts_with("postgresql:");
  if (is_like_url && !store::is_postgres_url(store)) {
    return invalid_argument("--store: a URL must begin with postgresql:// or postgres://");
  }
  return {};
}

// Options that only one kind of store can honour.
constexpr std::array kOfDirectories = {"--cache-bytes", "--block-cache-bytes",
                                       "--load-memory-bytes", "--store-free-bytes-min"};
constexpr std::array kOfDatabases = {"--store-connections",    "--store-write-connections",
                                     "--store-statement-time", "--store-request-time",
                                     "--primary-proof-ms",     "--store-replica"};

Status check_kind_of_store(const Parser& parser, bool is_database) {
  const auto refuse = [&](const auto& names, const char* kind) -> Status {
    for (const char* const name : names) {
      if (!parser.is_given(name)) continue;
      return invalid_argument(std::string(name) + ": means something only for a store " + kind);
    }
    return {};
  };
  if (is_database) return refuse(kOfDirectories, "in a directory");
  return refuse(kOfDatabases, "over PostgreSQL");
}

Status check_replica(const std::string& url) {
  if (url.empty() || store::is_postgres_url(url)) return {};
  return invalid_argument("--store-replica: give a URL that begins with postgresql://");
}

// A round trip that may take longer than the request that needs it would never be given up.
Status check_store_times(const store::PostgresOptions& options) {
  constexpr std::chrono::milliseconds least{10};
  if (options.statement_time < least) {
    return invalid_argument("--store-statement-time: give at least 10ms");
  }
  if (options.request_time < options.statement_time) {
    return invalid_argument("--store-request-time: give at least --store-statement-time");
  }
  return {};
}

// A reader that has stalled can be told so only while its connection waits for it.
Status check_stall(const Parser& parser, ServeOptions& options) {
  const auto write_time = options.server.limits.write_time;
  if (options.api.feed.stall <= write_time) return {};
  if (parser.is_given("--stream-stall")) {
    return invalid_argument("--stream-stall: give at most --write-time");
  }
  options.api.feed.stall = write_time;
  return {};
}

// What part of the requests that nothing else calls for goes to the log.
Result<double> parse_log_requests(const std::string& text) {
  if (text == "refused-and-changed") return 0.0;
  if (text == "all") return 1.0;
  char* end = nullptr;
  const double share = std::strtod(text.c_str(), &end);
  const bool is_plain = text.find_first_not_of("0123456789.") == std::string::npos;
  if (text.empty() || !is_plain || *end != '\0' || share > 1) {
    return invalid_argument("'" + text +
                            "' is neither refused-and-changed, all, nor a share from 0 to 1");
  }
  return share;
}

void declare_limits(Parser& parser, ServeOptions& options) {
  http::Limits& limits = options.server.limits;
  constexpr std::uint64_t kMany = 1'000'000;
  parser.bytes("--head-bytes-max", limits.head_bytes_max, "longest head of a request; more is 431");
  parser.bytes("--body-bytes-max", limits.body_bytes_max, "longest body; more is 413");
  parser.bytes("--directory-bytes-max", options.api.directory_bytes_max,
               "longest body of records, which are one unit; more is 413");
  parser.count("--directory-requests-max", options.api.directory_requests_max, 1, 10'000,
               "requests that bring records or wait to apply them; more are 503");
  parser.count("--nesting-max", options.api.limits.nesting_max, 4, 1000,
               "deepest nesting of JSON; more is 400");
  parser.count("--ids-max", options.api.limits.ids_max, 1, 10 * kMany,
               "most ids in a request; more is 400");
  parser.duration("--idle-time", limits.idle_time, "keep a connection that asks nothing so long");
  parser.duration("--request-time", limits.request_time,
                  "from a request's first byte to its last; more is 408");
  parser.duration("--write-time", limits.write_time, "end a connection that takes nothing so long");
  parser.count("--connections-max", limits.connections_max, 1, kMany,
               "open connections; more get 503");
  parser.count("--connections-per-address-max", limits.connections_per_address_max, 1, kMany,
               "open connections of one client address");
}

void declare_feed(Parser& parser, ServeOptions& options) {
  parser.count("--streams-max", options.api.feed.streams_max, 1, 1'000'000,
               "open streams of changes, and requests that wait for one; more are 503");
  parser.duration("--stream-stall", options.api.feed.stall,
                  "end a stream whose reader has not taken what was sent so long");
  parser.value("--head-key", "sign heads of the record of changes with this private key (Ed25519)",
               "FILE", SigningKey::load,
               [&options](SigningKey key) { options.api.head_key = std::move(key); });
}

constexpr const char* kLoadMemoryHelp = "memory for the rows of a load; more of them wait on disk";

struct ServeTexts {
  std::string tls_cert, tls_key, admin_listen;
  bool insecure_plaintext = false;
  bool expose_admin = false;
};

void declare_postgres(Parser& parser, store::PostgresOptions& options) {
  parser.count("--store-connections", options.connections, 1, 64,
               "over PostgreSQL: connections of each thread, for reads");
  parser.count("--store-write-connections", options.write_connections, 1, 256,
               "over PostgreSQL: connections of the server, for companies written at a time");
  parser.duration("--store-statement-time", options.statement_time,
                  "over PostgreSQL: of one round trip; then the next host is tried");
  parser.duration("--store-request-time", options.request_time,
                  "over PostgreSQL: of a request in the store; more is 503");
  parser
      .value(
          "--primary-proof-ms",
          "over PostgreSQL: reads are believed of a server that committed so short a time ago; 0: "
          "of any primary",
          "MS", [](const std::string& text) { return parse_count(text, 0, 3'600'000); },
          [&options](std::uint64_t ms) { options.primary_proof = std::chrono::milliseconds(ms); })
      ->default_str(std::to_string(options.primary_proof.count()));
  parser.text("--store-replica", options.replica_url,
              "over PostgreSQL: read replicas, for reads that say which revision they need", "URL");
}

// Clients rely on no less than what they are promised.
Result<std::chrono::seconds> parse_idempotency_keep(std::string_view text) {
  const auto time = std::chrono::duration_cast<std::chrono::seconds>(TRY(parse_duration(text)));
  if (time < std::chrono::hours(24)) {
    return invalid_argument("'" + std::string(text) + "' is less than 24h");
  }
  return time;
}

void declare_serve(Parser& parser, ServeOptions& options, ServeTexts& texts) {
  parser
      .text("--listen", options.server.listen, "address to serve; port 0 picks a free one",
            "HOST:PORT")
      ->capture_default_str();
  parser
      .text("--store", options.store.directory,
            "directory of the store, made if missing; or a postgresql:// URL of a database",
            "STORE")
      ->capture_default_str();
  parser.texts("--load", options.load, "apply the records of this file first; may come again",
               "FILE");
  parser.flag("--demo", options.demo,
              "put a demo company in place, with a key that everybody knows");
  parser.text("--tls-cert", texts.tls_cert, "certificate and chain; read again on SIGHUP", "PEM");
  parser.text("--tls-key", texts.tls_key, "its key", "PEM");
  parser.flag("--insecure-plaintext", texts.insecure_plaintext,
              "allow other addresses than loopback without TLS, for behind a proxy that has it");
  parser.text("--admin-listen", texts.admin_listen,
              "address of its own for /healthz, /readyz, /metrics and /openapi.json", "HOST:PORT");
  parser.flag("--expose-admin", texts.expose_admin,
              "have these on --listen though it is no loopback address");
  parser.duration("--drain-delay", options.drain_delay,
                  "after SIGTERM /readyz answers 503 so long before anything else ends");
  parser.duration("--drain-time", options.drain_time, "then, so long for requests that were begun");
  parser.count("--rate-per-second", options.rates.per_second, 0, 1'000'000,
               "requests of a company in a second; 0: no limit");
  parser.count("--rate-per-day", options.rates.per_day, 0, 1'000'000'000'000,
               "requests of a company in a day (UTC); 0: no limit");
  parser.bytes("--cache-bytes", options.store.cache_bytes, "memory for calls and their grants");
  parser.bytes("--block-cache-bytes", options.store.block_cache_bytes,
               "memory for blocks of the store's files");
  parser.bytes("--load-memory-bytes", options.store.load_memory_bytes, kLoadMemoryHelp);
  parser.bytes("--store-free-bytes-min", options.store.free_bytes_min,
               "below so much free space writes answer 503");
  declare_postgres(parser, options.postgres);
  parser.value("--store-retention", "keep the record of changes so long; not given: for ever",
               "TIME", parse_duration, [&options](std::chrono::milliseconds time) {
                 options.store.retention = std::chrono::duration_cast<std::chrono::seconds>(time);
               });
  parser.value(
      "--store-retention-revisions",
      "keep so many revisions of each company, the newest; not given: all", "N",
      [](const std::string& text) { return parse_count(text, 1, INT64_MAX); },
      [&options](std::uint64_t count) { options.store.retention_revisions = count; });
  parser.count("--refusals-max", options.store.refusals.per_company, 1, 1'000'000,
               "keep so many refused requests of each company, and of none; the oldest go");
  parser
      .value("--refusals-keep", "keep refused requests so long", "TIME", parse_duration,
             [&options](std::chrono::milliseconds time) {
               options.store.refusals.keep = std::chrono::duration_cast<std::chrono::seconds>(time);
             })
      ->default_str("30d");
  parser
      .value("--idempotency-keep",
             "answer a request with the Idempotency-Key of an earlier one as that was, for so long",
             "TIME", parse_idempotency_keep,
             [&options](std::chrono::seconds time) { options.store.idempotency_keep = time; })
      ->default_str("24h");
  parser.count("--threads", options.server.threads, 1, 1024, "threads that serve connections");
  parser
      .value("--log-requests", "refused-and-changed, all, or a share (0.01) of the rest", "WHICH",
             parse_log_requests, [&options](double share) { options.api.log_sample = share; })
      ->default_str("refused-and-changed");
  declare_limits(parser, options);
  declare_feed(parser, options);
}

// An address without TLS must be one that nobody else can reach, or be meant.
Result<HostPort> check_address(const std::string& option, const std::string& address, bool has_tls,
                               const std::string& advice, const ServeTexts& texts) {
  const auto parsed = parse_host_port(address);
  if (!parsed) return invalid_argument(option + ": " + parsed.error().message);
  if (!has_tls && !texts.insecure_plaintext && !is_loopback(parsed->host)) {
    return invalid_argument(option + ": " + address + " is no loopback address; " + advice);
  }
  return *parsed;
}

// Those that this process may use: a container or `taskset` may have given it fewer than there are.
std::size_t count_processors() {
  cpu_set_t usable;
  if (::sched_getaffinity(0, sizeof usable, &usable) == 0) {
    return static_cast<std::size_t>(std::max(1, CPU_COUNT(&usable)));
  }
  return std::max(1U, std::thread::hardware_concurrency());
}

Result<Task> parse_serve(const Invocation& invocation) {
  ServeOptions options;
  ServeTexts texts;
  options.store.directory = kStoreDefault;
  options.server.threads = count_processors();
  Parser parser("serve", "Serves the store until SIGTERM.");
  parser.refuse_unknown_in_file();
  declare_serve(parser, options, texts);
  if (auto help = TRY(parser.parse(invocation))) return Task(std::move(*help));

  TRY(check_store_place(options.store.directory));
  const bool is_database = store::is_postgres_url(options.store.directory);
  TRY(check_kind_of_store(parser, is_database));
  if (is_database) {
    options.postgres.url = std::exchange(options.store.directory, {});
    options.postgres.retention = options.store.retention;
    options.postgres.retention_revisions = options.store.retention_revisions;
    options.postgres.refusals = options.store.refusals;
    options.postgres.idempotency_keep = options.store.idempotency_keep;
    TRY(check_store_times(options.postgres));
    TRY(check_replica(options.postgres.replica_url));
  }
  TRY(check_stall(parser, options));
  if (texts.tls_cert.empty() != texts.tls_key.empty()) {
    return invalid_argument("--tls-cert and --tls-key: give both or neither");
  }
  const bool has_tls = !texts.tls_cert.empty();
  if (has_tls) options.server.tls = http::TlsFiles{texts.tls_cert, texts.tls_key};
  const auto main = TRY(check_address(
      "--listen", options.server.listen, has_tls,
      "give --tls-cert and --tls-key, or --insecure-plaintext behind a proxy that has TLS", texts));
  if (!texts.admin_listen.empty()) {
    TRY(check_address(
        "--admin-listen", texts.admin_listen, false,
        "the admin address has no TLS: give --insecure-plaintext if others may reach it", texts));
    options.server.admin_listen = texts.admin_listen;
  }
  options.api.admin_on_main =
      texts.expose_admin || (texts.admin_listen.empty() && is_loopback(main.host));
  options.api.body_bytes_max = options.server.limits.body_bytes_max;
  return Task(std::move(options));
}

void declare_key_create(Parser& parser, Command& command) {
  parser
      .value(
          "--company", "company of the key", "ID",
          [](const std::string& text) -> Result<CompanyId> {
            if (const auto id = parse_id<CompanyId>(text)) return *id;
            return invalid_argument("'" + text + "' is no id");
          },
          [&command](CompanyId id) { command.company = id; })
      ->required();
  parser.scopes(command.scopes);
  parser.value(
      "--expires", "when the key ends, such as 2027-01-01T00:00:00Z; not given: never", "TIME",
      [](const std::string& text) -> Result<Time> {
        const auto time = parse_time(text);
        if (!time)
          return invalid_argument("'" + text + "' is no time, such as 2027-01-01T00:00:00Z");
        if (*time <= wall_now()) return invalid_argument(text + " is past");
        return *time;
      },
      [&command](Time time) { command.expires_at = time; });
  parser.flag("--json", command.as_json, "print JSON");
}

// The text of a PEM file: the server that may need it has other files.
Result<std::string> read_public_key(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(in), {});
  if (!in) return invalid_argument("cannot read " + file);
  TRY(VerifyingKey::parse(text, file));
  return text;
}

std::string description_of(Verb verb) {
  switch (verb) {
    case Verb::load:
      return "Applies records, each file whole or not at all. FILE may be -: standard input.";
    case Verb::dump:
      return "Prints every record, sorted, one JSON object a line.";
    case Verb::key_create:
      return "Makes an access key. Its secret is shown once and kept only as a hash.";
    case Verb::key_list:
      return "Lists access keys, without secrets.";
    case Verb::key_revoke:
      return "Ends an access key, at once.";
    case Verb::refusal_list:
      return "Lists requests that were refused, the newest of each company first. Those of none "
             "are "
             "under company 0, and every company with a key is listed.";
    case Verb::backup:
      return "Copies the store into a directory that must not exist yet; serve opens it.";
    case Verb::verify:
      return "Checks that the store is sound, and that its record of changes goes on from heads "
             "that were kept. Exit code 1: it is not or does not; 3: a head is too old to tell.";
  }
  return "";
}

Result<Task> parse_store_command(Verb verb, const Invocation& invocation) {
  StoreCommands task;
  task.store = kStoreDefault;
  Command command;
  command.verb = verb;
  std::vector<std::string> files;
  Parser parser(std::string(name_of(verb)), description_of(verb));
  parser.text("--store", task.store, "directory of the store, or a postgresql:// URL", "STORE")
      ->capture_default_str();
  switch (verb) {
    case Verb::load:
      parser.texts("FILE", files, "records", "FILE")->required();
      parser.bytes("--load-memory-bytes", task.load_memory_bytes, kLoadMemoryHelp);
      break;
    case Verb::key_create:
      declare_key_create(parser, command);
      break;
    case Verb::key_revoke:
      parser.text("ACCESSKEY", command.access_key, "the key's name", "ACCESSKEY")->required();
      break;
    case Verb::backup:
      parser.text("DIR", command.directory, "where to", "DIR")->required();
      break;
    case Verb::refusal_list:
      parser.value(
          "--company", "only of this company; 0: of none", "ID",
          [](const std::string& text) -> Result<CompanyId> {
            if (text == "0") return CompanyId{};
            if (const auto id = parse_id<CompanyId>(text)) return *id;
            return invalid_argument("'" + text + "' is no id");
          },
          [&command](CompanyId id) { command.company = id; });
      parser.flag("--json", command.as_json, "print JSON");
      break;
    case Verb::verify:
      parser.text("--head", command.name,
                  "answers of GET /earshot/v1/changes/head, one a line: the record must hold them",
                  "FILE");
      parser.value("--head-public-key", "the heads must be signed with the private key of this one",
                   "PEM", read_public_key,
                   [&command](std::string pem) { command.public_key = std::move(pem); });
      parser.flag("--json", command.as_json, "print JSON");
      break;
    case Verb::key_list:
      parser.flag("--json", command.as_json, "print JSON");
      break;
    case Verb::dump:
      break;
  }
  if (auto help = TRY(parser.parse(invocation))) return Task(std::move(*help));
  TRY(check_store_place(task.store));
  std::ranges::sort(command.scopes);
  command.scopes.erase(std::unique(command.scopes.begin(), command.scopes.end()),
                       command.scopes.end());
  if (verb == Verb::backup && store::is_postgres_url(task.store)) {
    return invalid_argument(
        "backup: copies a directory; a database is backed up with PostgreSQL's own means "
        "(pg_basebackup and an archive of its log), and earshot dump gives its records");
  }
  if (!command.public_key.empty() && command.name.empty()) {
    return invalid_argument("--head-public-key: give --head too");
  }
  // The server that may carry it out has another working directory.
  if (verb == Verb::backup) command.directory = absolute(command.directory);
  if (verb != Verb::load) task.commands.push_back(command);
  for (auto& file : files) {
    command.name = std::move(file);
    task.commands.push_back(command);
  }
  return Task(std::move(task));
}

Result<Task> parse_migrate(const Invocation& invocation) {
  Migrate task;
  Parser parser("migrate",
                "Makes the tables of a database, or brings them to this release's version. Servers "
                "of the release before may go on.");
  parser.text("--store", task.url, "postgresql:// URL of the database", "URL");
  parser.flag("--citus", task.citus, "distribute the tables by company over a Citus cluster");
  if (auto help = TRY(parser.parse(invocation))) return Task(std::move(*help));
  if (!store::is_postgres_url(task.url)) {
    return invalid_argument("migrate: give --store postgresql://…; a directory needs no migration");
  }
  return Task(std::move(task));
}

template <Verb kVerb>
Result<Task> parse_verb(const Invocation& invocation) {
  return parse_store_command(kVerb, invocation);
}

Result<Task> parse_completion(const Invocation& invocation) {
  std::vector<std::string> shells;
  Parser parser("completion",
                "Prints what makes a shell complete the commands and options of earshot.");
  parser.choice("SHELL", shells, {"bash", "zsh", "fish"}, "for which", "SHELL")
      ->required()
      ->expected(1);
  if (auto help = TRY(parser.parse(invocation))) return Task(std::move(*help));
  return Task(Text{make_completion(shells.at(0), describe_commands())});
}

Result<Task> parse_man(const Invocation& invocation) {
  Parser parser("man", "Prints the manual page: earshot man | man -l -");
  if (auto help = TRY(parser.parse(invocation))) return Task(std::move(*help));
  return Task(Text{make_manual(describe_commands())});
}

Result<Task> parse_version(const Invocation&) {
  return Task(Text{"earshot " + std::string(kVersion) + "\n"});
}

Result<Task> parse_help(const Invocation&);

struct CommandEntry {
  std::string_view name;
  std::string_view summary;
  Result<Task> (*parse)(const Invocation&);
};

// Every command, in the order in which help names them.
constexpr CommandEntry kOfServers[] = {
    {"serve", "serve the store", parse_serve},
    {"load", "apply records, one JSON object a line", parse_verb<Verb::load>},
    {"dump", "print every record", parse_verb<Verb::dump>},
    {"key create", "make an access key; its secret is shown once", parse_verb<Verb::key_create>},
    {"key list", "list the keys, without secrets", parse_verb<Verb::key_list>},
    {"key revoke", "end a key, at once", parse_verb<Verb::key_revoke>},
    {"refusal list", "list the requests that were refused", parse_verb<Verb::refusal_list>},
    {"backup", "copy the store, while it is served too", parse_verb<Verb::backup>},
    {"verify", "check that the store is sound", parse_verb<Verb::verify>},
    {"migrate", "make or upgrade the tables of a PostgreSQL database", parse_migrate},
};
constexpr CommandEntry kOfClients[] = {
    {"why", "explain why a user may hear a call, or what would have to change", parse_why},
    {"check", "tell which users may hear which calls", parse_check},
    {"who", "list everyone who may hear a call", parse_who},
    {"list", "list the calls that a user may hear, or who was given calls", parse_list},
    {"give", "give users access to calls", parse_give},
    {"remove", "take away what was given", parse_remove},
    {"changes", "print what changed, by whom, and follow what comes", parse_changes},
    {"refusals", "list requests that were refused", parse_refusals},
    {"keys list", "list the access keys, and when each was last used", parse_keys_list},
    {"keys create", "make an access key; its secret is shown once", parse_keys_create},
    {"keys rotate", "make a key in place of another, which goes on for a while", parse_keys_rotate},
    {"keys revoke", "end a key, at once", parse_keys_revoke},
};
constexpr CommandEntry kOfTheProgram[] = {
    {"completion", "print completion for bash, zsh or fish", parse_completion},
    {"man", "print the manual page", parse_man},
    {"version", "print the version", parse_version},
    {"help", "print this", parse_help},
};

std::vector<CommandEntry> all_commands() {
  std::vector<CommandEntry> all(std::begin(kOfServers), std::end(kOfServers));
  all.insert(all.end(), std::begin(kOfClients), std::end(kOfClients));
  all.insert(all.end(), std::begin(kOfTheProgram), std::end(kOfTheProgram));
  return all;
}

CommandSyntax describe(const CommandEntry& command) {
  CommandSyntax syntax;
  // Nothing is read, so nothing can fail.
  (void)command.parse({{}, [](const std::string&) { return std::nullopt; }, &syntax});
  syntax.name = command.name;
  syntax.summary = command.summary;
  return syntax;
}

std::string overview_of(std::span<const CommandEntry> commands, std::string_view prefix) {
  constexpr std::size_t kColumn = 40;
  std::string text;
  for (const auto& command : commands) {
    if (!command.name.starts_with(prefix)) continue;
    std::string line = "  earshot " + usage_of(describe(command));
    line.resize(std::max(line.size() + 2, kColumn), ' ');
    text += line.append(command.summary) + '\n';
  }
  return text;
}

Result<Task> parse_help(const Invocation& invocation) {
  if (invocation.syntax != nullptr) return Task(Text{});  // it has no options
  std::string text(kIntroduction);
  text += "\nAsk a server:\n" + overview_of(kOfClients, "");
  text += "\nRun one:\n" + overview_of(kOfServers, "");
  text += "\nAnd:\n" + overview_of(kOfTheProgram, "");
  return Task(Text{text.append(kClosing)});
}

// Of a command that is only the first of two words.
Result<Task> parse_first_word(const std::string& word, std::span<const std::string> arguments,
                              const Environment& environment) {
  const bool is_of_clients = word == "keys";
  if (!arguments.empty() && (arguments[0] == "--help" || arguments[0] == "-h")) {
    const std::string overview =
        is_of_clients ? overview_of(kOfClients, "keys ") : overview_of(kOfServers, "key ");
    return Task(Text{"earshot " + word + ": the access keys of " +
                     (is_of_clients ? "your company, by its server" : "companies, in a store") +
                     "\n\n" + overview + "\n`earshot " + word +
                     " create --help` and the like list the options.\n"});
  }
  if (!is_of_clients) {
    return invalid_argument("key: say create, list or revoke; see earshot key --help");
  }
  if (arguments.empty() || arguments[0].starts_with('-')) {
    return parse_keys_list({arguments, environment});
  }
  return invalid_argument("keys: say list, create, rotate or revoke; see earshot keys --help");
}

}  // namespace

std::vector<CommandSyntax> describe_commands() {
  std::vector<CommandSyntax> all;
  for (const auto& command : all_commands()) all.push_back(describe(command));
  for (const auto& command : kOfClients) {
    std::ranges::find(all, command.name, &CommandSyntax::name)->asks_server = true;
  }
  return all;
}

Result<Task> parse_command_line(std::span<const std::string> arguments,
                                const Environment& environment) {
  if (arguments.empty()) return invalid_argument("say what to do; see earshot --help");
  std::string word = arguments.front();
  if (word == "--help" || word == "-h") word = "help";
  if (word == "--version") word = "version";
  const std::string two_words = arguments.size() > 1 ? word + " " + arguments[1] : "";
  for (const auto& command : all_commands()) {
    if (command.name == word) return command.parse({arguments.subspan(1), environment});
    if (command.name == two_words) return command.parse({arguments.subspan(2), environment});
  }
  if (word == "key" || word == "keys") {
    return parse_first_word(word, arguments.subspan(1), environment);
  }
  if (word == "refusal") return invalid_argument("refusal: say refusal list");
  return invalid_argument("no such command: " + word + "; see earshot --help");
}

}  // namespace earshot::cli
