# Flows of each source, from NDJSON to NDJSON: an application for darta analyze --exec.
#
#   darta analyze --exec 'awk -f flows-per-source.awk' --feed ndjson --key srcip -r flows.ipfix
#
# All records of a source have to be in one place, which is what --key srcip says.

# The value of a member of the object in this line; empty if there is none.
function member(name) {
  if (!match($0, "\"" name "\":\"?[^\",}]*")) return ""
  value = substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 3)
  sub(/^"/, "", value)
  return value
}

{
  source = member("sourceIPv4Address")
  name = "sourceIPv4Address"
  if (source == "") {
    source = member("sourceIPv6Address")
    name = "sourceIPv6Address"
  }
  flows[name "\":\"" source]++
}

END {
  for (source in flows) printf "{\"%s\",\"deltaFlowCount\":%d}\n", source, flows[source] | "sort"
}
