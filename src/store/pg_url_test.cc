#include "store/pg_url.h"

#include <gtest/gtest.h>

#include <map>

namespace earshot::store {
namespace {

std::map<std::string, std::string> parameters(const PgTarget& target) {
  return {target.parameters.begin(), target.parameters.end()};
}

TEST(ParsePostgresUrl, RefusesAPasswordThatWasNotEscapedWithoutShowingIt) {
  for (const char* const url : {"postgresql://u:s3cret@pw@h/db", "postgresql://u:s3cret/pw@h/db"}) {
    const auto targets = parse_postgres_url(url);
    ASSERT_FALSE(targets.has_value()) << url;
    EXPECT_NE(targets.error().message.find("%40"), std::string::npos);
    for (const char* const part : {"s3cret", "pw"}) {
      EXPECT_EQ(targets.error().message.find(part), std::string::npos) << targets.error().message;
    }
  }
}

TEST(ParsePostgresUrl, MakesOneTargetOfEachHost) {
  const auto targets =
      parse_postgres_url("postgresql://ann:s3cret@db1:6001,db2:6002/earshot?sslmode=require");
  ASSERT_TRUE(targets.has_value());
  ASSERT_EQ(targets->size(), 2U);
  EXPECT_EQ((*targets)[0].name, "db1:6001");
  EXPECT_EQ((*targets)[1].name, "db2:6002");
  const std::map<std::string, std::string> expected = {
      {"user", "ann"},
      {"password", "s3cret"},
      {"host", "db2"},
      {"port", "6002"},
      {"dbname", "earshot"},
      {"sslmode", "require"},
      {"target_session_attrs", "read-write"},
      {"connect_timeout", "5"},
      {"application_name", "earshot"},
      {"client_encoding", "UTF8"},
  };
  EXPECT_EQ(parameters((*targets)[1]), expected);
  const auto keywords = (*targets)[1].keywords();
  const auto values = (*targets)[1].values();
  ASSERT_EQ(keywords.size(), expected.size() + 1);
  ASSERT_EQ(values.size(), keywords.size());
  EXPECT_EQ(keywords.back(), nullptr);
  EXPECT_EQ(values.back(), nullptr);
}

TEST(ParsePostgresUrl, LeavesWhatTheUrlSays) {
  const auto targets = parse_postgres_url(
      "postgresql://h/d?target_session_attrs=any&connect_timeout=2&application_name=x"
      "&client_encoding=LATIN1");
  ASSERT_TRUE(targets.has_value());
  auto first = parameters(targets->at(0));
  EXPECT_EQ(first["target_session_attrs"], "any");
  EXPECT_EQ(first["application_name"], "x");
  EXPECT_EQ(first["client_encoding"], "UTF8");  // our texts are
  EXPECT_EQ(targets->at(0).connect_seconds, 2);
}

TEST(ParsePostgresUrl, OnePortIsThatOfEveryHost) {
  const auto targets = parse_postgres_url("postgresql:///d?host=a,b&port=7000");
  ASSERT_TRUE(targets.has_value());
  ASSERT_EQ(targets->size(), 2U);
  EXPECT_EQ(targets->at(1).name, "b:7000");
}

TEST(ParsePostgresUrl, RefusesWithoutSayingTheSecret) {
  for (const std::string url :
       {"postgresql://ann:s3cret@h/d?no-such-word=1", "postgresql://ann:s3cret@h:1,g/d?port=1,2,3",
        "postgresql://ann:s3cret@h/d?connect_timeout=s3cret", "postgresql://ann:s3cret@[::1/d"}) {
    const auto targets = parse_postgres_url(url);
    ASSERT_FALSE(targets.has_value()) << url;
    EXPECT_EQ(targets.error().code, Code::invalid_argument);
    EXPECT_EQ(targets.error().message.find("s3cret"), std::string::npos);
  }
}

TEST(DescribePostgresUrl, HoldsNoSecret) {
  EXPECT_EQ(describe_postgres_url(
                "postgresql://ann:s3cret@db1:6001,db2/earshot?password=x&sslpassword=y"),
            "postgresql://ann@db1:6001,db2:5432/earshot");
  EXPECT_EQ(describe_postgres_url("postgresql://ann:s3cret@h/d?no-such-word=1"), "postgresql://?");
}

}  // namespace
}  // namespace earshot::store
