// A kept refusal as JSON, for clients and for operators.
#pragma once

#include <string>

#include "store/refusals.h"

namespace earshot::api {

// Appends it as an object; with the company's id first where `with_company`.
void append_refusal(std::string& out, const store::Refusal& refusal, bool with_company);

}  // namespace earshot::api
