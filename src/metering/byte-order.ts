/** Whether this machine has the low octet first. */
export const littleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1
