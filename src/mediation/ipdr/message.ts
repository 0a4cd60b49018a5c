import {append, createOctetWriter, extend, type OctetWriter} from '../../record/octet-writer.js'
import {createXdrReader, XdrFault, type XdrReader} from '../../record/xdr-reader.js'
import {createSplitter, type MessageSplitter} from '../message-splitter.js'

/** Kinds of messages. IPDR/SP 2.3 section 4. */
export const MESSAGE = {
  flowStart: 0x01,
  flowStop: 0x03,
  connect: 0x05,
  connectResponse: 0x06,
  disconnect: 0x07,
  sessionStart: 0x08,
  sessionStop: 0x09,
  templateData: 0x10,
  finalTemplateDataAck: 0x13,
  getSessions: 0x14,
  getSessionsResponse: 0x15,
  getTemplates: 0x16,
  getTemplatesResponse: 0x17,
  modifyTemplate: 0x1a,
  modifyTemplateResponse: 0x1b,
  startNegotiation: 0x1d,
  startNegotiationReject: 0x1e,
  data: 0x20,
  dataAck: 0x21,
  error: 0x23,
  request: 0x30,
  response: 0x31,
  keepAlive: 0x40,
} as const

/** What a side can do, bits of CONNECT and CONNECT RESPONSE. */
export const CAPABILITY = {structures: 1, multisession: 2, templates: 4, requests: 8} as const

/** Codes of ERROR. */
export const ERROR = {keepAlive: 0, capabilities: 1, state: 2, decode: 3, terminating: 4} as const

/** TEMPLATE DATA: the template cannot be changed. */
export const FLAG_FIXED = 1
/** DATA: the record may have been sent before. */
export const FLAG_DUPLICATE = 1

const VERSION = 2
const HEADER_OCTETS = 8
/** No message of accounting comes near; what says it is longer is not waited for. */
const MOST_OCTETS = 1 << 20
const MOST_TEXT = 65535
/** Octets of a name, in templates, which each record may repeat. */
const MOST_NAME = 1024
/** Templates of a session, fields of a template, sessions of an exporter. */
const MOST_TEMPLATES = 256
const MOST_FIELDS = 1024
const MOST_SESSIONS = 256

/** What a side cannot read or must not say; `code` goes into an ERROR. */
export class IpdrFault extends Error {
  readonly code: number
  /** Octets of the message in front of what is wrong. */
  readonly offset: number

  constructor(code: number, message: string, offset = 0) {
    super(message)
    this.code = code
    this.offset = offset
  }
}

/** A message without its header. */
export interface IpdrMessage {
  /** One of `MESSAGE`, or one that nobody knows. */
  readonly kind: number
  readonly session: number
  readonly flags: number
  /** All of it. */
  readonly octets: Uint8Array
}

/** CONNECT, or CONNECT RESPONSE. */
export interface Connect {
  readonly capabilities: number
  /** Seconds in which its sender wants to hear from us; 0: it does not mind. */
  readonly keepAliveSeconds: number
  readonly vendor: string
}

/** One of the sessions that an exporter has. */
export interface SessionBlock {
  readonly session: number
  readonly name: string
  readonly description: string
}

export interface TemplateField {
  readonly typeId: number
  readonly fieldId: number
  readonly name: string
  readonly isEnabled: boolean
}

/** What the records of a template consist of. */
export interface TemplateBlock {
  readonly templateId: number
  readonly schema: string
  readonly typeName: string
  readonly fields: readonly TemplateField[]
  /** As it was received. */
  readonly octets: Uint8Array
}

/** TEMPLATE DATA, MODIFY TEMPLATE RESPONSE or GET TEMPLATES RESPONSE. */
export interface TemplateSet {
  readonly configId: number
  readonly flags: number
  readonly templates: readonly TemplateBlock[]
}

export interface SessionStart {
  /** Seconds since 1970. */
  readonly exporterBootTime: number
  readonly firstSequence: bigint
  /** Records that the exporter has lost since the last one that it sent. */
  readonly droppedRecords: bigint
  readonly isPrimary: boolean
  readonly ackSeconds: number
  readonly ackRecords: number
  /** 16 octets. */
  readonly document: Uint8Array
}

export interface Data {
  readonly templateId: number
  readonly configId: number
  readonly isDuplicate: boolean
  readonly sequence: bigint
  /** The fields, where they lie. */
  readonly record: Uint8Array
}

/** SESSION STOP, FLOW STOP or ERROR. */
export interface Reason {
  readonly code: number
  readonly words: string
}

/** A reader behind the header. */
function bodyOf({octets}: IpdrMessage): XdrReader {
  const reader = createXdrReader(octets)
  reader.at = HEADER_OCTETS
  return reader
}

