// One request on its way to its answer: what is known of it, and how it is answered, counted and
// logged. Which request gets what is said elsewhere: application.h lets it in, operations.h
// answers.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "api/decode.h"
#include "api/metrics.h"
#include "api/options.h"
#include "api/problem.h"
#include "api/query.h"
#include "api/refusal_log.h"
#include "api/stream.h"
#include "auth/credentials.h"
#include "auth/key_uses.h"
#include "base/digest.h"
#include "base/random.h"
#include "core/entry.h"
#include "http/message.h"
#include "service/directory.h"
#include "service/waiting_requests.h"
#include "store/store.h"

namespace earshot::api {

class Feed;
class SharedPages;
struct Route;

inline constexpr std::string_view kJson = "application/json;charset=UTF-8";
inline constexpr std::string_view kRevisionField = "x-earshot-revision";

// What all requests of an application share.
struct Setting {
  store::Store& store;
  const Options options;
  const std::shared_ptr<Metrics> metrics = std::make_shared<Metrics>();
  Feed* feed = nullptr;  // of the application, as are
  SharedPages* pages = nullptr;
  auth::KeyUses key_uses{};
  service::WaitingRequests waiting{{.directory = options.directory_requests_max}};  // changes
  service::WaitingRequests listing{{}};  // lists of keys, which wait for no change
  RefusalLog refusals{store, options.refusals_interval};
};

// The header Idempotency-Key: what it says, and what the body comes to.
struct Idempotency {
  explicit Idempotency(std::string_view its_key) : key(its_key) {}
  std::string key;
  Sha256 body;
};
inline constexpr std::size_t kIdempotencyKeyCharsMax = 255;

// A request, and the body that it takes. Lives until the answer left: whoever answers later holds
// it. Used by one thread at a time, save that a body may come while its key is looked up: `awaited`
// says how that goes.
class Exchange final : public http::Body, public std::enable_shared_from_this<Exchange> {
 public:
  // `setting` must outlive it.
  Exchange(Setting& its_setting, std::string_view its_remote_address,
           std::chrono::steady_clock::time_point its_received_at);

  std::optional<std::size_t> bytes_max() const override;
  // The body. What the head alone could not decide is answered at its end, because a body that is
  // too long goes first.
  void piece(std::string_view bytes) override {
    if (decoder) decoder->piece(bytes);
    if (upload) upload->piece(bytes);
    if (idempotency) idempotency->body.update(bytes);
  }
  void end() override;
  void too_long() override;

  // One thing less is awaited; with the last of them the request is answered.
  void settle();

  // The body is complete, or too long or none, and the request is let in: refuses what came, or
  // calls the operation.
  void answer();

  // Each answers, so that only one of them is called, once.
  void send(http::Response response);
  void send_problem(const Problem& problem);
  // Refuses what was sent, without asking the store for it.
  void refuse_content(Problem problem);
  // Answers later: `work` is called on the thread of `requests`, also where the client has gone
  // meanwhile. The request, which is about keys, is refused where too many wait.
  void wait_in(service::WaitingRequests& requests, std::function<void()> work);
  store::Origin origin() const { return {id, principal->key->key.access_key}; }
  // Goes on where the key still lets the request in, as the store knows it; else refuses. For an
  // operation that gives the store no asker. May go on later, on a thread of the store.
  void confirm_key(std::function<void()> go_on);
  // What a store or service answered in place of a result.
  void send_failure(const Error& error);
  // 200 with the bytes that `encoder` gives: whole, or in pieces where they are many. The revision
  // goes into the head. Encoder: bool append(std::string& out, std::size_t size), as that of
  // AccessListEncoder.
  template <class Encoder>
  void send_encoded(Encoder encoder, std::optional<core::Revision> revision);

  http::Response make_response(int status, std::string_view content_type, std::string body) const;
  http::Response make_response(const Problem& problem) const;

  // The answer is that of an earlier request, of which this one is a repetition: it names that one.
  void repeat(const RequestId& earlier);
  // The id that the answer names.
  std::string_view answer_id() const { return repeated_ ? earlier_text_ : id_text; }

  // Keeps the path of the head for the log, where it is not the pattern of its route itself.
  void keep_path(std::string_view pattern);

  // Counts and logs what was answered. A line for every request that changed something or was
  // refused.
  void finish(int status, const Problem* problem);

  // Exceptions mean a bug or exhaustion; here they become 500, whichever thread they came up on.
  template <class Work>
  void guard(Work&& work) {
    try {
      work();
    } catch (const std::exception& exception) {
      fail(exception);
    }
  }

  Setting& setting;
  http::Reply reply;
  bool is_answered = false;
  const RequestId id = make_request_id();
  const RequestIdText id_text = format_request_id(id);
  const Route* route = nullptr;
  std::string_view method;  // of the route; of the head while the head is there
  std::string_view path;
  std::string remote_address;
  std::chrono::steady_clock::time_point received_at;
  std::optional<auth::Principal> principal;
  store::KeyPtr refused_key;  // known by its name, and not let in: the secret is wrong, or it ended
  // The principal's asker, where it has one; of a request that waits, or may stay long, always.
  std::shared_ptr<const auth::Admission> admission;
  bool is_key_from_memory = false;  // and the store may know better
  // What is wrong with the head, of what is told only once the body has been seen to be not too
  // long; null where nothing is. The body is not looked at then.
  std::unique_ptr<const Problem> fault;
  std::optional<core::Revision> at_least;  // of a read, where it says
  std::uint64_t path_id = 0;               // the id in the path, where there is one
  Query query;
  bool wants_events = false;                         // a stream of them instead of a page
  std::optional<store::ChangesPosition> last_event;  // the reader has come up to it
  std::optional<Idempotency> idempotency;            // where the head has a key for it
  std::optional<Decoder> decoder;                    // until the body has been read
  std::optional<service::RecordsUpload> upload;
  bool is_too_long = false;
  // What has to be there before the request can be answered: the end of the body, and a key that
  // was looked up and lets it in. Who brings the last of it answers.
  std::atomic<int> awaited{1};
  // What a change came to.
  std::size_t pairs_changed = 0;
  bool has_loaded = false;  // records were applied
  core::Revision revision = 0;

 private:
  void fail(const std::exception& exception);
  void keep_refusal(const Problem& problem);

  std::string path_text_;  // of keep_path()
  bool repeated_ = false;
  RequestIdText earlier_text_;  // of the request that this one repeats
};

template <class Encoder>
void Exchange::send_encoded(Encoder encoder, std::optional<core::Revision> its_revision) {
  const std::size_t whole_max = setting.options.answer_bytes_whole;
  std::string body;
  const bool is_whole = encoder.append(body, whole_max);
  http::Response response = make_response(200, kJson, {});
  if (its_revision) response.fields.add(kRevisionField, std::to_string(*its_revision));
  if (is_whole) {
    response.body = std::move(body);
    return send(std::move(response));
  }
  is_answered = true;
  auto rest = std::make_shared<Encoder>(std::move(encoder));
  stream_answer(reply, std::move(response), std::move(body),
                [rest = std::move(rest)](std::string& piece, std::size_t size) {
                  return rest->append(piece, size);
                });
  finish(200, nullptr);
}

}  // namespace earshot::api
