// Reads of the record of changes on their way through a PgReader.
#pragma once

#include "store/pg_reads.h"

namespace earshot::store {

PgReadPtr make_changes_read(ChangesCommand command, Store::ChangesDone done);

}  // namespace earshot::store
