import type {Selector} from '../selector.js'

/** The source address: all that a host sends on one node. */
export default {
  summary: 'source address',
  kind: 'hash',
  addresses: 'src',
  protocol: false,
  ports: false,
} satisfies Selector
