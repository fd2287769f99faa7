// The OpenAPI document, as openapi.json beside this file was when the program was built.
#pragma once

#include <string_view>

namespace earshot::api {

std::string_view openapi_document();

}  // namespace earshot::api
