// The commands about what happened and who may ask: the record of changes, refusals, and keys. Each
// prints what it learns at once.
#pragma once

#include "base/result.h"
#include "client/command.h"
#include "client/session.h"

namespace earshot::client {

// Errors of all: as of Remote::ask(), and internal (the output cannot be written).

// Prints every change once, in order. One that follows goes on where it was when the server was
// away, and ends when the server refuses to tell more, or when nobody reads the output any more.
Status list_changes(Session& session, const ListChanges& list);

// The newest first, all pages.
Status list_refusals(Session& session, const ListRefusals& list);

Status list_keys(Session& session);
// Prints "accessKey:secret" once. It is asked for once, since two answers would be two keys.
Status create_key(Session& session, const CreateKey& create);
Status revoke_key(Session& session, const RevokeKey& revoke);

}  // namespace earshot::client
