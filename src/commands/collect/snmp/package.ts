import type {Socket} from 'node:dgram'
import {createRequire} from 'node:module'
import {DartaError} from '../../../record/errors.js'
import {subIdentifiers} from '../../../record/object-identifier.js'
import {provideDes, type PackagePrivacy} from './des-privacy.js'
import type {SnmpBinding, SnmpValue} from '../../../mediation/snmp/value.js'

/** What is used of the npm package `net-snmp`, which is optional and has no types of its own. */
export interface SnmpPackage {
  readonly Version2c: number
  readonly Version3: number
  readonly ObjectType: Readonly<Record<string, number>>
  readonly PduType: Readonly<Record<string, number>>
  readonly SecurityLevel: Readonly<Record<'noAuthNoPriv' | 'authNoPriv' | 'authPriv', number>>
  readonly AuthProtocols: Readonly<Record<string, number>>
  readonly PrivProtocols: Readonly<Record<string, number>>
  readonly Authentication: {
    /** Keys of users by engine, as many as were ever needed. */
    authToKeyCache: Readonly<Record<string, unknown>>
    /** RFC 3414 section 2.6. */
    passwordToKey(protocol: number, passphrase: string, engineID: Uint8Array): Buffer
  }
  readonly Encryption: {readonly algorithms: Record<number, PackagePrivacy>}
  createSession(target: string, community: string, options: SessionOptions): PackageSession
  createV3Session(target: string, user: PackageUser, options: SessionOptions): PackageSession
  createReceiver(
    options: ReceiverOptions,
    callback: (error: Error | null, notification?: {readonly pdu: PackagePdu}) => void,
  ): PackageReceiver
}

export interface PackageUser {
  readonly name: string
  readonly level: number
  readonly authProtocol?: number
  readonly authKey?: string
  readonly privProtocol?: number
  readonly privKey?: string
}

/** Who makes its sockets, in the place of `node:dgram`. */
export interface DgramModule {
  createSocket(type: 'udp4' | 'udp6'): Pick<Socket, 'on' | 'bind' | 'send' | 'close'>
}

interface SessionOptions {
  readonly port: number
  /** Milliseconds until a request is sent again. */
  readonly timeout: number
  readonly retries: number
  readonly transport: 'udp4' | 'udp6'
  readonly version: number
  readonly context?: string
  /** Answers that go backwards are errors. */
  readonly backwardsGetNexts: boolean
  readonly dgramModule: DgramModule
}

interface ReceiverOptions {
  readonly port: number
  readonly disableAuthorization: boolean
  readonly dgramModule: DgramModule
  /** Hexadecimal digits; without it one at random. */
  readonly engineID?: string
}

export interface PackageReceiver {
  getAuthorizer(): {addCommunity(community: string): void; addUser(user: PackageUser): void}
  close(): void
  /** What Reports say of us. */
  readonly engine: {readonly engineID: Buffer; engineBoots: number; engineTime: number}
  readonly listener: {send(message: PackageMessage): void}
}

/** What is about to be sent, of SNMPv3 with all that it needs to be made authentic. */
export interface PackageMessage {
  readonly version: number
  readonly pdu: {type: number; varbinds: readonly PackageVarbind[]}
  user: {readonly name: string; readonly level: number}
  /** Of SNMPv3. */
  readonly msgSecurityParameters?: {
    msgAuthoritativeEngineID: Buffer
    msgAuthoritativeEngineBoots: number
    msgAuthoritativeEngineTime: number
    msgUserName: string
  }
  hasAuthentication(): unknown
  setAuthentication(flag: boolean): void
  setPrivacy(flag: boolean): void
  toBuffer(): Buffer
}

type Answer<T> = (error: Error | null, varbinds: T) => void

export interface PackageSession {
  get(oids: readonly string[], answer: Answer<PackageVarbind[]>): void
  getBulk(
    oids: readonly string[],
    nonRepeaters: number,
    maxRepetitions: number,
    answer: Answer<(PackageVarbind | PackageVarbind[])[]>,
  ): void
  on(event: 'error', listener: (error: Error) => void): void
  close(): void
}

export interface PackageVarbind {
  readonly oid: string
  readonly type: number
  readonly value: unknown
}

/** A notification; the first five fields in v1 alone, the last ones in v3. */
export interface PackagePdu {
  readonly type: number
  readonly enterprise?: string
  readonly agentAddr?: string
  readonly generic?: number
  readonly specific?: number
  readonly upTime?: number
  readonly id?: number
  readonly varbinds: readonly PackageVarbind[]
  readonly scoped?: boolean
  /** In hexadecimal digits. */
  readonly contextEngineID?: string
  readonly contextName?: string
}

/** @throws DartaError DARTA_USAGE it is not installed */
export function loadSnmpPackage(): SnmpPackage {
  try {
    const snmp = createRequire(import.meta.url)('net-snmp') as SnmpPackage
    provideDes(snmp)
    return snmp
  } catch (error) {
    throw new DartaError(
      'DARTA_USAGE',
      'the npm package net-snmp, which speaks SNMP, is not installed',
      undefined,
      error,
    )
  }
}

/** Undefined: there is no such object, its type is none of SNMP's, or its octets are no value of it. */
export function bindingOf(
  {ObjectType}: Pick<SnmpPackage, 'ObjectType'>,
  {oid, type, value}: PackageVarbind,
): SnmpBinding | undefined {
  const found = valueOf(ObjectType, type, value)
  return found !== undefined && isIdentifier(oid) ? {oid, value: found} : undefined
}

/** What the package made of octets that it does not look at closely. */
function valueOf(
  types: SnmpPackage['ObjectType'],
  type: number,
  value: unknown,
): SnmpValue | undefined {
  if (typeof value === 'number') {
    if (!Number.isInteger(value)) return undefined
    if (type === types.Integer) return {type: 'integer', value}
    if (type === types.Gauge) return {type: 'gauge', value}
    if (type === types.TimeTicks) return {type: 'timeTicks', value}
    return type === types.Counter ? {type: 'counter32', value} : undefined
  }
  if (value instanceof Uint8Array) {
    if (type === types.Counter64) return {type: 'counter64', value: unsignedOf(value)}
    const isText = type === types.OctetString || type === types.Opaque
    return isText ? {type: 'octets', value: new Uint8Array(value)} : undefined
  }
  if (typeof value !== 'string') return undefined
  if (type === types.OID) return isIdentifier(value) ? {type: 'identifier', value} : undefined
  return type === types.IpAddress ? {type: 'address', value} : undefined
}

/** Damaged octets make numbers that are none of an identifier. */
function isIdentifier(text: unknown): boolean {
  try {
    return typeof text === 'string' && subIdentifiers(text).length > 0
  } catch {
    return false
  }
}

/** Of an integer in BER, which has as few octets as it needs and a zero in front where the first bit is set. */
function unsignedOf(octets: Uint8Array): bigint {
  let value = 0n
  for (const octet of octets) value = (value << 8n) | BigInt(octet)
  return BigInt.asUintN(64, value)
}
