#include "client/remote.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <utility>

#include "base/random.h"
#include "client/answers.h"

namespace earshot::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kFirstPause{200};  // doubles with each repetition
constexpr milliseconds kPauseMax{5'000};  // where the server does not ask for more
constexpr std::string_view kStillRunning = "A request with this key is still running";
// What a refusal begins with where others follow that say what is wrong.
constexpr std::array<std::string_view, 2> kGeneral = {
    "Bad request", "Json parse error, verify Json format matches the API description."};

// What came of asking once.
struct Attempt {
  Result<Remote::Answer> answer;
  bool may_pass = false;  // asking again may help
  milliseconds wait{0};   // that the server asks for
};

// Seconds; dates are not understood.
milliseconds parse_retry_after(std::string_view text) {
  constexpr std::uint64_t kMax = 7 * 86'400;
  const auto seconds = parse_id_number(text);
  return std::chrono::seconds(std::min(seconds.value_or(0), kMax));
}

Error describe(int status, const Problem& problem) {
  std::span<const std::string> errors(problem.errors);
  if (errors.size() > 1 && std::ranges::find(kGeneral, errors[0]) != kGeneral.end()) {
    errors = errors.subspan(1);
  }
  std::string text;
  for (const auto& error : errors) text += (text.empty() ? "" : "; ") + error;
  if (status == 401 && text == "Access denied") text += "; check EARSHOT_KEY or --key-file";
  const std::string number = std::to_string(status);
  if (text.empty()) {
    return unavailable("what answers is no Earshot server, or something stands before it: status " +
                       number);
  }
  text += " (status " + number + ", request " + problem.request_id + ")";
  const bool is_refusal = status >= 400 && status < 500 && status != 429;
  return is_refusal ? denied("refused: " + text) : unavailable("failed: " + text);
}

Attempt judge(http::ClientResponse response) {
  if (response.status == 200) {
    const bool is_replay = response.field("idempotent-replayed") == "true";
    return {Remote::Answer{std::move(response.body), is_replay}};
  }
  const Problem problem = decode_problem(response.body);
  Attempt attempt{describe(response.status, problem)};
  const int status = response.status;
  attempt.may_pass =
      status == 429 || status == 502 || status == 503 || status == 504 ||
      (status == 409 && !problem.errors.empty() && problem.errors[0] == kStillRunning);
  attempt.wait = parse_retry_after(response.field("retry-after"));
  return attempt;
}

// Between half and all of what the number of tries so far calls for, so that many who were sent
// away at once do not come back at once.
milliseconds pause_after(std::size_t tries) {
  const auto whole = std::min<std::int64_t>(
      kPauseMax.count(), kFirstPause.count() << std::min<std::size_t>(tries, 10));
  std::uint8_t random = 0;
  fill_random({&random, 1});
  return milliseconds(whole / 2 + whole * random / 512);
}

}  // namespace

Result<Remote> Remote::open(const Server& server, Pause pause) {
  http::ClientOptions options;
  options.server = server.url;
  options.ca_file = server.ca_file;
  auto key = server.key_file.empty() ? server.key : TRY(read_key_file(server.key_file));
  options.user = std::move(key.access_key);
  options.password = std::move(key.secret);
  options.user_agent = "earshot/" EARSHOT_VERSION;
  return Remote(TRY(http::Client::open(std::move(options))), server, std::move(pause));
}

Remote::Remote(http::Client client, const Server& server, Pause pause)
    : client_(std::move(client)),
      url_(server.url),
      timeout_(server.timeout),
      retries_(server.retries),
      pause_(std::move(pause)) {}

Result<Remote::Answer> Remote::ask(const Request& request) {
  http::ClientRequest message{request.method, request.target, {}, request.body};
  if (!request.body.empty()) message.fields.emplace_back("content-type", "application/json");
  if (!request.idempotency_key.empty()) {
    message.fields.emplace_back("idempotency-key", request.idempotency_key);
  }
  message.is_wanted = request.is_wanted;
  const auto deadline = steady_clock::now() + timeout_ + request.hold;
  bool was_sent = false;
  for (std::size_t tries = 0;; ++tries) {
    message.time = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now());
    auto response = client_.send(message);
    const int status = response ? response->status : 0;
    Attempt attempt = response ? judge(std::move(*response)) : Attempt{response.error()};
    asked_to_wait_ = attempt.wait;
    if (attempt.answer) return std::move(attempt.answer);
    Error error = attempt.answer.error();
    if (response) {
      error.message = url_ + ": " + error.message;
    } else {
      // A certificate that is not believed is no refusal: those are the server's own words.
      if (error.code == Code::denied) {
        error.code = Code::not_found;
        error.message += "; --ca-file names the certificates to believe";
      }
      if (error.code == Code::internal) error.code = Code::unavailable;
      attempt.may_pass = response.error().code == error.code;
    }
    was_sent = was_sent || response || error.code == Code::unavailable;
    if (error.code == Code::not_found && was_sent) error.code = Code::unavailable;
    constexpr int kTooMany = 429;  // counted before anything is done
    if (!request.is_repeatable && was_sent && status != kTooMany) attempt.may_pass = false;
    if (!attempt.may_pass || tries == retries_) return error;
    const auto wait = std::max(attempt.wait, pause_after(tries));
    if (steady_clock::now() + wait >= deadline) {
      if (attempt.wait.count() > 0) {
        error.message +=
            "; it asks to come back in " + std::to_string(attempt.wait.count() / 1000) + " s";
      }
      return error;
    }
    pause_(wait);
  }
}

}  // namespace earshot::client
