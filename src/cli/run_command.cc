#include "cli/run_command.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "api/encode_refusals.h"
#include "api/head.h"
#include "base/random.h"
#include "base/signature.h"
#include "base/text.h"
#include "cli/load.h"
#include "service/keys.h"
#include "service/records.h"

namespace earshot::cli {
namespace {

constexpr std::size_t kHeadsBytesMax = 16 << 20;

// The exit code of a command that got so far.
using Done = Result<int>;

// What an operator does has a request id in the record of changes, but no access key.
store::Origin by_operator() { return {make_request_id(), ""}; }

Done run_load(store::Store& store, const Command& command, CommandIo& io) {
  const auto loaded = TRY(load_with_progress(store, command.name, io.in, *io.err, io.cancelled));
  const std::string warning = describe_warnings(loaded.warnings);
  if (!warning.empty()) TRY(io.err->write("earshot: warning: " + warning + "\n"));
  TRY(io.out->write(describe(command.name, loaded)));
  return 0;
}

Done run_dump(store::Store& store, CommandIo& io) {
  TRY(service::dump_records(store, [&io](std::string_view lines) { return io.out->write(lines); }));
  return 0;
}

void append_json_member(std::string& out, std::string_view name, std::string_view text) {
  if (out.back() != '{') out += ',';
  append_json_string(out, name);
  out += ':';
  append_json_string(out, text);
}

// {"accessKey":…,"companyId":…,"scopes":[…],"expiresAt":…}; with the secret where it is shown.
std::string key_as_json(CompanyId company, const core::Key& key, std::string_view secret) {
  std::string line = "{";
  append_json_member(line, "accessKey", key.access_key);
  if (!secret.empty()) append_json_member(line, "secret", secret);
  append_json_member(line, "companyId", to_string(company));
  line += ",\"scopes\":[";
  for (const auto& scope : key.scopes) {
    if (line.back() != '[') line += ',';
    append_json_string(line, scope);
  }
  line += ']';
  if (key.expires_at) append_json_member(line, "expiresAt", format_time(*key.expires_at));
  return line + "}\n";
}

Done run_key_create(store::Store& store, const Command& command, CommandIo& io) {
  const service::KeyRequest request{command.company.value_or(CompanyId{}), command.scopes,
                                    command.expires_at};
  const auto made = TRY(service::create_key(store, request, by_operator(), wall_now()));
  if (command.as_json) {
    const core::Key key{made.access_key, {}, request.scopes, request.expires_at};
    TRY(io.out->write(key_as_json(request.company, key, made.secret)));
  } else {
    TRY(io.out->write("access key:     " + made.access_key + "\nsecret:         " + made.secret +
                      "\nauthorization:  Basic " +
                      encode_base64(made.access_key + ":" + made.secret) +
                      "\n\nThe secret is not kept and will not be shown again.\n"));
  }
  return 0;
}

Done run_key_list(store::Store& store, const Command& command, CommandIo& io) {
  const auto keys = TRY(store.list_keys(command.company));
  if (command.as_json) {
    for (const auto& entry : keys) TRY(io.out->write(key_as_json(entry->company, entry->key, "")));
    return 0;
  }
  std::vector<std::array<std::string, 4>> rows = {{"COMPANY", "ACCESS KEY", "EXPIRES", "SCOPES"}};
  for (const auto& entry : keys) {
    std::string scopes;
    for (const auto& scope : entry->key.scopes) scopes += (scopes.empty() ? "" : " ") + scope;
    const auto& expires_at = entry->key.expires_at;
    std::string expires = expires_at ? format_time(*expires_at) : "never";
    if (expires_at && *expires_at <= wall_now()) expires += " (past)";
    rows.push_back({to_string(entry->company), entry->key.access_key, expires, scopes});
  }
  std::array<std::size_t, 3> widths{};
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < widths.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < widths.size(); ++i) {
      line += row[i] + std::string(widths[i] - row[i].size() + 2, ' ');
    }
    TRY(io.out->write(line + row[3] + "\n"));
  }
  return 0;
}

Done run_key_revoke(store::Store& store, const Command& command, CommandIo& io) {
  TRY(service::revoke_key(store, command.access_key, by_operator()));
  TRY(io.out->write("revoked " + command.access_key + "\n"));
  return 0;
}

