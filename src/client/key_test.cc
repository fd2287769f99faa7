// Where keys come from, and who else could read them.
#include "client/key.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "client/testing.h"

namespace earshot::client {
namespace {

TEST(Key, IsANameAndASecret) {
  const auto key = parse_key("ACME:a:b");
  ASSERT_TRUE(key);
  EXPECT_EQ(key->access_key, "ACME");
  EXPECT_EQ(key->secret, "a:b");
  for (const std::string text : {"", ":", "ACME", "ACME:", ":s3cret", "ACME:s3 cret",
                                 "ACME:s3cret\n", "AC ME:s3cret", "ACME:s3cr\xC3\xA9t"}) {
    const auto refused = parse_key(text);
    ASSERT_FALSE(refused) << text;
    EXPECT_EQ(refused.error().code, Code::invalid_argument);
    EXPECT_EQ(refused.error().message.find("s3"), std::string::npos) << "shows it";
  }
}

TEST(KeyFile, IsReadWhereOnlyItsOwnerMay) {
  for (const std::string text : {"ACME:s3cret", "ACME:s3cret\n", "ACME:s3cret\r\nmore\n"}) {
    const File file(text);
    const auto key = read_key_file(file.path());
    ASSERT_TRUE(key) << key.error().message;
    EXPECT_EQ(key->access_key + ":" + key->secret, "ACME:s3cret");
  }
  EXPECT_TRUE(read_key_file(File("ACME:s3cret", 0400).path()));
  for (const mode_t mode : {0640, 0604, 0644, 0660, 0602, 0610, 0601, 0777}) {
    const File file("ACME:s3cret", mode);
    const auto refused = read_key_file(file.path());
    ASSERT_FALSE(refused) << mode;
    EXPECT_NE(refused.error().message.find("chmod 600 " + file.path()), std::string::npos)
        << refused.error().message;
  }
  const auto wide = read_key_file(File("ACME:s3cret", 0644).path());
  EXPECT_NE(wide.error().message.find("mode 0644"), std::string::npos) << wide.error().message;
}

TEST(KeyFile, IsRefusedWithoutAWordOfWhatItHolds) {
  const File file("s3cret without a name");
  const auto refused = read_key_file(file.path());
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().message.starts_with(file.path())) << refused.error().message;
  EXPECT_EQ(refused.error().message.find("s3cret"), std::string::npos);
  EXPECT_FALSE(read_key_file(File("").path()));
  EXPECT_FALSE(read_key_file(File("ACME:" + std::string(5000, 'x')).path()));
  EXPECT_FALSE(read_key_file("/no/such/file"));
  EXPECT_FALSE(read_key_file("/tmp"));
  const std::string pipe = File("").path() + ".pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_FALSE(read_key_file(pipe)) << "nor is a pipe waited for";
  std::filesystem::remove(pipe);
}

}  // namespace
}  // namespace earshot::client
