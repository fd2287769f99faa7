#include "cli/demo.h"

#include <string_view>

#include "base/random.h"
#include "records/reader.h"

namespace earshot::cli {
namespace {

// Everybody knows this key; it is for trying out. The call's host is 31, 32 takes part, it was
// shared with 33, and 34 has no way to hear it.
constexpr std::string_view kRecords =
    R"(
{"kind":"company","companyId":"1","name":"Acme"}
{"kind":"key","accessKey":"ACME","secret":"acme-secret","scopes":["api:call-user-access:read","api:call-user-access:write","earshot:access:read","earshot:audit:read","earshot:directory:write","earshot:grants:write","earshot:keys:write"]}
{"kind":"workspace","workspaceId":"10","name":"Sales"}
{"kind":"profile","profileId":"20","workspaceId":"10","name":"Managers","callsAccess":{"permissionLevel":"report-to-them","teamLeadIds":[]}}
{"kind":"profile","profileId":"21","workspaceId":"10","name":"Own calls","callsAccess":{"permissionLevel":"own","teamLeadIds":[]}}
{"kind":"user","userId":"30","emailAddress":"olga@acme.test","firstName":"Olga","lastName":"Lead","profileIds":["20"]}
{"kind":"user","userId":"31","emailAddress":"hugo@acme.test","firstName":"Hugo","lastName":"Host","managerId":"30","profileIds":["20"]}
{"kind":"user","userId":"32","emailAddress":"petra@acme.test","firstName":"Petra","lastName":"Party","managerId":"31","profileIds":["21"]}
{"kind":"user","userId":"33","emailAddress":"sven@acme.test","firstName":"Sven","lastName":"Shared"}
{"kind":"user","userId":"34","emailAddress":"nina@acme.test","firstName":"Nina","lastName":"New"}
{"kind":"user","userId":"234599484848423","emailAddress":"a@acme.test","firstName":"A","lastName":"B","managerId":"31","active":true,"profileIds":["20"]}
{"kind":"call","callId":"7782342274025937895","workspaceId":"10","title":"Intro","started":"2026-03-01T10:00:00Z","primaryUserId":"31","partyUserIds":["32"],"isPrivate":false}
{"kind":"call","callId":"7782342274025937896","workspaceId":"10","title":"Salaries","started":"2026-03-02T10:00:00Z","primaryUserId":"31","isPrivate":true}
{"kind":"share","callId":"7782342274025937895","userId":"33"}
{"kind":"grant","callId":"7782342274025937895","userId":"234599484848423"}
)";

class TextSource final : public store::RecordSource {
 public:
  explicit TextSource(std::string_view text) : reader_("demo", records::read_from(text)) {}
  Result<const core::Record*> next() override {
    record_ = TRY(reader_.next());
    return record_ ? &*record_ : nullptr;
  }
  std::string position() const override { return reader_.position(); }

 private:
  std::optional<core::Record> record_;
  records::Reader reader_;
};

std::string curl(const std::string& method, const std::string& url, bool insecure,
                 const std::string& body) {
  return "curl -sS " + std::string(insecure ? "-k " : "") + "-u ACME:acme-secret -X " + method +
         " -H 'Content-Type: application/json' -d '" + body + "' " + url +
         "/v2/calls/users-access; echo\n";
}

}  // namespace

Status load_demo(store::Store& store) {
  TextSource source(kRecords);
  TRY(store.load(source, store::Origin{make_request_id(), ""}));
  return {};
}

std::string describe_demo(const std::string& url, bool insecure) {
  const std::string asking = " --server " + url + (insecure ? " --ca-file CERTIFICATE" : "") + "\n";
  const std::string change =
      R"({"callAccessList":[{"callId":"7782342274025937895","userIds":["33","34"]}]})";
  const std::string filter = R"({"filter":{"callIds":["7782342274025937895"]}})";
  return "\nCompany 1, \"Acme\", is here to try. Access key ACME, secret acme-secret.\n"
         "\nGive users 33 and 34 access to a call; 33 has it by a share already and is left "
         "alone:\n"
         "  " +
         curl("PUT", url, insecure, change) +
         "\nList who was given access, which is 34 and one more:\n"
         "  " +
         curl("POST", url, insecure, filter) +
         "\nTake it away again; what 33 has by the share stays:\n"
         "  " +
         curl("DELETE", url, insecure, change) +
         "\nAsk who may hear it, and why one of them may:\n"
         "  export EARSHOT_KEY=ACME:acme-secret\n"
         "  earshot who 7782342274025937895" +
         asking + "  earshot why 30 7782342274025937895" + asking + "\n";
}

}  // namespace earshot::cli
