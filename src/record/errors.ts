/**
 * Every error darta itself raises, by code. Programs match the code, people read the message.
 * One list, so that a code is never invented twice; the table in darta-errors.7 is made from it.
 */
export const errorCodes = {
  DARTA_CAPTURE_FORMAT: 'not a capture file, or a link type or block darta does not know',
  DARTA_CAPTURE_TRUNCATED: 'a capture ends inside a packet record or block',
  DARTA_CHILD: 'a child process failed or ended early',
  DARTA_COMPRESSION: 'compressed input is damaged or its codec is not available',
  DARTA_DIFFERENT: 'info --compare found records that only one side has',
  DARTA_DRIFT: 'nodes that take packets in turn do not count alike',
  DARTA_ELEMENT_UNKNOWN: 'no Information Element has this name or number',
  DARTA_ENGINE: 'an engine does not answer, refuses, or holds what darta did not write',
  DARTA_FILE_EXISTS: 'the output exists and --force was not given',
  DARTA_FILE_READ: 'an input cannot be opened or read',
  DARTA_FILE_WRITE: 'an output cannot be opened or written',
  DARTA_FILTER_COMPILER: 'packet filters cannot be compiled here',
  DARTA_FILTER_SYNTAX: 'a filter of records is not understood; the message shows where',
  DARTA_FLOW_TABLE_FULL: 'a new Flow found no room and --on-full=fail was given',
  DARTA_FORMAT_UNKNOWN: 'the input is in no format darta can read',
  DARTA_COVERAGE: 'split --verify found packets that were missed or doubled, or cannot tell',
  DARTA_GROUP: 'a group of capture nodes cannot be reached, or not be coordinated here',
  DARTA_GROUP_MESSAGE: 'a message between the nodes of a group is none',
  DARTA_INTERNAL: 'a fault in darta itself; please report it with the message',
  DARTA_INTERFACE: 'a network interface cannot be captured from',
  DARTA_LIST_MALFORMED: 'a structured data field (RFC 6313) does not fit its octets',
  DARTA_LEDGER: 'a usage log is broken, or cannot be continued',
  DARTA_LISTEN: 'an endpoint cannot be listened on',
  DARTA_MEMORY_LIMIT: 'the state of a stage needs more than --max-memory allows',
  DARTA_MESSAGE_LENGTH: 'a Message says it is shorter than its header or longer than its input',
  DARTA_MESSAGE_TRUNCATED: 'a Message is cut short',
  DARTA_MESSAGE_VERSION: 'a Message Header has another version than 10',
  DARTA_MMDB: 'a database of networks is no MaxMind DB, or is damaged',
  DARTA_NATIVE_MISSING: 'the native addon is not built for this machine',
  DARTA_NDJSON_LIMIT: 'a line is longer than 1 MiB or nested deeper than 32',
  DARTA_NDJSON_SYNTAX: 'a line is not a JSON object of Information Elements',
  DARTA_NOT_CONFORMING: 'info --check found Messages that break RFC 7011',
  DARTA_PERMISSION:
    'the operating system or a server refused; the message says which right is missing',
  DARTA_PLUGIN: 'a plugin that reads a format failed',
  DARTA_RANGE: 'a value lies outside what its Information Element or reader can hold',
  DARTA_RECORD_MALFORMED: 'a Data Record does not fit its Set',
  DARTA_SET_LENGTH: 'a Set says it is shorter than its header or reaches past its Message',
  DARTA_TEMPLATE_LIMIT: 'a session has more Templates, or a Template more fields, than allowed',
  DARTA_TEMPLATE_MALFORMED: 'a Template Record is cut short or breaks RFC 7011 section 3.4',
  DARTA_TEMPLATE_MISSING: 'Data Records came for which no Template is known',
  DARTA_SPILL: 'a folder of records that wait for their Collectors cannot be used',
  DARTA_TLS: 'TLS credentials cannot be used, or a peer was refused',
  DARTA_UNDELIVERED: 'records could not be delivered to a Collector',
  DARTA_UNFIT: 'something on this machine falsifies or forbids measurement',
  DARTA_UNBALANCED: 'user-map audit found traffic that is in no account',
  DARTA_UNSORTED: 'an input of sort --merge is not in order',
  DARTA_USAGE: 'the command line is wrong',
  DARTA_USER_SOURCE: 'a source of user accounts cannot be used; the message says why',
  DARTA_VALUE: 'a value cannot be read as, or written as, its abstract data type',
} as const

export type ErrorCode = keyof typeof errorCodes

/** An error with a code for programs, words for people, and where in the input it lies. */
export class DartaError extends Error {
  override readonly name = 'DartaError'
  /** One of the codes in `errorCodes`. */
  readonly code: ErrorCode
  /** Octet offset in the input (file, stream or datagram) where the fault begins, if it has a place. */
  readonly offset: number | undefined

  constructor(code: ErrorCode, message: string, offset?: number, cause?: unknown) {
    super(message, cause === undefined ? undefined : {cause})
    this.code = code
    this.offset = offset
  }
}
