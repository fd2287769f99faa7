// The suite about the record of changes, over PostgreSQL; and what is its own.
#include <gtest/gtest.h>

#include "conformance/changes_suite.h"
#include "conformance/places.h"

namespace earshot::test {
namespace {

INSTANTIATE_TEST_SUITE_P(Postgres, ChangesSuite,
                         testing::Values(postgres(
                                             "AsShipped", [](auto&) {}, 200),
                                         postgres(
                                             "WithOneConnection",
                                             [](auto& options) {
                                               options.connections = options.write_connections = 1;
                                               options.batch_commands_max = 2;
                                             },
                                             60)),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace earshot::test
