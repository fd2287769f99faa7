#include "client/audit.h"
#include "client/audit_answers.h"
#include "client/encode.h"

namespace earshot::client {
namespace {

// What to do where an answer was lost.
Error lost(Error error, const std::string& what) {
  if (error.code == Code::unavailable) error.message += ". " + what;
  return error;
}

}  // namespace

Status list_keys(Session& session) {
  const auto answer = TRY(session.remote.ask({"GET", path_of("/keys")}));
  Table table(session.out, {"ACCESS KEY", "SCOPES", "EXPIRES", "LAST USED"});
  for (const auto& key : TRY(decode_keys(answer.body))) {
    if (session.as_json) {
      TRY(session.print(key.json + "\n"));
    } else {
      const auto or_never = [](const std::string& time) { return time.empty() ? "never" : time; };
      table.add({key.access_key, key.scopes, or_never(key.expires_at), or_never(key.last_used)});
    }
  }
  return session.print(table);
}

Status create_key(Session& session, const CreateKey& create) {
  Remote::Request request{"POST", path_of("/keys"), encode_new_key(create)};
  request.is_repeatable = false;
  const auto answer = session.remote.ask(request);
  const auto made = answer ? decode_made_key(answer->body) : Result<MadeKey>(answer.error());
  if (!made) {
    return lost(made.error(),
                "Whether a key was made is not known, and nobody has its secret: if earshot keys "
                "list shows one that you do not know, revoke that, and make another");
  }
  const std::string line =
      session.as_json ? made->json : clean(made->access_key + ":" + made->secret);
  if (!session.out.write(line + "\n") || !session.out.flush()) {
    return internal("cannot write the output. The key " + made->access_key +
                    " was made and its secret is lost: revoke it");
  }
  if (!made->replaced.empty()) {
    TRY(session.say("the key " + made->replaced + " ends " + made->replaced_at));
  }
  return {};
}

Status revoke_key(Session& session, const RevokeKey& revoke) {
  Remote::Request request{"DELETE", path_of("/keys"), encode_revocation(revoke)};
  request.is_repeatable = false;
  const auto answer = session.remote.ask(request);
  if (!answer) {
    return lost(answer.error(), "Whether " + revoke.access_key +
                                    " was revoked is not known: say the same again; that it is not "
                                    "found then means that it was");
  }
  return session.print("revoked " + clean(revoke.access_key) + "\n");
}

}  // namespace earshot::client
