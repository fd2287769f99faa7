#include "http/client.h"

#include <curl/curl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace earshot::http {
namespace {

struct FreeEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Easy = std::unique_ptr<CURL, FreeEasy>;
using Url = std::unique_ptr<CURLU, FreeUrl>;
using List = std::unique_ptr<curl_slist, FreeList>;

// The part's text; empty where the URL has none.
std::string part_of(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK) return "";
  std::string copy(text);
  curl_free(text);
  return copy;
}

void append(curl_slist*& list, const std::string& line) {
  curl_slist* longer = curl_slist_append(list, line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  list = longer;
}

// What comes in while an answer is received.
struct Incoming {
  ClientResponse response;
  std::size_t bytes_max = 0;
  bool is_too_long = false;
};

std::size_t take_head_line(const char* data, std::size_t, std::size_t size, void* user) {
  auto& fields = static_cast<Incoming*>(user)->response.fields;
  std::string_view line(data, size);
  if (line.starts_with("HTTP/")) {  // also the head behind that of a 100
    fields.clear();
    return size;
  }
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return size;
  std::string name(line.substr(0, colon));
  std::ranges::transform(name, name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  line.remove_prefix(colon + 1);
  const auto begin = std::min(line.find_first_not_of(" \t"), line.size());
  const auto end = line.find_last_not_of(" \t\r\n");
  fields.emplace_back(std::move(name),
                      end == std::string_view::npos ? "" : line.substr(begin, end + 1 - begin));
  return size;
}

std::size_t take_piece(const char* data, std::size_t, std::size_t size, void* user) {
  auto& incoming = *static_cast<Incoming*>(user);
  if (size > incoming.bytes_max - incoming.response.body.size()) {
    incoming.is_too_long = true;
    return CURL_WRITEFUNC_ERROR;
  }
  incoming.response.body.append(data, size);
  return size;
}

int go_on(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const auto& is_wanted = static_cast<const ClientRequest*>(user)->is_wanted;
  return !is_wanted || is_wanted() ? 0 : 1;
}

// Whether the next try may fare better.
bool is_of_the_moment(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
      return true;
    default:
      return false;
  }
}

}  // namespace

struct Client::State {
  ClientOptions options;
  Easy easy;

  template <class Value>
  void set(CURLoption option, Value value) {
    // Refused are only options that the library was built without, and lack of memory.
    if (curl_easy_setopt(easy.get(), option, value) != CURLE_OK) throw std::bad_alloc();
  }

  void set_connection(bool is_tls) {
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_NOSIGNAL, 1L);  // timeouts without signals, whatever threads there are
    set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    set(CURLOPT_SSL_VERIFYPEER, 1L);
    set(CURLOPT_SSL_VERIFYHOST, 2L);
    if (!options.ca_file.empty()) set(CURLOPT_CAINFO, options.ca_file.c_str());
    // In the clear a proxy would read the secret.
    if (!is_tls) set(CURLOPT_PROXY, "");
    set(CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
    set(CURLOPT_USERNAME, options.user.c_str());
    set(CURLOPT_PASSWORD, options.password.c_str());
    set(CURLOPT_USERAGENT, options.user_agent.c_str());
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_time.count()));
  }
};

std::string_view ClientResponse::field(std::string_view name) const {
  const auto found = std::ranges::find(fields, name, &ClientFields::value_type::first);
  return found == fields.end() ? std::string_view() : found->second;
}

Result<ServerAddress> parse_server_address(std::string_view text) {
  const Url url(curl_url());
  const std::string whole(text);
  const auto bad = [](const char* what) {
    return invalid_argument(std::string("the server's address ") + what +
                            "; give one such as https://earshot.example or http://127.0.0.1:8080");
  };
  // libcurl would guess a scheme, take white space away, and end at a NUL.
  if (!text.starts_with("http://") && !text.starts_with("https://")) {
    return bad("begins with neither http:// nor https://");
  }
  const bool is_plain = std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7F; });
  if (!is_plain || curl_url_set(url.get(), CURLUPART_URL, whole.c_str(), 0) != CURLUE_OK) {
    return bad("is no URL");
  }
  if (text.find('@') != std::string_view::npos) {
    return bad("has credentials in it, which belong into EARSHOT_KEY or a file");
  }
  if (text.find_first_of("?#") != std::string_view::npos) return bad("goes on behind its path");
  ServerAddress address;
  address.is_tls = text.starts_with("https://");
  address.host = part_of(url.get(), CURLUPART_HOST);
  if (address.host.empty()) return bad("names no host");
  if (address.host.size() > 2 && address.host.front() == '[') {
    address.host = address.host.substr(1, address.host.size() - 2);
  }
  return address;
}

