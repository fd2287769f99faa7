// From the value of an Authorization header to who is asking. Knows no HTTP beyond that one value.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/ids.h"
#include "base/time.h"
#include "store/store.h"

namespace earshot::auth {

// A name and a secret, as sent together. Without an argument both are empty.
class Credentials {
 public:
  Credentials() : Credentials(":", 0) {}
  // REQUIRES: a colon stands at `colon`.
  Credentials(std::string pair, std::size_t colon) : pair_(std::move(pair)), colon_(colon) {}

  // Both are good only as long as this lives and stays where it is.
  std::string_view access_key() const { return std::string_view(pair_).substr(0, colon_); }
  // May be empty, and may hold colons.
  std::string_view secret() const { return std::string_view(pair_).substr(colon_ + 1); }

 private:
  std::string pair_;
  std::size_t colon_;
};

// Reads `Basic base64(accessKey:secret)`: the scheme in any case, spaces only between the two,
// strict base64, split at the first colon. Nothing else is taken: no Bearer, no white space around.
std::optional<Credentials> parse_basic(std::string_view authorization);

// What came with a request; empty credentials where the header was missing or malformed.
struct Presented {
  Credentials credentials;
  bool is_well_formed = false;
};

// `authorization` is the value of the one such header; nothing where there is none or more than
// one.
Presented read_credentials(std::optional<std::string_view> authorization);

enum class Verdict : std::uint8_t {
  admitted,
  access_denied,  // no such key, another secret, or expired: never said which
  scope_missing,
};

// Whether a key (null: there is none of this name) lets a request through that came with these
// credentials and needs the scope. Whatever the reason to deny access, it takes the same work.
Verdict judge(const store::KeyPtr& key, const Credentials& credentials, std::string_view scope,
              Time now);

// A request that was let in, for a store that has to ask again: keeps what it came with until it
// is answered. Any thread.
class Admission final : public store::Asker {
 public:
  // `scope` must live as long.
  Admission(store::KeyPtr key, Credentials credentials, std::string_view scope, Clock clock)
      : key_(std::move(key)),
        credentials_(std::move(credentials)),
        scope_(scope),
        clock_(std::move(clock)) {}

  const store::KeyPtr& key() const override { return key_; }
  // Of the same company, which the request was begun for, and let in by it.
  bool is_admitted_with(const store::KeyPtr& now) const override;

  // What was found the last time.
  Verdict verdict() const { return verdict_.load(std::memory_order_relaxed); }

 private:
  const store::KeyPtr key_;
  const Credentials credentials_;
  const std::string_view scope_;
  const Clock clock_;
  mutable std::atomic<Verdict> verdict_{Verdict::admitted};
};

// Who is asking: a key that let its request in.
struct Principal {
  store::KeyPtr key;        // never null
  store::AskerPtr asker{};  // null where the store knows all keys

  CompanyId company() const { return key->company; }
};

}  // namespace earshot::auth