/** Reads a message; what does not fit it is a fault of the exporter's. */
function reading<T>(message: IpdrMessage, name: string, read: (reader: XdrReader) => T): T {
  const reader = bodyOf(message)
  try {
    return read(reader)
  } catch (error) {
    if (!(error instanceof XdrFault)) throw error
    throw new IpdrFault(ERROR.decode, `a ${name} that cannot be read`, error.offset)
  }
}

export function readConnect(message: IpdrMessage): Connect {
  return reading(message, 'CONNECT', (reader) => {
    // Address and port of the initiator: the socket knows better.
    if (message.kind === MESSAGE.connect) reader.octets(6)
    return {
      capabilities: reader.unsigned32(),
      keepAliveSeconds: reader.unsigned32(),
      vendor: reader.text(MOST_TEXT),
    }
  })
}

export function readSessions(message: IpdrMessage): SessionBlock[] {
  return reading(message, 'GET SESSIONS RESPONSE', (reader) => {
    reader.unsigned16()
    return list(reader, MOST_SESSIONS, () => {
      const session = reader.unsigned8()
      reader.unsigned8()
      const name = reader.text(MOST_TEXT)
      const description = reader.text(MOST_TEXT)
      reader.octets(8)
      return {session, name, description}
    })
  })
}

export function readTemplates(message: IpdrMessage): TemplateSet {
  return reading(message, 'TEMPLATE DATA', (reader) => {
    const isAnswer = message.kind === MESSAGE.getTemplatesResponse
    if (isAnswer) reader.unsigned16()
    const configId = reader.unsigned16()
    const flags = isAnswer ? 0 : reader.unsigned8()
    const templates = list(reader, MOST_TEMPLATES, () => readTemplate(reader, message.octets))
    return {configId, flags, templates}
  })
}

/**
 * One template.
 *
 *     template id | schema | type name | count of fields | type id, field id, name, enabled …
 *
 * @throws XdrFault
 */
export function readTemplate(reader: XdrReader, octets: Uint8Array): TemplateBlock {
  const start = reader.at
  const templateId = reader.unsigned16()
  const schema = reader.text(MOST_NAME)
  const typeName = reader.text(MOST_NAME)
  const fields = list(reader, MOST_FIELDS, () => ({
    typeId: reader.unsigned32(),
    fieldId: reader.unsigned32(),
    name: reader.text(MOST_NAME),
    isEnabled: reader.unsigned8() !== 0,
  }))
  return {templateId, schema, typeName, fields, octets: octets.slice(start, reader.at)}
}

function list<T>(reader: XdrReader, most: number, item: () => T): T[] {
  const {at} = reader
  const count = reader.unsigned32()
  if (count > most) throw new XdrFault('value', at)
  return Array.from({length: count}, item)
}

export function readSessionStart(message: IpdrMessage): SessionStart {
  return reading(message, 'SESSION START', (reader) => ({
    exporterBootTime: reader.unsigned32(),
    firstSequence: reader.unsigned64(),
    droppedRecords: reader.unsigned64(),
    isPrimary: reader.unsigned8() !== 0,
    ackSeconds: reader.unsigned32(),
    ackRecords: reader.unsigned32(),
    document: reader.octets(16).slice(),
  }))
}

export function readData(message: IpdrMessage): Data {
  return reading(message, 'DATA', (reader) => ({
    templateId: reader.unsigned16(),
    configId: reader.unsigned16(),
    isDuplicate: (reader.unsigned8() & FLAG_DUPLICATE) !== 0,
    sequence: reader.unsigned64(),
    record: reader.opaque(MOST_OCTETS),
  }))
}

export function readReason(message: IpdrMessage): Reason {
  return reading(message, message.kind === MESSAGE.error ? 'ERROR' : 'STOP', (reader) => {
    if (message.kind === MESSAGE.error) reader.unsigned32()
    return {code: reader.unsigned16(), words: reader.text(MOST_TEXT)}
  })
}

/** A message that begins there and says that it has `length` octets. @throws IpdrFault decode */
function lengthAt(octets: Uint8Array, start: number): number {
  const view = new DataView(octets.buffer, octets.byteOffset + start, HEADER_OCTETS)
  const length = view.getUint32(4)
  if (view.getUint8(0) !== VERSION) {
    throw new IpdrFault(ERROR.decode, `version ${view.getUint8(0)}`, start)
  }
  if (length < HEADER_OCTETS || length > MOST_OCTETS) {
    throw new IpdrFault(ERROR.decode, `a message says it has ${length} octets`, start + 4)
  }
  return length
}

/**
 * Cuts a stream of octets into messages, each of which has a header. Throws IpdrFault decode.
 *
 *     0         1      2         3       4        8
 *     version 2 | kind | session | flags | length | body
 */