// As GET /earshot/v1/refusals gives it, with its company.
std::string refusal_as_json(const store::Refusal& refusal) {
  std::string line;
  api::append_refusal(line, refusal, true);
  return line + "\n";
}

std::string refusal_as_line(const store::Refusal& refusal) {
  const auto or_dash = [](const std::string& text) { return text.empty() ? "-" : text; };
  std::string line = format_time(refusal.time);
  for (const std::string& text :
       {"company " + to_string(refusal.company), or_dash(refusal.access_key), refusal.reason,
        or_dash(refusal.operation), or_dash(refusal.remote_address)}) {
    line += "  " + text;
  }
  if (refusal.requests > 1) line += "  " + std::to_string(refusal.requests) + " times";
  return line + "  " + refusal.detail + "\n";
}

// Page by page, the newest of a company first.
Done run_refusal_list(store::Store& store, const Command& command, CommandIo& io) {
  constexpr std::size_t kPage = 1000;
  const auto companies =
      command.company ? std::vector{*command.company} : TRY(store.list_refused_companies());
  for (const CompanyId company : companies) {
    store::RefusalsCommand page{company, 0, kPage};
    for (bool is_end = false; !is_end;) {
      const auto view = TRY(store.list_refusals(page));
      for (const store::KeptRefusal& one : view.refusals) {
        TRY(io.out->write(command.as_json ? refusal_as_json(one.refusal)
                                          : refusal_as_line(one.refusal)));
      }
      is_end = view.is_end || view.refusals.empty();
      if (!is_end) page.before = view.refusals.back().number;
    }
  }
  return 0;
}

Done run_backup(store::Store& store, const Command& command, CommandIo& io) {
  TRY(store.backup(command.directory));
  TRY(io.out->write("backup is in " + command.directory + "\n"));
  return 0;
}

std::string_view word_of(store::HeadVerdict verdict) {
  switch (verdict) {
    case store::HeadVerdict::extended:
      return "extended";
    case store::HeadVerdict::cut_off:
      return "cut-off";
    case store::HeadVerdict::contradicted:
      return "contradicted";
    case store::HeadVerdict::ahead:
      return "ahead";
  }
  return "";
}

std::string_view explanation_of(store::HeadVerdict verdict) {
  switch (verdict) {
    case store::HeadVerdict::extended:
      return "the record holds this head and goes on from it";
    case store::HeadVerdict::cut_off:
      return "retention has cut the record off there, so that nobody can tell";
    case store::HeadVerdict::contradicted:
      return "the record has ANOTHER revision in its place";
    case store::HeadVerdict::ahead:
      return "the record ENDS before this head";
  }
  return "";
}

// The heads of the file, their signatures checked where there is a key to check them with.
Result<std::vector<api::KeptHead>> read_heads(const Command& command, CommandIo& io) {
  std::string text;
  std::array<char, 16 << 10> piece;
  for (;;) {
    const ssize_t size = ::read(io.in, piece.data(), piece.size());
    if (size < 0) return invalid_argument("cannot read " + command.name);
    if (size == 0) break;
    text.append(piece.data(), static_cast<std::size_t>(size));
    if (text.size() > kHeadsBytesMax) return invalid_argument(command.name + ": is too long");
  }
  auto heads = TRY(api::decode_heads(text, command.name));
  if (command.public_key.empty()) return heads;
  const auto key = TRY(VerifyingKey::parse(command.public_key, "--head-public-key"));
  for (const api::KeptHead& head : heads) {
    const auto refuse = [&](const std::string& what) {
      return invalid_argument(command.name + ": the head of company " +
                              to_string(head.claim.company) + " at revision " +
                              std::to_string(head.claim.revision) + " " + what);
    };
    if (head.signature.empty()) return refuse("is not signed");
    if (key.is_signed(head.statement, head.signature)) continue;
    if (!head.key_id.empty() && head.key_id != key.id()) {
      return refuse("is signed with key " + head.key_id + ", and this is key " + key.id());
    }
    return refuse("has a FALSE signature: it is not by this key, or not of this statement");
  }
  return heads;
}

void append_heads_as_json(std::string& line, const std::vector<api::KeptHead>& heads,
                          const std::vector<store::HeadVerdict>& verdicts) {
  line += ",\"heads\":[";
  for (std::size_t i = 0; i < heads.size(); ++i) {
    if (i > 0) line += ',';
    line.append("{\"companyId\":\"").append(to_string(heads[i].claim.company));
    line.append("\",\"revision\":").append(std::to_string(heads[i].claim.revision));
    line.append(",\"verdict\":\"").append(word_of(verdicts[i])).append("\"}");
  }
  line += ']';
}

