// The suite about grants with results, over the embedded store.
#include <gtest/gtest.h>

#include "conformance/grants_suite.h"
#include "conformance/places.h"

namespace earshot::test {
namespace {

INSTANTIATE_TEST_SUITE_P(Embedded, GrantsSuite,
                         testing::Values(embedded("AsShipped", [](auto&) {}),
                                         embedded("WithoutCache",
                                                  [](auto& options) { options.cache_bytes = 0; })),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace earshot::test
