# Makes a .cc file that holds the bytes of a file: cmake -DIN=file -DOUT=file.cc -DSYMBOL=ns::name -P embed.cmake
file(READ "${IN}" hex HEX)
string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${hex}")
string(REGEX REPLACE "(('[^']*',){16})" "\\1\n" bytes "${bytes}")
string(REGEX MATCH "^(.*)::([^:]+)$" ignored "${SYMBOL}")
file(WRITE "${OUT}" "#include <string_view>

namespace {
constexpr char kBytes[] = {
${bytes}};
}

namespace ${CMAKE_MATCH_1} {
std::string_view ${CMAKE_MATCH_2}() { return {kBytes, sizeof kBytes}; }
}
")