Result<Client> Client::open(ClientOptions options) {
  const auto address = TRY(parse_server_address(options.server));
  if (!options.ca_file.empty() && ::access(options.ca_file.c_str(), R_OK) != 0) {
    return invalid_argument("cannot read " + options.ca_file + ": " + std::strerror(errno));
  }
  while (options.server.ends_with('/')) options.server.pop_back();
  static const CURLcode is_library_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (is_library_ready != CURLE_OK) throw std::bad_alloc();
  auto state = std::make_unique<State>();
  state->options = std::move(options);
  state->easy.reset(curl_easy_init());
  if (!state->easy) throw std::bad_alloc();
  state->set_connection(address.is_tls);
  return Client(std::move(state));
}

Client::Client(std::unique_ptr<State> state) : state_(std::move(state)) {}
Client::Client(Client&&) noexcept = default;
Client::~Client() = default;

Result<ClientResponse> Client::send(const ClientRequest& request) {
  State& state = *state_;
  const std::string url = state.options.server + request.target;
  curl_slist* lines = nullptr;
  for (const auto& [name, value] : request.fields) {
    append(lines, std::string(name).append(": ").append(value));
  }
  append(lines, "expect:");  // a long body is sent at once, too
  const List owner(lines);
  Incoming incoming;
  incoming.bytes_max = state.options.answer_bytes_max;
  std::array<char, CURL_ERROR_SIZE> reason{};

  // These refer to what is gone when this returns: each call sets every one.
  state.set(CURLOPT_URL, url.c_str());
  state.set(CURLOPT_HTTPHEADER, lines);
  if (request.body.empty()) {
    state.set(CURLOPT_HTTPGET, 1L);
  } else {
    state.set(CURLOPT_POST, 1L);
    state.set(CURLOPT_POSTFIELDS, request.body.c_str());
    state.set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  }
  state.set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
  state.set(CURLOPT_TIMEOUT_MS, std::max(1L, static_cast<long>(request.time.count())));
  state.set(CURLOPT_HEADERFUNCTION, &take_head_line);
  state.set(CURLOPT_HEADERDATA, &incoming);
  state.set(CURLOPT_WRITEFUNCTION, &take_piece);
  state.set(CURLOPT_WRITEDATA, &incoming);
  state.set(CURLOPT_NOPROGRESS, 0L);
  state.set(CURLOPT_XFERINFOFUNCTION, &go_on);
  state.set(CURLOPT_XFERINFODATA, &request);
  state.set(CURLOPT_ERRORBUFFER, reason.data());

  const CURLcode code = curl_easy_perform(state.easy.get());
  state.set(CURLOPT_ERRORBUFFER, nullptr);
  if (code == CURLE_OK) {
    long status = 0;
    curl_easy_getinfo(state.easy.get(), CURLINFO_RESPONSE_CODE, &status);
    incoming.response.status = static_cast<int>(status);
    return std::move(incoming.response);
  }
  std::string message = state.options.server + ": ";
  if (incoming.is_too_long) {
    message += "the answer is longer than " + std::to_string(incoming.bytes_max) + " bytes";
  } else {
    message += reason[0] != '\0' ? reason.data() : curl_easy_strerror(code);
  }
  if (code == CURLE_SSL_CONNECT_ERROR) message += "; does it speak TLS at this address?";
  if (code == CURLE_SSL_CACERT_BADFILE) return invalid_argument(std::move(message));
  long sent = 0;
  curl_easy_getinfo(state.easy.get(), CURLINFO_REQUEST_SIZE, &sent);
  if (sent > 0) return Error{is_of_the_moment(code) ? Code::unavailable : Code::internal, message};
  return Error{is_of_the_moment(code) ? Code::not_found : Code::denied, message};
}

}  // namespace earshot::http
