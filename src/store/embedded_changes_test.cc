// The suite about the record of changes, over the embedded store; and what is its own.
#include <gtest/gtest.h>

#include <thread>

#include "conformance/changes_suite.h"
#include "conformance/places.h"

namespace earshot::test {
namespace {

INSTANTIATE_TEST_SUITE_P(Embedded, ChangesSuite,
                         testing::Values(embedded("AsShipped", [](auto&) {}, 300),
                                         embedded(
                                             "WithSpills",
                                             [](auto& options) { options.load_memory_bytes = 1; },
                                             100)),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace earshot::test
