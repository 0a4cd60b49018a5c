import {loadNative} from '../io/native.js'
import {kernels} from '../record/kernels.js'

/** Puts the inner loops of the native addon in the place of those in TypeScript, where it can be loaded. */
export function useNativeKernels(): void {
  const addon = loadNative()
  if (addon === undefined) return
  kernels.groups = addon.createGroups
  kernels.deal = addon.dealRecords
  kernels.gather = addon.gatherMessages
  kernels.compose = addon.composeRows
  kernels.text = addon.renderText
  kernels.filter = addon.createFilter
  kernels.cryptoPan = addon.createCryptoPan
  kernels.appendTails = (...args) => addon.appendTails(...args)
}
