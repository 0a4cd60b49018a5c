/** Where some wait for what others may have changed; they look again when they are woken. */
export interface Gate {
  /** Resolves at the next `open`. Ask before looking, so that nothing is missed in between. */
  wait(): Promise<void>
  open(): void
}

export function createGate(): Gate {
  let waiting: (() => void)[] = []
  return {
    wait: () => new Promise((resolve) => waiting.push(resolve)),
    open() {
      const woken = waiting
      waiting = []
      for (const resolve of woken) resolve()
    },
  }
}
