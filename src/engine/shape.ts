import {readJson} from './engine.js'

/** Whether a value that another process stored is what it should be. */
export type Shape = (value: unknown) => boolean

export const isText: Shape = (value) => typeof value === 'string'
export const isNumber: Shape = (value) => typeof value === 'number'
export const isFlag: Shape = (value) => typeof value === 'boolean'
/** A whole number from `least` to `most`. */
export const isWhole =
  (least: number, most = Number.MAX_SAFE_INTEGER): Shape =>
  (value) =>
    Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most
/** What no engine takes for something else in its own language: see `checkName`. */
export const isName: Shape = (value) =>
  typeof value === 'string' && /^[A-Za-z0-9-]{1,64}$/.test(value)
export const isOneOf =
  (...values: unknown[]): Shape =>
  (value) =>
    values.includes(value)
export const either =
  (...shapes: Shape[]): Shape =>
  (value) =>
    shapes.some((shape) => shape(value))
export const listOf =
  (shape: Shape): Shape =>
  (value) =>
    Array.isArray(value) && value.every(shape)
/** An object with any keys. */
export const mapOf =
  (shape: Shape): Shape =>
  (value) =>
    isObject(value) && Object.values(value).every(shape)
/** An object with these members; it may have others. */
export const objectOf =
  (members: Readonly<Record<string, Shape>>): Shape =>
  (value) =>
    isObject(value) &&
    Object.entries(members).every(([key, shape]) =>
      shape(Object.hasOwn(value, key) ? value[key] : undefined),
    )

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What was stored, if it has that shape; undefined: it is something else, and as good as not there. */
export function readShaped<T>(octets: Uint8Array, shape: Shape): T | undefined {
  const value = readJson(octets)
  return shape(value) ? (value as T) : undefined
}
