# Writes OUTPUT, a C file that defines the text of INPUT as the string NAME. In hexadecimal, since
# files pass through CMake's strings unchanged only so.
file(READ ${INPUT} text HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${text}")
string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
file(WRITE ${OUTPUT} "extern const char ${NAME}[];
const char ${NAME}[] = {
${bytes}
0};
")
