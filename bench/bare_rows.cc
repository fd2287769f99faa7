#include "bare_rows.h"

#include <rocksdb/write_batch.h>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>

#include "population.h"
#include "store/codec.h"

namespace earshot::bench {
namespace {

constexpr CompanyId kCompany{1};
constexpr std::size_t kFillBatch = 1000;
constexpr const char* kCountsKey = "counts";  // the grants and the requests, as text

void check(const rocksdb::Status& status) {
  if (!status.ok()) fail(status.ToString());
}

}  // namespace

void fail(const std::string& what) {
  std::fprintf(stderr, "bare store: %s\n", what.c_str());
  std::exit(1);
}

BareRows::BareRows(const std::string& directory, std::uint64_t calls, std::uint64_t users)
    : calls_(calls), users_(users) {
  auto opened = store::Rocks::open({.directory = directory, .block_cache_bytes = 256 << 20});
  if (!opened) fail(opened.error().message);
  rocks_ = std::move(*opened);
  const auto counts = rocks_->get(store::Family::meta, kCountsKey);
  if (!counts) fail(counts.error().message);
  if (*counts) {
    grants_ = std::stoull(**counts);
    requests_ = std::stoull((*counts)->substr((*counts)->find(' ')));
  }
}

void BareRows::fill(std::uint64_t grants) {
  while (grants_ < grants) commit(kFillBatch, 1, false);
  rocksdb::WriteBatch batch;
  check(batch.Put(rocks_->family(store::Family::meta), kCountsKey,
                  std::to_string(grants_) + ' ' + std::to_string(requests_)));
  check(rocks_->write(batch, true));
}

void BareRows::commit(std::size_t requests, std::size_t grants_per_request, bool sync) {
  rocksdb::WriteBatch batch;
  for (std::size_t request = 0; request < requests; ++request) {
    ++requests_;
    for (std::size_t i = 0; i < grants_per_request; ++i) {
      ++grants_;
      const CallId call{call_id(1, scatter(grants_) % calls_)};
      const UserId user{listener_id(1, grants_ % users_)};
      const core::Stamp stamp{.revision = requests_, .n = static_cast<std::uint32_t>(i)};
      check(batch.Put(rocks_->family(store::Family::calls),
                      encode_key(store::CallRowKey{kCompany, call, store::RowKind::grant, user}),
                      encode_value(store::GrantRowValue{stamp, core::Grant{}})));
      check(batch.Put(rocks_->family(store::Family::by_user),
                      encode_key(store::UserCallKey{kCompany, user, call}),
                      encode_value(store::UserCallValue{.grant = true, .removed = {}})));
      writer_.add(store::GrantChanged{call, stamp, user, std::nullopt, core::Grant{}});
    }
    check(batch.Put(rocks_->family(store::Family::changes),
                    encode_key(store::ChangeKey{kCompany, requests_, 0}), finish_record()));
  }
  check(rocks_->write(batch, sync));
}

// The hash and the names of requests are random in truth, so that they do not compress; here they
// only look so.
std::string BareRows::finish_record() {
  store::ChangeHead head{.time = {static_cast<std::int64_t>(1'700'000'000'000'000 + requests_)},
                         .directory_revision = 1,
                         .origin = {.request_id = {}, .access_key = access_key(1)}};
  std::uint64_t seed = requests_ << 8;
  for (auto& byte : head.previous_hash) byte = static_cast<std::uint8_t>(scatter(++seed));
  for (auto& byte : head.origin.request_id.bytes) {
    byte = static_cast<std::uint8_t>(scatter(++seed));
  }
  return writer_.finish(head);
}

}  // namespace earshot::bench
