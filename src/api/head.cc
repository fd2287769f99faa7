#include "api/head.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cstdint>
#include <utility>

#include "api/query.h"
#include "base/ids.h"
#include "base/text.h"

namespace earshot::api {
namespace {

namespace json = boost::json;

// What keeps a statement from being taken for another text that the key may sign.
constexpr std::string_view kKind = "earshot head 1";

std::string make_statement(CompanyId company, const store::RecordHead& head, Time now) {
  std::string text(kKind);
  text.append("\ncompany ").append(to_string(company));
  text.append("\nrevision ").append(std::to_string(head.revision));
  text.append("\ntime ").append(format_time(head.time));
  text.append("\nhash ").append(to_hex(head.hash));
  text.append("\nsigned ").append(format_time(now));
  return text.append("\n");
}

std::optional<Digest> parse_digest(std::string_view text) {
  const auto bytes = parse_hex(text);
  if (!bytes || bytes->size() != Digest().size()) return std::nullopt;
  Digest digest;
  std::ranges::copy(*bytes, reinterpret_cast<char*>(digest.data()));
  return digest;
}

// Takes "name value\n" off the text.
std::optional<std::string_view> take_line(std::string_view& text, std::string_view name) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end + 1);
  if (!line.starts_with(name)) return std::nullopt;
  line.remove_prefix(name.size());
  return line;
}

std::optional<store::HeadClaim> parse_statement(std::string_view text) {
  if (take_line(text, kKind) != "") return std::nullopt;
  const auto company = take_line(text, "company ");
  const auto revision = take_line(text, "revision ");
  const auto time = take_line(text, "time ");
  const auto hash = take_line(text, "hash ");
  const auto made = take_line(text, "signed ");
  if (!company || !revision || !time || !hash || !made || !text.empty()) return std::nullopt;
  const auto company_id = parse_id<CompanyId>(*company);
  const auto number = parse_revision(*revision);
  const auto digest = parse_digest(*hash);
  if (!company_id || !number || !digest || !parse_time(*time) || !parse_time(*made)) {
    return std::nullopt;
  }
  return store::HeadClaim{*company_id, *number, *digest};
}

// Null and what is missing are empty.
Result<std::string> member_text(const json::object& members, std::string_view name) {
  const json::value* const found = members.if_contains(name);
  if (found == nullptr || found->is_null()) return std::string();
  if (!found->is_string()) return invalid_argument(std::string(name) + ": must be a string");
  return std::string(found->get_string());
}

Result<KeptHead> decode_head(std::string_view line) {
  boost::system::error_code error;
  const json::value value = json::parse(line, error);
  if (error || !value.is_object()) {
    return invalid_argument("is no answer of GET /earshot/v1/changes/head");
  }
  const json::object& members = value.get_object();
  KeptHead head;
  head.statement = TRY(member_text(members, "statement"));
  if (head.statement.empty()) return invalid_argument("statement: is missing");
  const auto claim = parse_statement(head.statement);
  if (!claim) return invalid_argument("statement: is none of a head that this version knows");
  head.claim = *claim;
  const std::string company = TRY(member_text(members, "companyId"));
  const std::string hash = TRY(member_text(members, "hash"));
  const std::string time = TRY(member_text(members, "time"));
  const json::value* const revision = members.if_contains("revision");
  const bool is_revision_other =
      revision != nullptr && *revision != json::value(static_cast<std::int64_t>(claim->revision));
  if ((!company.empty() && company != to_string(claim->company)) || is_revision_other ||
      (!hash.empty() && hash != to_hex(claim->hash)) ||
      (!time.empty() && head.statement.find("\ntime " + time + "\n") == std::string::npos)) {
    return invalid_argument("says something else than its statement");
  }
  head.key_id = TRY(member_text(members, "keyId"));
  const std::string signature = TRY(member_text(members, "signature"));
  auto bytes = decode_base64(signature);
  if (!bytes) return invalid_argument("signature: is no base64");
  head.signature = std::move(*bytes);
  return head;
}

}  // namespace

std::string encode_head(std::string_view request_id, CompanyId company,
                        const store::RecordHead& head, Time now,
                        const std::optional<SigningKey>& key) {
  const std::string statement = make_statement(company, head, now);
  std::string text = "{\"requestId\":\"";
  text.append(request_id).append("\",\"revision\":").append(std::to_string(head.revision));
  text.append(",\"time\":\"").append(format_time(head.time));
  text.append("\",\"hash\":\"").append(to_hex(head.hash));
  text.append("\",\"companyId\":\"").append(to_string(company)).append("\",\"statement\":");
  append_json_string(text, statement);
  if (!key) return text.append(",\"keyId\":null,\"signature\":null}");
  text.append(",\"keyId\":\"").append(key->id());
  text.append("\",\"signature\":\"").append(encode_base64(key->sign(statement)));
  return text.append("\"}");
}

Result<std::vector<KeptHead>> decode_heads(std::string_view text, const std::string& name) {
  std::vector<KeptHead> heads;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const auto place = [&](const std::string& message) {
      return invalid_argument(std::string(name).append(":").append(std::to_string(number)) + ": " +
                              message);
    };
    if (heads.size() == kKeptHeadsMax) {
      return place("at most " + std::to_string(kKeptHeadsMax) + " heads can be checked at once");
    }
    auto head = decode_head(line);
    if (!head) return place(head.error().message);
    heads.push_back(std::move(*head));
  }
  if (heads.empty()) return invalid_argument(name + ": has no head");
  return heads;
}

}  // namespace earshot::api
