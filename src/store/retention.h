// Retention over the embedded store: what is older than asked for leaves the record of changes; old
// versions of the directory go with it, and markers when their rows are next compacted.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "store/rocks.h"
#include "store/transaction.h"

namespace earshot::store {

// Cuts the record of every company off before this time. Companies with rows that await their sweep
// are left for later. Waits; of the committer's thread.
Status apply_retention(Rocks& rocks, Companies& companies, Time oldest);

}  // namespace earshot::store