std::string report_as_json(const store::VerifyReport& report,
                           const std::vector<api::KeptHead>& heads) {
  std::string line = "{\"sound\":";
  line += report.faults.empty() ? "true" : "false";
  const std::pair<std::string_view, std::uint64_t> counts[] = {{"companies", report.companies},
                                                               {"calls", report.calls},
                                                               {"shares", report.shares},
                                                               {"grants", report.grants},
                                                               {"changes", report.changes}};
  for (const auto& [name, count] : counts) {
    line.append(",\"").append(name).append("\":").append(std::to_string(count));
  }
  line += ",\"faults\":[";
  for (const auto& fault : report.faults) {
    if (line.back() != '[') line += ',';
    append_json_string(line, fault);
  }
  line += ']';
  if (!heads.empty()) append_heads_as_json(line, heads, report.heads);
  return line + "}\n";
}

Status print_report(const store::VerifyReport& report, const std::vector<api::KeptHead>& heads,
                    CommandIo& io) {
  for (const auto& fault : report.faults) TRY(io.err->write("earshot: fault: " + fault + "\n"));
  if (report.faults.size() == store::kVerifyFaultsMax) {
    TRY(io.err->write("earshot: there may be more faults; these are the first\n"));
  }
  std::string text = "companies: " + std::to_string(report.companies) +
                     "\ncalls:     " + std::to_string(report.calls) +
                     "\nshares:    " + std::to_string(report.shares) +
                     "\ngrants:    " + std::to_string(report.grants) +
                     "\nchanges:   " + std::to_string(report.changes) + "\n";
  for (std::size_t i = 0; i < heads.size(); ++i) {
    text += "head:      company " + to_string(heads[i].claim.company) + ", revision " +
            std::to_string(heads[i].claim.revision) + ": ";
    text.append(explanation_of(report.heads[i])) += '\n';
  }
  text += report.faults.empty() ? "the store is sound\n" : "the store is NOT sound\n";
  return io.out->write(text);
}

Done run_verify(store::Store& store, const Command& command, CommandIo& io) {
  std::vector<api::KeptHead> heads;
  if (!command.name.empty()) heads = TRY(read_heads(command, io));
  std::vector<store::HeadClaim> claims;
  claims.reserve(heads.size());
  for (const api::KeptHead& head : heads) claims.push_back(head.claim);
  const auto report = TRY(store.verify(claims));
  if (report.heads.size() != heads.size()) return internal("the store did not look at the heads");
  if (command.as_json) {
    TRY(io.out->write(report_as_json(report, heads)));
  } else {
    TRY(print_report(report, heads, io));
  }
  const auto has = [&](store::HeadVerdict verdict) {
    return std::ranges::find(report.heads, verdict) != report.heads.end();
  };
  if (!report.faults.empty() || has(store::HeadVerdict::contradicted) ||
      has(store::HeadVerdict::ahead)) {
    return 1;
  }
  return has(store::HeadVerdict::cut_off) ? kHeadCutOff : 0;
}

Done run(store::Store& store, const Command& command, CommandIo& io) {
  switch (command.verb) {
    case Verb::load:
      return run_load(store, command, io);
    case Verb::dump:
      return run_dump(store, io);
    case Verb::key_create:
      return run_key_create(store, command, io);
    case Verb::key_list:
      return run_key_list(store, command, io);
    case Verb::key_revoke:
      return run_key_revoke(store, command, io);
    case Verb::refusal_list:
      return run_refusal_list(store, command, io);
    case Verb::backup:
      return run_backup(store, command, io);
    case Verb::verify:
      return run_verify(store, command, io);
  }
  return internal("no such command");
}

}  // namespace

int run_command(store::Store& store, const Command& command, CommandIo& io) {
  Done done = run(store, command, io);
  if (done) {
    // Output that could not be written is a command that was not done.
    if (const auto flushed = io.out->flush(); !flushed) done = flushed.error();
  }
  if (!done) (void)io.err->write("earshot: " + done.error().message + "\n");
  (void)io.err->flush();
  return done ? *done : 1;
}

}  // namespace earshot::cli
