#include "http/parser.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace earshot::http {
namespace {

constexpr std::size_t kMax = 1024;

struct Outcome {
  HeadParser::Step step;
  ParsedHead head;
  std::string bytes;  // what the head's views point into
};

// Parses with the bytes coming in two pieces, at other addresses each time.
void parse(const std::string& bytes, std::size_t split, Outcome& out) {
  HeadParser parser;
  {
    const std::string first = bytes.substr(0, split);
    out.step = parser.parse(first, kMax, out.head);
    if (out.step.outcome != HeadParser::Step::incomplete) {
      // The views must not dangle: parse again in the place that stays.
      parser = {};
    }
  }
  out.bytes = bytes;
  out.step = parser.parse(out.bytes, kMax, out.head);
}

std::string with(const std::string& fields, const std::string& line = "GET / HTTP/1.1") {
  return line + "\r\n" + fields + "\r\n";
}

struct Case {
  const char* name;
  std::string bytes;
  int status;  // 0: accepted; -1: unfinished
};

const std::string kHost = "Host: a\r\n";

std::vector<Case> cases() {
  using namespace std::string_literals;
  const std::string nul(1, '\0');
  return {
      {"plain", with(kHost), 0},
      {"http/1.0 without host", with("", "GET / HTTP/1.0"), 0},
      {"one empty line before", "\r\n" + with(kHost), 0},
      {"two empty lines before", "\r\n\r\n" + with(kHost), 400},
      {"bare lf empty line before", "\n" + with(kHost), 400},
      {"space before", " " + with(kHost), 400},
      {"nothing", "", -1},
      {"half an empty line", "\r", -1},
      {"unfinished", "GET / HTTP/1.1\r\nHost: a\r\n", -1},
      {"unfinished line end", "GET / HTTP/1.1\r\nHost: a\r\n\r", -1},

      {"no target", with(kHost, "GET HTTP/1.1"), 400},
      {"http/0.9", with(kHost, "GET /"), 400},
      {"two spaces before target", with(kHost, "GET  / HTTP/1.1"), 400},
      {"two spaces after target", with(kHost, "GET /  HTTP/1.1"), 400},
      {"space after version", with(kHost, "GET / HTTP/1.1 "), 400},
      {"tab between", with(kHost, "GET\t/ HTTP/1.1"), 400},
      {"space in target", with(kHost, "GET /a b HTTP/1.1"), 400},
      {"bytes over 0x7f in target", with(kHost, "GET /\xc3\xa4 HTTP/1.1"), 400},
      {"nul in target", with(kHost, "GET /" + nul + " HTTP/1.1"), 400},
      {"delete in target", with(kHost, "GET /\x7f HTTP/1.1"), 400},
      {"method no token", with(kHost, "G(T / HTTP/1.1"), 400},
      {"method with high byte", with(kHost, "G\xe4T / HTTP/1.1"), 400},
      {"empty method", with(kHost, " / HTTP/1.1"), 400},
      {"any token as method", with(kHost, "m!#$%&'*+-.^_`|~9 / HTTP/1.1"), 0},
      {"lowercase version", with(kHost, "GET / http/1.1"), 400},
      {"version without minor", with(kHost, "GET / HTTP/1"), 400},
      {"version of two digits", with(kHost, "GET / HTTP/1.10"), 400},
      {"version with sign", with(kHost, "GET / HTTP/+.1"), 400},
      {"version 2.0", with(kHost, "GET / HTTP/2.0"), 505},
      {"version 1.2", with(kHost, "GET / HTTP/1.2"), 505},
      {"version 0.9", with(kHost, "GET / HTTP/0.9"), 505},
      {"preface of http/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"unknown version and malformed field", with("a b: c\r\n", "GET / HTTP/1.2"), 400},

      {"absolute form", with(kHost, "GET http://h:80/p?q HTTP/1.1"), 0},
      {"absolute form, https, uppercase", with(kHost, "GET HTTPS://h/p HTTP/1.1"), 0},
      {"absolute form without path", with(kHost, "GET http://h HTTP/1.1"), 0},
      {"absolute form without host", with(kHost, "GET http:///p HTTP/1.1"), 400},
      {"absolute form with userinfo", with(kHost, "GET http://u@h/p HTTP/1.1"), 400},
      {"absolute form of another scheme", with(kHost, "GET ftp://h/p HTTP/1.1"), 400},
      {"absolute form still needs host", with("", "GET http://h/p HTTP/1.1"), 400},
      {"asterisk", with(kHost, "OPTIONS * HTTP/1.1"), 0},
      {"asterisk of another method", with(kHost, "GET * HTTP/1.1"), 400},
      {"authority", with(kHost, "CONNECT h:443 HTTP/1.1"), 0},
      {"authority of another method", with(kHost, "GET h:443 HTTP/1.1"), 400},
      {"relative target", with(kHost, "GET a/b HTTP/1.1"), 400},

      {"missing host", with(""), 400},
      {"second host", with(kHost + kHost), 400},
      {"second host in 1.0", with(kHost + "hOST: b\r\n", "GET / HTTP/1.0"), 400},
      {"empty host", with("Host:\r\n"), 400},
      {"blank host", with("Host: \t \r\n"), 400},
      {"two hosts in one", with("Host: a b\r\n"), 400},
      {"host with path", with("Host: a/b\r\n"), 400},
      {"host with userinfo", with("Host: u@a\r\n"), 400},
      {"host with bad port", with("Host: a:8x\r\n"), 400},
      {"host with long port", with("Host: a:123456\r\n"), 400},
      {"host is only a port", with("Host: :80\r\n"), 400},
      {"host of high bytes", with("Host: \xc3\xa4\r\n"), 400},
      {"host and port", with("Host: a.b-c_d~e:8080\r\n"), 0},
      {"host with empty port", with("Host: a:\r\n"), 0},
      {"host v6", with("Host: [::1]:80\r\n"), 0},
      {"host v6 unclosed", with("Host: [::1\r\n"), 400},
      {"host v6 with rest", with("Host: [::1]a\r\n"), 400},
      {"host percent", with("Host: a%20b\r\n"), 0},
      {"host half percent", with("Host: a%2\r\n"), 400},
      {"host bad percent", with("Host: a%2g\r\n"), 400},

      {"space before colon", with(kHost + "A : b\r\n"), 400},
      {"tab before colon", with(kHost + "A\t: b\r\n"), 400},
      {"no colon", with(kHost + "A\r\n"), 400},
      {"empty name", with(kHost + ": b\r\n"), 400},
      {"name no token", with(kHost + "A(: b\r\n"), 400},
      {"folding with space", with(kHost + "A: b\r\n c\r\n"), 400},
      {"folding with tab", with(kHost + "A: b\r\n\tc\r\n"), 400},
      {"space before first field", with(" A: b\r\n" + kHost), 400},
      {"bare lf after field", "GET / HTTP/1.1\r\nHost: a\n\r\n", 400},
      {"bare lf after request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
      {"bare lf at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
      {"bare cr in value", with(kHost + "A: b\rc\r\n"), 400},
      {"two cr", with(kHost + "A: b\r\r\n"), 400},
      {"bare cr in request line", with(kHost, "GET /\r HTTP/1.1"), 400},
      {"nul in value", with(kHost + "A: b" + nul + "c\r\n"), 400},
      {"nul in name", with(kHost + "A" + nul + ": b\r\n"), 400},
      {"escape in value", with(kHost + "A: \x1b[0m\r\n"), 400},
      {"delete in value", with(kHost + "A: \x7f\r\n"), 400},
      {"tab in value", with(kHost + "A:\tb\tc\t\r\n"), 0},
      {"high bytes in value", with(kHost + "A: \xff\x80\r\n"), 0},
      {"empty value", with(kHost + "A:\r\n"), 0},

      {"length", with(kHost + "Content-Length: 5\r\n"), 0},
      {"length zero padded", with(kHost + "Content-Length: 005\r\n"), 0},
      {"length twice", with(kHost + "Content-Length: 5\r\nContent-Length: 5\r\n"), 400},
      {"length as list", with(kHost + "Content-Length: 5, 5\r\n"), 400},
      {"length plus", with(kHost + "Content-Length: +5\r\n"), 400},
      {"length minus", with(kHost + "Content-Length: -5\r\n"), 400},
      {"length hex", with(kHost + "Content-Length: 0x5\r\n"), 400},
      {"length empty", with(kHost + "Content-Length:\r\n"), 400},
      {"length with a space inside", with(kHost + "Content-Length: 1 2\r\n"), 400},
      {"length fraction", with(kHost + "Content-Length: 5.0\r\n"), 400},
      {"length over 2^63", with(kHost + "Content-Length: 9223372036854775808\r\n"), 400},
      {"length over 2^64", with(kHost + "Content-Length: 99999999999999999999\r\n"), 400},
      {"length in high digits", with(kHost + "Content-Length: \xd9\xa5\r\n"), 400},

      {"chunked", with(kHost + "Transfer-Encoding: chunked\r\n"), 0},
      {"chunked in capitals", with(kHost + "TRANSFER-ENCODING: Chunked\r\n"), 0},
      {"length and coding", with(kHost + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
       400},
      {"coding and length", with(kHost + "Transfer-Encoding: x\r\nContent-Length: 5\r\n"), 400},
      {"coding in 1.0", with(kHost + "Transfer-Encoding: chunked\r\n", "GET / HTTP/1.0"), 400},
      {"gzip, chunked", with(kHost + "Transfer-Encoding: gzip, chunked\r\n"), 501},
      {"chunked, chunked", with(kHost + "Transfer-Encoding: chunked, chunked\r\n"), 501},
      {"chunked twice",
       with(kHost + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 501},
      {"chunked;q", with(kHost + "Transfer-Encoding: chunked;a=b\r\n"), 501},
      {"xchunked", with(kHost + "Transfer-Encoding: xchunked\r\n"), 501},
      {"empty coding", with(kHost + "Transfer-Encoding:\r\n"), 501},
      {"identity", with(kHost + "Transfer-Encoding: identity\r\n"), 501},
      {"vertical tab before chunked", with(kHost + "Transfer-Encoding: \vchunked\r\n"), 400},

      {"expect", with(kHost + "Expect: 100-Continue\r\n"), 0},
      {"unknown expect", with(kHost + "Expect: 200-ok\r\n"), 417},
      {"empty expect", with(kHost + "Expect:\r\n"), 417},
      {"known and unknown expect", with(kHost + "Expect: 100-continue\r\nExpect: x\r\n"), 417},
      {"unknown expect in 1.0", with(kHost + "Expect: x\r\n", "GET / HTTP/1.0"), 0},

      {"as long as allowed", with(kHost + "A: " + std::string(kMax - 32, 'a') + "\r\n"), 0},
      {"one byte too long", with(kHost + "A: " + std::string(kMax - 31, 'a') + "\r\n"), 431},
      {"endless target", "GET /" + std::string(kMax, 'a'), 431},
      {"endless fields", "GET / HTTP/1.1\r\n" + std::string(kMax, 'a'), 431},
      {"malformed before too long", "GET / HTTP/1.1\r\nA\r\n" + std::string(kMax, 'a'), 400},
  };
}

TEST(HeadParser, AcceptsAndRefusesTheSameHoweverTheBytesAreSplit) {
  for (const Case& c : cases()) {
    for (std::size_t split = 0; split <= c.bytes.size(); ++split) {
      Outcome out;
      parse(c.bytes, split, out);
      const int status = out.step.outcome == HeadParser::Step::incomplete ? -1 : out.step.status;
      ASSERT_EQ(status, c.status) << c.name << " split at " << split;
    }
    // Byte by byte, with one parser.
    HeadParser parser;
    ParsedHead head;
    HeadParser::Step step{HeadParser::Step::incomplete, 0, 0};
    for (std::size_t size = 1; size <= c.bytes.size() && !step.outcome; ++size) {
      const std::string copy = c.bytes.substr(0, size);
      step = parser.parse(copy, kMax, head);
    }
    ASSERT_EQ(step.outcome == HeadParser::Step::incomplete ? -1 : step.status, c.status) << c.name;
  }
}

TEST(HeadParser, GivesTheFieldsAsSentWithoutSurroundingWhiteSpace) {
  const std::string bytes =
      "PUT /a%2f/../b?x=/y?z HTTP/1.1\r\nHoSt:h\r\nA: \t b c\t \r\na:\r\nB:d:e\r\n\r\nGET";
  for (std::size_t split = 0; split <= bytes.size(); ++split) {
    Outcome out;
    parse(bytes, split, out);
    ASSERT_EQ(out.step.outcome, HeadParser::Step::complete);
    EXPECT_EQ(out.step.size, bytes.size() - 3);
    EXPECT_EQ(out.head.method, "PUT");
    EXPECT_EQ(out.head.target, "/a%2f/../b?x=/y?z");
    EXPECT_EQ(out.head.path, "/a%2f/../b");
    ASSERT_EQ(out.head.fields.size(), 4u);
    EXPECT_EQ(out.head.fields[0].name, "HoSt");
    EXPECT_EQ(out.head.fields[1].value, "b c");
    EXPECT_EQ(out.head.fields[2].value, "");
    EXPECT_EQ(out.head.fields[3].value, "d:e");
  }
}

TEST(HeadParser, FindsThePathOfEveryForm) {
  const struct {
    const char* line;
    const char* path;
  } forms[] = {
      {"GET / HTTP/1.1", "/"},
      {"GET /? HTTP/1.1", "/"},
      {"GET //a HTTP/1.1", "//a"},
      {"GET /a#b HTTP/1.1", "/a#b"},
      {"GET http://h/p?q HTTP/1.1", "/p"},
      {"GET http://h HTTP/1.1", "/"},
      {"GET http://h?q HTTP/1.1", "/"},
      {"GET http://[::1]:8/p/ HTTP/1.1", "/p/"},
      {"OPTIONS * HTTP/1.1", "*"},
      {"CONNECT h:1 HTTP/1.1", "h:1"},
  };
  for (const auto& form : forms) {
    Outcome out;
    parse(with(kHost, form.line), 0, out);
    ASSERT_EQ(out.step.outcome, HeadParser::Step::complete) << form.line;
    EXPECT_EQ(out.head.path, form.path);
  }
}

TEST(HeadParser, KeepsTheConnectionAsVersionAndFieldSay) {
  const struct {
    const char* version;
    const char* fields;
    bool keep;
  } rows[] = {
      {"1.1", "", true},
      {"1.1", "Connection: close\r\n", false},
      {"1.1", "Connection: foo, CLOSE ,bar\r\n", false},
      {"1.1", "Connection: foo\r\nConnection: close\r\n", false},
      {"1.1", "Connection: closed\r\n", true},
      {"1.1", "Connection: keep-alive, close\r\n", false},
      {"1.0", "", false},
      {"1.0", "Connection: Keep-Alive\r\n", true},
      {"1.0", "Connection: keep-alive, close\r\n", false},
  };
  for (const auto& row : rows) {
    Outcome out;
    parse(with(kHost + row.fields, std::string("GET / HTTP/") + row.version), 0, out);
    ASSERT_EQ(out.step.outcome, HeadParser::Step::complete);
    EXPECT_EQ(out.head.keep_alive, row.keep) << row.version << row.fields;
  }
}

TEST(HeadParser, TellsAnEmptyLineFromTheBeginningOfARequest) {
  ParsedHead head;
  for (const auto& [bytes, begun] : {std::pair{"", false},
                                     {"\r", false},
                                     {"\r\n", false},
                                     {"\r\nG", true},
                                     {"G", true},
                                     {"GET / HTTP/1.1\r\n", true}}) {
    HeadParser parser;
    parser.parse(bytes, kMax, head);
    EXPECT_EQ(parser.begun(), begun) << bytes;
  }
}

struct Decoded {
  std::string body;
  int status = -1;  // 0: done; -1: unfinished
  std::size_t used = 0;
};

Decoded decode(ChunkedDecoder& decoder, std::string_view input) {
  Decoded out;
  while (out.used < input.size()) {
    const auto step = decoder.next(input.substr(out.used));
    out.used += step.used;
    out.body += step.data;
    if (step.outcome == ChunkedDecoder::Step::done) out.status = 0;
    if (step.outcome == ChunkedDecoder::Step::refused) out.status = step.status;
    if (out.status >= 0) break;
  }
  return out;
}

TEST(ChunkedDecoder, TakesAndRefusesTheSameHoweverTheBytesAreSplit) {
  using namespace std::string_literals;
  const std::vector<std::tuple<const char*, std::string, int, std::string>> rows = {
      {"empty", "0\r\n\r\n", 0, ""},
      {"two chunks", "3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", 0, "abc0123456789"},
      {"lowercase and zero padded", "000a\r\n0123456789\r\n00\r\n\r\n", 0, "0123456789"},
      {"data that looks like chunks", "5\r\n0\r\n\r\n\r\n0\r\n\r\n", 0, "0\r\n\r\n"},
      {"extensions", "1;a\r\nx\r\n1;a=b;c=\"d\t\xff\"\r\ny\r\n0;z\r\n\r\n", 0, "xy"},
      {"trailers", "1\r\nx\r\n0\r\nA: b\r\nC:\r\n\r\n", 0, "x"},
      {"unfinished", "1\r\nx\r\n0\r\n", -1, "x"},
      {"no size", "\r\nx\r\n0\r\n\r\n", 400, ""},
      {"size no hex", "g\r\n", 400, ""},
      {"size with prefix", "0x1\r\nx\r\n", 400, ""},
      {"size with sign", "+1\r\nx\r\n", 400, ""},
      {"space before size", " 1\r\nx\r\n", 400, ""},
      {"space after size", "1 \r\nx\r\n", 400, ""},
      {"space before extension", "1 ;a\r\nx\r\n", 400, ""},
      {"size too large", "1000000000000000\r\n", 400, ""},
      {"bare lf after size", "1\nx\r\n", 400, ""},
      {"bare cr after size", "1\rx", 400, ""},
      {"bare lf in extension", "1;a\nx\r\n", 400, ""},
      {"nul in extension", "1;\0\r\nx"s, 400, ""},
      {"data too long", "1\r\nxy\r\n", 400, "x"},
      {"data with bare lf", "1\r\nx\n", 400, "x"},
      {"data with bare cr", "1\r\nx\ry", 400, "x"},
      {"trailer without colon", "0\r\nA\r\n\r\n", 400, ""},
      {"trailer folded", "0\r\nA: b\r\n c\r\n\r\n", 400, ""},
      {"trailer with space before colon", "0\r\nA : b\r\n\r\n", 400, ""},
      {"trailer without name", "0\r\n: b\r\n\r\n", 400, ""},
      {"trailer with bare lf", "0\r\nA: b\n\r\n", 400, ""},
      {"trailer with nul", "0\r\nA: \0\r\n\r\n"s, 400, ""},
      {"end with bare lf", "0\r\n\n", 400, ""},
      {"end with bare cr", "0\r\n\rx", 400, ""},
      {"endless extension", "1;" + std::string(20000, 'a'), 400, ""},
      {"endless trailer name", "0\r\n" + std::string(20000, 'a'), 431, ""},
      {"endless trailer value", "0\r\nA:" + std::string(20000, 'a'), 431, ""},
  };
  for (const auto& [name, bytes, status, body] : rows) {
    const std::size_t step = bytes.size() > 1000 ? 997 : 1;
    for (std::size_t split = 0; split <= bytes.size(); split += step) {
      ChunkedDecoder decoder;
      Decoded out = decode(decoder, bytes.substr(0, split));
      if (out.status < 0) {
        const Decoded more = decode(decoder, bytes.substr(split));
        out.body += more.body;
        out.status = more.status;
      }
      ASSERT_EQ(out.status, status) << name << " split at " << split;
      ASSERT_EQ(out.body, body) << name << " split at " << split;
    }
  }
}

TEST(ChunkedDecoder, LeavesWhatFollowsTheBody) {
  ChunkedDecoder decoder;
  const Decoded out = decode(decoder, "1\r\nx\r\n0\r\nA: b\r\n\r\nGET / HTTP/1.1\r\n");
  EXPECT_EQ(out.status, 0);
  EXPECT_EQ(out.used, std::string_view("1\r\nx\r\n0\r\nA: b\r\n\r\n").size());
}

TEST(FindControl, FindsTheFirstAtEveryPlace) {
  for (std::size_t size = 0; size < 40; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      for (const char c : {'\0', '\t', '\n', '\x1f', '\x7f'}) {
        std::string text(size, '\x80');
        for (std::size_t i = 0; i < size; i += 2) text[i] = ' ';
        EXPECT_EQ(find_control(text, 0), size);
        text[at] = c;
        text.back() = size - 1 == at ? c : '\n';
        EXPECT_EQ(find_control(text, 0), at);
        EXPECT_EQ(find_control(text, at), at);
      }
    }
  }
}

}  // namespace
}  // namespace earshot::http
