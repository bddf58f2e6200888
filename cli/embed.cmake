# Writes OUTPUT, a C file that defines the bytes of PAGE as NAME and their number as NAME_bytes, with
# the file STYLE and the files SCRIPTS (separated by :) where PAGE says @STYLE@ and @SCRIPT@.
# In hexadecimal, since files pass through CMake's strings and lists unchanged only so.
cmake_minimum_required(VERSION 3.25) # and so @STYLE@ below is no variable

string(HEX "@STYLE@" style_place)
string(HEX "@SCRIPT@" script_place)
string(HEX "</script" script_end)

file(READ ${STYLE} style HEX)
string(REPLACE ":" ";" files "${SCRIPTS}")
set(script "")
foreach(file IN LISTS files)
    file(READ ${file} part HEX)
    string(FIND "${part}" ${script_end} found)
    if(NOT found EQUAL -1)
        message(FATAL_ERROR "${file} has the text </script, which would end its element in the page")
    endif()
    string(APPEND script "${part}")
endforeach()

file(READ ${PAGE} page HEX)
string(REPLACE ${style_place} "${style}" page "${page}")
string(REPLACE ${script_place} "${script}" page "${page}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${page}")
string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
file(WRITE ${OUTPUT} "#include <stddef.h>
extern const unsigned char ${NAME}[];
extern const size_t ${NAME}_bytes;
const unsigned char ${NAME}[] = {
${bytes}
};
const size_t ${NAME}_bytes = sizeof ${NAME};
")
