#include "cli/manual.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

namespace earshot::cli {
namespace {

// Text in which nothing is a request or an escape.
std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const bool begins_line = result.empty() || result.back() == '\n';
    if (begins_line && (c == '.' || c == '\'')) result += "\\&";
    if (c == '\\') {
      result += "\\e";
    } else if (c == '-') {
      result += "\\-";
    } else {
      result += c;
    }
  }
  return result;
}

std::string bold(std::string_view text) { return "\\fB" + escaped(text) + "\\fR"; }
std::string italic(std::string_view text) { return "\\fI" + escaped(text) + "\\fR"; }

// A term and what is to be said about it.
std::string entry(const std::string& term, const std::string& text) {
  return ".TP\n" + term + "\n" + text + "\n";
}

std::string describe(const OptionSyntax& option) {
  std::string term = option.is_positional ? italic(option.name) : bold(option.name);
  if (option.is_positional && option.may_repeat) term += " ...";
  if (!option.is_positional && !option.type.empty()) term += " " + italic(option.type);
  std::string text = escaped(option.help);
  std::string notes;
  if (option.is_required && !option.is_positional) notes += "required";
  if (!option.default_text.empty()) {
    notes += (notes.empty() ? "" : "; ") + std::string("default ") + option.default_text;
  }
  if (!notes.empty()) text += " (" + escaped(notes) + ")";
  return entry(term, text);
}

// The options that every command of some has in the same way.
std::vector<OptionSyntax> common_options(std::span<const CommandSyntax> commands, bool of_clients) {
  std::vector<OptionSyntax> common;
  bool is_first = true;
  for (const auto& command : commands) {
    if (command.asks_server != of_clients || command.options.empty()) continue;
    if (std::exchange(is_first, false)) {
      common = command.options;
      continue;
    }
    std::erase_if(common, [&](const OptionSyntax& option) {
      return std::ranges::find(command.options, option) == command.options.end();
    });
  }
  return common;
}

std::string describe(const CommandSyntax& command, const std::vector<OptionSyntax>& common) {
  std::string text = ".SS " + escaped("earshot " + usage_of(command)) + "\n";
  text += escaped(command.description.empty() ? command.summary + "." : command.description) + "\n";
  for (const auto& option : command.options) {
    if (std::ranges::find(common, option) == common.end()) text += describe(option);
  }
  return text;
}

std::string section_of(std::span<const CommandSyntax> commands, bool of_clients) {
  const auto common = common_options(commands, of_clients);
  std::string text;
  for (const auto& command : commands) {
    if (command.asks_server == of_clients) text += describe(command, common);
  }
  text += of_clients ? ".SS Options of all these\n" : ".SS Options of all these that have any\n";
  for (const auto& option : common) text += describe(option);
  return text;
}

constexpr std::string_view kDescription =
    R"(Earshot keeps who was given access to which recorded call, and tells who may hear a call and
why. One program is the server, the tool of whoever runs it, and the client of everybody else.
.PP
Every option is also a variable
.RB ( \-\-ca\-file
is
.BR EARSHOT_CA_FILE )
and a line of the file given with
.B \-\-config
.RB ( ca\-file=/etc/ssl/own.pem ).
The command line outweighs variables, and these the file.
)";

constexpr std::string_view kAsking =
    R"(These ask a server over HTTP, with an access key of a company, which its operator makes with
.BR "earshot key create" .
On a terminal they print tables; elsewhere the columns have tabs between them and no heading; with
.B \-\-json
every line is one JSON object.
Lists are printed as they come, and always whole: where that fails, the exit status says so.
.PP
A request that gets no answer, or is told to come back later, is repeated. That is safe for changes
too, since each carries an idempotency key. What makes or revokes keys is not repeated.
.PP
.B earshot keys
is
.BR "earshot keys list" .
)";

constexpr std::pair<std::string_view, std::string_view> kStatuses[] = {
    {"0",
     "Done. Of check and why: there is access. Of give and remove: every pair is as it was to be, "
     "also those that were so before."},
    {"1",
     "Of check and why: there is none, for some pair at least. Of give and remove: some id is "
     "unknown; the other pairs are done. Of commands that work on a store: not done."},
    {"2",
     "The command line, the configuration, the key or a file cannot be used; nothing was done."},
    {"3", "The server refused the request, and changed nothing."},
    {"4", "No answer: the server cannot be reached, is too busy or failed, or is no Earshot."},
    {"5", "The output cannot be written, or the program is at fault."},
};

constexpr std::string_view kEnvironment =
    R"(.TP
.B EARSHOT_KEY
The key to ask with:
.IR accessKey : secret .
It is no option, since others can see command lines.
.TP
.B EARSHOT_SERVER
The address of the server to ask; and so on for every option.
.TP
.BR https_proxy ", " no_proxy
As of
.BR curl (1).
No proxy is used for http://.
)";

constexpr std::string_view kExamples =
    R"(.PP
Why may user 30 hear this call, and could they in March?
.PP
.EX
earshot why 30 7782342274025937895
earshot why 30 7782342274025937895 \-\-at 2026\-03\-01
.EE
.PP
Give it to user 34 for 30 days:
.PP
.EX
earshot give 34 7782342274025937895 \-\-expires 30d \-\-note "covers for 30"
.EE
.PP
Take away all that was given to a user who leaves, and see first what that is:
.PP
.EX
earshot remove \-\-all\-of\-user 34 \-\-dry\-run
earshot remove \-\-all\-of\-user 34
.EE
.PP
Watch what changes, and by whom:
.PP
.EX
earshot changes \-\-follow
.EE
.PP
Make a key, into a file that only you may read:
.PP
.EX
(umask 077; earshot keys create \-\-scope earshot:access:read > reader.key)
.EE
.PP
In a script:
.PP
.EX
if earshot check 34 7782342274025937895 >answer; then
    echo "may hear it"
fi
earshot list 34 \-\-way individual \-\-json | earshot remove \-\-from \-
.EE
)";

}  // namespace

std::string make_manual(std::span<const CommandSyntax> commands) {
  std::string text = ".TH EARSHOT 1 \"\" \"earshot " EARSHOT_VERSION "\" \"User Commands\"\n";
  text += ".SH NAME\nearshot \\- who may hear recorded calls, and why\n";
  text += ".SH SYNOPSIS\n.B earshot\n.I COMMAND\n.RI [ ARGUMENT ...]\n.RI [ OPTION ...]\n";
  text += ".SH DESCRIPTION\n" + std::string(kDescription);
  text += ".SH ASKING A SERVER\n" + std::string(kAsking) + section_of(commands, true);
  text += ".SH RUNNING ONE, AND THE REST\n" + section_of(commands, false);
  text += ".SH EXIT STATUS\n";
  for (const auto& [status, meaning] : kStatuses) {
    text += entry(bold(status), escaped(meaning));
  }
  text += ".SH ENVIRONMENT\n" + std::string(kEnvironment);
  return text + ".SH EXAMPLES\n" + std::string(kExamples);
}

}  // namespace earshot::cli
