import type {Socket} from 'node:dgram'
import {createRequire} from 'node:module'
import {DartaError} from '../../../record/errors.js'
import type {SnmpBinding} from '../../../mediation/snmp/value.js'

/** What is used of the npm package `net-snmp`, which is optional and has no types of its own. */
export interface SnmpPackage {
  readonly Version2c: number
  readonly Version3: number
  readonly ObjectType: Readonly<Record<string, number>>
  readonly PduType: Readonly<Record<string, number>>
  readonly SecurityLevel: Readonly<Record<'noAuthNoPriv' | 'authNoPriv' | 'authPriv', number>>
  readonly AuthProtocols: Readonly<Record<string, number>>
  readonly PrivProtocols: Readonly<Record<string, number>>
  /** Keys of users by engine, as many as were ever needed. */
  readonly Authentication?: {authToKeyCache: Readonly<Record<string, unknown>>}
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
}

export interface PackageReceiver {
  getAuthorizer(): {addCommunity(community: string): void; addUser(user: PackageUser): void}
  close(): void
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
    return createRequire(import.meta.url)('net-snmp') as SnmpPackage
  } catch (error) {
    throw new DartaError(
      'DARTA_USAGE',
      'the npm package net-snmp, which speaks SNMP, is not installed',
      undefined,
      error,
    )
  }
}

/** Undefined: there is no such object, or its type is none of SNMP's. */
export function bindingOf(
  {ObjectType}: Pick<SnmpPackage, 'ObjectType'>,
  {oid, type, value}: PackageVarbind,
): SnmpBinding | undefined {
  switch (type) {
    case ObjectType.Integer:
      return {oid, value: {type: 'integer', value: value as number}}
    case ObjectType.Gauge:
      return {oid, value: {type: 'gauge', value: value as number}}
    case ObjectType.TimeTicks:
      return {oid, value: {type: 'timeTicks', value: value as number}}
    case ObjectType.Counter:
      return {oid, value: {type: 'counter32', value: value as number}}
    case ObjectType.Counter64:
      return {oid, value: {type: 'counter64', value: unsignedOf(value as Uint8Array)}}
    case ObjectType.OctetString:
    case ObjectType.Opaque:
      return {oid, value: {type: 'octets', value: new Uint8Array(value as Uint8Array)}}
    case ObjectType.OID:
      return {oid, value: {type: 'identifier', value: value as string}}
    case ObjectType.IpAddress:
      return {oid, value: {type: 'address', value: value as string}}
    default:
      return undefined
  }
}

/** Of an integer in BER, which has as few octets as it needs and a zero in front where the first bit is set. */
function unsignedOf(octets: Uint8Array): bigint {
  let value = 0n
  for (const octet of octets) value = (value << 8n) | BigInt(octet)
  return BigInt.asUintN(64, value)
}
