import type {Selector} from '../selector.js'

/** Both addresses: all that two hosts say to each other on one node. */
export default {
  summary: 'address pair, whatever the protocol',
  kind: 'hash',
  addresses: 'both',
  protocol: false,
  ports: false,
} satisfies Selector
