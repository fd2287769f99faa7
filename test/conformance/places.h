// Places for the stores that there are: a directory of a test's own, and a database of a test's
// own.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "conformance/store_suite.h"
#include "store/embedded.h"
#include "store/pg_testing.h"
#include "store/postgres.h"

namespace earshot::test {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "earshot-store-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  std::string path() const { return path_; }

 private:
  std::string path_;
};

struct EmbeddedPlace final : StorePlace {
  std::unique_ptr<store::Store> open(Clock clock) override {
    options.directory = directory.path() + "/store";
    options.clock = std::move(clock);
    options.expiry_every = expiry_every;
    options.idempotency_keep = idempotency_keep;
    options.refusals = refusals;
    options.retention = retention;
    options.retention_revisions = retention_revisions;
    if (retention || retention_revisions) {
      options.retention_every = std::chrono::seconds(0);
      options.house_every = std::chrono::milliseconds(1);
    }
    auto opened = store::open_embedded(options);
    EXPECT_TRUE(opened.has_value()) << opened.error().message;
    return opened ? std::move(*opened) : nullptr;
  }
  TemporaryDirectory directory;
  store::EmbeddedOptions options;
};

inline StoreKind embedded(std::string name, std::function<void(store::EmbeddedOptions&)> tune,
                          int history_steps = 700) {
  return {std::move(name),
          [tune] {
            auto place = std::make_unique<EmbeddedPlace>();
            place->options.free_bytes_min = 0;
            place->options.cache_bytes = 1 << 20;
            place->options.block_cache_bytes = 1 << 20;
            tune(place->options);
            return place;
          },
          history_steps};
}

struct PostgresPlace final : StorePlace {
  std::unique_ptr<store::Store> open(Clock clock) override {
    options.url = database.url();
    options.clock = std::move(clock);
    options.expiry_every = expiry_every;
    options.idempotency_keep = idempotency_keep;
    options.refusals = refusals;
    options.retention = retention;
    options.retention_revisions = retention_revisions;
    if (retention || retention_revisions) options.retention_every = std::chrono::seconds(1);
    auto opened = store::open_postgres(options);
    EXPECT_TRUE(opened.has_value()) << opened.error().message;
    return opened ? std::move(*opened) : nullptr;
  }
  store::PgTestDatabase database;
  store::PostgresOptions options;
};

inline StoreKind postgres(std::string name, std::function<void(store::PostgresOptions&)> tune,
                          int history_steps) {
  return {std::move(name),
          [tune] {
            auto place = std::make_unique<PostgresPlace>();
            tune(place->options);
            return place;
          },
          history_steps};
}

}  // namespace earshot::test
