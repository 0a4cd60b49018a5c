/** The beginning of a line or object whose end has not come yet. */
export interface HeldOctets {
  /** What is kept lies at its beginning. */
  readonly octets: Uint8Array
  /** Octets that are kept. */
  readonly count: number
  /** Octets that were passed over, since all of them are too many; then none are kept. */
  readonly passed: number
  add(octets: Uint8Array): void
  clear(): void
}

/** @param most octets that are kept at the most */
export function createHeldOctets(most: number): HeldOctets {
  let held = new Uint8Array(4096)
  let count = 0
  let passed = 0
  return {
    get octets() {
      return held
    },
    get count() {
      return count
    },
    get passed() {
      return passed
    },
    add(octets) {
      if (passed > 0 || count + octets.length > most) {
        passed += count + octets.length
        count = 0
        return
      }
      if (count + octets.length > held.length) {
        const larger = new Uint8Array(Math.max(held.length * 2, count + octets.length))
        larger.set(held.subarray(0, count))
        held = larger
      }
      held.set(octets, count)
      count += octets.length
    },
    clear() {
      count = 0
      passed = 0
    },
  }
}
