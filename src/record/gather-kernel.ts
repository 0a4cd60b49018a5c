/**
 * Takes Messages of a stream apart in one go, where nothing about them has to be decided: native/kernel/gather.cc. Those that
 * lie back to back from octet `from` are taken as long as they are of one Observation Domain and export time, in order, whole, and
 * all their Sets are Data Sets of the Templates of `program` without a fault. Their records are moved together where they are, so that
 * those of each Template lie one behind the other; what lay between them is gone. There is no twin: what the kernel leaves, the
 * session reads (src/ipfix/session.ts), and tests compare what comes of both.
 *
 * @param octets are changed from `from` to what is returned
 * @param program Observation Domain ID; then ID and octets of a record of each Template, up to GATHER_TEMPLATES
 * @param sequence of the domain, as `saveSequence` has it
 * @param answer Messages, records, export time; then of each Template where its records begin, and how many they are
 * @returns octet of the first Message that was left
 */
export type GatherMessages = (
  octets: Uint8Array,
  from: number,
  program: Uint32Array,
  sequence: Uint32Array,
  answer: Uint32Array,
) => number

export const GATHER_TEMPLATES = 64

/** Words of the answer before those of Templates. */
export const GATHERED = {messages: 0, records: 1, exportTime: 2, templates: 3} as const
