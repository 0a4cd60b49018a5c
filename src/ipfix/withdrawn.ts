import type {Domain} from './template-store.js'

/**
 * Template IDs that were withdrawn and have not been given again, by domain. What comes under them is of a Template that is no
 * more, so that it must not wait for the next one that takes the ID. RFC 7011 section 8.1.
 */
const withdrawn = new WeakMap<Domain, Set<number>>()

export function noteWithdrawn(domain: Domain, id: number): void {
  const ids = withdrawn.get(domain)
  if (ids === undefined) withdrawn.set(domain, new Set([id]))
  else ids.add(id)
}

/** @returns whether it was withdrawn before */
export function forgetWithdrawn(domain: Domain, id: number): boolean {
  return withdrawn.get(domain)?.delete(id) ?? false
}

export function isWithdrawn(domain: Domain, id: number): boolean {
  return withdrawn.get(domain)?.has(id) ?? false
}
