import {loadNative, nativeAbsence} from '../../src/io/native.js'

/** The native addon; undefined where it is not built. */
export const addon = loadNative()

/** Why a test that needs the addon cannot run here; undefined where it can. */
export const native = addon === undefined ? (nativeAbsence() ?? 'no native addon') : undefined