export function createMessageSplitter(): MessageSplitter<IpdrMessage> {
  return createSplitter(HEADER_OCTETS, lengthAt, (octets) => {
    const [, kind, session, flags] = octets
    return {kind, session, flags, octets}
  })
}

/** Whether a connection that begins so is one of IPDR/SP: both sides begin with CONNECT or its answer. */
export function isIpdrConnection(octets: Uint8Array): boolean {
  if (octets.length < HEADER_OCTETS || octets[0] !== VERSION || octets[2] !== 0) return false
  const fixed = octets[1] === MESSAGE.connect ? 18 : octets[1] === MESSAGE.connectResponse ? 12 : 0
  if (fixed === 0 || octets.length < HEADER_OCTETS + fixed) return false
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength)
  const vendor = view.getUint32(HEADER_OCTETS + fixed - 4)
  return vendor <= MOST_TEXT && view.getUint32(4) === HEADER_OCTETS + fixed + vendor
}

function begin(kind: number, session: number): OctetWriter {
  const writer = createOctetWriter(64)
  extend(writer, HEADER_OCTETS)
  writer.octets.set([VERSION, kind, session, 0])
  return writer
}

function finish(writer: OctetWriter): Uint8Array {
  writer.view.setUint32(4, writer.length)
  return writer.octets.slice(0, writer.length)
}

const put8 = (writer: OctetWriter, value: number): void => {
  const at = extend(writer, 1)
  writer.view.setUint8(at, value)
}
const put16 = (writer: OctetWriter, value: number): void => {
  const at = extend(writer, 2)
  writer.view.setUint16(at, value)
}
const put32 = (writer: OctetWriter, value: number): void => {
  const at = extend(writer, 4)
  writer.view.setUint32(at, value)
}
const utf8 = new TextEncoder()
const putText = (writer: OctetWriter, text: string): void => {
  const octets = utf8.encode(text)
  put32(writer, octets.length)
  append(writer, octets)
}

/** FLOW START, DISCONNECT, FINAL TEMPLATE DATA ACK, KEEP ALIVE: a header alone. */
export function bareMessage(kind: number, session = 0): Uint8Array {
  return finish(begin(kind, session))
}

/** @param address of 4 octets; where it is none of IPv4, 0.0.0.0 stands there */
export function connectMessage(
  {capabilities, keepAliveSeconds, vendor}: Connect,
  address: Uint8Array,
  port: number,
): Uint8Array {
  const writer = begin(MESSAGE.connect, 0)
  append(writer, address.length === 4 ? address : new Uint8Array(4))
  put16(writer, port)
  put32(writer, capabilities)
  put32(writer, keepAliveSeconds)
  putText(writer, vendor)
  return finish(writer)
}

export function connectResponse({capabilities, keepAliveSeconds, vendor}: Connect): Uint8Array {
  const writer = begin(MESSAGE.connectResponse, 0)
  put32(writer, capabilities)
  put32(writer, keepAliveSeconds)
  putText(writer, vendor)
  return finish(writer)
}

/** GET SESSIONS or GET TEMPLATES. */
export function getMessage(kind: number, session: number, requestId: number): Uint8Array {
  const writer = begin(kind, session)
  put16(writer, requestId)
  return finish(writer)
}

/** MODIFY TEMPLATE that asks for all fields. */
export function modifyTemplate(session: number, {configId, templates}: TemplateSet): Uint8Array {
  const writer = begin(MESSAGE.modifyTemplate, session)
  put16(writer, configId)
  put8(writer, 0)
  put32(writer, templates.length)
  for (const {templateId, schema, typeName, fields} of templates) {
    put16(writer, templateId)
    putText(writer, schema)
    putText(writer, typeName)
    put32(writer, fields.length)
    for (const {typeId, fieldId, name} of fields) {
      put32(writer, typeId)
      put32(writer, fieldId)
      putText(writer, name)
      put8(writer, 1)
    }
  }
  return finish(writer)
}

/** Records up to this one are safe. */
export function dataAck(session: number, configId: number, sequence: bigint): Uint8Array {
  const writer = begin(MESSAGE.dataAck, session)
  put16(writer, configId)
  const at = extend(writer, 8)
  writer.view.setBigUint64(at, sequence)
  return finish(writer)
}

export function flowStop(session: number, {code, words}: Reason): Uint8Array {
  const writer = begin(MESSAGE.flowStop, session)
  put16(writer, code)
  putText(writer, words)
  return finish(writer)
}

/** @param seconds since 1970 */
export function errorMessage({code, words}: Reason, seconds: number): Uint8Array {
  const writer = begin(MESSAGE.error, 0)
  put32(writer, seconds)
  put16(writer, code)
  putText(writer, words)
  return finish(writer)
}
