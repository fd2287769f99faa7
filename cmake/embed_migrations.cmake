# Makes a .cc file that holds the migrations of a folder, files NNNN_NAME.sql, ascending:
# cmake -DFOLDER=folder -DOUT=file.cc -P embed_migrations.cmake
file(GLOB files "${FOLDER}/*.sql")
list(SORT files)
set(texts "")
set(rows "")
foreach(file ${files})
  get_filename_component(stem "${file}" NAME_WE)
  if(NOT stem MATCHES "^([0-9][0-9][0-9][0-9])_([a-z_]+)$")
    message(FATAL_ERROR "${file} is not named NNNN_name.sql")
  endif()
  set(number ${CMAKE_MATCH_1})
  set(name ${CMAKE_MATCH_2})
  string(REGEX REPLACE "^0+" "" version "${number}")
  file(READ "${file}" hex HEX)
  string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${hex}")
  string(REGEX REPLACE "(('[^']*',){16})" "\\1\n" bytes "${bytes}")
  string(APPEND texts "constexpr char k${number}[] = {\n${bytes}};\n")
  string(APPEND rows "    {${version}, \"${name}\", {k${number}, sizeof k${number}}},\n")
endforeach()
file(WRITE "${OUT}" "#include \"store/pg_schema.h\"

namespace earshot::store {
namespace {
${texts}
constexpr Migration kMigrations[] = {
${rows}};
}  // namespace

std::span<const Migration> migrations() { return kMigrations; }

}  // namespace earshot::store
")
