#include "store/pg_url.h"

#include <libpq-fe.h>

#include <charconv>
#include <map>
#include <memory>

namespace earshot::store {
namespace {

using Options = std::map<std::string, std::string, std::less<>>;

// What the URL itself says, without what libpq takes from the environment.
Result<Options> parse_options(const std::string& url) {
  struct Free {
    void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
  };
  char* failed = nullptr;
  const std::unique_ptr<PQconninfoOption, Free> parsed(PQconninfoParse(url.c_str(), &failed));
  if (!parsed) {
    // libpq's own words may quote the URL, and so a password.
    PQfreemem(failed);
    return invalid_argument(
        "the PostgreSQL URL cannot be read: it looks like "
        "postgresql://USER@HOST:PORT,HOST:PORT/DATABASE?NAME=VALUE");
  }
  Options options;
  for (const PQconninfoOption* option = parsed.get(); option->keyword; ++option) {
    if (option->val) options.emplace(option->keyword, option->val);
  }
  return options;
}

std::string find(const Options& options, std::string_view keyword) {
  const auto found = options.find(keyword);
  return found == options.end() ? std::string() : found->second;
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (std::size_t comma; (comma = list.find(',', begin)) != std::string::npos;) {
    parts.push_back(list.substr(begin, comma - begin));
    begin = comma + 1;
  }
  parts.push_back(list.substr(begin));
  return parts;
}

struct Place {
  std::string host, hostaddr, port;
  std::string name() const {
    const std::string& shown = host.empty() ? hostaddr : host;
    return (shown.empty() ? "localhost" : shown) + ":" + (port.empty() ? "5432" : port);
  }
};

Result<std::vector<Place>> places_of(const Options& options) {
  const std::vector<std::string> hosts = split(find(options, "host"));
  const std::vector<std::string> addresses = split(find(options, "hostaddr"));
  const std::vector<std::string> ports = split(find(options, "port"));
  const bool has_addresses = !find(options, "hostaddr").empty();
  const std::size_t count = has_addresses ? addresses.size() : hosts.size();
  const bool has_hosts = !find(options, "host").empty();
  if ((ports.size() != 1 && ports.size() != count) ||
      (has_addresses && has_hosts && hosts.size() != count)) {
    return invalid_argument("the PostgreSQL URL names another number of ports than of hosts");
  }
  std::vector<Place> places(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (has_hosts) places[i].host = hosts[i];
    if (has_addresses) places[i].hostaddr = addresses[i];
    places[i].port = ports.size() == 1 ? ports[0] : ports[i];
  }
  return places;
}

}  // namespace

std::vector<const char*> PgTarget::keywords() const {
  std::vector<const char*> words;
  for (const auto& [keyword, value] : parameters) words.push_back(keyword.c_str());
  words.push_back(nullptr);
  return words;
}

std::vector<const char*> PgTarget::values() const {
  std::vector<const char*> words;
  for (const auto& [keyword, value] : parameters) words.push_back(value.c_str());
  words.push_back(nullptr);
  return words;
}

Result<std::vector<PgTarget>> parse_postgres_url(const std::string& url,
                                                 std::string_view session_attrs) {
  Options options = TRY(parse_options(url));
  const std::vector<Place> places = TRY(places_of(options));
  options.emplace("target_session_attrs", session_attrs);
  options.emplace("connect_timeout", "5");
  options.emplace("application_name", "earshot");
  options["client_encoding"] = "UTF8";

  int connect_seconds = 0;
  const std::string timeout = options["connect_timeout"];
  const auto read =
      std::from_chars(timeout.data(), timeout.data() + timeout.size(), connect_seconds);
  if (read.ec != std::errc() || read.ptr != timeout.data() + timeout.size() ||
      connect_seconds < 1) {
    return invalid_argument("connect_timeout of the PostgreSQL URL is not a number of seconds");
  }

  std::vector<PgTarget> targets;
  for (const Place& place : places) {
    // libpq's own message would show what is part of a password.
    const bool is_port = place.port.find_first_not_of("0123456789") == std::string::npos;
    if (place.host.find('@') != std::string::npos || !is_port) {
      return invalid_argument(
          "the PostgreSQL URL has a host or port that is none; in a user or password write @ as "
          "%40, / as %2F and : as %3A");
    }
    PgTarget target{.name = place.name(), .parameters = {}, .connect_seconds = connect_seconds};
    for (const auto& [keyword, value] : options) {
      if (keyword == "host" || keyword == "hostaddr" || keyword == "port") continue;
      target.parameters.emplace_back(keyword, value);
    }
    if (!place.host.empty()) target.parameters.emplace_back("host", place.host);
    if (!place.hostaddr.empty()) target.parameters.emplace_back("hostaddr", place.hostaddr);
    if (!place.port.empty()) target.parameters.emplace_back("port", place.port);
    targets.push_back(std::move(target));
  }
  return targets;
}

std::string describe_postgres_url(const std::string& url) {
  const auto options = parse_options(url);
  const auto places = options ? places_of(*options) : Result<std::vector<Place>>(options.error());
  if (!places) return "postgresql://?";
  std::string text = "postgresql://";
  const std::string user = find(*options, "user");
  if (!user.empty()) text += user + "@";
  for (std::size_t i = 0; i < places->size(); ++i) {
    if (i > 0) text += ',';
    text += (*places)[i].name();
  }
  return text + "/" + find(*options, "dbname");
}

}  // namespace earshot::store
