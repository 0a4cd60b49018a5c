import {DartaError} from '../../record/errors.js'

/** What a meter or decoder finds wrong does not tell in which input: says so. */
export function ofInput(name: string, error: DartaError): DartaError {
  const told = name === '-' ? error.message.startsWith('- ') : error.message.includes(name)
  if (told) return error
  return new DartaError(error.code, `${name}: ${error.message}`, error.offset, error)
}
