// A format that no mapping describes: blocks of an octet that counts its entries, each of them an IPv4 address and a count of octets
// in 4 octets each. Read it with: darta print --input-format plugin:examples/blocks-plugin.js -r FILE
export default {
  fields: {from: 'sourceIPv4Address', sum: 'octetDeltaCount'},
  open(account) {
    let held = Buffer.alloc(0)
    let at = 0
    return {
      *push(octets) {
        held = Buffer.concat([held, octets])
        while (held.length > 0 && held.length >= 1 + 8 * held[0]) {
          for (let i = 0; i < held[0]; i++) {
            const entry = held.subarray(1 + 8 * i)
            yield {from: entry.subarray(0, 4).join('.'), sum: entry.readUInt32BE(4)}
          }
          at += 1 + 8 * held[0]
          held = held.subarray(1 + 8 * held[0])
        }
      },
      *end() {
        if (held.length > 0) account.lose('cut off', at)
      },
    }
  },
}
