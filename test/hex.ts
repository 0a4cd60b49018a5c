/**
 * Octets written as annotated hex: white space is ignored, and `#` begins a comment that ends with the
 * line. Values may be put in: hex text, or octets.
 *
 *     hex`4500 0014   # version, length
 *         ${payload}`
 */
export function hex(
  parts: TemplateStringsArray,
  ...values: readonly (string | Uint8Array)[]
): Uint8Array {
  let text = parts[0]
  values.forEach((value, i) => {
    text += typeof value === 'string' ? value : Buffer.from(value).toString('hex')
    text += parts[i + 1]
  })
  const digits = text.replace(/#.*/g, '').replace(/\s+/g, '')
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new Error(`not octets in hex: ${digits}`)
  return new Uint8Array(Buffer.from(digits, 'hex'))
}
