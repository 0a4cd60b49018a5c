import {appendTailsPlainly, type AppendTails} from './append-tails.js'
import {composeRowsPlainly, type ComposeRows} from './compose-rows.js'
import {createPlainGroups} from './plain-groups.js'
import type {CreateCryptoPanKernel} from './crypto-pan-kernel.js'
import type {CreateFilter} from './filter-kernel.js'
import {dealPlainly} from './plain-deal.js'
import type {DealRecords} from './deal-kernel.js'
import type {GatherMessages} from './gather-kernel.js'
import type {CreateGroups} from './group-kernel.js'
import type {RenderText} from './text-kernel.js'

/**
 * The inner loops that exist twice, in TypeScript and in the native addon. The command frame puts the
 * native ones here at start-up where the addon loads; nothing else may depend on which are in place.
 */
export const kernels: {
  groups: CreateGroups
  deal: DealRecords
  /** Undefined: src/ipfix/session.ts reads every Message itself. */
  gather: GatherMessages | undefined
  /** Undefined: src/formats/text/ writes every record itself. */
  text: RenderText | undefined
  /** Undefined: src/mediation/filter/ decides for every record itself. */
  filter: CreateFilter | undefined
  /** Undefined: src/mediation/anonymization/ permutes every address itself. */
  cryptoPan: CreateCryptoPanKernel | undefined
  appendTails: AppendTails
  compose: ComposeRows
} = {
  groups: createPlainGroups,
  deal: dealPlainly,
  gather: undefined,
  text: undefined,
  filter: undefined,
  cryptoPan: undefined,
  appendTails: appendTailsPlainly,
  compose: composeRowsPlainly,
}
