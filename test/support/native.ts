import {existsSync} from 'node:fs'
import {createRequire} from 'node:module'
import {fileURLToPath} from 'node:url'
import type {CreateGroups} from '../../src/record/group-kernel.js'

// From build/test/support to the project's root.
const path = fileURLToPath(new URL('../../../native/build/darta.node', import.meta.url))
const addon = existsSync(path)
  ? (createRequire(import.meta.url)(path) as {createGroups?: CreateGroups})
  : undefined

/** The native kernel of groups; undefined where the addon is not built. */
export const nativeGroups = addon?.createGroups
