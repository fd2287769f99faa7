// The demo company: records that put the examples of Gong's help pages to work, and how to try
// them.
#pragma once

#include <string>

#include "base/result.h"
#include "store/store.h"

namespace earshot::cli {

// Puts the demo company's records in place. Grants that were given since stay.
Status load_demo(store::Store& store);

// What to try, for a terminal: the key and a request of each kind, to be pasted. `url` is the
// server's; with `insecure` the lines do not check its certificate, or name a file that has it.
std::string describe_demo(const std::string& url, bool insecure);

}  // namespace earshot::cli
