import {DartaError} from '../record/errors.js'
import type {Selector} from './selector.js'
import {selectors} from './selectors/index.js'

/** @throws DartaError DARTA_USAGE with the names there are */
export async function selectorByName(name: string): Promise<Selector> {
  if (!Object.hasOwn(selectors, name)) {
    const names = Object.keys(selectors).join(', ')
    throw new DartaError('DARTA_USAGE', `no selector is named '${name}'; there are ${names}`)
  }
  return (await selectors[name as keyof typeof selectors]()).default
}
