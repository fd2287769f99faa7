#include "cli/values.h"

#include <gtest/gtest.h>

namespace earshot::cli {
namespace {

TEST(Bytes, AreReadWithTheirUnits) {
  const struct {
    std::string_view text;
    std::uint64_t bytes;
  } table[] = {
      {"0", 0},
      {"1", 1},
      {"268435456", 268435456},
      {"7b", 7},
      {"2KB", 2000},
      {"2KiB", 2048},
      {"3MB", 3000000},
      {"256MiB", 256ULL << 20},
      {"256mib", 256ULL << 20},
      {"5GB", 5000000000},
      {"5GiB", 5ULL << 30},
      {"2TB", 2000000000000},
      {"2TiB", 2ULL << 40},
      {"9223372036854775807", 9223372036854775807},
  };
  for (const auto& row : table) {
    const auto bytes = parse_bytes(row.text);
    ASSERT_TRUE(bytes) << row.text;
    EXPECT_EQ(*bytes, row.bytes) << row.text;
  }
}

TEST(Bytes, RefuseWhatIsNoSize) {
  for (const std::string_view text :
       {"", " ", "-1", "+1", "1.5MiB", "12Q", "64 MiB", "MiB", "0x10", "64M", "1e3", " 1", "1 ",
        "9223372036854775808", "18446744073709551616", "9999999TiB", "1MiBs"}) {
    const auto bytes = parse_bytes(text);
    ASSERT_FALSE(bytes) << text;
    EXPECT_NE(bytes.error().message.find("'" + std::string(text) + "'"), std::string::npos);
  }
}

TEST(Duration, IsReadWithItsUnit) {
  const struct {
    std::string_view text;
    std::int64_t millis;
  } table[] = {{"0", 0},        {"0s", 0},
               {"5", 5000},     {"5s", 5000},
               {"250ms", 250},  {"2m", 120000},
               {"1h", 3600000}, {"30d", 2592000000},
               {"2M", 120000},  {"36500d", 3153600000000}};
  for (const auto& row : table) {
    const auto duration = parse_duration(row.text);
    ASSERT_TRUE(duration) << row.text;
    EXPECT_EQ(duration->count(), row.millis) << row.text;
  }
}

TEST(Duration, RefusesWhatIsNone) {
  for (const std::string_view text :
       {"", "s", "-5s", "1.5s", "5 s", "5sec", "1w", "99999999999d"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(Count, KeepsToItsBounds) {
  EXPECT_EQ(*parse_count("1", 1, 10), 1U);
  EXPECT_EQ(*parse_count("10", 1, 10), 10U);
  for (const std::string_view text : {"", "0", "11", "-1", "1x", "1KB", "99999999999999999999"}) {
    EXPECT_FALSE(parse_count(text, 1, 10)) << text;
  }
}

TEST(HostPort, IsTakenApart) {
  const struct {
    std::string_view text;
    std::string_view host;
    std::uint16_t port;
  } table[] = {{"127.0.0.1:8080", "127.0.0.1", 8080},
               {"localhost:0", "localhost", 0},
               {"[::1]:65535", "::1", 65535},
               {"0.0.0.0:443", "0.0.0.0", 443}};
  for (const auto& row : table) {
    const auto address = parse_host_port(row.text);
    ASSERT_TRUE(address) << row.text;
    EXPECT_EQ(address->host, row.host) << row.text;
    EXPECT_EQ(address->port, row.port) << row.text;
  }
}

TEST(HostPort, RefusesWhatIsNone) {
  for (const std::string_view text :
       {"", "8080", ":8080", "127.0.0.1", "127.0.0.1:", "localhost:http", "localhost:65536",
        "localhost:-1", "::1:8080", "[::1]", "[]:80", "[::1:80", "a[b]:80"}) {
    EXPECT_FALSE(parse_host_port(text)) << text;
  }
}

TEST(Loopback, IsOnlyThisMachine) {
  for (const std::string_view host : {"localhost", "LocalHost", "127.0.0.1", "127.1.2.3", "::1",
                                      "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1"}) {
    EXPECT_TRUE(is_loopback(host)) << host;
  }
  for (const std::string_view host :
       {"0.0.0.0", "128.0.0.1", "10.0.0.1", "::", "::2", "fe80::1", "localhost.example.com",
        "127.0.0.1.example.com", "", "127.1", "::ffff:10.0.0.1"}) {
    EXPECT_FALSE(is_loopback(host)) << host;
  }
}

}  // namespace
}  // namespace earshot::cli
