import type {Selector} from '../selector.js'

/** Both addresses and the protocol: every packet and fragment of a Flow, in both directions, on one node. */
export default {
  summary: 'addresses and protocol, both directions and all fragments together',
  kind: 'hash',
  addresses: 'both',
  protocol: true,
  ports: false,
} satisfies Selector
