#include "http/render.h"

#include <charconv>

#include "base/ids.h"

namespace earshot::http {
namespace {

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Payload Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "";
  }
}

void append_head(std::string& out, const Response& response, Persistence persistence) {
  if (response.status == 200) {
    out += "HTTP/1.1 200 OK\r\n";
  } else {
    out += "HTTP/1.1 ";
    append_number(out, static_cast<std::uint64_t>(response.status));
    out += ' ';
    out += reason_phrase(response.status);
    out += "\r\n";
  }
  out += response.fields.text();
  if (persistence == Persistence::close) out += "connection: close\r\n";
  if (persistence == Persistence::keep_alive) out += "connection: keep-alive\r\n";
}

}  // namespace

void append_answer(std::string& out, const Response& response, Persistence persistence,
                   bool with_body) {
  append_head(out, response, persistence);
  const bool can_have_body = response.status != 204 && response.status != 304;
  if (can_have_body) {
    out += "content-length: ";
    append_number(out, response.body.size());
    out += "\r\n\r\n";
  } else {
    out += "\r\n";
  }
  if (can_have_body && with_body) out += response.body;
}

void append_stream_head(std::string& out, const Response& head, Persistence persistence,
                        bool is_chunked) {
  append_head(out, head, persistence);
  if (is_chunked) out += "transfer-encoding: chunked\r\n";
  out += "\r\n";
}

void append_chunk(std::string& out, std::string_view piece) {
  char size[16];
  const auto end = std::to_chars(size, size + sizeof size, piece.size(), 16).ptr;
  out.append(size, end);
  out += "\r\n";
  out += piece;
  out += "\r\n";
}

}  // namespace earshot::http
