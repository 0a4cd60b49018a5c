/** What one check found. */
export interface Finding {
  /** `host`, or an interface's name. */
  readonly where: string
  /** What was looked at: `receive offload`, `clock`. */
  readonly subject: string
  /** `bad` falsifies or forbids measurement, `warn` may, `ok` does not, `unknown` could not be found out. */
  readonly verdict: 'ok' | 'warn' | 'bad' | 'unknown'
  /** What there is and what it does to measurement. */
  readonly words: string
  /** A command that mends it. */
  readonly mend?: string
}

/** A file of /proc or /sys as text without its line break; undefined where it cannot be read. */
export type ReadText = (path: string) => string | undefined
